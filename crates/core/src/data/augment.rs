//! Random crop and horizontal flip, as torchvision's `RandomCrop(size, padding=4)` and `RandomHorizontalFlip()` do
//! them on pictures: what lies outside is black before normalisation, not zero after it.

use crate::rng::{Purpose, below, stream};
use rand_chacha::rand_core::Rng;

/// How many black pixels are added at each side before cropping back to the picture's size.
pub const PADDING: usize = 4;

/// What is done to one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Augmentation {
    /// The first row taken of the padded picture, from 0 to `2 * PADDING`; `PADDING` leaves the picture in place.
    pub top: usize,
    /// The first column taken of the padded picture, from 0 to `2 * PADDING`; `PADDING` leaves the picture in place.
    pub left: usize,
    /// Left and right are swapped, after the crop.
    pub flip: bool,
}

impl Augmentation {
    /// Changes nothing.
    pub const NONE: Self = Self { top: PADDING, left: PADDING, flip: false };

    /// The augmentation of the picture at `position` (from 0) of `epoch`: the same whatever batch it falls in.
    pub fn draw(seed: u64, epoch: u64, position: u64) -> Self {
        let mut rng = stream(seed, Purpose::Augmentation, epoch, position);
        let places = 2 * PADDING as u64 + 1;
        Self {
            top: below(&mut rng, places) as usize,
            left: below(&mut rng, places) as usize,
            flip: rng.next_u64() & 1 == 1,
        }
    }

    /// Writes a picture `[height, width, 3]`, augmented, to `output` of the same shape, with each byte sent through
    /// `map(channel, byte)`: so that cropping, flipping and normalising are one pass.
    ///
    /// # Panics
    /// When `picture` or `output` doesn't have `height * width * 3` elements.
    pub fn write<T: Copy>(
        self,
        picture: &[u8],
        (height, width): (usize, usize),
        map: impl Fn(usize, u8) -> T,
        output: &mut [T],
    ) {
        assert_eq!(picture.len(), height * width * 3, "picture is [height, width, 3]");
        assert_eq!(output.len(), picture.len(), "output has the picture's shape");
        let black = [map(0, 0), map(1, 0), map(2, 0)];
        let from = picture.as_chunks::<3>().0;
        for (y, row) in output.as_chunks_mut::<3>().0.chunks_exact_mut(width).enumerate() {
            let source = inside(y + self.top, height).map(|y| &from[y * width..(y + 1) * width]);
            for (x, pixel) in row.iter_mut().enumerate() {
                let x = if self.flip { width - 1 - x } else { x };
                *pixel = match (source, inside(x + self.left, width)) {
                    (Some(source), Some(x)) => {
                        std::array::from_fn(|channel| map(channel, source[x][channel]))
                    }
                    _ => black,
                };
            }
        }
    }
}

/// The coordinate in the picture of a coordinate in the padded picture, unless that lies in the padding.
fn inside(padded: usize, size: usize) -> Option<usize> {
    padded.checked_sub(PADDING).filter(|&coordinate| coordinate < size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn apply(augmentation: Augmentation, picture: &[u8], size: (usize, usize)) -> Vec<u8> {
        let mut output = vec![9; picture.len()];
        augmentation.write(picture, size, |_, byte| byte, &mut output);
        output
    }

    /// The plain way: pad, crop, flip, each a picture of its own.
    fn plainly(a: Augmentation, picture: &[u8], (height, width): (usize, usize)) -> Vec<u8> {
        let wide = width + 2 * PADDING;
        let mut padded = vec![[0u8; 3]; (height + 2 * PADDING) * wide];
        for y in 0..height {
            for x in 0..width {
                let at = (y * width + x) * 3;
                padded[(y + PADDING) * wide + x + PADDING] = [picture[at], picture[at + 1], picture[at + 2]];
            }
        }
        let mut result = Vec::new();
        for y in 0..height {
            let start = (y + a.top) * wide + a.left;
            let mut row = padded[start..start + width].to_vec();
            if a.flip {
                row.reverse();
            }
            result.extend(row.into_iter().flatten());
        }
        result
    }

    proptest! {
        #[test]
        fn one_pass_equals_pad_crop_flip(
            height in 1usize..12,
            width in 1usize..12,
            top in 0..=2 * PADDING,
            left in 0..=2 * PADDING,
            flip: bool,
            salt: u8,
        ) {
            let picture: Vec<u8> = (0..height * width * 3).map(|i| (i as u8).wrapping_mul(31) ^ salt).collect();
            let augmentation = Augmentation { top, left, flip };
            let size = (height, width);
            prop_assert_eq!(apply(augmentation, &picture, size), plainly(augmentation, &picture, size));
        }

        #[test]
        fn draws_are_reproducible_and_in_bounds(seed: u64, epoch in 0u64..1000, position: u64) {
            let drawn = Augmentation::draw(seed, epoch, position);
            prop_assert_eq!(drawn, Augmentation::draw(seed, epoch, position));
            prop_assert!(drawn.top <= 2 * PADDING && drawn.left <= 2 * PADDING);
        }
    }

    #[test]
    fn none_changes_nothing_and_flip_undoes_itself() {
        let picture: Vec<u8> = (0..5 * 7 * 3).map(|i| i as u8).collect();
        assert_eq!(apply(Augmentation::NONE, &picture, (5, 7)), picture);
        let flip = Augmentation { flip: true, ..Augmentation::NONE };
        let once = apply(flip, &picture, (5, 7));
        assert_eq!(once[..3], picture[6 * 3..7 * 3]);
        assert_eq!(apply(flip, &once, (5, 7)), picture);
    }

    #[test]
    fn every_crop_and_both_flips_come_up() {
        let mut seen = [0usize; 2 * 81];
        for position in 0..16_200 {
            let Augmentation { top, left, flip } = Augmentation::draw(3, 1, position);
            seen[(top * 9 + left) * 2 + usize::from(flip)] += 1;
        }
        assert!(seen.iter().all(|&n| (50..170).contains(&n)), "about 100 each: {seen:?}");
    }
}
