//! JPEG, decoded to the bytes that libjpeg-turbo gives, and with it Pillow. `image` decodes what there is of a damaged file and
//! leaves the rest grey; here it is an error.

use super::decode::{Failure, Limits};
use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Most passes over a progressive picture; encoders make about ten. A small file could ask for thousands, each of which
/// takes the time of a whole picture.
const MAX_SCANS: usize = 100;

/// Decodes a JPEG, grey, colour or CMYK (Adobe's inverted one, as all programs take it to be), turned as its EXIF
/// orientation says.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<DynamicImage, Failure> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_max_scans(MAX_SCANS)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(reason)?;
    let (width, height) = decoder.dimensions().ok_or_else(|| Failure::new("it has no dimensions"))?;
    let _turn = limits.check(width as u64, height as u64, 3 * width as u64 * height as u64)?;
    let pixels = decoder.decode().map_err(reason)?;
    let picture = RgbImage::from_raw(width as u32, height as u32, pixels)
        .ok_or_else(|| Failure::new("its data are not as long as its dimensions ask for"))?;
    let mut picture = DynamicImage::ImageRgb8(picture);
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    picture.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));
    Ok(picture)
}

fn reason(error: DecodeErrors) -> Failure {
    Failure::new(format!("damaged or cut off, as a JPEG: {error}"))
}
