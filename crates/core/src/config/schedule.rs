//! How the learning rate moves.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Which schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// The learning rate stays.
    Constant,
    /// Times `gamma` every `step_size` epochs: PyTorch's `StepLR`.
    Step,
    /// Times `gamma` at each of the `milestones`: PyTorch's `MultiStepLR`.
    MultiStep,
    /// Down to `minimum_learning_rate` over all epochs, moved once an epoch: PyTorch's `CosineAnnealingLR`.
    Cosine,
    /// Up over the first 30 % of all steps, then down to nearly 0, both by a cosine, moved every step: PyTorch's
    /// `OneCycleLR`, which cycles a momentum, too; here that stays.
    OneCycle,
    /// Times `gamma` every epoch: PyTorch's `ExponentialLR`.
    Exponential,
}

impl ScheduleKind {
    /// What options call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Step => "step",
            Self::MultiStep => "multi-step",
            Self::Cosine => "cosine",
            Self::OneCycle => "one-cycle",
            Self::Exponential => "exponential",
        }
    }

    fn own_options(self) -> &'static [&'static str] {
        match self {
            Self::Constant => &[],
            Self::Step => &["stepSize", "gamma"],
            Self::MultiStep => &["milestones", "gamma"],
            Self::Cosine => &["minimumLearningRate"],
            Self::OneCycle => &["riseFraction", "divFactor", "finalDivFactor"],
            Self::Exponential => &["gamma"],
        }
    }
}

/// A schedule with its numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[allow(missing_docs)] // Each field is described at `ScheduleOptions`.
pub enum Curve {
    Constant,
    Step { step_size: usize, gamma: f64 },
    MultiStep { milestones: Vec<usize>, gamma: f64 },
    Cosine { minimum_learning_rate: f64 },
    OneCycle { rise_fraction: f64, div_factor: f64, final_div_factor: f64 },
    Exponential { gamma: f64 },
}

/// When a warm-up moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Every {
    /// At each step.
    Step,
    /// At the start of each epoch.
    Epoch,
}

/// A line up to the learning rate before the schedule begins, complete: PyTorch's `LinearLR` before the schedule in a
/// `SequentialLR`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // Each field is described at `WarmupOptions`.
pub struct Warmup {
    pub epochs: usize,
    pub start_factor: f64,
    pub every: Every,
}

/// A schedule, complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ScheduleOptions")]
pub struct ScheduleConfig {
    /// After the warm-up: its epochs are counted from there.
    #[serde(flatten)]
    pub curve: Curve,
    /// Before it.
    pub warmup: Option<Warmup>,
}

/// A schedule as asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleOptions {
    /// Default step.
    #[serde(rename = "type")]
    pub kind: Option<ScheduleKind>,
    /// Of step: epochs between two drops; default 10, the course's.
    pub step_size: Option<usize>,
    /// Of step, multi-step and exponential: what a drop multiplies by. Default 0.5 in step (the course's), 0.1 in
    /// multi-step (PyTorch's), 0.98 in exponential (the V2 paper, section 6.1).
    pub gamma: Option<f64>,
    /// Of multi-step: the epochs, from 1, after which it drops. Has no default.
    pub milestones: Option<Vec<usize>>,
    /// Of cosine: where it ends; default 0.
    pub minimum_learning_rate: Option<f64>,
    /// Of one-cycle: share of all steps in which it rises; default 0.3.
    pub rise_fraction: Option<f64>,
    /// Of one-cycle: it starts at the learning rate divided by this; default 25.
    pub div_factor: Option<f64>,
    /// Of one-cycle: it ends at its start divided by this; default 10,000.
    pub final_div_factor: Option<f64>,
    /// Default none. One-cycle has none: it rises by itself.
    pub warmup: Option<WarmupOptions>,
}

/// A warm-up as asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WarmupOptions {
    /// How many; 0 for no warm-up.
    pub epochs: Option<usize>,
    /// Share of the learning rate that it starts with; default 0.01, as in torchvision's recipes.
    pub start_factor: Option<f64>,
    /// Default every step.
    pub every: Option<Every>,
}

