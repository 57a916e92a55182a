//! How parameters and the learning rate move, as JavaScript says it: a part of `options.rs`.

use crate::options::{choice, whole};
use mobilenet_core::{Error, config as core};
use napi_derive::napi;

/// How parameters move. Defaults are PyTorch's where nothing else is said.
#[napi(object)]
pub struct OptimizerOptions {
    /// `adam`, `adamw`, `sgd`, `rmsprop` are PyTorch's; `rmsprop-tf` is TensorFlow's, with which the papers of V2 and V3
    /// train. Default `adam`, or when resuming, the run's.
    #[napi(js_name = "type", ts_type = "'adam' | 'adamw' | 'sgd' | 'rmsprop' | 'rmsprop-tf' | null")]
    pub kind: Option<String>,
    /// At the start, or at the top in a schedule that rises. Above 0; default 0.01 (Adam's as in the course, RMSprop's),
    /// 0.001 of `adamw` and `sgd`.
    #[napi(ts_type = "number | null")]
    pub learning_rate: Option<f64>,
    /// How much of the gradient's running mean stays in a step, in `adam` and `adamw`; from 0 to below 1; default 0.9.
    #[napi(ts_type = "number | null")]
    pub beta1: Option<f64>,
    /// How much of the running mean of its square stays, in `adam` and `adamw`; from 0 to below 1; default 0.999.
    #[napi(ts_type = "number | null")]
    pub beta2: Option<f64>,
    /// How much of the running mean of the gradient's square stays in a step, in `rmsprop` and `rmsprop-tf`; from 0 to
    /// below 1; default 0.99, and 0.9 in `rmsprop-tf`.
    #[napi(ts_type = "number | null")]
    pub alpha: Option<f64>,
    /// How much of the last update stays in a step, in `sgd`, `rmsprop` and `rmsprop-tf`; from 0 to below 1; default 0,
    /// and 0.9 in `rmsprop-tf`.
    #[napi(ts_type = "number | null")]
    pub momentum: Option<f64>,
    /// Looks a step ahead along the momentum (Nesterov), in `sgd`; default false.
    #[napi(ts_type = "boolean | null")]
    pub nesterov: Option<bool>,
    /// Keeps divisions finite, in all but `sgd`: outside the root, in `rmsprop-tf` inside. Above 0; default 1e-8, and
    /// 1e-3 in `rmsprop-tf`, with which timm and torchvision train V3.
    #[napi(ts_type = "number | null")]
    pub eps: Option<f64>,
    /// Pulls weights toward 0, from 0 up: this share of the weight is added to its gradient; in `adamw` it is, times the
    /// learning rate, taken off the weight itself. Default 0, and 0.01 in `adamw`.
    #[napi(ts_type = "number | null")]
    pub weight_decay: Option<f64>,
    /// Whether the decay pulls on batch norm and biases, too, as in PyTorch; default false.
    #[napi(ts_type = "boolean | null")]
    pub decay_norms_and_biases: Option<bool>,
    /// Scales gradients down, all by the same, so that their norm over all parameters is at most this; 0 for no limit,
    /// which is the default.
    #[napi(ts_type = "number | null")]
    pub clip_norm: Option<f64>,
    /// The most that each gradient is, up or down; 0 for no limit, which is the default.
    #[napi(ts_type = "number | null")]
    pub clip_value: Option<f64>,
}

/// How the learning rate moves, after a warm-up if there is one. Each is PyTorch's.
#[napi(object)]
pub struct ScheduleOptions {
    /// `constant`; `step`: times `gamma` every `stepSize` epochs; `multi-step`: times `gamma` at each of the `milestones`;
    /// `exponential`: times `gamma` every epoch; `cosine`: down to `minimumLearningRate` over all epochs; `one-cycle`:
    /// every step, up over the first 30 % of them, then down to nearly 0. Default `step`, or when resuming, the run's.
    #[napi(
        js_name = "type",
        ts_type = "'constant' | 'step' | 'multi-step' | 'cosine' | 'one-cycle' | 'exponential' | null"
    )]
    pub kind: Option<String>,
    /// Epochs between two drops, in `step`; default 10.
    #[napi(ts_type = "number | null")]
    pub step_size: Option<f64>,
    /// What a drop multiplies by, in `step`, `multi-step` and `exponential`; above 0 and at most 1; default 0.5 in `step`,
    /// 0.1 in `multi-step`, 0.98 in `exponential` (as in the V2 paper).
    #[napi(ts_type = "number | null")]
    pub gamma: Option<f64>,
    /// The epochs after which it drops, ascending from 1, in `multi-step`, which needs them.
    #[napi(ts_type = "Array<number> | null")]
    pub milestones: Option<Vec<f64>>,
    /// Where it ends, in `cosine`; from 0 to the learning rate; default 0.
    #[napi(ts_type = "number | null")]
    pub minimum_learning_rate: Option<f64>,
    /// Share of all steps in which it rises, in `one-cycle`; from 0 to 1; default 0.3.
    #[napi(ts_type = "number | null")]
    pub rise_fraction: Option<f64>,
    /// It starts at the learning rate divided by this, in `one-cycle`; at least 1; default 25.
    #[napi(ts_type = "number | null")]
    pub div_factor: Option<f64>,
    /// It ends at its start divided by this, in `one-cycle`; at least 1; default 10,000.
    #[napi(ts_type = "number | null")]
    pub final_div_factor: Option<f64>,
    /// Before it; default none. `one-cycle` has none, because it rises by itself.
    #[napi(ts_type = "WarmupOptions | null")]
    pub warmup: Option<WarmupOptions>,
}

