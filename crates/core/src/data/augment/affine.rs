//! Shear, translate and rotate by the nearest pixel, black where nothing is left: what torchvision's `affine` and `rotate`
//! do with Pillow's pictures, to the bit. Pillow walks through the source in steps of 1/65536 pixel.

use super::canvas::Canvas;

/// Where an output pixel's value comes from, in pixels of the source: `[a, b, c, d, e, f]` stands for
/// `(a x + b y + c, d x + e y + f)`.
type Matrix = [f64; 6];

/// Rows move to the side by `x` of a pixel for each row from the top, columns down by `y` for each from the left.
pub fn shear(canvas: &mut Canvas, x: f64, y: f64) {
    // torchvision goes by way of an angle in degrees. Each step rounds, and Pillow's steps may feel it.
    let angle = |slope: f64| slope.atan().to_degrees().to_radians();
    let (x, y) = (angle(x), angle(y));
    let a = (-y).cos() / y.cos();
    let b = -(-y).cos() * x.tan() / y.cos();
    let c = (-y).sin() / y.cos();
    let d = -(-y).sin() * x.tan() / y.cos() + 1.0;
    transform(canvas, [d, -b, 0.0, -c, a, 0.0]);
}

/// To the right by `x` and down by `y` whole pixels.
pub fn translate(canvas: &mut Canvas, x: isize, y: isize) {
    let (height, width) = (canvas.height, canvas.width);
    canvas.rewrite(|from, to| {
        let rows = overlap(height, y);
        let columns = overlap(width, x);
        for row in rows {
            let source = row.wrapping_add_signed(-y) * width;
            for column in columns.clone() {
                copy(from, source + column.wrapping_add_signed(-x), to, row * width + column);
            }
        }
    });
}

/// Those of `size` places that still have something after all was moved by `shift`.
fn overlap(size: usize, shift: isize) -> std::ops::Range<usize> {
    let size = size as isize;
    let clamp = |place: isize| place.clamp(0, size) as usize;
    clamp(shift)..clamp(size + shift)
}

/// Against the clock, round the centre.
pub fn rotate(canvas: &mut Canvas, degrees: f64) {
    let (height, width) = (canvas.height, canvas.width);
    let degrees = degrees.rem_euclid(360.0);
    // Pillow does quarters by exchanging pixels.
    if degrees == 0.0 {
        return;
    }
    let quarter = if height == width { [90.0, 270.0].iter().position(|turn| *turn == degrees) } else { None };
    if let Some(quarter) = quarter {
        let side = width;
        return canvas.rewrite(|from, to| {
            for (row, column) in (0..side).flat_map(|row| (0..side).map(move |column| (row, column))) {
                let source = match quarter {
                    0 => column * side + side - 1 - row,
                    _ => (side - 1 - column) * side + row,
                };
                copy(from, source, to, row * side + column);
            }
        });
    }
    if degrees == 180.0 {
        let pixels = height * width;
        return canvas.rewrite(|from, to| (0..pixels).for_each(|at| copy(from, pixels - 1 - at, to, at)));
    }
    let radians = -degrees.to_radians();
    let (cosine, sine) = (round15(radians.cos()), round15(radians.sin()));
    let (x, y) = (width as f64 / 2.0, height as f64 / 2.0);
    let c = cosine * -x + sine * -y + 0.0 + x;
    let f = round15(-radians.sin()) * -x + cosine * -y + 0.0 + y;
    transform(canvas, [cosine, sine, c, round15(-radians.sin()), cosine, f]);
}

/// To 15 places behind the point, as Pillow does it, so that a right angle's cosine is 0.
fn round15(value: f64) -> f64 {
    const PLACES: f64 = 1e15;
    (value * PLACES).round_ties_even() / PLACES
}

