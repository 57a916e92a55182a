//! How parameters move.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Which optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Kingma and Ba 2014, algorithm 1: PyTorch's `Adam`.
    Adam,
    /// Loshchilov and Hutter 2017 (arXiv 1711.05101), algorithm 2: PyTorch's `AdamW`.
    #[serde(rename = "adamw")]
    AdamW,
    /// Stochastic gradient descent: PyTorch's `SGD`.
    Sgd,
    /// PyTorch's `RMSprop`, not centered.
    #[serde(rename = "rmsprop")]
    RmsProp,
    /// TensorFlow's `RMSPropOptimizer`, with which the papers of V2 and V3 train: timm's `RMSpropTF`.
    #[serde(rename = "rmsprop-tf")]
    RmsPropTf,
}

impl OptimizerKind {
    /// What options call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adam => "adam",
            Self::AdamW => "adamw",
            Self::Sgd => "sgd",
            Self::RmsProp => "rmsprop",
            Self::RmsPropTf => "rmsprop-tf",
        }
    }

    /// The options that it has beside those that all have.
    fn own_options(self) -> &'static [&'static str] {
        match self {
            Self::Adam | Self::AdamW => &["beta1", "beta2", "eps"],
            Self::Sgd => &["momentum", "nesterov"],
            Self::RmsProp | Self::RmsPropTf => &["alpha", "momentum", "eps"],
        }
    }
}

/// An optimizer with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[allow(missing_docs)] // Each field is described at `OptimizerOptions`.
pub enum Rule {
    Adam {
        beta1: f64,
        beta2: f64,
        eps: f64,
    },
    #[serde(rename = "adamw")]
    AdamW {
        beta1: f64,
        beta2: f64,
        eps: f64,
    },
    Sgd {
        momentum: f64,
        nesterov: bool,
    },
    #[serde(rename = "rmsprop")]
    RmsProp {
        alpha: f64,
        momentum: f64,
        eps: f64,
    },
    #[serde(rename = "rmsprop-tf")]
    RmsPropTf {
        alpha: f64,
        momentum: f64,
        eps: f64,
    },
}

/// An optimizer, complete.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "OptimizerOptions")]
#[allow(missing_docs)] // Each field is described at `OptimizerOptions`.
pub struct OptimizerConfig {
    #[serde(flatten)]
    pub rule: Rule,
    pub learning_rate: f64,
    pub weight_decay: f64,
    pub decay_norms_and_biases: bool,
    pub clip_norm: Option<f64>,
    pub clip_value: Option<f64>,
}

/// An optimizer as asked for. Defaults are PyTorch's where nothing else is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OptimizerOptions {
    /// Default Adam.
    #[serde(rename = "type")]
    pub kind: Option<OptimizerKind>,
    /// At the start, or at the top in a schedule that rises. Default: Adam's is the course's, 0.01; SGD's and AdamW's
    /// 0.001, RMSprop's 0.01.
    pub learning_rate: Option<f64>,
    /// Of Adam and AdamW: how much of the gradient's running mean stays in a step; default 0.9.
    pub beta1: Option<f64>,
    /// Of Adam and AdamW: how much of the running mean of its square stays in a step; default 0.999.
    pub beta2: Option<f64>,
    /// Of RMSprop: how much of the running mean of the gradient's square stays in a step; default 0.99, TensorFlow's 0.9.
    pub alpha: Option<f64>,
    /// Of SGD and RMSprop: how much of the last update stays in a step; default 0, TensorFlow's RMSprop 0.9 as in the
    /// papers of V2 and V3.
    pub momentum: Option<f64>,
    /// Of SGD: looks a step ahead (Nesterov's momentum); default false.
    pub nesterov: Option<bool>,
    /// Of Adam and RMSprop: keeps divisions finite, outside the root and inside in TensorFlow's RMSprop. Default 1e-8,
    /// TensorFlow's RMSprop 1e-3: with that timm and torchvision (0.0316 outside the root) train V3.
    pub eps: Option<f64>,
    /// What pulls weights toward 0: a share of the weight is added to its gradient, in AdamW the step takes the share
    /// times the learning rate off the weight itself. Default 0, AdamW's 0.01.
    pub weight_decay: Option<f64>,
    /// Whether the decay pulls on batch norm and biases, too; default false, other than in PyTorch.
    pub decay_norms_and_biases: Option<bool>,
    /// Gradients are scaled down, all by the same, so that their norm over all parameters is at most this: PyTorch's
    /// `clip_grad_norm_`. 0 for no limit, which is the default.
    pub clip_norm: Option<f64>,
    /// Each gradient is at most this, up or down: PyTorch's `clip_grad_value_`. 0 for no limit, which is the default.
    pub clip_value: Option<f64>,
}

