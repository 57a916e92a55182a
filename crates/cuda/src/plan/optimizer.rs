//! What the optimizer keeps on the card, and how it moves the parameters.

use super::scalars::{Rate, constants};
use super::weights::Weights;
use crate::driver::{DeviceBuffer, Slice};
use crate::kernels::Kernels;
use crate::kernels::optimizer::Arrays;
use mobilenet_core::Result;
use mobilenet_core::config::{OptimizerConfig, TrainConfig};
use mobilenet_core::optim::State;

/// The optimizer of all parameters: of the backbone's and of the head's, in one launch.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    backbone_rate: f64,
    /// Steps done, those of a frozen backbone included.
    steps: u64,
    frozen_steps: u64,
    /// Two at most, as `optim::buffers` has it.
    buffers: Vec<DeviceBuffer<f32>>,
    decays: DeviceBuffer<u8>,
    /// Where the head's parameters begin.
    pub split: usize,
    norm_partials: DeviceBuffer<f64>,
    clip_scale: DeviceBuffer<f32>,
}

impl Optimizer {
    /// Goes on from a state.
    pub fn new(
        kernels: &Kernels,
        weights: &Weights,
        config: &TrainConfig,
        state: State,
        frozen_steps: usize,
    ) -> Result<Self> {
        let (stream, count) = (kernels.stream(), weights.parameters.len());
        let optimizer = config.optimizer;
        let mut decays = vec![u8::from(optimizer.decay_norms_and_biases); count / 16];
        for range in weights.layout.weights() {
            decays[range.start / 16..range.end / 16].fill(1);
        }
        let buffers = state.buffers.iter().map(|buffer| DeviceBuffer::of(stream, buffer));
        let clips = optimizer.clip_norm.is_some();
        Ok(Self {
            config: optimizer,
            backbone_rate: config.backbone_rate,
            steps: state.steps,
            frozen_steps: frozen_steps as u64,
            buffers: buffers.collect::<Result<_>>()?,
            decays: DeviceBuffer::of(stream, &decays)?,
            split: weights.layout.head().start,
            norm_partials: DeviceBuffer::zeros(stream, if clips { Kernels::norm_values() } else { 0 })?,
            clip_scale: DeviceBuffer::zeros(stream, usize::from(clips))?,
        })
    }

    /// Of the backbone and of the head, in the next step.
    pub fn rates(&self, rate: f64) -> [Rate; 2] {
        let step = self.steps + 1;
        let own = step.saturating_sub(self.frozen_steps).max(1);
        [Rate::of(&self.config, rate * self.backbone_rate, own), Rate::of(&self.config, rate, step)]
    }

    /// Moves the parameters from `first` on along their gradients; `scalars` are the step's. A limit of the gradients' norm is
    /// one of all that move.
    pub fn step(
        &self,
        kernels: &Kernels,
        weights: &Weights,
        gradients: &DeviceBuffer<f32>,
        scalars: Slice,
        first: usize,
    ) -> Result<()> {
        let count = weights.parameters.len();
        let clip_scale = match self.config.clip_norm {
            None => Slice::NONE,
            Some(most) => {
                let moved = gradients.slice(first..count);
                kernels.clip(
                    count - first,
                    most,
                    [moved, self.norm_partials.all(), self.clip_scale.all()],
                )?;
                self.clip_scale.all()
            }
        };
        let buffer = |index: usize| self.buffers.get(index).map_or(Slice::NONE, DeviceBuffer::all);
        let arrays = Arrays {
            parameters: weights.parameters.all(),
            gradients: gradients.all(),
            buffers: [buffer(0), buffer(1)],
            shadow: weights.shadow.all(),
            decays: self.decays.all(),
            clip_scale,
        };
        let constants = constants(&self.config, self.split, first);
        kernels.optimize(self.config.rule.kind(), count, &arrays, constants, scalars)
    }

    /// Counts a step that was begun.
    pub fn count(&mut self) {
        self.steps += 1;
    }

    /// A copy of what it keeps.
    pub fn state(&self, kernels: &Kernels) -> Result<State> {
        let buffers = self.buffers.iter().map(|buffer| buffer.read(kernels.stream()));
        Ok(State { steps: self.steps, buffers: buffers.collect::<Result<_>>()? })
    }

    /// Bytes on the card.
    pub fn bytes(&self) -> usize {
        self.buffers.iter().map(DeviceBuffer::bytes).sum::<usize>() + self.decays.bytes()
    }
}
