//! How a network is asked.

use serde::{Deserialize, Serialize};

/// Over which views of a picture the logits are averaged (test-time augmentation). With views of one picture that the
/// network sees as alike as two training pictures of one thing, their mean is right more often than any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestTimeAugmentation {
    /// The picture as it is.
    #[default]
    None,
    /// The picture and its mirror image.
    Mirror,
    /// These two, and both moved towards two opposite corners by a 32nd of the side, black where nothing is left. The
    /// moved ones have half the weight.
    MirrorShift,
}
