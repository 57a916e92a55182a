//! How parameters move, and how the learning rate does. Knows no model.
//!
//! A step is one pass over all parameters in parallel, of which each is moved by its own gradient and its own state: the
//! bits don't depend on the threads. (A limit of the gradients' norm takes a pass before, whose sums are fixed.)

mod adam;
pub mod average;
mod chunk;
mod clip;
mod rms_prop;
pub mod schedule;
mod sgd;

pub use clip::Clip;

use crate::config::{OptimizerConfig, Rule};
use crate::floats::{floats, floats_mut};
use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Storage, Tensor, bail};
use chunk::{Chunk, Span, spans};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

/// What an optimizer keeps of every parameter from step to step, by PyTorch's names, with the value that it begins with.
pub type Buffers = &'static [(&'static str, f32)];

/// The buffers of an optimizer, two at most.
pub fn buffers(rule: Rule) -> Buffers {
    const SQUARE: &str = "square_avg";
    const MOMENTUM: (&str, f32) = ("momentum_buffer", 0.0);
    match rule {
        Rule::Adam { .. } | Rule::AdamW { .. } => &[("exp_avg", 0.0), ("exp_avg_sq", 0.0)],
        Rule::Sgd { momentum: 0.0, .. } => &[],
        Rule::Sgd { .. } => &[MOMENTUM],
        Rule::RmsProp { momentum: 0.0, .. } => &[(SQUARE, 0.0)],
        Rule::RmsProp { .. } => &[(SQUARE, 0.0), MOMENTUM],
        Rule::RmsPropTf { momentum: 0.0, .. } => &[(SQUARE, 1.0)],
        Rule::RmsPropTf { .. } => &[(SQUARE, 1.0), MOMENTUM],
    }
}

/// What an optimizer keeps from step to step.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Steps done.
    pub steps: u64,
    /// Values of every parameter, in the order of [`buffers`].
    pub buffers: Vec<Vec<f32>>,
}

impl State {
    /// Before the first step.
    pub fn new(rule: Rule, parameters: usize) -> Self {
        let buffers = buffers(rule).iter().map(|(_, initial)| vec![*initial; parameters]);
        Self { steps: 0, buffers: buffers.collect() }
    }
}

/// The optimizer of one set of parameters: an operation of candle that changes them in place.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    spans: Vec<Span>,
    state: Mutex<(State, f64, Clip)>,
}

impl Optimizer {
    /// Of parameters that lie in one array. `weights` are the places of what is neither batch norm nor bias, ascending:
    /// weight decay pulls on them alone, unless the configuration says otherwise. Goes on from `state`.
    pub fn new(config: OptimizerConfig, weights: &[Range<usize>], parameters: usize, state: State) -> Self {
        debug_assert!(state.buffers.len() == buffers(config.rule).len());
        debug_assert!(state.buffers.iter().all(|buffer| buffer.len() == parameters));
        let everything = 0..parameters;
        // Without a decay, too, all are alike.
        let alike = config.decay_norms_and_biases || config.weight_decay == 0.0;
        let spans = spans(if alike { std::slice::from_ref(&everything) } else { weights }, parameters);
        Self { config, spans, state: Mutex::new((state, 0.0, Clip::default())) }
    }

    /// What keeps `gradients` within the limits of the configuration; those of all parameters, if there are several sets.
    pub fn clip(&self, gradients: &Tensor) -> Result<Clip> {
        let (storage, layout) = gradients.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { bail!("an optimizer works on the processor") };
        Ok(Clip::new(self.config.clip_norm, self.config.clip_value, floats(storage, layout)?))
    }

    /// Moves `parameters` by one step along `gradients`, both flat and of the same length.
    pub fn step(&self, parameters: &Tensor, gradients: &Tensor, learning_rate: f64) -> Result<()> {
        self.step_within(parameters, gradients, learning_rate, self.clip(gradients)?)
    }

    /// The same, with the gradients within the limits of [`Self::clip`].
    pub fn step_within(
        &self,
        parameters: &Tensor,
        gradients: &Tensor,
        learning_rate: f64,
        clip: Clip,
    ) -> Result<()> {
        {
            let mut state = self.lock();
            (state.1, state.2) = (learning_rate, clip);
        }
        parameters.inplace_op2(gradients, self)
    }

    /// A copy of the state, for a checkpoint.
    pub fn state(&self) -> State {
        self.lock().0.clone()
    }

    /// Bytes of the state.
    pub fn bytes(&self) -> usize {
        self.lock().0.buffers.iter().map(|buffer| size_of_val(buffer.as_slice())).sum()
    }

    fn lock(&self) -> MutexGuard<'_, (State, f64, Clip)> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn move_all(&self, parameters: &mut [f32], gradients: &[f32]) {
        let (state, learning_rate, clip) = &mut *self.lock();
        state.steps += 1;
        let rate = *learning_rate;
        let decay = self.config.weight_decay;
        let chunks = Chunk::all(&self.spans, parameters, gradients, &mut state.buffers, *clip);
        let each = |update: &(dyn Fn(Chunk<'_>) + Sync)| chunks.into_par_iter().for_each(update);
        match self.config.rule {
            Rule::Adam { beta1, beta2, eps } => {
                let adam = adam::Step::new([beta1, beta2], eps, rate, state.steps);
                each(&|chunk| adam.apply(chunk, decay, 0.0));
            }
            Rule::AdamW { beta1, beta2, eps } => {
                let adam = adam::Step::new([beta1, beta2], eps, rate, state.steps);
                each(&|chunk| adam.apply(chunk, 0.0, rate * decay));
            }
            Rule::Sgd { momentum: 0.0, .. } => each(&|chunk| sgd::apply(chunk, rate, decay)),
            Rule::Sgd { momentum, nesterov } => {
                each(&|chunk| sgd::apply_momentum(chunk, rate, decay, momentum as f32, nesterov));
            }
            Rule::RmsProp { alpha, momentum, eps } => {
                let step = rms_prop::Step::new(alpha, momentum, eps, rate, decay);
                each(&|chunk| step.apply(chunk));
            }
            Rule::RmsPropTf { alpha, momentum, eps } => {
                let step = rms_prop::Step::new(alpha, momentum, eps, rate, decay);
                each(&|chunk| step.apply_as_tensorflow(chunk));
            }
        }
    }
}

impl InplaceOp2 for Optimizer {
    fn name(&self) -> &'static str {
        "optimizer"
    }

    fn cpu_fwd(
        &self,
        parameters: &mut CpuStorage,
        parameters_layout: &Layout,
        gradients: &CpuStorage,
        gradients_layout: &Layout,
    ) -> Result<()> {
        self.move_all(floats_mut(parameters, parameters_layout)?, floats(gradients, gradients_layout)?);
        Ok(())
    }
}
