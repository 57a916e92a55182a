//! Bytes to floats, normalised per channel.

use crate::config::Normalization;

/// What each of the 256 bytes becomes in each channel: `(byte / 255 - mean) / std`, computed in float64 and rounded
/// once to float32. A table, because there are only 768 answers.
#[derive(Debug, Clone)]
pub struct Lookup {
    values: [[f32; 256]; 3],
}

impl Lookup {
    /// The table for this normalisation.
    pub fn new(normalization: &Normalization) -> Self {
        let Normalization { mean, std } = normalization;
        let value =
            |channel: usize, byte: usize| ((byte as f64 / 255.0 - mean[channel]) / std[channel]) as f32;
        Self { values: std::array::from_fn(|channel| std::array::from_fn(|byte| value(channel, byte))) }
    }

    /// One byte of channel 0 (red), 1 (green) or 2 (blue).
    #[inline]
    pub fn value(&self, channel: usize, byte: u8) -> f32 {
        self.values[channel][usize::from(byte)]
    }

    /// Normalises pixels `[.., 3]` into floats in the same order.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn apply(&self, pixels: &[u8], output: &mut [f32]) {
        assert_eq!(pixels.len(), output.len(), "one float a byte");
        for (floats, bytes) in output.as_chunks_mut::<3>().0.iter_mut().zip(pixels.as_chunks::<3>().0) {
            for channel in 0..3 {
                floats[channel] = self.value(channel, bytes[channel]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_once_from_float64() {
        let lookup = Lookup::new(&Normalization::default());
        assert_eq!(lookup.value(0, 0), (-0.485f64 / 0.229) as f32);
        assert_eq!(lookup.value(1, 255), ((1.0f64 - 0.456) / 0.224) as f32);
        let mut floats = [0.0; 6];
        lookup.apply(&[59, 62, 63, 0, 128, 255], &mut floats);
        assert_eq!(floats[2], ((63.0f64 / 255.0 - 0.406) / 0.225) as f32);
        assert_eq!(floats[4], lookup.value(1, 128));
    }
}
