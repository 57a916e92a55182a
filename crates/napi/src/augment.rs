//! Steps of augmentation as JavaScript gives them.

use crate::options::whole;
use mobilenet_core::Error;
use mobilenet_core::config::Augmentation;
use napi::Either;
use napi_derive::napi;

/// One step, with what any step may have. `src/ts/options/augment.ts` says which has what.
#[napi(object)]
#[derive(Default)]
pub struct AugmentationStep {
    /// Which.
    #[napi(
        js_name = "type",
        ts_type = "'resizedcrop' | 'crop' | 'flip' | 'randaugment' | 'trivialaugment' | 'colorjitter' | 'cutout' | 'mixup' | 'cutmix'"
    )]
    pub kind: String,
    /// Of `resizedcrop`.
    #[napi(ts_type = "number | null")]
    pub area: Option<f64>,
    /// Of `resizedcrop`.
    #[napi(ts_type = "number | null")]
    pub ratio: Option<f64>,
    /// Of `colorjitter`.
    #[napi(ts_type = "number | null")]
    pub brightness: Option<f64>,
    /// Of `colorjitter`.
    #[napi(ts_type = "number | null")]
    pub contrast: Option<f64>,
    /// Of `colorjitter`.
    #[napi(ts_type = "number | null")]
    pub saturation: Option<f64>,
    /// Of `colorjitter`.
    #[napi(ts_type = "number | null")]
    pub hue: Option<f64>,
    /// Of `crop`.
    #[napi(ts_type = "number | null")]
    pub padding: Option<f64>,
    /// Of `randaugment`.
    #[napi(ts_type = "number | null")]
    pub operations: Option<f64>,
    /// Of `randaugment`.
    #[napi(ts_type = "number | null")]
    pub magnitude: Option<f64>,
    /// Of `cutout`.
    #[napi(ts_type = "number | null")]
    pub size: Option<f64>,
    /// Of `mixup` and `cutmix`.
    #[napi(ts_type = "number | null")]
    pub alpha: Option<f64>,
    /// Of `mixup` and `cutmix`.
    #[napi(ts_type = "number | null")]
    pub probability: Option<f64>,
}

/// The steps: true stands for what is usual, false for none.
pub fn steps(given: Either<bool, Vec<AugmentationStep>>) -> Result<Option<Vec<Augmentation>>, Error> {
    match given {
        Either::A(true) => Ok(None),
        Either::A(false) => Ok(Some(Vec::new())),
        Either::B(steps) => steps.into_iter().map(step).collect::<Result<_, _>>().map(Some),
    }
}

/// What is absent takes its default; what belongs to another step is refused.
fn step(given: AugmentationStep) -> Result<Augmentation, Error> {
    let Some(default) = Augmentation::ALL.into_iter().find(|step| step.name() == given.kind) else {
        let names = Augmentation::ALL.map(|step| step.name()).join(", ");
        return Err(Error::invalid_option(format!("augment takes {names}, not {}", given.kind)));
    };
    let AugmentationStep { area, ratio, padding, operations, magnitude, size, alpha, probability, .. } =
        given;
    let AugmentationStep { brightness, contrast, saturation, hue, .. } = given;
    let values = [
        ("area", area),
        ("ratio", ratio),
        ("brightness", brightness),
        ("contrast", contrast),
        ("saturation", saturation),
        ("hue", hue),
        ("padding", padding),
        ("operations", operations),
        ("magnitude", magnitude),
        ("size", size),
        ("alpha", alpha),
        ("probability", probability),
    ];
    let (step, own): (_, &[&str]) = match default {
        Augmentation::ResizedCrop { area: first, ratio: second } => (
            Augmentation::ResizedCrop { area: area.unwrap_or(first), ratio: ratio.unwrap_or(second) },
            &["area", "ratio"],
        ),
        Augmentation::ColorJitter { brightness: first, contrast: second, saturation: third, hue: fourth } => {
            (
                Augmentation::ColorJitter {
                    brightness: brightness.unwrap_or(first),
                    contrast: contrast.unwrap_or(second),
                    saturation: saturation.unwrap_or(third),
                    hue: hue.unwrap_or(fourth),
                },
                &["brightness", "contrast", "saturation", "hue"],
            )
        }
        Augmentation::Crop { padding: default } => {
            (Augmentation::Crop { padding: whole("padding", padding)?.unwrap_or(default) }, &["padding"])
        }
        Augmentation::Flip | Augmentation::TrivialAugment => (default, &[]),
        Augmentation::RandAugment { operations: first, magnitude: second } => (
            Augmentation::RandAugment {
                operations: whole("operations", operations)?.unwrap_or(first),
                magnitude: whole("magnitude", magnitude)?.unwrap_or(second),
            },
            &["operations", "magnitude"],
        ),
        Augmentation::Cutout { size: default } => {
            (Augmentation::Cutout { size: whole("size", size)?.unwrap_or(default) }, &["size"])
        }
        Augmentation::Mixup { alpha: first, probability: second } => (
            Augmentation::Mixup { alpha: alpha.unwrap_or(first), probability: probability.unwrap_or(second) },
            &["alpha", "probability"],
        ),
        Augmentation::Cutmix { alpha: first, probability: second } => (
            Augmentation::Cutmix {
                alpha: alpha.unwrap_or(first),
                probability: probability.unwrap_or(second),
            },
            &["alpha", "probability"],
        ),
    };
    match values.iter().find(|(name, value)| value.is_some() && !own.contains(name)) {
        None => Ok(step),
        Some((name, _)) => Err(Error::invalid_option(format!("{name} does not belong to {}", step.name()))),
    }
}
