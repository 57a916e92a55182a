use super::*;
use crate::data::Rgb;
use crate::error::{ErrorCode, Result};
use image::{ExtendedColorType, ImageFormat};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::io::Cursor;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../__test__/fixtures").join(name)
}

/// A file of `__test__/fixtures/pictures`, and what Pillow and torchvision make of it; see `make_pictures.py` there.
#[derive(Deserialize)]
struct Reference {
    file: String,
    width: usize,
    height: usize,
    transforms: Vec<Transformed>,
}

#[derive(Deserialize)]
struct Transformed {
    resize: usize,
    crop: usize,
    sha256: String,
}

fn references() -> Vec<Reference> {
    let text = std::fs::read_to_string(fixture("pictures/pictures.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn open(path: &Path) -> Result<Rgb> {
    decode_file(path, &Limits::default())
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

fn refused(bytes: &[u8]) -> String {
    message(decode(bytes, "x", &Limits::default()))
}

#[test]
fn pictures_are_pillows_and_torchvisions_byte_for_byte() {
    let mut exact = 0;
    for Reference { file, width, height, transforms } in references() {
        let picture = open(&fixture("pictures").join(&file)).unwrap();
        assert_eq!((picture.width, picture.height), (width, height), "{file}");
        for Transformed { resize, crop, sha256 } in transforms {
            let ours = Evaluation { resize, crop }.apply(&picture).unwrap();
            let digest: String = Sha256::digest(&ours).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digest, sha256, "{file}, {resize} and {crop}");
            exact += 1;
        }
    }
    assert!(exact > 50, "{exact}");
}

#[test]
fn the_sample_picture_is_the_record() {
    // cat-0.png is test record 0 of CIFAR-10.
    let picture = open(&fixture("images/cat-0.png")).unwrap();
    assert_eq!((picture.width, picture.height), (32, 32));
    assert_eq!(picture.pixels[..3], [158, 112, 49]);
}

#[test]
fn sixteen_bit_grey_keeps_its_upper_byte() {
    // Pillow makes 255 of everything above 255 here, which leaves a white picture.
    let mut bytes = Cursor::new(Vec::new());
    let picture = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(3, 1, vec![255, 0x1234, 0xffff]);
    picture.unwrap().write_to(&mut bytes, ImageFormat::Png).unwrap();
    let picture = decode(bytes.get_ref(), "x", &Limits::default()).unwrap();
    assert_eq!(picture.pixels, [0, 0, 0, 0x12, 0x12, 0x12, 0xff, 0xff, 0xff]);
}

#[test]
fn the_content_decides_about_the_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("really-a-png.jpg");
    std::fs::write(&path, encode(5, 3, ImageFormat::Png)).unwrap();
    assert_eq!(open(&path).unwrap().pixels, (0..45).collect::<Vec<u8>>());
}

#[test]
fn what_is_no_picture_is_named_with_the_reason() {
    assert!(refused(b"hello, I am text\n").contains("PNG, TIFF and WebP can be read"));
    assert!(refused(b"").contains("it is empty"));
    assert!(refused(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1").contains("format Avif; BMP, GIF"));
    assert!(refused(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").contains("format HEIC; BMP, GIF"));
    assert!(message(open(&fixture("images"))).contains("it is a folder"));
    let missing = message(open(&fixture("images/none.png")));
    assert!(missing.contains("none.png") && missing.contains("os error"), "{missing}");
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("a.png");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for path in [&socket, Path::new("/dev/zero")] {
        assert!(message(open(path)).contains("no ordinary file"), "{path:?}");
    }
}

#[test]
fn cut_off_files_are_refused_unless_all_of_the_picture_is_there() {
    let mut read = Vec::new();
    for Reference { file, .. } in references() {
        let bytes = std::fs::read(fixture("pictures").join(&file)).unwrap();
        let whole = decode(&bytes, &file, &Limits::default()).unwrap();
        for sixteenths in [1, 4, 8, 12, 14] {
            let part = &bytes[..bytes.len() * sixteenths / 16];
            match decode(part, &file, &Limits::default()) {
                // What follows it may be missing: another frame, or what a TIFF's writer left behind.
                Ok(picture) if picture == whole => {}
                Ok(_) => read.push(format!("{sixteenths} sixteenths of {file}")),
                Err(error) => {
                    assert!(error.code == ErrorCode::ImageUnreadable && error.message.contains(&file))
                }
            }
        }
    }
    assert_eq!(read, Vec::<String>::new());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]
    #[test]
    fn damaged_files_end_in_an_error_or_a_picture(
        file in proptest::prelude::any::<proptest::sample::Index>(),
        changes in proptest::collection::vec((0.0..1.0, 0u8..), 1..5),
    ) {
        let references = references();
        let name = &file.get(&references).file;
        let mut bytes = std::fs::read(fixture("pictures").join(name)).unwrap();
        for (place, byte) in changes {
            let place = (place * bytes.len() as f64) as usize;
            bytes[place] = byte;
        }
        match decode(&bytes, name, &Limits { pixels: 1 << 20 }) {
            Ok(Rgb { pixels, width, height }) => assert_eq!(pixels.len(), width * height * 3),
            Err(error) => assert_eq!(error.code, ErrorCode::ImageUnreadable),
        }
    }
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
    assert!(refused(&png).contains("too large: 100000x100000 pixels"));
    // A JPEG's dimensions stand behind the marker of its frame.
    let mut jpeg = encode(16, 16, ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|bytes| bytes == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    assert!(refused(&jpeg).contains("too large: 65535x65535 pixels"));
    let limits = Limits { pixels: 14 };
    let small = message(decode(&encode(5, 3, ImageFormat::Png), "x", &limits));
    assert!(small.contains("5x3 pixels") && small.contains("at most 14 pixels"), "{small}");
}

#[test]
fn very_long_pictures_are_not_resized_beyond_what_is_kept() {
    let thin = Rgb { pixels: vec![7; 60_000 * 3], width: 60_000, height: 1 };
    // Whole, the result would take 256 * 256 * 60,000 pixels.
    let square = Evaluation { resize: 256, crop: 224 }.apply(&thin).unwrap();
    assert_eq!(square, vec![7; 224 * 224 * 3]);
}

#[test]
fn contradictions_are_refused() {
    let whole = Evaluation::whole(32);
    let error = whole.apply(&Rgb { pixels: vec![0; 5], width: 1, height: 1 }).unwrap_err();
    assert_eq!(error.code, ErrorCode::ImageUnreadable);
    assert!(error.message.contains("take 3 bytes, found 5"), "{}", error.message);
    assert!(whole.apply(&Rgb { pixels: vec![], width: 0, height: 0 }).is_err());
    let picture = Rgb { pixels: vec![0; 3], width: 1, height: 1 };
    let error = Evaluation { resize: 31, crop: 32 }.apply(&picture).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidOption);
}
