//! What is done to the training pictures: a list of steps, each a plain object.

use crate::error::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize};

/// One step of augmentation. Defaults and numbers are those of the papers and of torchvision's transforms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Augmentation {
    /// torchvision's `RandomResizedCrop`: a random part of the picture, resized to the network's resolution.
    ResizedCrop {
        /// The least share of the picture's area, up to all of it; default 0.08.
        area: f64,
        /// How many times wider than high it is at most, or higher than wide; default 4/3.
        ratio: f64,
    },
    /// torchvision's `RandomCrop` to the picture's own size, out of the picture with black around it.
    Crop {
        /// Black pixels at each side; default 4.
        padding: usize,
    },
    /// torchvision's `RandomHorizontalFlip`: half of the pictures are mirrored.
    Flip,
    /// torchvision's `RandAugment` (Cubuk et al. 2019), with 31 magnitudes.
    RandAugment {
        /// Operations one after the other, drawn from 14; default 2.
        operations: usize,
        /// How strong they are, from 0 to 30; default 9.
        magnitude: usize,
    },
    /// torchvision's `TrivialAugmentWide` (Müller and Hutter 2021): one of the 14 operations, at a random magnitude.
    TrivialAugment,
    /// torchvision's `ColorJitter`: brightness, contrast, saturation and hue change, in a random order.
    ColorJitter {
        /// A factor is drawn from 1 minus this, 0 at least, to 1 plus this; default 0.4.
        brightness: f64,
        /// The same; default 0.4.
        contrast: f64,
        /// The same; default 0.4.
        saturation: f64,
        /// How far hues turn at most, in whole turns, up to 0.5; default 0.1.
        hue: f64,
    },
    /// A square of the normalised picture becomes 0, the data's mean (DeVries and Taylor 2017).
    Cutout {
        /// Its side in pixels of the network's resolution, where it lies inside the picture; default 16.
        size: usize,
    },
    /// torchvision's `MixUp` (Zhang et al. 2017): each picture is averaged with the one before it in the batch.
    Mixup {
        /// The share is drawn from Beta(alpha, alpha), once a batch; default 1.
        alpha: f64,
        /// Share of the batches that are mixed; default 1.
        probability: f64,
    },
    /// torchvision's `CutMix` (Yun et al. 2019): a box of each picture comes from the one before it in the batch.
    Cutmix {
        /// The area is drawn from Beta(alpha, alpha), once a batch; default 1.
        alpha: f64,
        /// Share of the batches that are mixed; default 1.
        probability: f64,
    },
}

/// At which point of a picture's way a step is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// On the picture as it is stored.
    Part,
    /// On its bytes.
    Bytes,
    /// On its normalised values.
    Values,
    /// On the batch.
    Batch,
}

impl Augmentation {
    /// Every step with its defaults.
    pub const ALL: [Self; 9] = [
        Self::ResizedCrop { area: 0.08, ratio: 4.0 / 3.0 },
        Self::Crop { padding: 4 },
        Self::Flip,
        Self::RandAugment { operations: 2, magnitude: 9 },
        Self::TrivialAugment,
        Self::ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 },
        Self::Cutout { size: 16 },
        Self::Mixup { alpha: 1.0, probability: 1.0 },
        Self::Cutmix { alpha: 1.0, probability: 1.0 },
    ];

    /// The course's: crop and flip.
    pub fn course() -> Vec<Self> {
        vec![Self::Crop { padding: 4 }, Self::Flip]
    }

    /// What photographs of any shape take instead of the course's: a part of the picture and flip.
    pub fn photographs() -> Vec<Self> {
        vec![Self::ALL[0], Self::Flip]
    }

    /// What options call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ResizedCrop { .. } => "resizedcrop",
            Self::Crop { .. } => "crop",
            Self::Flip => "flip",
            Self::RandAugment { .. } => "randaugment",
            Self::TrivialAugment => "trivialaugment",
            Self::ColorJitter { .. } => "colorjitter",
            Self::Cutout { .. } => "cutout",
            Self::Mixup { .. } => "mixup",
            Self::Cutmix { .. } => "cutmix",
        }
    }

    fn stage(&self) -> Stage {
        match self {
            Self::ResizedCrop { .. } => Stage::Part,
            Self::Crop { .. }
            | Self::Flip
            | Self::RandAugment { .. }
            | Self::TrivialAugment
            | Self::ColorJitter { .. } => Stage::Bytes,
            Self::Cutout { .. } => Stage::Values,
            Self::Mixup { .. } | Self::Cutmix { .. } => Stage::Batch,
        }
    }

    fn check(&self) -> Result<()> {
        let whole = |name: &str, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            let step = self.name();
            Err(Error::invalid_option(format!(
                "{name} of {step} must be a whole number from {least} to {most}, not {value}"
            )))
        };
        let number = |name: &str, value: f64, least: f64, most: f64| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            let step = self.name();
            Err(Error::invalid_option(format!(
                "{name} of {step} must be a number from {least} to {most}, not {value}"
            )))
        };
        match *self {
            Self::ResizedCrop { area, ratio } => {
                number("area", area, 0.001, 1.0)?;
                number("ratio", ratio, 1.0, 100.0)
            }
            Self::ColorJitter { brightness, contrast, saturation, hue } => {
                number("brightness", brightness, 0.0, 100.0)?;
                number("contrast", contrast, 0.0, 100.0)?;
                number("saturation", saturation, 0.0, 100.0)?;
                number("hue", hue, 0.0, 0.5)
            }
            Self::Crop { padding } => whole("padding", padding, 1, 1024),
            Self::Flip | Self::TrivialAugment => Ok(()),
            Self::RandAugment { operations, magnitude } => {
                whole("operations", operations, 1, 14)?;
                whole("magnitude", magnitude, 0, 30)
            }
            Self::Cutout { size } => whole("size", size, 2, 1024),
            Self::Mixup { alpha, probability } | Self::Cutmix { alpha, probability } => {
                if !(alpha > 0.0 && alpha <= 1000.0) {
                    return Err(Error::invalid_option(format!(
                        "alpha of {} must be above 0 and at most 1000, not {alpha}",
                        self.name()
                    )));
                }
                if !(probability > 0.0 && probability <= 1.0) {
                    return Err(Error::invalid_option(format!(
                        "probability of {} must be above 0 and at most 1, not {probability}",
                        self.name()
                    )));
                }
                Ok(())
            }
        }
    }

    /// Says what is wrong with these steps, if anything is.
    pub fn check_all(steps: &[Self]) -> Result<()> {
        steps.iter().try_for_each(Self::check)?;
        if steps.iter().filter(|step| step.stage() == Stage::Part).count() > 1 {
            return Err(Error::invalid_option("augment has resizedcrop once at most"));
        }
        match steps.windows(2).find(|pair| pair[0].stage() > pair[1].stage()) {
            None => Ok(()),
            Some(pair) => Err(Error::invalid_option(format!(
                "augment must have {} before {}: first comes resizedcrop, then the steps on a picture's bytes \
                 (crop, flip, randaugment, trivialaugment, colorjitter), then cutout, then what mixes a batch (mixup, cutmix)",
                pair[1].name(),
                pair[0].name()
            ))),
        }
    }
}

