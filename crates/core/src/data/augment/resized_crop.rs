//! A random part of a picture at the network's resolution: torchvision's `RandomResizedCrop`, with its default of an
//! antialiased bilinear filter.

use crate::data::View;
use crate::data::image::{Region, Resample};
use crate::rng::{below, unit};
use rand_chacha::rand_core::Rng;

/// How often a part is drawn before the middle of the picture is taken.
const ATTEMPTS: usize = 10;

/// What parts are drawn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResizedCrop {
    /// The least and the largest share of the picture's area.
    pub scale: [f64; 2],
    /// The least and the largest width divided by height.
    pub ratio: [f64; 2],
}

impl ResizedCrop {
    /// A part of a picture of this size: its area drawn evenly, the logarithm of its ratio, too, and then its place.
    /// Where that is beyond the picture ten times, the largest part in its middle that has an allowed ratio.
    pub fn draw(&self, rng: &mut impl Rng, width: usize, height: usize) -> Region {
        let area = (width * height) as f64;
        let even = |rng: &mut _, [from, to]: [f64; 2]| from + (to - from) * unit(rng);
        for _ in 0..ATTEMPTS {
            let target = area * even(rng, self.scale);
            let ratio = even(rng, self.ratio.map(f64::ln)).exp();
            let side = |square: f64| square.sqrt().round_ties_even() as usize;
            let (w, h) = (side(target * ratio), side(target / ratio));
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                let top = below(rng, (height - h + 1) as u64) as usize;
                let left = below(rng, (width - w + 1) as u64) as usize;
                return Region { left, top, width: w, height: h };
            }
        }
        let [least, most] = self.ratio;
        let whole = width as f64 / height as f64;
        let (w, h) = if whole < least {
            (width, (width as f64 / least).round_ties_even() as usize)
        } else if whole > most {
            ((height as f64 * most).round_ties_even() as usize, height)
        } else {
            (width, height)
        };
        // A picture of few pixels: rounding must not leave it.
        let (w, h) = (w.clamp(1, width), h.clamp(1, height));
        Region { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
    }
}

/// A part of a picture, `resolution` pixels wide and high: torchvision's `resized_crop` of the same PIL image, byte for
/// byte.
///
/// # Panics
/// When the part reaches beyond the picture.
pub fn resized_crop(picture: View<'_>, part: Region, resolution: usize) -> Vec<u8> {
    let window = Region { left: 0, top: 0, width: resolution, height: resolution };
    Resample { from: part, size: (resolution, resolution), window }.run(picture.pixels, picture.width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::{fixture, made_up};
    use crate::rng::{Purpose, stream};
    use serde_json::Value;
    use sha2::{Digest, Sha256};

    fn number(value: &Value, key: &str) -> usize {
        value[key].as_u64().unwrap() as usize
    }

    fn pair(value: &Value) -> [f64; 2] {
        [value[0].as_f64().unwrap(), value[1].as_f64().unwrap()]
    }

    #[test]
    fn parts_are_torchvisions_byte_for_byte() {
        for case in fixture()["resized_crops"].as_array().unwrap() {
            let [width, height] = pair(&case["picture"]).map(|side| side as usize);
            let pixels = made_up(width, height);
            let part = Region {
                left: number(case, "left"),
                top: number(case, "top"),
                width: number(case, "width"),
                height: number(case, "height"),
            };
            let ours = resized_crop(View { pixels: &pixels, width, height }, part, number(case, "size"));
            let first: Vec<u8> = serde_json::from_value(case["first"].clone()).unwrap();
            assert_eq!(ours[..6], first, "{case}");
            let digest: String = Sha256::digest(&ours).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digest, case["sha256"].as_str().unwrap(), "{case}");
        }
    }

    /// Means of our draws lie as far from torchvision's as means of as many draws do.
    #[test]
    fn draws_are_distributed_as_torchvisions() {
        const DRAWS: usize = 20_000;
        for case in fixture()["parts"].as_array().unwrap() {
            let [width, height] = pair(&case["picture"]).map(|side| side as usize);
            let crop = ResizedCrop { scale: pair(&case["scale"]), ratio: pair(&case["ratio"]) };
            let mut sums = [0.0; 7];
            for draw in 0..DRAWS as u64 {
                let mut random = stream(5, Purpose::Augmentation, 1, draw);
                let Region { left, top, width: w, height: h } = crop.draw(&mut random, width, height);
                assert!(w > 0 && h > 0 && left + w <= width && top + h <= height);
                let area = (w * h) as f64 / (width * height) as f64;
                let ratio = (w as f64 / h as f64).ln();
                let figures = [w as f64, h as f64, area, ratio, left as f64, top as f64, area * area];
                sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
            }
            let names = ["width", "height", "area", "log_ratio", "left", "top", "area_squared"];
            for (name, sum) in names.into_iter().zip(sums) {
                let [mean, std] = ["mean", "std"].map(|key| case["figures"][name][key].as_f64().unwrap());
                let deviation = std * (1.0 / DRAWS as f64 + 1.0 / number(case, "draws") as f64).sqrt();
                let off = (sum / DRAWS as f64 - mean).abs();
                // Four deviations: of 28 figures one is farther by chance once in 500 seeds, and the seed is fixed.
                assert!(
                    off <= 4.0 * deviation + 1e-9 * mean.abs(),
                    "{name} of {:?}: off by {off}, one is {deviation}",
                    case["picture"]
                );
            }
        }
    }
}
