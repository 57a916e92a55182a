//! What is counted over pictures.

use serde::{Deserialize, Deserializer, Serialize};

/// Mean loss and accuracy over some pictures.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Mean cross-entropy.
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f64,
    /// Share of right answers, from 0 to 1.
    pub accuracy: f64,
    /// How many were right.
    pub correct: usize,
    /// Of how many.
    pub count: usize,
}

/// How many pictures a run uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PictureCounts {
    /// All training pictures of the data set, before the split and the limit.
    pub total: usize,
    /// Trained on each epoch.
    pub train: usize,
    /// Validated on; 0 when no share is kept for it.
    pub validation: usize,
    /// Tested on; 0 when the data set has no test pictures.
    pub test: usize,
}

/// JSON has no word for what is no number: it is written as null. Older versions kept runs whose loss was that.
fn number_or_null<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

impl Metrics {
    /// From the sum of the losses and the number of right answers over `count` pictures; absent when there are none.
    pub fn of(loss_sum: f64, correct: usize, count: usize) -> Option<Self> {
        let share = |value: f64| value / count as f64;
        (count > 0).then(|| Self { loss: share(loss_sum), accuracy: share(correct as f64), correct, count })
    }
}