/// `ImagingTransformAffine` of Pillow, for the nearest pixel.
fn transform(canvas: &mut Canvas, [a, b, c, d, e, f]: Matrix) {
    let (height, width) = (canvas.height, canvas.width);
    if b == 0.0 && d == 0.0 {
        // Only a shear by 0 comes here; Pillow then works without 1/65536ths, and nothing moves.
        return;
    }
    // Whole numbers far below 2^53, so that the conversion is exact.
    let fixed = |value: f64| (value * 65_536.0 + 0.5).floor() as i64;
    let (right, down) = ([fixed(a), fixed(d)], [fixed(b), fixed(e)]);
    // The middle of the first pixel.
    let mut start = [fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5)];
    let inside = |at: i64, size: usize| usize::try_from(at >> 16).ok().filter(|at| *at < size);
    canvas.rewrite(|from, to| {
        for row in 0..height {
            let [mut x, mut y] = start;
            for column in 0..width {
                if let (Some(x), Some(y)) = (inside(x, width), inside(y, height)) {
                    copy(from, y * width + x, to, row * width + column);
                }
                x += right[0];
                y += right[1];
            }
            start[0] += down[0];
            start[1] += down[1];
        }
    });
}

#[inline]
fn copy(from: &[u8], source: usize, to: &mut [u8], target: usize) {
    to.as_chunks_mut::<3>().0[target] = from.as_chunks::<3>().0[source];
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbered(height: usize, width: usize) -> Canvas {
        let mut canvas = Canvas::default();
        let pixels: Vec<u8> = (0..height * width).flat_map(|i| [1 + i as u8, 2, 3]).collect();
        canvas.set(&pixels, (height, width));
        canvas
    }

    fn reds(canvas: &Canvas) -> Vec<u8> {
        canvas.pixels.as_chunks::<3>().0.iter().map(|pixel| pixel[0]).collect()
    }

    #[test]
    fn pictures_move_and_leave_black() {
        let mut canvas = numbered(2, 3);
        translate(&mut canvas, 1, 0);
        assert_eq!(reds(&canvas), [0, 1, 2, 0, 4, 5]);
        translate(&mut canvas, -1, -1);
        assert_eq!(reds(&canvas), [4, 5, 0, 0, 0, 0]);
        translate(&mut canvas, 0, 100);
        assert_eq!(canvas.pixels, [0; 18]);
    }

    #[test]
    fn a_quarter_turn_is_against_the_clock() {
        let mut canvas = numbered(2, 2);
        rotate(&mut canvas, 90.0);
        assert_eq!(reds(&canvas), [2, 4, 1, 3]);
        rotate(&mut canvas, -90.0);
        assert_eq!(canvas.pixels, numbered(2, 2).pixels);
    }

    #[test]
    fn a_shear_moves_each_row_further() {
        let mut canvas = numbered(3, 3);
        shear(&mut canvas, 0.5, 0.0);
        assert_eq!(reds(&canvas), [1, 2, 3, 5, 6, 0, 8, 9, 0]);
    }

    proptest! {
        #[test]
        fn half_a_turn_twice_and_nothing_change_nothing(height in 1usize..9, width in 1usize..9) {
            let mut canvas = numbered(height, width);
            rotate(&mut canvas, 180.0);
            rotate(&mut canvas, 180.0);
            rotate(&mut canvas, 0.0);
            shear(&mut canvas, 0.0, 0.0);
            translate(&mut canvas, 0, 0);
            prop_assert_eq!(&canvas.pixels, &numbered(height, width).pixels);
        }

        #[test]
        fn pixels_come_from_the_picture_or_are_black(
            height in 1usize..12,
            width in 1usize..12,
            degrees in -135.0f64..135.0,
            slope in -0.99f64..0.99,
        ) {
            let mut canvas = numbered(height, width);
            rotate(&mut canvas, degrees);
            shear(&mut canvas, slope, 0.0);
            shear(&mut canvas, 0.0, slope);
            let known = |red: &u8| usize::from(*red) <= height * width;
            prop_assert!(reds(&canvas).iter().all(known));
        }
    }
}
