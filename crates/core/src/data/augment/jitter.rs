//! Random changes of colour: torchvision's `ColorJitter`, with what its functions do with Pillow's pictures, to the bit.

use super::canvas::Canvas;
use super::color;
use crate::rng::{shuffle, unit};
use rand_chacha::rand_core::Rng;

/// How much each may change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter {
    /// Brightness, contrast and saturation: a factor is drawn evenly from 1 minus this, but at least 0, to 1 plus this.
    pub factors: [f64; 3],
    /// How far hues turn at most, in whole turns; at most a half.
    pub hue: f64,
}

/// One change, with the numbers drawn for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Times this; 0 is black.
    Brightness(f64),
    /// 0 is the grey of the picture's mean.
    Contrast(f64),
    /// 0 is grey.
    Saturation(f64),
    /// In whole turns, from -0.5 to 0.5.
    Hue(f64),
}

impl Jitter {
    /// The changes of a picture, in their random order.
    pub fn draw(&self, rng: &mut impl Rng) -> Vec<Change> {
        let mut order = [0, 1, 2, 3];
        shuffle(rng, &mut order);
        let even = |rng: &mut _, from: f64, to: f64| from + (to - from) * unit(rng);
        let mut changes = Vec::with_capacity(4);
        for which in order {
            let most = if which < 3 { self.factors[which] } else { self.hue };
            if most == 0.0 {
                continue;
            }
            let factor = |rng: &mut _| even(rng, (1.0 - most).max(0.0), 1.0 + most);
            changes.push(match which {
                0 => Change::Brightness(factor(rng)),
                1 => Change::Contrast(factor(rng)),
                2 => Change::Saturation(factor(rng)),
                _ => Change::Hue(even(rng, -most, most)),
            });
        }
        changes
    }
}

impl Change {
    /// Changes a picture.
    pub fn apply(self, canvas: &mut Canvas) {
        match self {
            Self::Brightness(factor) => color::brightness(canvas, factor),
            Self::Contrast(factor) => color::contrast(canvas, factor),
            Self::Saturation(factor) => color::color(canvas, factor),
            Self::Hue(turns) => turn_hue(canvas, turns),
        }
    }
}

/// torchvision's `adjust_hue`: to HSV, whose hue is a byte that wraps, and back.
fn turn_hue(canvas: &mut Canvas, turns: f64) {
    // A conversion to an unsigned byte keeps the lowest bits of what is cut off.
    let shift = (turns * 255.0) as i32 as u8;
    for pixel in canvas.pixels.as_chunks_mut::<3>().0 {
        let [hue, saturation, value] = to_hsv(*pixel);
        *pixel = to_rgb([hue.wrapping_add(shift), saturation, value]);
    }
}

/// Pillow's `rgb2hsv_row` (`src/libImaging/Convert.c`), in float32 where it is.
fn to_hsv([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
    if most == least {
        return [0, 0, most];
    }
    let range = f32::from(most - least);
    let saturation = range / f32::from(most);
    let [r, g, b] = [red, green, blue].map(|value| f32::from(most - value) / range);
    let sixths = if red == most {
        b - g
    } else if green == most {
        (2.0 + f64::from(r) - f64::from(b)) as f32
    } else {
        (4.0 + f64::from(g) - f64::from(r)) as f32
    };
    let hue = (f64::from(sixths) / 6.0 + 1.0) % 1.0;
    [(f64::from(hue as f32) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, most]
}

/// Pillow's `hsv2rgb`.
fn to_rgb([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let sixths = f64::from(hue) * 6.0 / 255.0;
    let sixth = sixths.floor();
    let (fraction, saturation) = ((sixths - sixth) as f32, (f64::from(saturation) / 255.0) as f32);
    let byte = |share: f64| (f64::from(value) * share).round() as u8;
    let p = byte(1.0 - f64::from(saturation));
    // A product of two float32 is one there, and of a float32 and a float64 is not.
    let q = byte(1.0 - f64::from(saturation * fraction));
    let t = byte(1.0 - f64::from(saturation) * (1.0 - f64::from(fraction)));
    match sixth as u32 % 6 {
        0 => [value, t, p],
        1 => [q, value, p],
        2 => [p, value, t],
        3 => [p, q, value],
        4 => [t, p, value],
        _ => [value, p, q],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::{fixture, made_up};
    use crate::rng::{Purpose, stream};
    use sha2::{Digest, Sha256};

    #[test]
    fn changes_are_torchvisions_byte_for_byte() {
        let fixture = &fixture()["jitter"];
        let side = |index: usize| fixture["picture"][index].as_u64().unwrap() as usize;
        let (width, height) = (side(0), side(1));
        for case in fixture["cases"].as_array().unwrap() {
            let factor = case["factor"].as_f64().unwrap();
            let change = match case["change"].as_str().unwrap() {
                "brightness" => Change::Brightness(factor),
                "contrast" => Change::Contrast(factor),
                "saturation" => Change::Saturation(factor),
                _ => Change::Hue(factor),
            };
            let mut canvas = Canvas::default();
            canvas.set(&made_up(width, height), (height, width));
            change.apply(&mut canvas);
            let first: Vec<u8> = serde_json::from_value(case["first"].clone()).unwrap();
            assert_eq!(canvas.pixels[..first.len()], first, "{case}");
            let digest = Sha256::digest(&canvas.pixels);
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digest, case["sha256"].as_str().unwrap(), "{case}");
        }
    }

    #[test]
    fn every_order_comes_up_and_factors_stay_in_their_ranges() {
        let jitter = Jitter { factors: [0.4, 2.0, 0.1], hue: 0.1 };
        let mut orders = std::collections::HashSet::new();
        for position in 0..2000 {
            let changes = jitter.draw(&mut stream(1, Purpose::Augmentation, 1, position));
            orders.insert(changes.iter().map(std::mem::discriminant).collect::<Vec<_>>());
            for change in changes {
                match change {
                    Change::Brightness(factor) => assert!((0.6..1.4).contains(&factor)),
                    Change::Contrast(factor) => assert!((0.0..3.0).contains(&factor)),
                    Change::Saturation(factor) => assert!((0.9..1.1).contains(&factor)),
                    Change::Hue(turns) => assert!((-0.1..0.1).contains(&turns)),
                }
            }
        }
        assert_eq!(orders.len(), 24);
        let one = Jitter { factors: [0.0, 0.5, 0.0], hue: 0.0 };
        assert_eq!(one.draw(&mut stream(1, Purpose::Augmentation, 1, 0)).len(), 1);
    }
}
