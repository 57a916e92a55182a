//! What the optimizer keeps on the card, and how it moves the parameters: most of them beside the backward pass, as soon as their
//! gradients are there.

use super::scalars::{Rate, constants};
use super::weights::Weights;
use crate::driver::{DeviceBuffer, Slice};
use crate::kernels::Kernels;
use crate::kernels::optimizer::Arrays;
use mobilenet_core::Result;
use mobilenet_core::config::{OptimizerConfig, TrainConfig};
use mobilenet_core::engine::parameters::{LayerSlots, Parameters};
use mobilenet_core::optim::State;
use std::ops::Range;

/// The optimizer of all parameters: of the backbone's and of the head's.
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
    early: Option<Early>,
    norm_partials: DeviceBuffer<f64>,
    clip_scale: DeviceBuffer<f32>,
}

/// Parameters that are moved while the backward pass goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Early {
    /// Once this layer's pass is done: nothing reads its weights any more, nor those of layers behind.
    pub layer: usize,
    /// From this one to the end.
    pub first: usize,
}

impl Early {
    /// So many of all parameters, as parts of four: they take so much of the optimizer's time, and with more of them too little of the
    /// pass would be left to hide that behind. V1's last seven layers of 27 have three quarters.
    const QUARTERS: usize = 3;

    /// The last layer with so many parameters from its own to the end.
    fn of(layout: &Parameters) -> Option<Self> {
        let (slots, count) = (&layout.slots, layout.parameter_floats);
        let ranges = |slot: &LayerSlots| {
            let LayerSlots { weight, bias, norm_weight, norm_bias, .. } = slot.clone();
            [weight, bias, norm_weight, norm_bias].into_iter().filter(|range| !range.is_empty())
        };
        let first = |layer: usize| slots[layer..].iter().flat_map(ranges).map(|range| range.start).min();
        let apart = |layer: usize, first: usize| {
            slots[..layer].iter().flat_map(ranges).all(|range| range.end <= first)
        };
        (1..slots.len()).rev().find_map(|layer| {
            let first = first(layer)?;
            let enough = 4 * (count - first) >= Self::QUARTERS * count && apart(layer, first);
            enough.then_some(Self { layer, first })
        })
    }
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
            // The norm of all gradients is known at the end.
            early: if clips { None } else { Early::of(&weights.layout) },
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

    /// What may be moved early.
    pub fn early(&self) -> Option<Early> {
        self.early
    }

    /// Moves these parameters along their gradients; `scalars` are the step's. A limit of the gradients' norm is one of all that
    /// move.
    pub fn step(
        &self,
        kernels: &Kernels,
        weights: &Weights,
        gradients: &DeviceBuffer<f32>,
        scalars: Slice,
        moved: Range<usize>,
    ) -> Result<()> {
        let clip_scale = match self.config.clip_norm {
            None => Slice::NONE,
            Some(most) => {
                let arrays =
                    [gradients.slice(moved.clone()), self.norm_partials.all(), self.clip_scale.all()];
                kernels.clip(moved.len(), most, arrays)?;
                self.clip_scale.all()
            }
        };
        let of = |buffer: &DeviceBuffer<f32>| buffer.slice(moved.clone());
        let buffer = |index: usize| self.buffers.get(index).map_or(Slice::NONE, of);
        let shadow = &weights.shadow;
        let arrays = Arrays {
            parameters: of(&weights.parameters),
            gradients: of(gradients),
            buffers: [buffer(0), buffer(1)],
            shadow: if shadow.is_empty() { Slice::NONE } else { shadow.slice(moved.clone()) },
            decays: self.decays.slice(moved.start / 16..moved.end / 16),
            clip_scale,
        };
        let constants = constants(&self.config, self.split.saturating_sub(moved.start));
        kernels.optimize(self.config.rule.kind(), moved.len(), &arrays, constants, scalars)
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
