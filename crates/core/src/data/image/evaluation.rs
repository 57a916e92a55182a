//! How a picture of any size becomes one of the network's.

use super::resample::{Region, Resample};
use crate::data::Rgb;
use crate::error::{Error, ErrorCode, Result};

/// torchvision's transform for evaluation, `Resize(resize)` and then `CenterCrop(crop)`, equal to it byte for byte when it
/// is given a PIL image of the same pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evaluation {
    /// What the shorter side becomes, in pixels; at least `crop`.
    pub resize: usize,
    /// Height and width of the square that is cut out of the middle, in pixels.
    pub crop: usize,
}

impl Evaluation {
    /// The whole of a picture's shorter side.
    pub fn whole(crop: usize) -> Self {
        Self { resize: crop, crop }
    }

    /// The bytes `[crop, crop, 3]` of a picture. Nothing outside the square is computed.
    ///
    /// # Errors
    /// `INVALID_OPTION` when `resize` is less than `crop`; `IMAGE_UNREADABLE` when the picture's fields contradict each
    /// other, or it has no pixels.
    pub fn apply(&self, picture: &Rgb) -> Result<Vec<u8>> {
        let Rgb { pixels, width, height } = picture;
        self.apply_to(pixels, *width, *height)
    }

    /// The same of pixels `[height, width, 3]`.
    ///
    /// # Errors
    /// Those of [`Self::apply`].
    pub fn apply_to(&self, pixels: &[u8], width: usize, height: usize) -> Result<Vec<u8>> {
        let Self { resize, crop } = *self;
        if resize < crop {
            return Err(Error::invalid_option(format!(
                "resize must be at least {crop}, the network's resolution, not {resize}"
            )));
        }
        if pixels.is_empty() || pixels.len() != width * height * 3 {
            return Err(Error::new(
                ErrorCode::ImageUnreadable,
                format!(
                    "cannot use these pixels: {width}x{height} take {} bytes, found {}",
                    width * height * 3,
                    pixels.len()
                ),
            ));
        }
        let shorter = width.min(height);
        // The longer side is rounded down.
        let size = (width * resize / shorter, height * resize / shorter);
        let window = Region {
            left: half_to_even(size.0 - crop),
            top: half_to_even(size.1 - crop),
            width: crop,
            height: crop,
        };
        let from = Region { left: 0, top: 0, width, height };
        Ok(Resample { from, size, window }.run(pixels, width))
    }
}

/// Half of it, as Python rounds.
fn half_to_even(value: usize) -> usize {
    let half = value / 2;
    half + (value % 2) * (half % 2)
}