impl ScheduleConfig {
    /// A schedule with its defaults, without a warm-up. (Multi-step's milestones have none, so it never drops.)
    pub fn of(kind: ScheduleKind) -> Self {
        let curve = match kind {
            ScheduleKind::Constant => Curve::Constant,
            ScheduleKind::Step => Curve::Step { step_size: 10, gamma: 0.5 },
            ScheduleKind::MultiStep => Curve::MultiStep { milestones: Vec::new(), gamma: 0.1 },
            ScheduleKind::Cosine => Curve::Cosine { minimum_learning_rate: 0.0 },
            ScheduleKind::OneCycle => {
                Curve::OneCycle { rise_fraction: 0.3, div_factor: 25.0, final_div_factor: 1e4 }
            }
            ScheduleKind::Exponential => Curve::Exponential { gamma: 0.98 },
        };
        Self { curve, warmup: None }
    }

    /// Which schedule it is.
    pub fn kind(&self) -> ScheduleKind {
        match self.curve {
            Curve::Constant => ScheduleKind::Constant,
            Curve::Step { .. } => ScheduleKind::Step,
            Curve::MultiStep { .. } => ScheduleKind::MultiStep,
            Curve::Cosine { .. } => ScheduleKind::Cosine,
            Curve::OneCycle { .. } => ScheduleKind::OneCycle,
            Curve::Exponential { .. } => ScheduleKind::Exponential,
        }
    }

    /// Says what is wrong with this configuration, in a run of so many epochs from that learning rate, if anything is.
    pub fn check(&self, epochs: usize, learning_rate: f64) -> Result<()> {
        self.curve.check(learning_rate)?;
        let Some(Warmup { epochs: warmup, start_factor, .. }) = self.warmup else { return Ok(()) };
        if let Curve::OneCycle { .. } = self.curve {
            return Err(Error::invalid_option(
                "schedule one-cycle rises by itself and takes no warmup; riseFraction and divFactor say how it rises",
            ));
        }
        if warmup >= epochs {
            return Err(Error::invalid_option(format!(
                "warmup.epochs must be below the run's {epochs} epochs, not {warmup}"
            )));
        }
        if !(start_factor > 0.0 && start_factor <= 1.0) {
            return Err(Error::invalid_option(format!(
                "warmup.startFactor must be above 0 and at most 1, not {start_factor}"
            )));
        }
        Ok(())
    }
}

