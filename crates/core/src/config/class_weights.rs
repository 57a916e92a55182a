//! How much the pictures of each class count.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// How much the pictures of each class count in the loss: PyTorch's `CrossEntropyLoss(weight=...)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClassWeights {
    /// From the training pictures.
    Counted(Counted),
    /// A number above 0 for each class.
    Each(Vec<f64>),
}

/// Weights that follow from how many pictures a class has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Counted {
    /// All pictures, divided by the number of classes and by the class's pictures: every class counts alike, and a picture
    /// 1 in the mean. (scikit-learn's `class_weight="balanced"`; King and Zeng 2001.)
    Balanced,
}

impl ClassWeights {
    /// Says what is wrong with these numbers, if anything is, however many classes there are.
    pub(super) fn check(&self) -> Result<()> {
        let Self::Each(weights) = self else { return Ok(()) };
        match weights.iter().find(|weight| !(**weight > 0.0 && weight.is_finite())) {
            None => Ok(()),
            Some(weight) => {
                Err(Error::invalid_option(format!("classWeights must be numbers above 0, not {weight}")))
            }
        }
    }

    /// The weight of each class.
    ///
    /// # Errors
    /// `INVALID_OPTION` when there is not a number for each class.
    pub fn resolve(&self, labels: impl Iterator<Item = u32>, classes: usize) -> Result<Vec<f64>> {
        let weights = match self {
            Self::Each(weights) => weights.clone(),
            Self::Counted(Counted::Balanced) => {
                let mut counts = vec![0usize; classes];
                labels.for_each(|label| counts[label as usize] += 1);
                let all: usize = counts.iter().sum();
                let weight = |count: usize| match count {
                    // It never comes up.
                    0 => 1.0,
                    _ => all as f64 / (classes * count) as f64,
                };
                counts.into_iter().map(weight).collect()
            }
        };
        if weights.len() != classes {
            return Err(Error::invalid_option(format!(
                "classWeights must have a number for each of the {classes} classes, not {} numbers",
                weights.len()
            )));
        }
        Ok(weights)
    }
}

#[cfg(test)]
mod tests {
    use super::{ClassWeights, Counted};

    #[test]
    fn balanced_weights_are_scikit_learns() {
        // compute_class_weight("balanced", classes=[0, 1, 2], y=[0, 0, 0, 1, 2, 2])
        let labels = [0, 0, 0, 1, 2, 2];
        let weights = ClassWeights::Counted(Counted::Balanced).resolve(labels.into_iter(), 3).unwrap();
        assert_eq!(weights, [6.0 / 9.0, 2.0, 1.0]);
        let sum: f64 = labels.iter().map(|label| weights[*label as usize]).sum();
        assert!((sum / 6.0 - 1.0).abs() < 1e-15);
    }

    #[test]
    fn they_are_a_word_or_a_list() {
        let read = |text| serde_json::from_str::<ClassWeights>(text);
        assert_eq!(read(r#""balanced""#).unwrap(), ClassWeights::Counted(Counted::Balanced));
        assert_eq!(read("[1,2.5]").unwrap(), ClassWeights::Each(vec![1.0, 2.5]));
        assert!(read(r#""even""#).is_err());
        let few = read("[1]").unwrap().resolve([].into_iter(), 2).unwrap_err();
        assert!(few.message.contains("each of the 2 classes, not 1 numbers"), "{}", few.message);
        for wrong in [0.0, -1.0, f64::INFINITY, f64::NAN] {
            let error = ClassWeights::Each(vec![1.0, wrong]).check().unwrap_err();
            assert_eq!(error.message, format!("classWeights must be numbers above 0, not {wrong}"));
        }
    }
}
