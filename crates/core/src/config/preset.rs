//! Networks with recipes that have a name.

use super::{Layout, ModelOptions, OptimizerConfig, ScheduleConfig, TrainOptions};
use serde::{Deserialize, Serialize};

/// A named pair of network and recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The course's script to the letter.
    Course,
    /// The paper's network for 32x32, with a recipe tuned for accuracy.
    Cifar,
    /// The best accuracy that two CPU cores reach in about ten minutes.
    Quick,
}

impl Preset {
    /// Every preset, the default first.
    pub const ALL: [Self; 3] = [Self::Course, Self::Cifar, Self::Quick];

    /// What options call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Course => "course",
            Self::Cifar => "cifar",
            Self::Quick => "quick",
        }
    }

    /// The preset's network and recipe.
    pub fn options(self) -> (ModelOptions, TrainOptions) {
        // One cycle of Adam up to 0.003. Not tuned yet: of the rates tried only this one was run to its end (81.28 %
        // of the test pictures with `quick`).
        let one_cycle = |epochs| TrainOptions {
            epochs: Some(epochs),
            optimizer: Some(OptimizerConfig::Adam { learning_rate: 0.003 }),
            schedule: Some(ScheduleConfig::OneCycle),
            ..Default::default()
        };
        let cifar = ModelOptions { layout: Some(Layout::Cifar), ..Default::default() };
        match self {
            Self::Course => (ModelOptions::default(), TrainOptions::default()),
            Self::Cifar => (cifar, one_cycle(60)),
            // Half the width trains three times as fast, and 15 epochs then fill the ten minutes.
            Self::Quick => (ModelOptions { width: Some(0.5), ..cifar }, one_cycle(15)),
        }
    }
}
