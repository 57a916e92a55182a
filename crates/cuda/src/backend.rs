//! A card as core's device.

use crate::driver::{Context, Driver};
use crate::kernels::{Kernels, Library, Recording};
use crate::plan::{Inference, Training};
use mobilenet_core::config::Precision;
use mobilenet_core::engine::backend::{Backend, EngineState, InferenceEngine, Peak, Recipe, TrainingEngine};
use mobilenet_core::model::network::Network;
use mobilenet_core::{Error, ErrorCode, Result};
use std::sync::Arc;

/// Pixels of the pictures in one evaluation batch, about: 512 pictures of 32x32, and of larger ones 8 at least.
const EVALUATION_PIXELS: usize = 512 * 32 * 32;
/// The oldest cards that the kernels' PTX is for: Ampere, the first with bfloat16 and TF32.
const LEAST_CAPABILITY: (i32, i32) = (8, 0);

/// Set to `0`, every kernel is launched by itself instead of a recorded step, so that an error names its kernel; to `in-turn`, a
/// step is recorded in which kernels don't overlap; to `strict`, a step that can't be recorded is an error; to `strict-forward` too, and
/// kernels overlap in the forward pass alone.
const GRAPHS: &str = "MOBILENET_NATIVE_CUDA_GRAPHS";

/// A card with its kernels, ready to train and run networks.
#[derive(Debug, Clone)]
pub struct Cuda {
    context: Arc<Context>,
    library: Arc<Library>,
    recording: Recording,
}

impl Cuda {
    /// Takes card number `index` in use, and has the driver compile the kernels for it.
    ///
    /// # Errors
    /// `DEVICE_UNAVAILABLE` when there is no such card, or it is too old, or it fails.
    pub fn open(driver: Arc<Driver>, index: usize) -> Result<Self> {
        let card = driver.card(index)?;
        if card.compute_capability < LEAST_CAPABILITY {
            let ((major, minor), (least, _)) = (card.compute_capability, LEAST_CAPABILITY);
            return Err(Error::new(
                ErrorCode::DeviceUnavailable,
                format!(
                    "{} can't be used: {} has compute capability {major}.{minor}, and {least}.0 or newer is needed (Ampere, from \
                     2020 on); use --device cpu",
                    card.device_name(),
                    card.name
                ),
            ));
        }
        let context = Context::new(driver, card)?;
        let library = Library::load(&context)?;
        let recording = match std::env::var(GRAPHS).as_deref() {
            Ok("0") => Recording::Never,
            Ok("in-turn") => Recording::InTurn,
            Ok("strict") => Recording::Strict,
            Ok("strict-forward") => Recording::StrictForward,
            _ => Recording::Overlapping,
        };
        Ok(Self { context, library, recording })
    }

    /// The same, launching every kernel by itself.
    pub fn without_graphs(self) -> Self {
        Self { recording: Recording::Never, ..self }
    }

    /// The card's context.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    fn kernels(&self) -> Result<Kernels> {
        Kernels::new(&self.context, self.library.clone(), self.recording)
    }
}

impl Backend for Cuda {
    fn name(&self) -> String {
        self.context.card().device_name()
    }

    fn peak(&self) -> Option<Peak> {
        let card = self.context.card();
        Some(Peak {
            multiply_adds_per_second: card.multiply_adds_per_second(),
            bytes_per_second: card.bytes_per_second,
        })
    }

    fn training(&self, recipe: Recipe<'_>, state: EngineState) -> Result<Box<dyn TrainingEngine>> {
        Ok(Box::new(Training::new(self.kernels()?, recipe, state)?))
    }

    fn inference(&self, network: &Network, precision: Precision) -> Result<Box<dyn InferenceEngine>> {
        let capacity = (EVALUATION_PIXELS / (network.resolution * network.resolution)).clamp(8, 512);
        Ok(Box::new(Inference::new(self.kernels()?, network, precision, capacity)?))
    }
}