/// A line up to the learning rate; the schedule's epochs begin behind it.
#[napi(object)]
pub struct WarmupOptions {
    /// How many it takes, below those of the run; 0 for no warm-up.
    #[napi(ts_type = "number | null")]
    pub epochs: Option<f64>,
    /// Share of the learning rate that it starts with, above 0 and at most 1; default 0.01.
    #[napi(ts_type = "number | null")]
    pub start_factor: Option<f64>,
    /// When it moves; default every `step`.
    #[napi(ts_type = "'step' | 'epoch' | null")]
    pub every: Option<String>,
}

/// An exponential moving average of the weights, running statistics included: it is evaluated, and it is the network that
/// the run leaves. What is trained goes on beside it.
#[napi(object)]
pub struct EmaOptions {
    /// How much of the average stays in a step, from 0 to below 1; 0 for no average; default 0.9999.
    #[napi(ts_type = "number | null")]
    pub decay: Option<f64>,
    /// Whether it stays less at first: at most 1 - (1 + n)^(-2/3) in step n; default true.
    #[napi(ts_type = "boolean | null")]
    pub warmup: Option<bool>,
}

impl From<EmaOptions> for core::EmaOptions {
    fn from(EmaOptions { decay, warmup }: EmaOptions) -> Self {
        Self { decay, warmup }
    }
}

impl TryFrom<OptimizerOptions> for core::OptimizerOptions {
    type Error = Error;

    fn try_from(options: OptimizerOptions) -> std::result::Result<Self, Error> {
        Ok(Self {
            kind: options.kind.map(|name| choice("optimizer", &name)).transpose()?,
            learning_rate: options.learning_rate,
            beta1: options.beta1,
            beta2: options.beta2,
            alpha: options.alpha,
            momentum: options.momentum,
            nesterov: options.nesterov,
            eps: options.eps,
            weight_decay: options.weight_decay,
            decay_norms_and_biases: options.decay_norms_and_biases,
            clip_norm: options.clip_norm,
            clip_value: options.clip_value,
        })
    }
}

impl TryFrom<ScheduleOptions> for core::ScheduleOptions {
    type Error = Error;

    fn try_from(options: ScheduleOptions) -> std::result::Result<Self, Error> {
        let milestone = |epoch: f64| Ok::<_, Error>(whole("milestones", Some(epoch))?.unwrap_or_default());
        let milestones = options
            .milestones
            .map(|epochs| epochs.into_iter().map(milestone).collect::<std::result::Result<_, Error>>());
        Ok(Self {
            kind: options.kind.map(|name| choice("schedule", &name)).transpose()?,
            step_size: whole("stepSize", options.step_size)?,
            gamma: options.gamma,
            milestones: milestones.transpose()?,
            minimum_learning_rate: options.minimum_learning_rate,
            rise_fraction: options.rise_fraction,
            div_factor: options.div_factor,
            final_div_factor: options.final_div_factor,
            warmup: options.warmup.map(core::WarmupOptions::try_from).transpose()?,
        })
    }
}

impl TryFrom<WarmupOptions> for core::WarmupOptions {
    type Error = Error;

    fn try_from(options: WarmupOptions) -> std::result::Result<Self, Error> {
        Ok(Self {
            epochs: whole("warmup.epochs", options.epochs)?,
            start_factor: options.start_factor,
            every: options.every.map(|name| choice("warmup.every", &name)).transpose()?,
        })
    }
}
