//! The optimizer of the classifier's parameters, and that of all before it, which may be slower, and may begin later.

use crate::config::TrainConfig;
use crate::engine::parameters::Parameters;
use crate::error::Result;
use crate::optim::{Optimizer, State};
use candle_core::Tensor;
use std::ops::Range;

/// Two optimizers of one array of parameters. Each moves a parameter by its own gradient and state, so where the backbone is
/// as fast as the classifier, they are as one.
#[derive(Debug)]
pub(super) struct Groups {
    backbone: Optimizer,
    head: Optimizer,
    /// Where the classifier's parameters begin.
    split: usize,
    /// What the backbone's learning rate is multiplied by.
    backbone_rate: f64,
}

impl Groups {
    /// Goes on from the state of a run, which does or did its first `frozen` steps without moving the backbone.
    pub fn new(config: &TrainConfig, layout: &Parameters, state: State, frozen: usize) -> Self {
        let weights = layout.weights();
        let part = |range: Range<usize>, frozen: usize| {
            let within = weights.iter().filter(|weight| range.contains(&weight.start));
            let within: Vec<_> =
                within.map(|weight| weight.start - range.start..weight.end - range.start).collect();
            let buffers = state.buffers.iter().map(|buffer| buffer[range.clone()].to_vec());
            let steps = state.steps.saturating_sub(frozen as u64);
            Optimizer::new(
                config.optimizer,
                &within,
                range.len(),
                State { steps, buffers: buffers.collect() },
            )
        };
        let split = layout.head().start;
        Self {
            backbone: part(0..split, frozen),
            head: part(split..layout.parameter_floats, 0),
            split,
            backbone_rate: config.backbone_rate,
        }
    }

    /// Moves all parameters along `gradients`, which lie as they do. A limit of the gradients' norm is one of all of them.
    pub fn step(&self, parameters: &Tensor, gradients: &Tensor, rate: f64) -> Result<()> {
        let part = |tensor: &Tensor, start: usize, end: usize| tensor.narrow(0, start, end - start);
        let (split, floats) = (self.split, parameters.elem_count());
        let slower = rate * self.backbone_rate;
        let clip = self.head.clip(gradients)?;
        self.backbone.step_within(&part(parameters, 0, split)?, &part(gradients, 0, split)?, slower, clip)?;
        Ok(self.head.step_within(
            &part(parameters, split, floats)?,
            &part(gradients, split, floats)?,
            rate,
            clip,
        )?)
    }

    /// The classifier's parameters, or their gradients.
    pub fn head_of(&self, parameters: &Tensor) -> Result<Tensor> {
        Ok(parameters.narrow(0, self.split, parameters.elem_count() - self.split)?)
    }

    /// Moves the classifier's parameters along their gradients.
    pub fn step_head(&self, parameters: &Tensor, gradients: &Tensor, rate: f64) -> Result<()> {
        Ok(self.head.step(&self.head_of(parameters)?, gradients, rate)?)
    }

    /// What both keep, as one; the steps are those of the classifier, which moves in each.
    pub fn state(&self) -> State {
        let (backbone, head) = (self.backbone.state(), self.head.state());
        let whole =
            backbone.buffers.iter().zip(&head.buffers).map(|(backbone, head)| [&backbone[..], head].concat());
        State { steps: head.steps, buffers: whole.collect() }
    }

    /// Bytes of the state.
    pub fn bytes(&self) -> usize {
        self.backbone.bytes() + self.head.bytes()
    }
}
