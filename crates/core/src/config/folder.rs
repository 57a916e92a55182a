//! How a folder of pictures becomes a data set.

use super::check_threads;
use super::model::MAX_RESIZE;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// As asked for: what is absent takes its default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FolderOptions {
    /// Height and width that the network takes, in pixels; default 224.
    pub resolution: Option<usize>,
    /// What the shorter side of a picture is resized to, in pixels, before the network's square is cut out; default the
    /// resolution.
    pub resize: Option<usize>,
    /// Share of every class's pictures that is for testing, where the folder has no parts; default 0.1.
    pub test_fraction: Option<f64>,
    /// Decides which pictures these are, and the split of a run; default 1.
    pub seed: Option<u64>,
    /// Where decoded pictures are kept; default the system's folder for temporary files.
    pub cache: Option<PathBuf>,
    /// Threads that decode; default one a core.
    pub threads: Option<usize>,
}

/// Complete.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // Each field is described at `FolderOptions`.
pub struct FolderConfig {
    pub resolution: usize,
    pub resize: usize,
    pub test_fraction: f64,
    pub seed: u64,
    pub cache: PathBuf,
    pub threads: Option<usize>,
}

/// How a folder's pictures were made ready and divided: with this the same folder gives the same pictures again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FolderSplit {
    /// What the shorter side of a picture was resized to, in pixels.
    pub resize: usize,
    /// Share of every class's pictures that was for testing; `None` where the folder has parts.
    pub test_fraction: Option<f64>,
    /// Decided which pictures these were, and which are for validation.
    pub seed: u64,
}

/// How the pictures were divided that a network was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrainedOn {
    /// The share of the training pictures that was kept for validation.
    pub validation_fraction: f64,
    /// How they were taken from a folder; `None` for CIFAR-10.
    pub folder: Option<FolderSplit>,
}

impl FolderOptions {
    /// Fills in the defaults and checks the result.
    pub fn resolve(&self) -> Result<FolderConfig> {
        let resolution = self.resolution.unwrap_or(224);
        let config = FolderConfig {
            resolution,
            resize: self.resize.unwrap_or(resolution),
            test_fraction: self.test_fraction.unwrap_or(0.1),
            seed: self.seed.unwrap_or(1),
            cache: self.cache.clone().unwrap_or_else(|| std::env::temp_dir().join("mobilenet-native")),
            threads: self.threads,
        };
        check_threads(config.threads)?;
        if !(1..=1024).contains(&config.resolution) {
            return Err(Error::invalid_option(format!(
                "resolution must be from 1 to 1024, not {}",
                config.resolution
            )));
        }
        if !(resolution..=MAX_RESIZE).contains(&config.resize) {
            return Err(Error::invalid_option(format!(
                "resize must be from {resolution}, the resolution, to {MAX_RESIZE}, not {}",
                config.resize
            )));
        }
        if !(0.0..1.0).contains(&config.test_fraction) {
            return Err(Error::invalid_option(format!(
                "testFraction must be at least 0 and below 1, not {}",
                config.test_fraction
            )));
        }
        Ok(config)
    }
}
