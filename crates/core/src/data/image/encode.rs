//! Writing of pictures.

use crate::data::Rgb;
use crate::error::{Error, Result};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

/// A PNG file's bytes.
///
/// # Errors
/// `INTERNAL` when the picture's fields contradict each other.
pub fn encode_png(Rgb { pixels, width, height }: &Rgb) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(pixels, *width as u32, *height as u32, ExtendedColorType::Rgb8)
        .map_err(Error::internal)?;
    Ok(bytes)
}
