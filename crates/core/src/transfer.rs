//! A network that begins with what another has learnt.

use crate::checkpoint::{self, Checkpoint};
use crate::config::{ModelConfig, ModelOptions};
use crate::error::Result;
use crate::mobilenet::{MobileNet, class_names};
use crate::model::{self, initial};
use std::path::Path;

/// Tensors of a classifier: its weight and its bias.
const HEAD_TENSORS: usize = 2;

impl MobileNet {
    /// A network with the weights of a file, this library's or another program's, and a new classifier, drawn from `seed`.
    /// `options` may ask for other classes, another resolution and another dropout than the file's; what else they say must
    /// be right, see [`checkpoint::import`].
    ///
    /// # Errors
    /// Those of [`checkpoint::import`]; `INVALID_OPTION`.
    pub fn create_from(path: &Path, options: &ModelOptions, seed: u64) -> Result<Self> {
        let known = ModelOptions { classes: None, ..options.clone() };
        let source = checkpoint::import(path, &known, None)?;
        let classes = options.classes.unwrap_or(source.config.classes);
        let config = ModelConfig { classes, ..source.config.clone() };
        config.check()?;
        let mut tensors = source.tensors;
        tensors.truncate(tensors.len() - HEAD_TENSORS);
        let mut new = initial::tensors(&model::network(&config), seed);
        tensors.extend(new.drain(tensors.len()..));
        let checkpoint = Checkpoint {
            classes: class_names(&config),
            config,
            tensors,
            trained_on: None,
            training: None,
            ..source
        };
        Ok(Self::from_checkpoint(checkpoint, None))
    }
}