impl Rule {
    /// Which optimizer it is.
    pub fn kind(self) -> OptimizerKind {
        match self {
            Self::Adam { .. } => OptimizerKind::Adam,
            Self::AdamW { .. } => OptimizerKind::AdamW,
            Self::Sgd { .. } => OptimizerKind::Sgd,
            Self::RmsProp { .. } => OptimizerKind::RmsProp,
            Self::RmsPropTf { .. } => OptimizerKind::RmsPropTf,
        }
    }
}

impl OptimizerConfig {
    /// An optimizer with its defaults.
    pub fn of(kind: OptimizerKind) -> Self {
        let (beta1, beta2, eps) = (0.9, 0.999, 1e-8);
        let (rule, learning_rate, weight_decay) = match kind {
            OptimizerKind::Adam => (Rule::Adam { beta1, beta2, eps }, 0.01, 0.0),
            OptimizerKind::AdamW => (Rule::AdamW { beta1, beta2, eps }, 1e-3, 0.01),
            OptimizerKind::Sgd => (Rule::Sgd { momentum: 0.0, nesterov: false }, 1e-3, 0.0),
            OptimizerKind::RmsProp => (Rule::RmsProp { alpha: 0.99, momentum: 0.0, eps }, 0.01, 0.0),
            OptimizerKind::RmsPropTf => (Rule::RmsPropTf { alpha: 0.9, momentum: 0.9, eps: 1e-3 }, 0.01, 0.0),
        };
        Self {
            rule,
            learning_rate,
            weight_decay,
            decay_norms_and_biases: false,
            clip_norm: None,
            clip_value: None,
        }
    }

    /// Says what is wrong with this configuration, if anything is.
    pub fn check(&self) -> Result<()> {
        let refuse = |name: &str, rule: &str, value: f64| {
            Err(Error::invalid_option(format!("{name} must be a number {rule}, not {value}")))
        };
        let Self { rule, learning_rate, weight_decay, .. } = *self;
        check_learning_rate(learning_rate)?;
        if !(weight_decay >= 0.0 && weight_decay.is_finite()) {
            return refuse("weightDecay", "from 0 up", weight_decay);
        }
        for (name, most) in [("clipNorm", self.clip_norm), ("clipValue", self.clip_value)] {
            if let Some(most) = most.filter(|most| !(*most > 0.0 && most.is_finite())) {
                return refuse(name, "from 0 up", most);
            }
        }
        if self.clip_norm.is_some() && self.clip_value.is_some() {
            return Err(Error::invalid_option(
                "gradients are limited by clipNorm or by clipValue, not by both",
            ));
        }
        let (shares, eps) = match rule {
            Rule::Adam { beta1, beta2, eps } | Rule::AdamW { beta1, beta2, eps } => {
                ([("beta1", beta1), ("beta2", beta2)], eps)
            }
            Rule::Sgd { momentum, nesterov } => {
                if nesterov && momentum == 0.0 {
                    return Err(Error::invalid_option(
                        "nesterov looks ahead along the momentum, so momentum must be above 0",
                    ));
                }
                ([("momentum", momentum), ("momentum", momentum)], 1.0)
            }
            Rule::RmsProp { alpha, momentum, eps } | Rule::RmsPropTf { alpha, momentum, eps } => {
                ([("alpha", alpha), ("momentum", momentum)], eps)
            }
        };
        for (name, share) in shares {
            if !(0.0..1.0).contains(&share) {
                return refuse(name, "from 0 to below 1", share);
            }
        }
        // As a float32: where a gradient has always been 0, it is all there is to divide by.
        if !((eps as f32) > 0.0 && eps.is_finite()) {
            return refuse("eps", "of at least 1e-37", eps);
        }
        Ok(())
    }
}