/// The steps of a checkpoint's recipe; before there was a choice, true stood for crop and flip, and false for none.
pub(super) fn steps<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<Augmentation>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Course(bool),
        Steps(Vec<Augmentation>),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::Course(true) => Augmentation::course(),
        Written::Course(false) => Vec::new(),
        Written::Steps(steps) => steps,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(steps: &[Augmentation]) -> String {
        Augmentation::check_all(steps).unwrap_err().message
    }

    #[test]
    fn every_step_is_an_object_with_its_name() {
        for step in Augmentation::ALL {
            let object = serde_json::to_value(step).unwrap();
            assert_eq!(object["type"], step.name());
            assert_eq!(serde_json::from_value::<Augmentation>(object).unwrap(), step);
        }
        let step = json!({ "type": "randaugment", "operations": 1, "magnitude": 3 });
        assert_eq!(
            serde_json::from_value::<Augmentation>(step).unwrap(),
            Augmentation::RandAugment { operations: 1, magnitude: 3 }
        );
        Augmentation::check_all(&Augmentation::ALL).unwrap();
    }

    #[test]
    fn old_checkpoints_have_true_and_false() {
        assert_eq!(steps(json!(true)).unwrap(), Augmentation::course());
        assert_eq!(steps(json!(false)).unwrap(), []);
        assert_eq!(steps(json!([{ "type": "flip" }])).unwrap(), [Augmentation::Flip]);
        assert!(steps(json!([{ "type": "rotate" }])).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let mixup = |alpha, probability| Augmentation::Mixup { alpha, probability };
        for (step, expected) in [
            (
                Augmentation::Crop { padding: 0 },
                "padding of crop must be a whole number from 1 to 1024, not 0",
            ),
            (Augmentation::RandAugment { operations: 0, magnitude: 9 }, "operations of randaugment must be"),
            (Augmentation::RandAugment { operations: 2, magnitude: 31 }, "from 0 to 30, not 31"),
            (Augmentation::Cutout { size: 1 }, "size of cutout must be a whole number from 2 to 1024, not 1"),
            (
                Augmentation::ResizedCrop { area: 0.0, ratio: 1.0 },
                "area of resizedcrop must be a number from 0.001 to 1, not 0",
            ),
            (
                Augmentation::ColorJitter { brightness: 0.0, contrast: 0.0, saturation: 0.0, hue: 0.6 },
                "hue of colorjitter must be a number from 0 to 0.5, not 0.6",
            ),
            (mixup(0.0, 1.0), "alpha of mixup must be above 0 and at most 1000, not 0"),
            (mixup(f64::NAN, 1.0), "not NaN"),
            (mixup(1.0, 0.0), "probability of mixup must be above 0 and at most 1, not 0"),
        ] {
            let message = refused(&[step]);
            assert!(message.contains(expected), "{message}");
        }
        let message = refused(&[Augmentation::Cutout { size: 8 }, Augmentation::Flip]);
        assert!(message.starts_with("augment must have flip before cutout"), "{message}");
        let part = Augmentation::ResizedCrop { area: 0.5, ratio: 1.0 };
        assert_eq!(refused(&[part, part]), "augment has resizedcrop once at most");
        assert!(
            refused(&[mixup(1.0, 1.0), Augmentation::Cutout { size: 8 }]).contains("cutout before mixup")
        );
    }
}
