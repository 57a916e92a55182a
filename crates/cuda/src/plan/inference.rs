//! A network that a card runs: the forward pass alone, with the running statistics.

use super::forward::Maps;
use super::graphs::Graphs;
use super::kept::Mixing;
use super::scalars::{Rate, StepScalars};
use super::staging::{Parts, Room, Staging};
use super::weights::Weights;
use crate::kernels::Kernels;
use mobilenet_core::config::{OptimizerConfig, OptimizerKind, Precision};
use mobilenet_core::engine::backend::InferenceEngine;
use mobilenet_core::kernels::padded;
use mobilenet_core::model::network::Network;
use mobilenet_core::{Error, Result};

/// See [`InferenceEngine`].
#[derive(Debug)]
pub struct Inference {
    // In the order in which they are dropped: what was recorded before what it works with.
    graphs: Graphs<(usize, usize)>,
    weights: Weights,
    maps: Maps,
    staging: Staging,
    capacity: usize,
    kernels: Kernels,
}

impl Inference {
    /// Room for a network and batches of at most `capacity` pictures, on the stream of `kernels`.
    pub fn new(kernels: Kernels, network: &Network, precision: Precision, capacity: usize) -> Result<Self> {
        Ok(Self {
            graphs: Graphs::new(kernels.recording()),
            weights: Weights::new(&kernels, network, precision)?,
            maps: Maps::of_inference(&kernels, network, precision, capacity)?,
            staging: Staging::new(
                kernels.stream(),
                Room { capacity, picture_floats: network.picture_floats(), ..Room::default() },
            )?,
            capacity,
            kernels,
        })
    }

    /// The output of layer `last`, `[pictures, outputs]`, a map of one pixel.
    fn run(&mut self, input: &[f32], pictures: usize, last: usize) -> Result<Vec<f32>> {
        if pictures == 0
            || pictures > self.capacity
            || input.len() != pictures * self.maps.network.picture_floats()
        {
            return Err(Error::internal(format!("a batch of {pictures} pictures in {} values", input.len())));
        }
        let still = Rate::of(&OptimizerConfig::of(OptimizerKind::Sgd), 0.0, 1);
        let scalars = StepScalars {
            share: 1.0,
            divisor: 1.0,
            rates: [still; 2],
            average_decay: 0.0,
            mixing: Mixing::default(),
        };
        let parts = Parts { pictures: input, ..Parts::of(scalars) };
        self.staging.send(&parts)?;
        let Self { graphs, weights, maps, staging, kernels, .. } = self;
        let stream = kernels.stream();
        graphs.run(stream, (pictures, last), || {
            maps.forward(kernels, weights, (staging.pictures(), pictures), last, None)
        })?;
        let outputs = maps.network.layers[last].outputs;
        let rows = maps.read(kernels, last, pictures * padded(outputs))?;
        Ok(rows.chunks_exact(padded(outputs)).flat_map(|row| &row[..outputs]).copied().collect())
    }
}

impl InferenceEngine for Inference {
    fn network(&self) -> &Network {
        &self.maps.network
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn prepare(&mut self, parameters: &[f32], statistics: &[f32]) -> Result<()> {
        self.weights.write(&self.kernels, parameters, statistics)?;
        self.maps.read_running(&self.kernels, &self.weights)
    }

    fn logits(&mut self, input: &[f32], pictures: usize) -> Result<Vec<f32>> {
        self.run(input, pictures, self.maps.network.layers.len() - 1)
    }

    fn features(&mut self, input: &[f32], pictures: usize) -> Result<Vec<f32>> {
        self.run(input, pictures, self.maps.network.features())
    }

    fn bytes(&self) -> usize {
        self.weights.bytes() + self.maps.bytes() + self.staging.bytes()
    }
}

impl Drop for Inference {
    fn drop(&mut self) {
        // As the training plan's.
        let _ = self.kernels.stream().synchronize();
    }
}
