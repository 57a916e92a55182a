//! RandAugment's and TrivialAugment's 14 operations: how strong each may be, and which is drawn.

use super::canvas::Canvas;
use super::{affine, color};
use crate::rng::below;
use rand_chacha::rand_core::Rng;

/// How many magnitudes there are, from the weakest to the strongest.
pub const MAGNITUDES: usize = 31;

/// An operation, in torchvision's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // Their names say what torchvision's documentation says.
pub enum Operation {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

/// How far the magnitudes reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// torchvision's for `RandAugment`.
    RandAugment,
    /// torchvision's for `TrivialAugmentWide`.
    Wide,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Identity,
        Self::ShearX,
        Self::ShearY,
        Self::TranslateX,
        Self::TranslateY,
        Self::Rotate,
        Self::Brightness,
        Self::Color,
        Self::Contrast,
        Self::Sharpness,
        Self::Posterize,
        Self::Solarize,
        Self::AutoContrast,
        Self::Equalize,
    ];

    /// The magnitude at `step` (from 0 to 30) for a picture of `[height, width]`; 0 where an operation has none.
    pub fn magnitude(self, space: Space, step: usize, (height, width): (usize, usize)) -> f64 {
        let wide = space == Space::Wide;
        let up_to = |narrow: f64, most: f64| linspace(0.0, if wide { most } else { narrow }, step);
        // Of ImageNet's 331 pixels in the paper 150.
        let part = |side: usize| 150.0 / 331.0 * side as f64;
        match self {
            Self::Identity | Self::AutoContrast | Self::Equalize => 0.0,
            Self::ShearX | Self::ShearY => up_to(0.3, 0.99),
            Self::TranslateX => up_to(part(width), 32.0),
            Self::TranslateY => up_to(part(height), 32.0),
            Self::Rotate => up_to(30.0, 135.0),
            Self::Brightness | Self::Color | Self::Contrast | Self::Sharpness => up_to(0.9, 0.99),
            Self::Posterize => {
                let least = if wide { 6.0 } else { 4.0 };
                (8.0 - step as f64 / (30.0 / least)).round()
            }
            Self::Solarize => linspace(1.0, 0.0, step),
        }
    }

    /// Whether the magnitude may be negative as well.
    pub fn is_signed(self) -> bool {
        !matches!(
            self,
            Self::Identity | Self::Posterize | Self::Solarize | Self::AutoContrast | Self::Equalize
        )
    }

    /// Changes the picture.
    pub fn apply(self, magnitude: f64, canvas: &mut Canvas) {
        match self {
            Self::Identity => {}
            Self::ShearX => affine::shear(canvas, magnitude, 0.0),
            Self::ShearY => affine::shear(canvas, 0.0, magnitude),
            Self::TranslateX => affine::translate(canvas, magnitude as isize, 0),
            Self::TranslateY => affine::translate(canvas, 0, magnitude as isize),
            Self::Rotate => affine::rotate(canvas, magnitude),
            Self::Brightness => color::brightness(canvas, 1.0 + magnitude),
            Self::Color => color::color(canvas, 1.0 + magnitude),
            Self::Contrast => color::contrast(canvas, 1.0 + magnitude),
            Self::Sharpness => color::sharpness(canvas, 1.0 + magnitude),
            Self::Posterize => color::posterize(canvas, magnitude as u32),
            Self::Solarize => color::solarize(canvas, 255.0 * magnitude),
            Self::AutoContrast => color::autocontrast(canvas),
            Self::Equalize => color::equalize(canvas),
        }
    }
}

/// A draw of some operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawing {
    /// How far they reach.
    pub space: Space,
    /// How many.
    pub operations: usize,
    /// How strong, from 0 to 30; absent if that is drawn, too.
    pub magnitude: Option<usize>,
}

impl Drawing {
    /// Draws operations and applies them. Each takes three numbers from `rng`, needed or not.
    pub fn apply(self, rng: &mut impl Rng, canvas: &mut Canvas) {
        for _ in 0..self.operations {
            let (operation, magnitude) = self.draw(rng, (canvas.height, canvas.width));
            operation.apply(magnitude, canvas);
        }
    }

    fn draw(self, rng: &mut impl Rng, size: (usize, usize)) -> (Operation, f64) {
        let operation = Operation::ALL[below(rng, Operation::ALL.len() as u64) as usize];
        let drawn = below(rng, MAGNITUDES as u64) as usize;
        let negative = rng.next_u64() & 1 == 1 && operation.is_signed();
        let magnitude = operation.magnitude(self.space, self.magnitude.unwrap_or(drawn), size);
        (operation, if negative { -magnitude } else { magnitude })
    }
}

/// The value at `step` of 31 from `start` to `end`, rounded as `torch.linspace` does it in float32: from the nearer end.
fn linspace(start: f64, end: f64, step: usize) -> f64 {
    let (start, end) = (start as f32, end as f32);
    let stride = f64::from((end - start) / (MAGNITUDES - 1) as f32);
    let value = if step < MAGNITUDES / 2 {
        f64::from(start) + stride * step as f64
    } else {
        f64::from(end) - stride * (MAGNITUDES - 1 - step) as f64
    };
    f64::from(value as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    #[test]
    fn every_operation_comes_up_as_often_and_with_both_signs() {
        let drawing = Drawing { space: Space::Wide, operations: 1, magnitude: None };
        let mut seen = [[0usize; 2]; 14];
        for position in 0..14_000 {
            let mut rng = stream(5, Purpose::Augmentation, 2, position);
            let (operation, magnitude) = drawing.draw(&mut rng, (32, 32));
            assert!(magnitude.abs() <= 135.0);
            seen[operation as usize][usize::from(magnitude < 0.0)] += 1;
        }
        for (operation, [positive, negative]) in Operation::ALL.into_iter().zip(seen) {
            assert!((880..1120).contains(&(positive + negative)), "{operation:?}: {positive} + {negative}");
            // One magnitude of 31 is 0 and has no sign.
            let expected = if operation.is_signed() { 400..560 } else { 0..1 };
            assert!(expected.contains(&negative), "{operation:?}: {negative} negative");
        }
    }

    #[test]
    fn a_magnitude_that_is_given_is_not_drawn() {
        let drawing = Drawing { space: Space::RandAugment, operations: 1, magnitude: Some(9) };
        for position in 0..200 {
            let mut rng = stream(5, Purpose::Augmentation, 2, position);
            let (operation, magnitude) = drawing.draw(&mut rng, (32, 40));
            assert_eq!(magnitude.abs(), operation.magnitude(Space::RandAugment, 9, (32, 40)));
        }
    }
}
