//! From a file's bytes to pixels.

use super::{jpeg, tiff};
use crate::data::Rgb;
use crate::error::{Error, ErrorCode, Result};
use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, Pixel};
use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most bytes that a file may have, and that its decoded picture may take.
const MAX_BYTES: u64 = 512 << 20;
/// Pictures of more pixels than a usual camera's are decoded one at a time, so that many threads that decode such
/// pictures don't take many times [`MAX_BYTES`].
const LARGE_PIXELS: u64 = 24_000_000;

/// How large a picture may be. It is checked when the file's header was read, before anything is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Width times height.
    pub pixels: u64,
}

impl Default for Limits {
    /// 178,956,970 pixels, which take 512 MiB. Pillow, too, refuses larger ones.
    fn default() -> Self {
        Self { pixels: MAX_BYTES / 3 }
    }
}

/// Held while a large picture is decoded.
pub(super) type Turn = Option<MutexGuard<'static, ()>>;

impl Limits {
    /// Refuses a picture that is too large; makes one that is large wait for its turn.
    pub(super) fn check(&self, width: u64, height: u64, bytes: u64) -> std::result::Result<Turn, Failure> {
        static LARGE: Mutex<()> = Mutex::new(());
        let pixels = width.saturating_mul(height);
        if pixels == 0 {
            return Err(Failure::new(format!("it has {width}x{height} pixels")));
        }
        if pixels > self.pixels || bytes > MAX_BYTES {
            return Err(Failure::new(format!(
                "it is too large: {width}x{height} pixels, {} MiB decoded; at most {} pixels and {} MiB are allowed",
                bytes.div_ceil(1 << 20),
                self.pixels,
                MAX_BYTES >> 20
            )));
        }
        // The lock guards memory, not data: a panic behind it spoilt nothing.
        Ok((pixels > LARGE_PIXELS).then(|| LARGE.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Why a picture can't be read, without its name.
#[derive(Debug)]
pub(super) struct Failure(String);

impl Failure {
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    fn of(self, name: &str) -> Error {
        Error::new(ErrorCode::ImageUnreadable, format!("cannot read {name} as a picture: {}", self.0))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        Self::new(match error {
            ImageError::Limits(_) => "it, or what comes with it in its file, takes too much memory".into(),
            other => other.to_string(),
        })
    }
}

/// Decodes a BMP, GIF (its first frame), JPEG, PNG, TIFF (its first page) or WebP file, whatever its name ends with, turned
/// as its EXIF orientation says; an alpha channel is dropped.
///
/// # Errors
/// `IMAGE_UNREADABLE`, with the file's name and the reason, whatever the reason is.
pub fn decode_file(path: &Path, limits: &Limits) -> Result<Rgb> {
    decode(&read_file(path)?, &path.display().to_string(), limits)
}

/// The content of a picture's file.
///
/// # Errors
/// `IMAGE_UNREADABLE`, as [`decode_file`].
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    read(path).map_err(|failure| failure.of(&path.display().to_string()))
}

/// Like [`decode_file`], of a file's content; `name` is for the error.
///
/// # Errors
/// `IMAGE_UNREADABLE`.
pub fn decode(bytes: &[u8], name: &str, limits: &Limits) -> Result<Rgb> {
    // Decoders meet files that nobody tried them on; a defect in one is that picture's failure, not the program's.
    catch_unwind(AssertUnwindSafe(|| decode_bytes(bytes, limits)))
        .unwrap_or_else(|_| Err(Failure::new("its decoder met something that it wasn't made for")))
        .map_err(|failure| failure.of(name))
}

fn read(path: &Path) -> std::result::Result<Vec<u8>, Failure> {
    let kind = std::fs::metadata(path)?;
    if kind.is_dir() {
        return Err(Failure::new("it is a folder, not a file"));
    }
    // To open a named pipe would wait for somebody to write, and a device may never end.
    if !kind.is_file() {
        return Err(Failure::new("it is no ordinary file, but a pipe, a socket or a device"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Failure::new(format!("it has more than {} MiB", MAX_BYTES >> 20)));
    }
    Ok(bytes)
}

fn decode_bytes(bytes: &[u8], limits: &Limits) -> std::result::Result<Rgb, Failure> {
    let picture = match format(bytes)? {
        ImageFormat::Jpeg => jpeg::decode(bytes, limits)?,
        ImageFormat::Tiff => {
            tiff::check_complete(bytes)?;
            decode_other(bytes, ImageFormat::Tiff, limits)?
        }
        format => decode_other(bytes, format, limits)?,
    };
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    Ok(Rgb { pixels: bytes_of(picture), width, height })
}

/// The format, by how the content begins.
fn format(bytes: &[u8]) -> std::result::Result<ImageFormat, Failure> {
    const READABLE: &str = "BMP, GIF, JPEG, PNG, TIFF and WebP can be read";
    if bytes.is_empty() {
        return Err(Failure::new("it is empty"));
    }
    match image::guess_format(bytes) {
        Ok(format) if format.reading_enabled() => Ok(format),
        Ok(format) => Err(Failure::new(format!("it is in the format {format:?}; {READABLE}"))),
        Err(_) if bytes.get(4..12).is_some_and(|brand| brand.starts_with(b"ftyphei")) => {
            Err(Failure::new(format!("it is in the format HEIC; {READABLE}")))
        }
        Err(_) => Err(Failure::new(format!("it begins like no picture; {READABLE}"))),
    }
}

fn decode_other(
    bytes: &[u8],
    format: ImageFormat,
    limits: &Limits,
) -> std::result::Result<DynamicImage, Failure> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut allowed = image::Limits::no_limits();
    allowed.max_alloc = Some(if format == ImageFormat::Png { png_memory(bytes) } else { MAX_BYTES });
    reader.limits(allowed);
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    let _turn = limits.check(width.into(), height.into(), decoder.total_bytes())?;
    let mut orientation = decoder.orientation()?;
    // Many writers put in front of it what only JPEG has there.
    const JPEGS_OWN: &[u8] = b"Exif\0\0";
    if let Some(exif) = decoder.exif_metadata()?.as_deref().and_then(|exif| exif.strip_prefix(JPEGS_OWN)) {
        orientation = Orientation::from_exif_chunk(exif).unwrap_or(orientation);
    }
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// What may be taken to decode a PNG besides its pixels: a row of them, 8 bytes a pixel at most, and 8 MiB for its colour
/// profile, which is compressed and could be a bomb of its own.
fn png_memory(bytes: &[u8]) -> u64 {
    // The header is always the first chunk; what has none is refused by the decoder.
    let width =
        bytes.get(16..20).map_or(0, |width| width.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
    (8 << 20) + 8 * width
}

/// Red, green and blue as bytes. Of 16 bits these are the upper 8, as Pillow has them for colour.
fn bytes_of(picture: DynamicImage) -> Vec<u8> {
    match picture {
        // `into_rgb8` goes by way of colour spaces, at a tenth of the speed.
        DynamicImage::ImageLuma8(picture) => picture.as_raw().iter().flat_map(|grey| [*grey; 3]).collect(),
        DynamicImage::ImageLumaA8(picture) => lower(&picture),
        DynamicImage::ImageRgba8(picture) => lower(&picture),
        DynamicImage::ImageLuma16(picture) => upper(&picture),
        DynamicImage::ImageLumaA16(picture) => upper(&picture),
        DynamicImage::ImageRgb16(picture) => upper(&picture),
        DynamicImage::ImageRgba16(picture) => upper(&picture),
        other => other.into_rgb8().into_raw(),
    }
}

fn lower<P: Pixel<Subpixel = u8>>(picture: &ImageBuffer<P, Vec<u8>>) -> Vec<u8> {
    picture.pixels().flat_map(|pixel| pixel.to_rgb().0).collect()
}

fn upper<P: Pixel<Subpixel = u16>>(picture: &ImageBuffer<P, Vec<u16>>) -> Vec<u8> {
    picture.pixels().flat_map(|pixel| pixel.to_rgb().0.map(|value| (value >> 8) as u8)).collect()
}
