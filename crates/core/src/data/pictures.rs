//! Labelled pictures, wherever they lie.

use super::folder::cache::Cache;
use crate::error::{Error, ErrorCode, Result};
use std::sync::Arc;

/// One picture's bytes, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View<'a> {
    /// `[height, width, 3]`: rows from the top, in each the pixels from the left, in each red, green, blue.
    pub pixels: &'a [u8],
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
}

/// Labelled pictures, decoded once.
#[derive(Debug, Clone)]
pub struct Pictures {
    /// `[n]`, each an index into [`Dataset::classes`](super::Dataset::classes).
    pub labels: Vec<u32>,
    place: Place,
}

/// Where the bytes lie.
#[derive(Debug, Clone)]
enum Place {
    /// In memory, all of one size, one after the other.
    Memory { pixels: Vec<u8>, height: usize, width: usize },
    /// In a mapped file, each of its own size; these of its entries.
    Cache { cache: Arc<Cache>, entries: Vec<u32>, resize: usize },
}

impl Default for Pictures {
    fn default() -> Self {
        Self::of_one_size(Vec::new(), Vec::new(), (0, 0))
    }
}

impl PartialEq for Pictures {
    /// The same labels and pixels, wherever they lie.
    fn eq(&self, other: &Self) -> bool {
        self.labels == other.labels
            && (0..self.len()).all(|index| self.picture(index) == other.picture(index))
    }
}

impl Pictures {
    /// Pictures in memory, `pixels` as `[n, height, width, 3]`; see [`Self::check`].
    pub fn of_one_size(pixels: Vec<u8>, labels: Vec<u32>, (height, width): (usize, usize)) -> Self {
        Self { labels, place: Place::Memory { pixels, height, width } }
    }

    /// Pictures of a folder's cache, made for this `resize`: picture `i` is entry `entries[i]`.
    pub(super) fn of_cache(cache: Arc<Cache>, resize: usize, entries: Vec<u32>, labels: Vec<u32>) -> Self {
        Self { labels, place: Place::Cache { cache, entries, resize } }
    }

    /// How many pictures there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Of photographs of any shape, what their shorter side is resized to, in pixels, before the network's square is cut
    /// out; `None` for pictures that are ready-made.
    pub fn resize(&self) -> Option<usize> {
        match self.place {
            Place::Memory { .. } => None,
            Place::Cache { resize, .. } => Some(resize),
        }
    }

    /// Picture `index`.
    ///
    /// # Panics
    /// When there is no such picture.
    pub fn picture(&self, index: usize) -> View<'_> {
        match &self.place {
            Place::Memory { pixels, height, width } => {
                let bytes = height * width * 3;
                View { pixels: &pixels[index * bytes..(index + 1) * bytes], width: *width, height: *height }
            }
            Place::Cache { cache, entries, .. } => cache.picture(entries[index] as usize),
        }
    }

    /// All pictures' bytes, where they lie in memory and are of one size: `[n, height, width, 3]`, with height and width.
    pub fn bytes(&self) -> Option<(&[u8], (usize, usize))> {
        match &self.place {
            Place::Memory { pixels, height, width } => Some((pixels, (*height, *width))),
            Place::Cache { .. } => None,
        }
    }

    /// The same, where each has `side` pixels both ways: as a network takes them.
    pub fn square_bytes(&self, side: usize) -> Option<&[u8]> {
        self.bytes().filter(|(_, size)| *size == (side, side)).map(|(bytes, _)| bytes)
    }

    /// Checks that the fields fit together; the pictures may have come from outside.
    ///
    /// # Errors
    /// `DATASET_CORRUPT` when the number of bytes isn't what the labels and the size of a picture ask for.
    pub fn check(&self) -> Result<()> {
        let corrupt = |message| Err(Error::new(ErrorCode::DatasetCorrupt, message));
        match &self.place {
            Place::Memory { pixels, height, width } => {
                let expected = height * width * 3 * self.len();
                if pixels.len() != expected || (expected == 0 && !self.is_empty()) {
                    return corrupt(format!(
                        "{} labels and pictures of {width}x{height} pixels ask for {expected} bytes of pixels, found {}",
                        self.len(),
                        pixels.len()
                    ));
                }
            }
            // The file was checked when it was mapped.
            Place::Cache { entries, .. } => {
                if entries.len() != self.len() {
                    return corrupt(format!("{} labels for {} pictures", self.len(), entries.len()));
                }
            }
        }
        Ok(())
    }
}
