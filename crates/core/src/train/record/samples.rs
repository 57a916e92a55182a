//! Pictures as the network gets them, so that a person can see what augmentation makes of them.

use crate::config::Normalization;
use crate::data::Rgb;
use crate::data::image::{Evaluation, encode_png};
use crate::data::prepare::Batch;
use crate::error::Result;

/// Pictures in a row of the sheet, and rows.
const ACROSS: usize = 8;
/// Pixels between two pictures.
const GAP: usize = 2;
/// Larger pictures are shown this wide and high, in pixels.
const LARGEST: usize = 96;

/// A sheet of the first pictures of a batch, up to 64, as a PNG file's bytes. They are `side` pixels wide and high.
pub fn sheet(batch: &Batch, side: usize, normalization: &Normalization) -> Result<Vec<u8>> {
    let shown = batch.count.min(ACROSS * ACROSS);
    let (columns, rows) = (shown.min(ACROSS), shown.div_ceil(ACROSS));
    let size = side.min(LARGEST);
    let (width, height) = (columns * (size + GAP) - GAP, rows * (size + GAP) - GAP);
    let mut sheet = Rgb { pixels: vec![255; width * height * 3], width, height };
    for (index, input) in batch.input.chunks_exact(side * side * 3).take(shown).enumerate() {
        let picture = Rgb { pixels: bytes(input, normalization), width: side, height: side };
        let picture = Evaluation::whole(size).apply(&picture)?;
        let (left, top) = (index % ACROSS * (size + GAP), index / ACROSS * (size + GAP));
        for (row, pixels) in picture.chunks_exact(size * 3).enumerate() {
            let at = ((top + row) * width + left) * 3;
            sheet.pixels[at..at + size * 3].copy_from_slice(pixels);
        }
    }
    encode_png(&sheet)
}

/// What normalisation made of bytes, undone.
fn bytes(input: &[f32], Normalization { mean, std }: &Normalization) -> Vec<u8> {
    let byte = |(index, value): (usize, &f32)| {
        let channel = index % 3;
        (255.0 * (f64::from(*value) * std[channel] + mean[channel])).round().clamp(0.0, 255.0) as u8
    };
    input.iter().enumerate().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::image::{Limits, decode};
    use crate::data::normalize::Lookup;

    #[test]
    fn a_sheet_shows_the_bytes_that_were_normalised() {
        let (side, count) = (4, 11);
        let pixels: Vec<u8> = (0..count * side * side * 3).map(|index| (index * 37 % 256) as u8).collect();
        let normalization = Normalization::default();
        let mut input = vec![0.0; pixels.len()];
        Lookup::new(&normalization).apply(&pixels, &mut input);
        let batch = Batch { input, labels: vec![0; count], count, mixture: None, drawn: None };
        let shown =
            decode(&sheet(&batch, side, &normalization).unwrap(), "samples.png", &Limits::default()).unwrap();
        assert_eq!((shown.width, shown.height), (8 * 6 - 2, 2 * 6 - 2));
        let at = |x: usize, y: usize| &shown.pixels[(y * shown.width + x) * 3..][..3];
        // The last pixel of picture 9, which is the second of the second row, and the gap behind it.
        assert_eq!(at(6 + 3, 6 + 3), &pixels[(9 * 16 + 15) * 3..][..3]);
        assert_eq!(at(6 + 4, 6 + 3), [255; 3]);
    }

    #[test]
    fn large_pictures_are_shown_smaller() {
        let side = 224;
        let batch = Batch {
            input: vec![0.0; 2 * side * side * 3],
            labels: vec![0; 2],
            count: 2,
            mixture: None,
            drawn: None,
        };
        let shown = decode(
            &sheet(&batch, side, &Normalization::default()).unwrap(),
            "samples.png",
            &Limits::default(),
        )
        .unwrap();
        assert_eq!((shown.width, shown.height), (2 * 96 + 2, 96));
        // Zero is the mean.
        assert_eq!(shown.pixels[..3], [124, 116, 104]);
    }
}