/// Says what is wrong with a learning rate, if anything is.
pub(crate) fn check_learning_rate(learning_rate: f64) -> Result<()> {
    if learning_rate > 0.0 && learning_rate.is_finite() {
        return Ok(());
    }
    Err(Error::invalid_option(format!("learningRate must be a number above 0, not {learning_rate}")))
}

impl OptimizerOptions {
    /// Puts these options over `base`, or over the defaults where `base` is another optimizer, and checks the result.
    pub fn resolve(&self, base: &OptimizerConfig) -> Result<OptimizerConfig> {
        let kind = self.kind.unwrap_or(base.rule.kind());
        self.check_own(kind)?;
        let base = if kind == base.rule.kind() { *base } else { OptimizerConfig::of(kind) };
        let or = |given: Option<f64>, base: f64| given.unwrap_or(base);
        let rule = match base.rule {
            Rule::Adam { beta1, beta2, eps } => Rule::Adam {
                beta1: or(self.beta1, beta1),
                beta2: or(self.beta2, beta2),
                eps: or(self.eps, eps),
            },
            Rule::AdamW { beta1, beta2, eps } => Rule::AdamW {
                beta1: or(self.beta1, beta1),
                beta2: or(self.beta2, beta2),
                eps: or(self.eps, eps),
            },
            Rule::Sgd { momentum, nesterov } => Rule::Sgd {
                momentum: or(self.momentum, momentum),
                nesterov: self.nesterov.unwrap_or(nesterov),
            },
            Rule::RmsProp { alpha, momentum, eps } => Rule::RmsProp {
                alpha: or(self.alpha, alpha),
                momentum: or(self.momentum, momentum),
                eps: or(self.eps, eps),
            },
            Rule::RmsPropTf { alpha, momentum, eps } => Rule::RmsPropTf {
                alpha: or(self.alpha, alpha),
                momentum: or(self.momentum, momentum),
                eps: or(self.eps, eps),
            },
        };
        let config = OptimizerConfig {
            rule,
            learning_rate: or(self.learning_rate, base.learning_rate),
            weight_decay: or(self.weight_decay, base.weight_decay),
            decay_norms_and_biases: self.decay_norms_and_biases.unwrap_or(base.decay_norms_and_biases),
            clip_norm: self.clip_norm.or(base.clip_norm).filter(|most| *most != 0.0),
            clip_value: self.clip_value.or(base.clip_value).filter(|most| *most != 0.0),
        };
        config.check()?;
        Ok(config)
    }

    /// Refuses options that this optimizer hasn't.
    fn check_own(&self, kind: OptimizerKind) -> Result<()> {
        let given = [
            ("beta1", self.beta1.is_some()),
            ("beta2", self.beta2.is_some()),
            ("alpha", self.alpha.is_some()),
            ("momentum", self.momentum.is_some()),
            ("nesterov", self.nesterov.is_some()),
            ("eps", self.eps.is_some()),
        ];
        let own = kind.own_options();
        match given.iter().find(|(name, given)| *given && !own.contains(name)) {
            None => Ok(()),
            Some((name, _)) => Err(Error::invalid_option(format!(
                "optimizer {} has no option {name}; its own are {}",
                kind.name(),
                own.join(", ")
            ))),
        }
    }
}

