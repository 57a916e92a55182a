//! What can be configured, with every default in one place, and the check that a configuration makes sense.

mod benchmark;
mod model;
mod preset;
mod train;

pub use benchmark::{BenchmarkConfig, BenchmarkOptions, ComparisonOptions, Subject};
pub use model::{Activation, Layout, ModelConfig, ModelOptions, Normalization, Variant};
pub use preset::Preset;
pub use train::{DeviceChoice, OptimizerConfig, Precision, ScheduleConfig, TrainConfig, TrainOptions};

use crate::error::{Error, Result};

fn check_threads(threads: Option<usize>) -> Result<()> {
    match threads {
        Some(0 | 1025..) => Err(Error::invalid_option("threads must be from 1 to 1024")),
        _ => Ok(()),
    }
}
