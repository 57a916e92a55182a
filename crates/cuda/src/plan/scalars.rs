//! What changes from step to step, and what the optimizer's kernels are told once: computed as core's optimizers do it.

use super::kept::Mixing;
use crate::kernels::loss::STEP_BYTES;
use crate::kernels::optimizer::Constants;
use mobilenet_core::config::{OptimizerConfig, Rule};

/// `StepScalars`: see `kernels/README.md`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepScalars {
    /// Of the first picture of a mixture.
    pub share: f64,
    /// What the sum of the losses is divided by.
    pub divisor: f64,
    /// Of the backbone and of the head.
    pub rates: [Rate; 2],
    /// How much of the average of weights stays.
    pub average_decay: f64,
    /// How pictures that the card keeps are mixed.
    pub mixing: Mixing,
}

/// How a group of parameters moves in this step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    rate: f32,
    root2: f32,
    keep: f32,
}

impl Rate {
    /// At a learning rate, in step number `step` of this group, from 1.
    pub fn of(optimizer: &OptimizerConfig, learning_rate: f64, step: u64) -> Self {
        let plain = Self { rate: learning_rate as f32, root2: 1.0, keep: 1.0 };
        match optimizer.rule {
            Rule::Adam { beta1, beta2, .. } | Rule::AdamW { beta1, beta2, .. } => {
                let correction = |beta: f64| 1.0 - beta.powf(step as f64);
                let shrinks = matches!(optimizer.rule, Rule::AdamW { .. });
                Self {
                    rate: (learning_rate / correction(beta1)) as f32,
                    root2: correction(beta2).sqrt() as f32,
                    keep: if shrinks { (1.0 - learning_rate * optimizer.weight_decay) as f32 } else { 1.0 },
                }
            }
            _ => plain,
        }
    }
}

impl StepScalars {
    /// As it lies on the card.
    pub fn bytes(&self) -> [u8; STEP_BYTES] {
        let [backbone, head] = self.rates;
        let weight = 1.0 - self.average_decay;
        let mut bytes = [0; STEP_BYTES];
        let mut rest = &mut bytes[..];
        put(&mut rest, self.share.to_ne_bytes());
        put(&mut rest, self.divisor.to_ne_bytes());
        for value in [backbone.rate, head.rate, backbone.root2, head.root2, backbone.keep, head.keep] {
            put(&mut rest, value.to_ne_bytes());
        }
        put(&mut rest, (weight as f32).to_ne_bytes());
        put(&mut rest, ((1.0 - weight) as f32).to_ne_bytes());
        put(&mut rest, i32::from(weight < 0.5).to_ne_bytes());
        let Mixing { kind, weights, sides } = self.mixing;
        put(&mut rest, kind.to_ne_bytes());
        weights.into_iter().for_each(|weight| put(&mut rest, weight.to_ne_bytes()));
        sides.into_iter().for_each(|side| put(&mut rest, side.to_ne_bytes()));
        bytes
    }
}

/// Writes a value's bytes at the beginning of `to`, which then begins behind them.
fn put<const N: usize>(to: &mut &mut [u8], value: [u8; N]) {
    let (here, behind) = std::mem::take(to).split_at_mut(N);
    here.copy_from_slice(&value);
    *to = behind;
}

/// What the optimizer's kernels are told once. Of the parameters of a launch those from `split` on are the head's.
pub fn constants(optimizer: &OptimizerConfig, split: usize) -> Constants {
    let kept = |share: f64| (share as f32, (1.0 - share) as f32);
    let ((keep1, new1), (keep2, new2), eps, nesterov) = match optimizer.rule {
        Rule::Adam { beta1, beta2, eps } | Rule::AdamW { beta1, beta2, eps } => {
            (kept(beta1), kept(beta2), eps, false)
        }
        Rule::Sgd { momentum, nesterov } => (kept(momentum), (0.0, 0.0), 0.0, nesterov),
        Rule::RmsProp { alpha, momentum, eps } | Rule::RmsPropTf { alpha, momentum, eps } => {
            (kept(momentum), kept(alpha), eps, false)
        }
    };
    let pulls = !matches!(optimizer.rule, Rule::AdamW { .. });
    Constants {
        decay: if pulls { optimizer.weight_decay as f32 } else { 0.0 },
        largest: optimizer.clip_value.map_or(f32::INFINITY, |most| most as f32),
        keep1,
        new1,
        keep2,
        new2,
        eps: eps as f32,
        nesterov: i32::from(nesterov),
        split: split as i32,
        unused: [0; 3],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mobilenet_core::config::OptimizerKind;

    #[test]
    fn numbers_lie_where_the_kernels_read_them() {
        let optimizer = OptimizerConfig { weight_decay: 0.5, ..OptimizerConfig::of(OptimizerKind::AdamW) };
        let rates = [Rate::of(&optimizer, 0.25, 1), Rate::of(&optimizer, 0.5, 2)];
        let mixing = Mixing { kind: 2, weights: [0.25, 0.75], sides: [1, 2, 3, 4] };
        let bytes = StepScalars { share: 0.75, divisor: 3.0, rates, average_decay: 0.875, mixing }.bytes();
        let double = |at: usize| f64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        let float = |at: usize| f32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!([double(0), double(8)], [0.75, 3.0]);
        let expected = [0.25 / (1.0 - 0.9), 0.5 / (1.0 - 0.81)].map(|rate: f64| rate as f32);
        assert_eq!([float(16), float(20)], expected);
        assert_eq!([float(32), float(36)], [0.875, 0.75]);
        assert_eq!([float(40), float(44)], [0.125, 0.875]);
        assert_eq!(i32::from_ne_bytes(bytes[48..52].try_into().unwrap()), 1);
        let int = |at: usize| i32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((int(52), [float(56), float(60)]), (2, [0.25, 0.75]));
        assert_eq!([int(64), int(68), int(72), int(76)], [1, 2, 3, 4]);
    }

    #[test]
    fn constants_are_the_rules() {
        let sgd = OptimizerConfig {
            rule: Rule::Sgd { momentum: 0.75, nesterov: true },
            weight_decay: 0.5,
            clip_value: Some(2.0),
            ..OptimizerConfig::of(OptimizerKind::Sgd)
        };
        let Constants { decay, largest, keep1, nesterov, split, .. } = constants(&sgd, 32);
        assert_eq!((decay, largest, keep1, nesterov, split), (0.5, 2.0, 0.75, 1, 32));
        let adamw = OptimizerConfig::of(OptimizerKind::AdamW);
        assert_eq!(constants(&adamw, 0).decay, 0.0, "it shrinks the weight itself");
        assert_eq!(constants(&adamw, 0).largest, f32::INFINITY);
    }
}
