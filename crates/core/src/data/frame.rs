//! What of a picture of any shape is kept, and what a network sees of it when nothing is left to chance.

use super::Rgb;
use super::image::{Region, Resample};

/// How many times longer than its shorter side a picture is kept at most, and three pixels: of a panorama the middle.
const LONGEST: usize = 4;

/// A picture of whose shorter side at most `side` pixels are left, resized as torchvision's `Resize(side)` does it. A
/// smaller one stays as it is.
pub fn shrink(picture: Rgb, side: usize) -> Rgb {
    let (width, height) = (picture.width, picture.height);
    let shorter = width.min(height);
    if shorter <= side {
        return picture;
    }
    // The longer side is rounded down.
    let size = (width * side / shorter, height * side / shorter);
    // What is cut off is a multiple of four pixels, so that the middle of what is kept is the middle of all, however Python rounds
    // halves when it finds it.
    let kept = |long: usize| long - long.saturating_sub(LONGEST * side) / 4 * 4;
    let (kept_width, kept_height) = (kept(size.0), kept(size.1));
    let window = Region {
        left: (size.0 - kept_width) / 2,
        top: (size.1 - kept_height) / 2,
        width: kept_width,
        height: kept_height,
    };
    let from = Region { left: 0, top: 0, width, height };
    let pixels = Resample { from, size, window }.run(&picture.pixels, width);
    Rgb { pixels, width: kept_width, height: kept_height }
}
