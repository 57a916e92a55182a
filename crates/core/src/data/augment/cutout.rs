//! A square hole in a normalised picture, as in the code of DeVries and Taylor 2017.

use crate::rng::below;
use rand_chacha::rand_core::Rng;

/// Where a hole is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// Row of its centre, somewhere in the picture: a part of the hole may lie outside.
    pub y: usize,
    /// Column of its centre.
    pub x: usize,
    /// Its side; half of it, rounded down, lies at each side of the centre.
    pub size: usize,
}

impl Hole {
    /// The next picture's, whose side is `side`.
    pub fn draw(size: usize, side: usize, rng: &mut impl Rng) -> Self {
        Self { y: below(rng, side as u64) as usize, x: below(rng, side as u64) as usize, size }
    }

    /// Makes it in `picture`, `[side, side, 3]`: normalised, 0 is the data's mean.
    pub fn cut(self, picture: &mut [f32], side: usize) {
        let range = |centre: usize| centre.saturating_sub(self.size / 2)..(centre + self.size / 2).min(side);
        let columns = range(self.x);
        for row in range(self.y) {
            picture[(row * side + columns.start) * 3..(row * side + columns.end) * 3].fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_hole_is_the_square_round_the_centre(
            side in 1usize..20,
            y in 0usize..20,
            x in 0usize..20,
            size in 2usize..30,
        ) {
            let (y, x) = (y.min(side - 1), x.min(side - 1));
            let mut picture = vec![1.0; side * side * 3];
            Hole { y, x, size }.cut(&mut picture, side);
            let half = (size / 2) as isize;
            let within = |at: usize, centre: usize| (-half..half).contains(&(at as isize - centre as isize));
            for (at, value) in picture.iter().enumerate() {
                let (row, column) = (at / 3 / side, at / 3 % side);
                prop_assert_eq!(*value == 0.0, within(row, y) && within(column, x));
            }
        }
    }

    #[test]
    fn centres_are_everywhere() {
        let mut seen = [0; 64];
        for position in 0..6400 {
            let hole = Hole::draw(4, 8, &mut stream(1, Purpose::Augmentation, 0, position));
            seen[hole.y * 8 + hole.x] += 1;
        }
        assert!(seen.iter().all(|&n| (55..150).contains(&n)), "{seen:?}");
    }
}
