//! Where a picture comes from.

use super::decode::{Limits, decode, decode_file};
use crate::data::Rgb;
use crate::error::Result;
use std::borrow::Cow;
use std::path::PathBuf;

/// A picture that may still have to be read.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A file's content.
    Encoded(Vec<u8>),
    /// Its pixels.
    Pixels(Rgb),
}

impl Source {
    /// Its pixels.
    ///
    /// # Errors
    /// `IMAGE_UNREADABLE`.
    pub fn read(&self, limits: &Limits) -> Result<Cow<'_, Rgb>> {
        match self {
            Self::File(path) => decode_file(path, limits).map(Cow::Owned),
            Self::Encoded(bytes) => decode(bytes, "the picture given as bytes", limits).map(Cow::Owned),
            Self::Pixels(picture) => Ok(Cow::Borrowed(picture)),
        }
    }
}
