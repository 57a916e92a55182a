//! The binary version's records: a label, then the red, the green and the blue plane of a 32x32 picture.

use super::corrupt;
use crate::data::Pictures;
use crate::error::Result;

/// Height and width of a picture in pixels.
pub const SIDE: usize = 32;
/// Pixels of a picture: bytes of one plane.
pub const PLANE: usize = SIDE * SIDE;
/// Bytes of a record.
pub const RECORD: usize = 1 + 3 * PLANE;

/// The classes, in the order of the labels.
pub const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Decodes a file of records; `shown` is how errors name it.
pub fn decode(bytes: &[u8], shown: &str) -> Result<Pictures> {
    let (records, rest) = bytes.as_chunks::<RECORD>();
    if records.is_empty() || !rest.is_empty() {
        return Err(corrupt(format!(
            "{shown} has {} bytes, which is {} records of {RECORD} bytes and {} bytes more; expected a whole number \
             of records and at least one (an official file has 10000): it is damaged or incomplete, so fetch it again",
            bytes.len(),
            records.len(),
            rest.len()
        )));
    }
    let mut pixels = Vec::with_capacity(records.len() * 3 * PLANE);
    let mut labels = Vec::with_capacity(records.len());
    for record in records {
        labels.push(u32::from(record[0]));
        let (red, rest) = record[1..].split_at(PLANE);
        let (green, blue) = rest.split_at(PLANE);
        pixels.extend(red.iter().zip(green).zip(blue).flat_map(|((&r, &g), &b)| [r, g, b]));
    }
    Ok(Pictures::of_one_size(pixels, labels, (SIDE, SIDE)))
}

/// One record of a label and pixels in raster order, red, green, blue: what [`decode`] takes apart.
pub fn encode(label: u8, pixels: &[[u8; 3]], records: &mut Vec<u8>) {
    records.push(label);
    for channel in 0..3 {
        records.extend(pixels.iter().map(|pixel| pixel[channel]));
    }
}

/// Class names from `batches.meta.txt`: one a line; empty lines don't count.
pub fn class_names(bytes: &[u8], shown: &str) -> Result<Vec<String>> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| corrupt(format!("{shown} is not text; expected one class name a line")))?;
    let names = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect();
    check_names(names, shown)
}

/// Checks that there are as many class names as CIFAR-10 has classes.
pub fn check_names(names: Vec<String>, shown: &str) -> Result<Vec<String>> {
    if names.len() != CLASSES.len() {
        return Err(corrupt(format!(
            "{shown} names {} classes; expected {}; remove it to use CIFAR-10's own names",
            names.len(),
            CLASSES.len()
        )));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    #[test]
    fn records_decode_to_what_was_encoded() {
        let pixels: Vec<[u8; 3]> = (0..PLANE).map(|i| [i as u8, (i / 7) as u8, (i / 4) as u8]).collect();
        let mut bytes = Vec::new();
        encode(3, &pixels, &mut bytes);
        encode(9, &pixels, &mut bytes);
        let pictures = decode(&bytes, "x").unwrap();
        assert_eq!(pictures.labels, [3, 9]);
        assert_eq!(pictures.picture(1).pixels, pixels.concat());
        assert_eq!(bytes[1..4], [0, 1, 2]);
    }

    #[test]
    fn broken_sizes_are_named() {
        for (size, words) in [(0, "has 0 bytes"), (3072, "0 records"), (2 * 3073 + 5, "and 5 bytes more")] {
            let error = decode(&vec![0; size], "some/data_batch_1.bin").unwrap_err();
            assert_eq!(error.code, ErrorCode::DatasetCorrupt);
            assert!(error.message.contains(words), "{}", error.message);
            assert!(error.message.contains("some/data_batch_1.bin") && error.message.contains("3073"));
        }
    }

    #[test]
    fn class_names_may_end_with_an_empty_line() {
        let text = CLASSES.join("\n") + "\n\n";
        assert_eq!(class_names(text.as_bytes(), "x").unwrap(), CLASSES);
        assert_eq!(class_names(text.replace('\n', "\r\n").as_bytes(), "x").unwrap(), CLASSES);
        assert!(class_names(b"cat\ndog\n", "x").unwrap_err().message.contains("names 2 classes"));
        assert!(class_names(&[0xff, 0xfe], "x").is_err());
    }
}
