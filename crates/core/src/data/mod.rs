//! Pictures: where they come from, and how they become batches. Knows no model.

pub mod augment;
pub mod cifar10;
pub mod drawn;
pub mod folder;
mod frame;
pub mod image;
pub mod imagenet;
pub mod loader;
pub mod normalize;
mod pictures;
pub mod prepare;
pub mod split;
#[cfg(test)]
pub(crate) mod testing;

pub use folder::Skipped;
pub use pictures::{Pictures, View};

use crate::config::FolderSplit;
use crate::error::{Error, ErrorCode, Result};
use split::Split;
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

/// Pictures to learn from and pictures to test on.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// To learn from; a share may be kept for validation, see [`Dataset::split`].
    pub train: Arc<Pictures>,
    /// To validate with, where somebody has said which; then no share of the others is kept for it.
    pub validation: Option<Arc<Pictures>>,
    /// To test on; never learnt from.
    pub test: Arc<Pictures>,
    /// How a share is kept for validation.
    pub splitting: Splitting,
    /// How they were taken from a folder; `None` for CIFAR-10.
    pub folder: Option<FolderSplit>,
    /// Differs where other pictures of a folder are in the parts; `None` for CIFAR-10.
    pub digest: Option<String>,
    /// The resolution that the pictures were made ready for; `None` when they are as they are published.
    pub resolution: Option<usize>,
    /// Files that could not be read, and are left out.
    pub skipped: Vec<Skipped>,
    /// Names of the classes, in the order of the labels.
    pub classes: Vec<String>,
    /// Where it was read from.
    pub source: String,
    /// These are exactly the published pictures, which was checked.
    pub official: bool,
    /// Something that a person should know about these pictures.
    pub note: Option<String>,
}

/// How training pictures are divided into those to learn from and those to validate with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Splitting {
    /// As the course does it, whatever the labels: see [`split::split`].
    Course,
    /// The same share of every class, drawn from a seed: see [`folder::split_by_class`].
    ByClass {
        /// What the draw follows from.
        seed: u64,
    },
}

impl Dataset {
    /// Indices of the training pictures: those to learn from, and those to validate with.
    pub fn split(&self, validation_fraction: f64) -> Split {
        match self.splitting {
            Splitting::Course => split::split(self.train.len(), validation_fraction),
            Splitting::ByClass { seed } => {
                folder::split_by_class(&self.train.labels, validation_fraction, seed)
            }
        }
    }

    /// Refuses a network that takes pictures of another resolution than these were made ready for.
    ///
    /// # Errors
    /// `INVALID_OPTION`.
    pub fn check_resolution(&self, resolution: usize) -> Result<()> {
        match self.resolution.filter(|other| *other != resolution) {
            None => Ok(()),
            Some(other) => Err(Error::invalid_option(format!(
                "the network takes pictures of {resolution}x{resolution} pixels, and {} was opened for {other}x{other}; \
                 open it with resolution {resolution}",
                self.source
            ))),
        }
    }

    /// Refuses a network that has names for more classes than there are: it would go on to answer with those names, whatever
    /// it learns here. One that knows no names, only numbers, may have any number of outputs, and so may any network for
    /// CIFAR-10, whose classes are always the same.
    ///
    /// # Errors
    /// `INVALID_OPTION`.
    pub fn check_outputs(&self, classes: &[String]) -> Result<()> {
        if self.splitting == Splitting::Course || only_numbers(classes) || classes.len() <= self.classes.len()
        {
            return Ok(());
        }
        let count = self.classes.len();
        Err(Error::invalid_option(format!(
            "the network has {} classes ({}), and {} has {count} ({}); begin with a network of {count} classes: one made with \
             `from` has the same weights and a new classifier",
            classes.len(),
            folder::shortened(classes),
            self.source,
            folder::shortened(&self.classes)
        )))
    }

    /// Refuses a network that was trained on other classes, or has them in another order. One that knows no names, only
    /// numbers, may have any.
    ///
    /// # Errors
    /// `CHECKPOINT_MISMATCH`.
    pub fn check_classes(&self, classes: &[String]) -> Result<()> {
        if self.splitting == Splitting::Course || only_numbers(classes) || *classes == self.classes {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::CheckpointMismatch,
            format!(
                "the network knows the classes {}, and {} has {}",
                folder::shortened(classes),
                self.source,
                folder::shortened(&self.classes)
            ),
        ))
    }
}

/// Whether names are only places: those of a network that was given no others.
fn only_numbers(classes: &[String]) -> bool {
    classes.iter().enumerate().all(|(number, name)| *name == number.to_string())
}
