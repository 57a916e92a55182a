//! The processor as a device.

mod groups;
mod training;

use super::InferencePlan;
use super::backend::{Backend, EngineState, InferenceEngine, Recipe, TrainingEngine};
use crate::config::Precision;
use crate::device::precision;
use crate::error::Result;
use crate::kernels::simd::Isa;
use crate::model::network::Network;
use training::Training;

/// Floats of the pictures in one evaluation batch, about: 64 pictures of 32x32, 8 at least.
const EVALUATION_PIXELS: usize = 64 * 32 * 32;

/// This machine's processor, by the threads of the current pool.
#[derive(Debug, Clone, Copy, Default)]
pub struct Processor;

impl Backend for Processor {
    fn name(&self) -> String {
        "cpu".into()
    }

    fn check_precision(&self, product: Precision) -> Result<()> {
        precision(product).map(drop)
    }

    fn training(&self, recipe: Recipe<'_>, state: EngineState) -> Result<Box<dyn TrainingEngine>> {
        Ok(Box::new(Training::new(recipe, state)?))
    }

    fn inference(&self, network: &Network, product: Precision) -> Result<Box<dyn InferenceEngine>> {
        let capacity = (EVALUATION_PIXELS / (network.resolution * network.resolution)).max(8);
        let plan = InferencePlan::new(network.clone(), capacity, Isa::best());
        Ok(Box::new(plan.in_bfloat16(precision(product)?)))
    }
}

impl InferenceEngine for InferencePlan {
    fn network(&self) -> &Network {
        &self.network
    }

    fn capacity(&self) -> usize {
        self.capacity()
    }

    fn prepare(&mut self, parameters: &[f32], statistics: &[f32]) -> Result<()> {
        self.prepare(parameters, statistics);
        Ok(())
    }

    fn logits(&mut self, input: &[f32], pictures: usize) -> Result<Vec<f32>> {
        self.forward(input, pictures);
        Ok(InferencePlan::logits(self, pictures))
    }

    fn features(&mut self, input: &[f32], pictures: usize) -> Result<Vec<f32>> {
        Ok(self.features(input, pictures))
    }

    fn bytes(&self) -> usize {
        self.bytes()
    }
}
