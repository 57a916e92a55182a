//! The pictures of a run: those that it trains on, validates with and tests with.

use super::event::PictureCounts;
use crate::config::TrainConfig;
use crate::data::{Dataset, Pictures};
use crate::engine::backend::KeptPictures;
use crate::error::{Error, Result};
use std::sync::Arc;

/// The pictures that a run trains on, validates with or tests with.
pub(super) struct Part {
    pub pictures: Arc<Pictures>,
    /// Which of them.
    pub indices: Vec<u32>,
    /// Those, where the engine that evaluates keeps them.
    pub kept: Option<KeptPictures>,
}

impl Part {
    /// Their right classes.
    pub fn labels(&self) -> Vec<u32> {
        self.indices.iter().map(|index| self.pictures.labels[*index as usize]).collect()
    }
}

/// All three.
pub(super) struct Parts {
    pub train: Part,
    pub validation: Part,
    pub test: Part,
}

impl Parts {
    /// Those of a data set, as the recipe divides and limits them.
    pub fn of(data: &Dataset, recipe: &TrainConfig) -> Result<Self> {
        let limit = recipe.limit.unwrap_or(usize::MAX);
        let mut split = data.split(recipe.validation_fraction);
        let validation = data.validation.as_ref().unwrap_or(&data.train);
        if data.validation.is_some() {
            split.validation = (0..validation.len() as u32).collect();
        }
        if !recipe.shuffle {
            // Without shuffling the pictures come as they lie in the data set.
            split.train.sort_unstable();
        }
        let part = |pictures: &Arc<Pictures>, mut indices: Vec<u32>| {
            indices.truncate(limit);
            Part { pictures: pictures.clone(), indices, kept: None }
        };
        let parts = Self {
            train: part(&data.train, split.train),
            validation: part(validation, split.validation),
            test: part(&data.test, (0..data.test.len() as u32).collect()),
        };
        if parts.train.indices.len() < 2 {
            return Err(Error::invalid_option(format!(
                "there must be at least 2 pictures to train on, not {}; lower validationFraction or raise limit",
                parts.train.indices.len()
            )));
        }
        Ok(parts)
    }

    pub fn counts(&self, data: &Dataset) -> PictureCounts {
        PictureCounts {
            total: data.train.len() + data.validation.as_ref().map_or(0, |pictures| pictures.len()),
            train: self.train.indices.len(),
            validation: self.validation.indices.len(),
            test: self.test.indices.len(),
        }
    }
}
