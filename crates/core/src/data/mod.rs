//! Pictures: where they come from, and how they become batches. Knows no model.

pub mod augment;
pub mod cifar10;
pub mod image;
pub mod imagenet;
pub mod loader;
pub mod normalize;
pub mod prepare;
pub mod split;

use crate::error::{Error, ErrorCode, Result};
use std::sync::Arc;

/// One decoded picture of any size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb {
    /// `height * width * 3` bytes: rows from the top, in each the pixels from the left, in each red, green, blue.
    pub pixels: Vec<u8>,
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
}

/// Labelled pictures of one size, decoded once and kept as bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pictures {
    /// `[n, height, width, 3]`, one after the other in the layout of [`Rgb::pixels`].
    pub pixels: Vec<u8>,
    /// `[n]`, each an index into [`Dataset::classes`].
    pub labels: Vec<u32>,
    /// Of each picture, in pixels.
    pub height: usize,
    /// Of each picture, in pixels.
    pub width: usize,
}

impl Pictures {
    /// How many pictures there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes of one picture.
    pub fn stride(&self) -> usize {
        self.height * self.width * 3
    }

    /// The bytes `[height, width, 3]` of picture `index`.
    ///
    /// # Panics
    /// When there is no such picture.
    pub fn picture(&self, index: usize) -> &[u8] {
        let stride = self.stride();
        &self.pixels[index * stride..(index + 1) * stride]
    }

    /// Checks that the fields fit together; the pictures may have come from outside.
    ///
    /// # Errors
    /// `DATASET_CORRUPT` when the number of bytes isn't what the labels and the size of a picture ask for.
    pub fn check(&self) -> Result<()> {
        let expected = self.stride() * self.len();
        if self.height == 0 || self.width == 0 || self.pixels.len() != expected {
            return Err(Error::new(
                ErrorCode::DatasetCorrupt,
                format!(
                    "{} labels and pictures of {}x{} pixels ask for {expected} bytes of pixels, found {}",
                    self.len(),
                    self.width,
                    self.height,
                    self.pixels.len()
                ),
            ));
        }
        Ok(())
    }
}

/// Pictures to learn from and pictures to test on.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// To learn from; a share may be kept for validation, see [`split`].
    pub train: Arc<Pictures>,
    /// To test on; never learnt from.
    pub test: Arc<Pictures>,
    /// Names of the classes, in the order of the labels.
    pub classes: Vec<String>,
    /// Where it was read from.
    pub source: String,
    /// These are exactly the published pictures, which was checked.
    pub official: bool,
    /// Something that a person should know about these pictures.
    pub note: Option<String>,
}
