//! Picture files, and pictures of other sizes than the network's.

use super::Rgb;
use crate::error::{Error, ErrorCode, Result};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

/// The longest side that is decoded, in pixels.
const MAX_SIDE: u32 = 16_384;
/// The most bytes that a file may have, and that its decoded picture may take.
const MAX_BYTES: u64 = 512 << 20;

/// Decodes a BMP, GIF (its first frame), JPEG, PNG, TIFF or WebP file, turned as its EXIF orientation says; an alpha
/// channel is dropped.
///
/// # Errors
/// `IMAGE_UNREADABLE`, with the file's name and the reason, whatever the reason is.
pub fn decode_file(path: &Path) -> Result<Rgb> {
    let name = path.display().to_string();
    let failed = |error: std::io::Error| unreadable(&name, error);
    if path.is_dir() {
        return Err(unreadable(&name, "it is a folder, not a file"));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(unreadable(&name, format!("it has more than {} MiB", MAX_BYTES >> 20)));
    }
    decode(&bytes, &name)
}

/// Like [`decode_file`], of a file's content; `name` is for the error.
///
/// # Errors
/// `IMAGE_UNREADABLE`.
pub fn decode(bytes: &[u8], name: &str) -> Result<Rgb> {
    if bytes.is_empty() {
        return Err(unreadable(name, "it is empty"));
    }
    let picture = decode_dynamic(bytes).map_err(|error| unreadable(name, reason(error)))?.into_rgb8();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    if width == 0 || height == 0 {
        return Err(unreadable(name, format!("it has {width}x{height} pixels")));
    }
    Ok(Rgb { pixels: picture.into_raw(), width, height })
}

fn decode_dynamic(bytes: &[u8]) -> std::result::Result<DynamicImage, ImageError> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation()?;
    // `into_decoder` leaves the limit on memory to whoever decodes.
    if decoder.total_bytes() > MAX_BYTES {
        return Err(ImageError::Limits(image::error::LimitError::from_kind(
            image::error::LimitErrorKind::InsufficientMemory,
        )));
    }
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

fn reason(error: ImageError) -> String {
    match error {
        ImageError::Unsupported(_) => {
            format!("{error}; BMP, GIF, JPEG, PNG, TIFF and WebP can be read")
        }
        ImageError::Limits(_) => {
            format!("it is too large: at most {MAX_SIDE} pixels a side and {} MiB decoded", MAX_BYTES >> 20)
        }
        other => other.to_string(),
    }
}

fn unreadable(name: &str, reason: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::ImageUnreadable, format!("cannot read {name} as a picture: {reason}"))
}

/// Makes a picture `resolution` pixels wide and high, as bytes `[resolution, resolution, 3]`: unchanged if it has that
/// size, otherwise its central square, resized by an antialiased bilinear filter (Pillow's).
///
/// The square's neighbours take part in its edge pixels, so this is what resizing the shorter side first and cutting
/// then gives, without ever holding more than the square: a picture of 16,384 by 1 pixels would become a very long one.
///
/// # Errors
/// `IMAGE_UNREADABLE` when the picture's fields contradict each other, or it has no pixels.
pub fn fit(picture: &Rgb, resolution: usize) -> Result<Vec<u8>> {
    let Rgb { pixels, width, height } = picture;
    if pixels.is_empty() || pixels.len() != width * height * 3 {
        return Err(unreadable(
            "these pixels",
            format!("{width}x{height} pixels take {} bytes, found {}", width * height * 3, pixels.len()),
        ));
    }
    fit_pixels(pixels, *width, *height, resolution)
}

