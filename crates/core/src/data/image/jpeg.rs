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
    // Its own conversion rounds otherwise than libjpeg's.
    let ours = decoder.input_colorspace() == Some(ColorSpace::YCbCr);
    if ours {
        decoder.set_options(options.jpeg_set_out_colorspace(ColorSpace::YCbCr));
    }
    let mut pixels = decoder.decode().map_err(reason)?;
    if ours {
        to_rgb(&mut pixels);
    }
    let picture = RgbImage::from_raw(width as u32, height as u32, pixels)
        .ok_or_else(|| Failure::new("its data are not as long as its dimensions ask for"))?;
    let mut picture = DynamicImage::ImageRgb8(picture);
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    picture.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));
    Ok(picture)
}

/// Luminance and chroma to red, green and blue as `jdcolor.c` of libjpeg does it: in fixed point of 16 bits.
fn to_rgb(pixels: &mut [u8]) {
    const HALF: i32 = 1 << 15;
    for pixel in pixels.as_chunks_mut::<3>().0 {
        let [luminance, blue, red] = pixel.map(i32::from);
        let (blue, red) = (blue - 128, red - 128);
        // 1.402, 0.34414, 0.71414 and 1.772 times 2^16.
        let sums = [91_881 * red, -22_554 * blue - 46_802 * red, 116_130 * blue];
        *pixel = sums.map(|sum| (luminance + ((sum + HALF) >> 16)).clamp(0, 255) as u8);
    }
}

fn reason(error: DecodeErrors) -> Failure {
    Failure::new(format!("damaged or cut off, as a JPEG: {error}"))
}
