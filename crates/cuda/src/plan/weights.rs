//! A network's parameters and running statistics on a card.

use crate::driver::{DeviceBuffer, Slice};
use crate::kernels::{Kernels, Storage, storages};
use mobilenet_core::Result;
use mobilenet_core::config::Precision;
use mobilenet_core::engine::parameters::Parameters;
use mobilenet_core::model::network::Network;

/// Both arrays, as core lays them out.
#[derive(Debug)]
pub struct Weights {
    pub layout: Parameters,
    pub parameters: DeviceBuffer<f32>,
    pub statistics: DeviceBuffer<f32>,
    /// The parameters in bfloat16, where products read those; else empty.
    pub shadow: DeviceBuffer<u16>,
}

impl Weights {
    /// Room for a network's.
    pub fn new(kernels: &Kernels, network: &Network, precision: Precision) -> Result<Self> {
        let layout = Parameters::new(network);
        let stream = kernels.stream();
        let rounded =
            precision == Precision::Bfloat16 && storages(network, precision).contains(&Storage::Bfloat16);
        Ok(Self {
            parameters: DeviceBuffer::zeros(stream, layout.parameter_floats)?,
            statistics: DeviceBuffer::zeros(stream, layout.statistic_floats)?,
            shadow: DeviceBuffer::zeros(stream, if rounded { layout.parameter_floats } else { 0 })?,
            layout,
        })
    }

    /// Takes over these.
    pub fn write(&mut self, kernels: &Kernels, parameters: &[f32], statistics: &[f32]) -> Result<()> {
        self.parameters.write(kernels.stream(), parameters)?;
        self.statistics.write(kernels.stream(), statistics)?;
        if self.shadow.is_empty() {
            return Ok(());
        }
        kernels.convert(self.parameters.len(), self.parameters.all(), self.shadow.all())
    }

    /// A layer's weight as a product of maps that are stored so reads it.
    pub fn weight(&self, layer: usize, storage: Storage) -> Slice {
        let range = self.layout.slots[layer].weight.clone();
        match storage {
            Storage::Float32 => self.parameters.slice(range),
            Storage::Bfloat16 => self.shadow.slice(range),
        }
    }

    /// A layer's weight in float32.
    pub fn plain(&self, layer: usize) -> Slice {
        self.weight(layer, Storage::Float32)
    }

    /// A layer's bias; none where there is a norm.
    pub fn bias(&self, layer: usize) -> Slice {
        self.parameters.slice(self.layout.slots[layer].bias.clone())
    }

    /// A layer's norm: weight, bias, running mean, running variance.
    pub fn norm(&self, layer: usize) -> [Slice; 4] {
        let slot = &self.layout.slots[layer];
        [
            self.parameters.slice(slot.norm_weight.clone()),
            self.parameters.slice(slot.norm_bias.clone()),
            self.statistics.slice(slot.running_mean.clone()),
            self.statistics.slice(slot.running_var.clone()),
        ]
    }

    /// Bytes on the card.
    pub fn bytes(&self) -> usize {
        self.parameters.bytes() + self.statistics.bytes() + self.shadow.bytes()
    }
}
