//! Random crop and horizontal flip, as torchvision's `RandomCrop(size, padding=4)` and `RandomHorizontalFlip()` do
//! them on pictures: what lies outside is black before normalisation, not zero after it.

use crate::rng::below;
use rand_chacha::rand_core::Rng;

/// Where a picture is put, and which way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Black pixels that are added at each side before cropping back to the picture's size.
    pub padding: usize,
    /// The first row taken of the padded picture, from 0 to `2 * padding`; `padding` leaves the picture in place.
    pub top: usize,
    /// The first column taken of the padded picture, from 0 to `2 * padding`; `padding` leaves the picture in place.
    pub left: usize,
    /// Left and right are swapped, after the crop.
    pub flip: bool,
}

/// What a [`Placement`] is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placing {
    /// Of the crop, in pixels; 0 if there is none.
    pub padding: usize,
    /// Whether half of the pictures are mirrored.
    pub flips: bool,
}

impl Placing {
    /// The next picture's.
    pub fn draw(self, rng: &mut impl Rng) -> Placement {
        let Self { padding, flips } = self;
        let places = 2 * padding as u64 + 1;
        let mut place = || if padding > 0 { below(rng, places) as usize } else { 0 };
        let (top, left) = (place(), place());
        Placement { padding, top, left, flip: flips && rng.next_u64() & 1 == 1 }
    }
}

impl Placement {
    /// Changes nothing.
    pub const NONE: Self = Self { padding: 0, top: 0, left: 0, flip: false };

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
            let source = self.inside(y + self.top, height).map(|y| &from[y * width..(y + 1) * width]);
            for (x, pixel) in row.iter_mut().enumerate() {
                let x = if self.flip { width - 1 - x } else { x };
                *pixel = match (source, self.inside(x + self.left, width)) {
                    (Some(source), Some(x)) => {
                        std::array::from_fn(|channel| map(channel, source[x][channel]))
                    }
                    _ => black,
                };
            }
        }
    }

    /// The coordinate in the picture of a coordinate in the padded picture, unless that lies in the padding.
    fn inside(self, padded: usize, size: usize) -> Option<usize> {
        padded.checked_sub(self.padding).filter(|&coordinate| coordinate < size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};
    use proptest::prelude::*;

    const COURSE: Placing = Placing { padding: 4, flips: true };

    fn apply(placement: Placement, picture: &[u8], size: (usize, usize)) -> Vec<u8> {
        let mut output = vec![9; picture.len()];
        placement.write(picture, size, |_, byte| byte, &mut output);
        output
    }

    fn draw(placing: Placing, position: u64) -> Placement {
        placing.draw(&mut stream(3, Purpose::Augmentation, 1, position))
    }

    /// The plain way: pad, crop, flip, each a picture of its own.
    fn plainly(a: Placement, picture: &[u8], (height, width): (usize, usize)) -> Vec<u8> {
        let wide = width + 2 * a.padding;
        let mut padded = vec![[0u8; 3]; (height + 2 * a.padding) * wide];
        for y in 0..height {
            for x in 0..width {
                let at = (y * width + x) * 3;
                padded[(y + a.padding) * wide + x + a.padding] =
                    [picture[at], picture[at + 1], picture[at + 2]];
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
            padding in 0usize..14,
            top in 0usize..28,
            left in 0usize..28,
            flip: bool,
            salt: u8,
        ) {
            let picture: Vec<u8> = (0..height * width * 3).map(|i| (i as u8).wrapping_mul(31) ^ salt).collect();
            let placement = Placement { padding, top: top.min(2 * padding), left: left.min(2 * padding), flip };
            let size = (height, width);
            prop_assert_eq!(apply(placement, &picture, size), plainly(placement, &picture, size));
        }

        #[test]
        fn draws_are_reproducible_and_in_bounds(padding in 0usize..100, flips: bool, position: u64) {
            let placing = Placing { padding, flips };
            let drawn = draw(placing, position);
            prop_assert_eq!(drawn, draw(placing, position));
            prop_assert!(drawn.top <= 2 * padding && drawn.left <= 2 * padding);
            prop_assert!(flips || !drawn.flip);
        }
    }

    #[test]
    fn none_changes_nothing_and_flip_undoes_itself() {
        let picture: Vec<u8> = (0..5 * 7 * 3).map(|i| i as u8).collect();
        assert_eq!(apply(Placement::NONE, &picture, (5, 7)), picture);
        let flip = Placement { flip: true, ..Placement::NONE };
        let once = apply(flip, &picture, (5, 7));
        assert_eq!(once[..3], picture[6 * 3..7 * 3]);
        assert_eq!(apply(flip, &once, (5, 7)), picture);
    }

    #[test]
    fn every_crop_and_both_flips_come_up() {
        let mut seen = [0usize; 2 * 81];
        for position in 0..16_200 {
            let Placement { top, left, flip, .. } = draw(COURSE, position);
            seen[(top * 9 + left) * 2 + usize::from(flip)] += 1;
        }
        assert!(seen.iter().all(|&n| (50..170).contains(&n)), "about 100 each: {seen:?}");
    }

    /// These pin the course's crops: when they change, a seed no longer means what it meant.
    #[test]
    fn a_seed_means_the_same_for_ever() {
        let drawn = [0, 1, 2].map(|position| {
            let Placement { top, left, flip, .. } = draw(COURSE, position);
            (top, left, flip)
        });
        assert_eq!(drawn, [(5, 5, false), (1, 7, false), (2, 4, true)]);
    }
}