impl TryFrom<OptimizerOptions> for OptimizerConfig {
    type Error = Error;

    /// As a file holds it: what is absent, perhaps because the file is older than the option, takes its default.
    fn try_from(options: OptimizerOptions) -> Result<Self> {
        options.resolve(&Self::of(OptimizerKind::Adam))
    }
}

#[cfg(test)]
mod tests {
    use super::{OptimizerConfig, OptimizerKind, OptimizerOptions, Rule};

    const KINDS: [OptimizerKind; 5] = [
        OptimizerKind::Adam,
        OptimizerKind::AdamW,
        OptimizerKind::Sgd,
        OptimizerKind::RmsProp,
        OptimizerKind::RmsPropTf,
    ];

    #[test]
    fn what_is_written_comes_back() {
        for kind in KINDS {
            let config = OptimizerConfig::of(kind);
            let text = serde_json::to_string(&config).unwrap();
            assert!(text.starts_with(&format!(r#"{{"type":"{}","#, kind.name())), "{text}");
            assert_eq!(serde_json::from_str::<OptimizerConfig>(&text).unwrap(), config);
        }
    }

    #[test]
    fn a_file_from_before_there_was_a_choice_is_adam() {
        let old = r#"{"type":"adam","learningRate":0.003}"#;
        let config: OptimizerConfig = serde_json::from_str(old).unwrap();
        assert_eq!(
            config,
            OptimizerConfig { learning_rate: 0.003, ..OptimizerConfig::of(OptimizerKind::Adam) }
        );
        let misspelt = r#"{"type":"adam","learningrate":0.003}"#;
        assert!(serde_json::from_str::<OptimizerConfig>(misspelt).is_err());
    }

    #[test]
    fn options_go_over_the_same_optimizer_and_not_over_another() {
        let base = OptimizerConfig { weight_decay: 0.1, ..OptimizerConfig::of(OptimizerKind::Sgd) };
        let more = OptimizerOptions { momentum: Some(0.9), nesterov: Some(true), ..Default::default() };
        let config = more.resolve(&base).unwrap();
        assert_eq!(config, OptimizerConfig { rule: Rule::Sgd { momentum: 0.9, nesterov: true }, ..base });
        let other = OptimizerOptions { kind: Some(OptimizerKind::AdamW), ..Default::default() };
        assert_eq!(other.resolve(&base).unwrap(), OptimizerConfig::of(OptimizerKind::AdamW));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |text: &str, words: &str| {
            let options: OptimizerOptions = serde_json::from_str(text).unwrap();
            let error = options.resolve(&OptimizerConfig::of(OptimizerKind::Adam)).unwrap_err();
            assert!(error.message.contains(words), "{text}: {}", error.message);
        };
        refused(
            r#"{"momentum":0.9}"#,
            "optimizer adam has no option momentum; its own are beta1, beta2, eps",
        );
        refused(r#"{"type":"sgd","alpha":0.9}"#, "optimizer sgd has no option alpha");
        refused(r#"{"type":"sgd","nesterov":true}"#, "momentum must be above 0");
        refused(r#"{"type":"sgd","momentum":1}"#, "momentum must be a number from 0 to below 1, not 1");
        refused(r#"{"beta2":-0.1}"#, "beta2");
        refused(r#"{"type":"rmsprop","alpha":1.5}"#, "alpha");
        refused(r#"{"eps":0}"#, "eps must be a number of at least 1e-37, not 0");
        refused(r#"{"eps":1e-60}"#, "eps");
        refused(r#"{"learningRate":0}"#, "learningRate must be a number above 0, not 0");
        refused(r#"{"clipNorm":-1}"#, "clipNorm must be a number from 0 up, not -1");
        refused(r#"{"clipNorm":1,"clipValue":1}"#, "not by both");
        refused(r#"{"weightDecay":-1}"#, "weightDecay must be a number from 0 up, not -1");
    }
}
