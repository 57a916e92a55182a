//! Changes of colour: what torchvision's functions do with Pillow's pictures, to the bit.

use super::canvas::Canvas;

/// What each of the 256 values becomes.
type Table = [u8; 256];

fn table(value: impl Fn(usize) -> u8) -> Table {
    std::array::from_fn(value)
}

/// Sends each channel through its table.
fn look_up(pixels: &mut [u8], tables: &[Table; 3]) {
    for pixel in pixels.as_chunks_mut::<3>().0 {
        for (value, table) in pixel.iter_mut().zip(tables) {
            *value = table[usize::from(*value)];
        }
    }
}

/// `Image.blend`: `factor` 0 is `without`, 1 is `with`, above 1 exaggerates. In float32 and cut off, as there.
#[inline]
fn blend(without: u8, with: u8, factor: f32) -> u8 {
    let (without, with) = (f32::from(without), f32::from(with));
    // A conversion to u8 cuts off the fraction, and stops at 0 and at 255.
    (without + factor * (with - without)) as u8
}

/// `convert("L")`: the luma of ITU-R 601 in 65536ths.
#[inline]
fn grey([red, green, blue]: [u8; 3]) -> u8 {
    ((u32::from(red) * 19_595 + u32::from(green) * 38_470 + u32::from(blue) * 7_471 + 0x8000) >> 16) as u8
}

/// 0 is black.
pub fn brightness(canvas: &mut Canvas, factor: f64) {
    let table = table(|value| blend(0, value as u8, factor as f32));
    look_up(&mut canvas.pixels, &[table; 3]);
}

/// Saturation; 0 is grey.
pub fn color(canvas: &mut Canvas, factor: f64) {
    for pixel in canvas.pixels.as_chunks_mut::<3>().0 {
        let grey = grey(*pixel);
        *pixel = pixel.map(|value| blend(grey, value, factor as f32));
    }
}

/// 0 is the grey of the picture's mean everywhere.
pub fn contrast(canvas: &mut Canvas, factor: f64) {
    let pixels = canvas.pixels.as_chunks::<3>().0;
    let sum: u64 = pixels.iter().map(|pixel| u64::from(grey(*pixel))).sum();
    let mean = (sum as f64 / pixels.len() as f64 + 0.5) as u8;
    let table = table(|value| blend(mean, value as u8, factor as f32));
    look_up(&mut canvas.pixels, &[table; 3]);
}

/// 0 is blurred, by Pillow's `SMOOTH`: a pixel counts 5, each of the eight around it 1. The border stays as it is.
pub fn sharpness(canvas: &mut Canvas, factor: f64) {
    let (height, width) = (canvas.height, canvas.width);
    canvas.rewrite(|from, to| {
        to.copy_from_slice(from);
        let stride = width * 3;
        for y in 1..height.saturating_sub(1) {
            for at in y * stride + 3..(y + 1) * stride - 3 {
                let row = |at: usize| u32::from(from[at - 3]) + u32::from(from[at]) + u32::from(from[at + 3]);
                let sum = row(at - stride) + row(at) + row(at + stride) + 4 * u32::from(from[at]);
                // To the nearest: 13 is odd, so there is no half.
                let blurred = (2 * sum + 13) / 26;
                to[at] = blend(blurred as u8, from[at], factor as f32);
            }
        }
    });
}

/// Keeps the upper `bits` (1 to 8) of each value.
pub fn posterize(canvas: &mut Canvas, bits: u32) {
    let mask = !(0xffu32 >> bits) as u8;
    canvas.pixels.iter_mut().for_each(|value| *value &= mask);
}

/// Inverts values that are not below `threshold`.
pub fn solarize(canvas: &mut Canvas, threshold: f64) {
    let table = table(|value| if (value as f64) < threshold { value as u8 } else { 255 - value as u8 });
    look_up(&mut canvas.pixels, &[table; 3]);
}

