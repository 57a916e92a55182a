//! How kernels read a stored map: the structs of `kernels/README.md`, and where a network's numbers for them are.

use crate::driver::{Address, Argument, DeviceBuffer, Slice, Stream};
use mobilenet_core::Result;
use mobilenet_core::kernels::batch_norm::Curve;
use mobilenet_core::kernels::padded;
use mobilenet_core::model::network::Network;
use std::ops::Range;

/// `Reading`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct Reading {
    scale: Address,
    shift: Address,
    low: f32,
    high: f32,
    hard_swish: i32,
    unused: i32,
}

/// `GradientReading`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct GradientReading {
    scale: Address,
    slope: Address,
    offset: Address,
}

/// `SumReading`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct SumReading {
    reading: Reading,
    mean: Address,
}

// SAFETY: as the kernels declare it: 32 bytes, none of them padding.
unsafe impl Argument for Reading {}
// SAFETY: 24 bytes, none of them padding.
unsafe impl Argument for GradientReading {}
// SAFETY: 40 bytes, none of them padding.
unsafe impl Argument for SumReading {}

/// Arrays of float32 that each layer has, in their order.
const ARRAYS: usize = 5;

/// How the maps of a network are read: of each layer scale, shift, mean, slope and offset, and the inverse deviation in
/// float64. What there is without a batch norm stays as it was made.
#[derive(Debug)]
pub struct Norms {
    values: DeviceBuffer<f32>,
    inverse_std: DeviceBuffer<f64>,
    layers: Vec<Norm>,
}

#[derive(Debug)]
struct Norm {
    /// Its first value; [`ARRAYS`] times its channels follow.
    start: usize,
    /// Its first inverse deviation.
    start_std: usize,
    channels: usize,
    curve: Curve,
}

impl Norms {
    /// Of a network before its first step.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY`.
    pub fn new(stream: &Stream, network: &Network) -> Result<Self> {
        let (mut values, mut layers, mut channels_before) = (Vec::new(), Vec::new(), 0);
        for layer in &network.layers {
            let (curve, scale, shift) = Curve::of(layer.activation);
            let channels = padded(layer.outputs);
            layers.push(Norm { start: values.len(), start_std: channels_before, channels, curve });
            for value in [scale, shift, 0.0, 0.0, 0.0] {
                values.resize(values.len() + channels, value);
            }
            channels_before += channels;
        }
        debug_assert_eq!(values.len(), ARRAYS * channels_before);
        Ok(Self {
            values: DeviceBuffer::of(stream, &values)?,
            inverse_std: DeviceBuffer::of(stream, &vec![1.0; channels_before])?,
            layers,
        })
    }

    fn array(&self, layer: usize, array: usize) -> Slice {
        let Norm { start, channels, .. } = self.layers[layer];
        let start = start + array * channels;
        self.values.slice(start..start + channels)
    }

    /// `[channels]` of a layer.
    pub fn scale(&self, layer: usize) -> Slice {
        self.array(layer, 0)
    }

    /// `[channels]` of a layer.
    pub fn shift(&self, layer: usize) -> Slice {
        self.array(layer, 1)
    }

    /// `[channels]` of a layer.
    pub fn mean(&self, layer: usize) -> Slice {
        self.array(layer, 2)
    }

    /// `[channels]` of a layer.
    pub fn slope(&self, layer: usize) -> Slice {
        self.array(layer, 3)
    }

    /// `[channels]` of a layer.
    pub fn offset(&self, layer: usize) -> Slice {
        self.array(layer, 4)
    }

    /// `[channels]` of a layer, in float64.
    pub fn inverse_std(&self, layer: usize) -> Slice {
        let Norm { start_std, channels, .. } = self.layers[layer];
        let range: Range<usize> = start_std..start_std + channels;
        self.inverse_std.slice(range)
    }

    /// How a layer's map is read.
    ///
    /// # Errors
    /// `INTERNAL`, never for a layer of the network.
    pub fn reading(&self, layer: usize) -> Result<Reading> {
        let Norm { channels, curve, .. } = self.layers[layer];
        let (low, high, hard_swish) = match curve {
            Curve::Cut { low, high } => (low, high, 0),
            Curve::HardSwish => (0.0, 1.0, 1),
        };
        let scale = self.scale(layer).with(4 * channels)?;
        let shift = self.shift(layer).with(4 * channels)?;
        Ok(Reading { scale, shift, low, high, hard_swish, unused: 0 })
    }

    /// How the gradient of a layer's map follows from that of its normalised values.
    ///
    /// # Errors
    /// `INTERNAL`, never for a layer of the network.
    pub fn gradient_reading(&self, layer: usize) -> Result<GradientReading> {
        let bytes = 4 * self.layers[layer].channels;
        Ok(GradientReading {
            scale: self.scale(layer).with(bytes)?,
            slope: self.slope(layer).with(bytes)?,
            offset: self.offset(layer).with(bytes)?,
        })
    }

    /// How the sums of a layer's map are gathered in the backward pass.
    ///
    /// # Errors
    /// `INTERNAL`, never for a layer of the network.
    pub fn sum_reading(&self, layer: usize) -> Result<SumReading> {
        let bytes = 4 * self.layers[layer].channels;
        Ok(SumReading { reading: self.reading(layer)?, mean: self.mean(layer).with(bytes)? })
    }

    /// Bytes on the card.
    pub fn bytes(&self) -> usize {
        self.values.bytes() + self.inverse_std.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_are_as_large_as_the_kernels() {
        assert_eq!(size_of::<Reading>(), 32);
        assert_eq!(size_of::<GradientReading>(), 24);
        assert_eq!(size_of::<SumReading>(), 40);
    }
}
