//! What can be configured, with every default in one place, and the check that a configuration makes sense.

mod augment;
mod average;
mod benchmark;
mod class_weights;
mod evaluation;
mod folder;
mod model;
mod optimizer;
mod preset;
mod schedule;
mod train;

pub use augment::Augmentation;
pub use average::{EmaConfig, EmaOptions};
pub use benchmark::{BenchmarkConfig, BenchmarkOptions, ComparisonOptions, Subject};
pub use class_weights::{ClassWeights, Counted};
pub use evaluation::TestTimeAugmentation;
pub use folder::{FolderConfig, FolderOptions, FolderSplit, TrainedOn};
pub use model::{Activation, Layout, ModelConfig, ModelOptions, Normalization, Variant};
pub(crate) use optimizer::check_learning_rate;
pub use optimizer::{OptimizerConfig, OptimizerKind, OptimizerOptions, Rule};
pub use preset::{Preset, fine_tuning};
pub use schedule::{Curve, Every, ScheduleConfig, ScheduleKind, ScheduleOptions, Warmup, WarmupOptions};
pub use train::{DeviceChoice, Freeze, Precision, TrainConfig, TrainOptions};

use crate::error::{Error, Result};

fn check_threads(threads: Option<usize>) -> Result<()> {
    match threads {
        Some(0 | 1025..) => Err(Error::invalid_option("threads must be from 1 to 1024")),
        _ => Ok(()),
    }
}
