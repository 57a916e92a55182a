//! A network with its weights.

use crate::config::{ModelConfig, ModelOptions, Normalization};
use crate::data::{Pictures, Rgb};
use crate::error::{Error, Result};
use crate::train::event::Metrics;
use serde::Serialize;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A named float32 tensor in PyTorch's shape and order.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct NamedTensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// One row of `summary`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct LayerSummary {
    pub name: String,
    pub kind: String,
    /// Channels, height, width.
    pub output: [usize; 3],
    pub parameters: usize,
    pub multiply_adds: usize,
}

/// What [`Model::backward`] gives.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Backward {
    pub loss: f64,
    /// `[N, classes]`, in training mode (batch statistics).
    pub logits: Vec<f32>,
    pub gradients: Vec<NamedTensor>,
}

/// A network with its weights. Clones share them.
#[derive(Debug, Clone)]
pub struct Model {}

#[allow(missing_docs, unused_variables)]
impl Model {
    /// A new network, initialised as PyTorch does it, from `seed`.
    pub fn create(options: &ModelOptions, seed: u64) -> Result<Self> {
        Err(Error::internal("not built yet"))
    }
    /// From a checkpoint.
    pub fn load(path: &Path) -> Result<Self> {
        Err(Error::internal("not built yet"))
    }
    /// From a `.pth` or `.safetensors` state dict with the course's, timm's or our own names.
    pub fn import(path: &Path, options: &ModelOptions) -> Result<Self> {
        Err(Error::internal("not built yet"))
    }
    pub fn save(&self, path: &Path) -> Result<()> {
        Err(Error::internal("not built yet"))
    }
    pub fn config(&self) -> ModelConfig {
        todo!()
    }
    pub fn class_names(&self) -> Vec<String> {
        todo!()
    }
    pub fn normalization(&self) -> Normalization {
        todo!()
    }
    /// Trainable parameters (running statistics not counted).
    pub fn parameters(&self) -> usize {
        todo!()
    }
    pub fn layers(&self) -> Vec<LayerSummary> {
        todo!()
    }
    /// Every tensor of the state dict, in PyTorch's order (`num_batches_tracked` left out).
    pub fn tensors(&self) -> Vec<NamedTensor> {
        todo!()
    }
    /// True when the checkpoint that this model came from holds an unfinished run's training state.
    pub fn can_resume(&self) -> bool {
        todo!()
    }
    /// Logits `[count, classes]` in evaluation mode of normalised float pictures `[count, 3, resolution, resolution]`.
    pub fn forward(&self, input: &[f32], count: usize) -> Result<Vec<f32>> {
        Err(Error::internal("not built yet"))
    }
    /// One training step without the update, of pictures like [`Model::forward`]'s.
    pub fn backward(&self, input: &[f32], labels: &[u32]) -> Result<Backward> {
        Err(Error::internal("not built yet"))
    }
    /// Logits `[pictures, classes]` of pictures of any size (each is fitted to the network's resolution).
    pub fn predict(&self, pictures: &[Rgb]) -> Result<Vec<f32>> {
        Err(Error::internal("not built yet"))
    }
    /// Loss and accuracy over the pictures with these indices; ends early with an error when `cancelled` is set.
    pub fn evaluate(&self, pictures: &Pictures, indices: &[u32], cancelled: &AtomicBool) -> Result<Metrics> {
        Err(Error::internal("not built yet"))
    }
}