impl Curve {
    fn check(&self, learning_rate: f64) -> Result<()> {
        let wrong = |words: String| Err(Error::invalid_option(words));
        match self {
            Self::Step { step_size: 0, .. } => wrong("stepSize must be at least 1 epoch, not 0".into()),
            Self::MultiStep { milestones, .. } if milestones.is_empty() => wrong(
                "schedule multi-step needs milestones: the epochs after which the learning rate drops".into(),
            ),
            Self::MultiStep { milestones, .. }
                if milestones[0] == 0 || milestones.windows(2).any(|pair| pair[0] >= pair[1]) =>
            {
                wrong(format!("milestones must be epochs from 1 that ascend, not {milestones:?}"))
            }
            Self::Step { gamma, .. } | Self::MultiStep { gamma, .. } | Self::Exponential { gamma }
                if !(*gamma > 0.0 && *gamma <= 1.0) =>
            {
                wrong(format!("gamma must be above 0 and at most 1, not {gamma}"))
            }
            Self::Cosine { minimum_learning_rate: minimum } if !(0.0..=learning_rate).contains(minimum) => {
                wrong(format!(
                    "minimumLearningRate must be from 0 to the learning rate {learning_rate}, not {minimum}"
                ))
            }
            Self::OneCycle { rise_fraction, .. } if !(0.0..=1.0).contains(rise_fraction) => {
                wrong(format!("riseFraction must be from 0 to 1, not {rise_fraction}"))
            }
            Self::OneCycle { div_factor, final_div_factor, .. } => {
                let sound = |divisor: &f64| *divisor >= 1.0 && divisor.is_finite();
                match [("divFactor", div_factor), ("finalDivFactor", final_div_factor)]
                    .iter()
                    .find(|(_, divisor)| !sound(divisor))
                {
                    Some((name, divisor)) => wrong(format!("{name} must be at least 1, not {divisor}")),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

impl ScheduleOptions {
    /// Puts these options over `base`, or over the defaults where `base` is another schedule. [`ScheduleConfig::check`]
    /// needs the rest of the recipe.
    pub fn resolve(&self, base: &ScheduleConfig) -> Result<ScheduleConfig> {
        let kind = self.kind.unwrap_or(base.kind());
        self.check_own(kind)?;
        let base = if kind == base.kind() { base.clone() } else { ScheduleConfig::of(kind) };
        let or = |given: Option<f64>, base: f64| given.unwrap_or(base);
        let curve = match base.curve {
            Curve::Constant => Curve::Constant,
            Curve::Step { step_size, gamma } => {
                Curve::Step { step_size: self.step_size.unwrap_or(step_size), gamma: or(self.gamma, gamma) }
            }
            Curve::MultiStep { milestones, gamma } => Curve::MultiStep {
                milestones: self.milestones.clone().unwrap_or(milestones),
                gamma: or(self.gamma, gamma),
            },
            Curve::Cosine { minimum_learning_rate } => {
                Curve::Cosine { minimum_learning_rate: or(self.minimum_learning_rate, minimum_learning_rate) }
            }
            Curve::OneCycle { rise_fraction, div_factor, final_div_factor } => Curve::OneCycle {
                rise_fraction: or(self.rise_fraction, rise_fraction),
                div_factor: or(self.div_factor, div_factor),
                final_div_factor: or(self.final_div_factor, final_div_factor),
            },
            Curve::Exponential { gamma } => Curve::Exponential { gamma: or(self.gamma, gamma) },
        };
        let warmup = match self.warmup {
            None => base.warmup,
            Some(options) => options.resolve(base.warmup)?,
        };
        Ok(ScheduleConfig { curve, warmup })
    }

    /// Refuses options that this schedule hasn't.
    fn check_own(&self, kind: ScheduleKind) -> Result<()> {
        let given = [
            ("stepSize", self.step_size.is_some()),
            ("gamma", self.gamma.is_some()),
            ("milestones", self.milestones.is_some()),
            ("minimumLearningRate", self.minimum_learning_rate.is_some()),
            ("riseFraction", self.rise_fraction.is_some()),
            ("divFactor", self.div_factor.is_some()),
            ("finalDivFactor", self.final_div_factor.is_some()),
        ];
        let own = kind.own_options();
        let Some((name, _)) = given.iter().find(|(name, given)| *given && !own.contains(name)) else {
            return Ok(());
        };
        let has = if own.is_empty() { "none of its own".into() } else { own.join(", ") };
        Err(Error::invalid_option(format!("schedule {} has no option {name}; it has {has}", kind.name())))
    }
}

impl WarmupOptions {
    fn resolve(self, base: Option<Warmup>) -> Result<Option<Warmup>> {
        let Some(epochs) = self.epochs.or(base.map(|base| base.epochs)) else {
            return Err(Error::invalid_option("warmup needs epochs: how many it takes"));
        };
        let base = base.unwrap_or(Warmup { epochs, start_factor: 0.01, every: Every::Step });
        Ok((epochs > 0).then(|| Warmup {
            epochs,
            start_factor: self.start_factor.unwrap_or(base.start_factor),
            every: self.every.unwrap_or(base.every),
        }))
    }
}

impl TryFrom<ScheduleOptions> for ScheduleConfig {
    type Error = Error;

    /// As a file holds it: what is absent takes its default.
    fn try_from(options: ScheduleOptions) -> Result<Self> {
        options.resolve(&Self::of(ScheduleKind::Step))
    }
}

#[cfg(test)]
mod tests {
    use super::{Every, ScheduleConfig, ScheduleKind, ScheduleOptions, Warmup};

    fn options(text: &str) -> ScheduleOptions {
        serde_json::from_str(text).unwrap()
    }

    fn resolved(text: &str) -> ScheduleConfig {
        options(text).resolve(&ScheduleConfig::of(ScheduleKind::Step)).unwrap()
    }

    #[test]
    fn what_is_written_comes_back() {
        for text in [
            r#"{"type":"constant"}"#,
            r#"{"type":"step","gamma":0.1}"#,
            r#"{"type":"multi-step","milestones":[3,7],"warmup":{"epochs":2}}"#,
            r#"{"type":"cosine","minimumLearningRate":1e-5,"warmup":{"epochs":1,"every":"epoch"}}"#,
            r#"{"type":"one-cycle","riseFraction":0.2}"#,
            r#"{"type":"exponential"}"#,
        ] {
            let config = resolved(text);
            let written = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<ScheduleConfig>(&written).unwrap(), config, "{written}");
        }
    }

    #[test]
    fn files_from_before_there_was_a_warmup_are_understood() {
        for (old, now) in [
            (r#"{"type":"step","stepSize":10,"gamma":0.5}"#, ScheduleKind::Step),
            (r#"{"type":"cosine"}"#, ScheduleKind::Cosine),
            (r#"{"type":"one-cycle"}"#, ScheduleKind::OneCycle),
        ] {
            assert_eq!(serde_json::from_str::<ScheduleConfig>(old).unwrap(), ScheduleConfig::of(now));
        }
    }

    #[test]
    fn a_warmup_of_no_epochs_is_none() {
        let base = resolved(r#"{"type":"cosine","warmup":{"epochs":3,"startFactor":0.1}}"#);
        assert_eq!(base.warmup, Some(Warmup { epochs: 3, start_factor: 0.1, every: Every::Step }));
        assert_eq!(options(r#"{"warmup":{"epochs":0}}"#).resolve(&base).unwrap().warmup, None);
        let other = options(r#"{"warmup":{"every":"epoch"}}"#).resolve(&base).unwrap();
        assert_eq!(other.warmup, Some(Warmup { epochs: 3, start_factor: 0.1, every: Every::Epoch }));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |text: &str, words: &str| {
            let error = options(text)
                .resolve(&ScheduleConfig::of(ScheduleKind::Step))
                .and_then(|config| config.check(10, 0.1))
                .unwrap_err();
            assert!(error.message.contains(words), "{text}: {}", error.message);
        };
        refused(r#"{"milestones":[3]}"#, "schedule step has no option milestones; it has stepSize, gamma");
        refused(r#"{"type":"constant","gamma":0.5}"#, "it has none of its own");
        refused(r#"{"type":"multi-step"}"#, "needs milestones");
        refused(r#"{"type":"multi-step","milestones":[3,3]}"#, "that ascend, not [3, 3]");
        refused(r#"{"type":"multi-step","milestones":[0]}"#, "from 1");
        refused(r#"{"type":"exponential","gamma":1.1}"#, "gamma");
        refused(r#"{"stepSize":0}"#, "stepSize");
        refused(r#"{"type":"cosine","minimumLearningRate":0.2}"#, "from 0 to the learning rate 0.1, not 0.2");
        refused(r#"{"type":"one-cycle","riseFraction":-1}"#, "riseFraction");
        refused(r#"{"type":"one-cycle","finalDivFactor":0}"#, "finalDivFactor must be at least 1, not 0");
        refused(r#"{"type":"one-cycle","warmup":{"epochs":1}}"#, "rises by itself");
        refused(r#"{"warmup":{}}"#, "warmup needs epochs");
        refused(r#"{"warmup":{"epochs":10}}"#, "must be below the run's 10 epochs, not 10");
        refused(r#"{"warmup":{"epochs":1,"startFactor":0}}"#, "startFactor");
    }
}