/// [`fit`] of pixels `[height, width, 3]` that are known to fit together.
pub(super) fn fit_pixels(pixels: &[u8], width: usize, height: usize, resolution: usize) -> Result<Vec<u8>> {
    if width == resolution && height == resolution {
        return Ok(pixels.to_vec());
    }
    let side = width.min(height) as f64;
    let (left, top) = ((width as f64 - side) / 2.0, (height as f64 - side) / 2.0);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .crop(left.floor(), top.floor(), side, side)
        .use_alpha(false);
    let from =
        ImageRef::new(width as u32, height as u32, pixels, PixelType::U8x3).map_err(Error::internal)?;
    let mut to = Image::new(resolution as u32, resolution as u32, PixelType::U8x3);
    Resizer::new().resize(&from, &mut to, &options).map_err(Error::internal)?;
    Ok(to.into_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ExtendedColorType, ImageFormat, RgbaImage};
    use std::path::PathBuf;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../__test__/fixtures").join(name)
    }

    fn encode(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let pixels: Vec<u8> = (0..width * height * 3).map(|i| i as u8).collect();
        let mut bytes = Cursor::new(Vec::new());
        image::write_buffer_with_format(&mut bytes, &pixels, width, height, ExtendedColorType::Rgb8, format)
            .unwrap();
        bytes.into_inner()
    }

    fn message(result: Result<Rgb>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.code, ErrorCode::ImageUnreadable);
        error.message
    }

    #[test]
    fn lossless_formats_give_their_pixels() {
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff] {
            let picture = decode(&encode(5, 3, format), "x").unwrap();
            assert_eq!((picture.width, picture.height), (5, 3));
            assert_eq!(picture.pixels, (0..45).collect::<Vec<u8>>(), "{format:?}");
        }
        let jpeg = decode(&encode(16, 8, ImageFormat::Jpeg), "x").unwrap();
        assert_eq!((jpeg.width, jpeg.height, jpeg.pixels.len()), (16, 8, 384));
    }

    #[test]
    fn the_sample_picture_is_the_record() {
        // cat-0.png is test record 0 of CIFAR-10.
        let picture = decode_file(&fixture("images/cat-0.png")).unwrap();
        assert_eq!((picture.width, picture.height), (32, 32));
        assert_eq!(picture.pixels[..3], [158, 112, 49]);
    }

    #[test]
    fn alpha_is_dropped() {
        let mut bytes = Cursor::new(Vec::new());
        RgbaImage::from_pixel(2, 2, image::Rgba([1, 2, 3, 0]))
            .write_to(&mut bytes, ImageFormat::Png)
            .unwrap();
        assert_eq!(decode(bytes.get_ref(), "x").unwrap().pixels, [1, 2, 3].repeat(4));
    }

    #[test]
    fn exif_orientation_is_applied() {
        // A JPEG of 16x8 with an EXIF segment that says: turn by 90 degrees.
        let jpeg = encode(16, 8, ImageFormat::Jpeg);
        let exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let mut turned = jpeg[..2].to_vec();
        turned.extend([0xff, 0xe1]);
        turned.extend((exif.len() as u16 + 2).to_be_bytes());
        turned.extend(exif);
        turned.extend(&jpeg[2..]);
        let picture = decode(&turned, "x").unwrap();
        assert_eq!((picture.width, picture.height), (8, 16));
    }

    #[test]
    fn what_is_no_picture_is_named_with_the_reason() {
        let png = encode(40, 40, ImageFormat::Png);
        assert!(message(decode(&png[..png.len() / 2], "half.png")).contains("half.png"));
        assert!(message(decode(b"hello, I am text\n", "a.txt")).contains("PNG, TIFF and WebP can be read"));
        assert!(message(decode(b"", "e.png")).contains("it is empty"));
        assert!(message(decode_file(&fixture("images"))).contains("it is a folder"));
        let missing = message(decode_file(&fixture("images/none.png")));
        assert!(missing.contains("none.png") && missing.contains("os error"), "{missing}");
    }

    #[test]
    fn enormous_pictures_are_refused_before_they_are_decoded() {
        // Only the header of a PNG of 100,000 x 100,000: no more is needed.
        let mut png = encode(1, 1, ImageFormat::Png);
        png[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
        // Its checksum no longer fits, which is an error, too; so write the right one.
        let mut crc = flate2::Crc::new();
        crc.update(&png[12..29]);
        png[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        assert!(message(decode(&png, "big.png")).contains("too large"));
    }

    #[test]
    fn fitting_keeps_shrinks_and_cuts() {
        let same = Rgb { pixels: (0..48).collect(), width: 4, height: 4 };
        assert_eq!(fit(&same, 4).unwrap(), same.pixels);

        // Left third red, middle third green, right third blue: the central square is green.
        let row: Vec<u8> = [[255, 0, 0], [0, 255, 0], [0, 0, 255]].iter().flat_map(|c| c.repeat(8)).collect();
        let wide = Rgb { pixels: row.repeat(8), width: 24, height: 8 };
        let square = fit(&wide, 4).unwrap();
        assert_eq!(square[3..9], [0, 255, 0, 0, 255, 0]);
        assert!(square[1] > 200 && square[10] > 200, "the neighbours only shine in at the edge: {square:?}");
        assert_eq!(fit(&wide, 8).unwrap(), [0, 255, 0].repeat(64));

        // Antialiased: black and white columns become grey.
        let stripes = Rgb { pixels: [[0u8; 3], [255; 3]].concat().repeat(64 * 32), width: 64, height: 64 };
        assert!(fit(&stripes, 16).unwrap().iter().all(|&v| (108..=148).contains(&v)));

        let thin = Rgb { pixels: vec![7; 16_384 * 3], width: 16_384, height: 1 };
        assert_eq!(fit(&thin, 32).unwrap(), vec![7; 32 * 32 * 3]);
    }

    #[test]
    fn contradictory_pixels_are_refused() {
        let error = fit(&Rgb { pixels: vec![0; 5], width: 1, height: 1 }, 32).unwrap_err();
        assert_eq!(error.code, ErrorCode::ImageUnreadable);
        assert!(error.message.contains("take 3 bytes, found 5"), "{}", error.message);
        assert!(fit(&Rgb { pixels: vec![], width: 0, height: 0 }, 32).is_err());
    }
}