/// Stretches each channel, so that its darkest value becomes 0 and its lightest 255.
pub fn autocontrast(canvas: &mut Canvas) {
    let tables = histograms(&canvas.pixels).map(|histogram| {
        let lowest = histogram.iter().position(|count| *count > 0).unwrap_or(0);
        let highest = histogram.iter().rposition(|count| *count > 0).unwrap_or(0);
        if highest <= lowest {
            return table(|value| value as u8);
        }
        let scale = 255.0 / (highest - lowest) as f64;
        let offset = -(lowest as f64) * scale;
        table(|value| (value as f64 * scale + offset) as u8)
    });
    look_up(&mut canvas.pixels, &tables);
}

/// Gives each channel a histogram as flat as can be.
pub fn equalize(canvas: &mut Canvas) {
    let tables = histograms(&canvas.pixels).map(|histogram| {
        let total: usize = histogram.iter().sum();
        let last = histogram.iter().rev().copied().find(|count| *count > 0).unwrap_or(0);
        let step = (total - last) / 255;
        if step == 0 {
            return table(|value| value as u8);
        }
        let mut sum = step / 2;
        std::array::from_fn(|value| {
            let to = sum / step;
            sum += histogram[value];
            // Above 255 only beyond the lightest value, where no pixel is.
            to.min(255) as u8
        })
    });
    look_up(&mut canvas.pixels, &tables);
}

/// How often each value comes up, for each channel.
fn histograms(pixels: &[u8]) -> [[usize; 256]; 3] {
    let mut histograms = [[0; 256]; 3];
    for pixel in pixels.as_chunks::<3>().0 {
        for (histogram, value) in histograms.iter_mut().zip(pixel) {
            histogram[usize::from(*value)] += 1;
        }
    }
    histograms
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canvas(pixels: &[u8], size: (usize, usize)) -> Canvas {
        let mut canvas = Canvas::default();
        canvas.set(pixels, size);
        canvas
    }

    proptest! {
        /// Where an operation says so, its middle is the picture itself; and one colour alone stays, whatever is done.
        #[test]
        fn factor_one_changes_nothing(height in 1usize..6, width in 1usize..6, salt: u8) {
            let pixels: Vec<u8> = (0..height * width * 3).map(|i| (i as u8).wrapping_mul(83) ^ salt).collect();
            for step in [brightness, color, contrast, sharpness] {
                let mut canvas = canvas(&pixels, (height, width));
                step(&mut canvas, 1.0);
                prop_assert_eq!(&canvas.pixels, &pixels);
            }
            let mut same = canvas(&pixels, (height, width));
            posterize(&mut same, 8);
            solarize(&mut same, 256.0);
            prop_assert_eq!(&same.pixels, &pixels);
            let mut flat = canvas(&[salt; 12], (2, 2));
            autocontrast(&mut flat);
            equalize(&mut flat);
            sharpness(&mut flat, 0.3);
            prop_assert_eq!(flat.pixels, [salt; 12]);
        }

        #[test]
        fn autocontrast_reaches_both_ends(low in 0u8..100, high in 101u8..=255, middle in 100u8..=101) {
            let mut canvas = canvas(&[low, middle, high, high, low, middle, middle, high, low], (1, 3));
            autocontrast(&mut canvas);
            for channel in 0..3 {
                let values = canvas.pixels.iter().skip(channel).step_by(3);
                prop_assert_eq!(values.clone().min(), Some(&0));
                // Cut off, not rounded, in float64: 255 may come out as 254.
                prop_assert!(values.max() >= Some(&254));
            }
        }
    }

    #[test]
    fn a_blur_is_the_mean_and_the_border_stays() {
        let mut pixels = [10; 27];
        pixels[12..15].fill(140);
        let mut canvas = canvas(&pixels, (3, 3));
        sharpness(&mut canvas, 0.0);
        assert_eq!(canvas.pixels[12..15], [60; 3], "(5 * 140 + 8 * 10) / 13");
        pixels[12..15].fill(60);
        assert_eq!(canvas.pixels, pixels);
    }
}
