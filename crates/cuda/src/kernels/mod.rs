//! The kernels as functions: each checks that the arrays are as large as the kernel will take them for, and puts it at the
//! stream's end. What they compute and how they are launched is `kernels/README.md`.

pub mod backward;
pub mod batch;
pub mod forward;
mod grid;
#[cfg(test)]
mod held;
pub mod loss;
pub mod optimizer;
mod pooled;
mod reading;
mod sizes;

pub use reading::Norms;
pub use sizes::Workspaces;

use crate::driver::{Arguments, Context, Function, Grid, Module, Priority, Stream, Work};
use mobilenet_core::Result;
use mobilenet_core::config::Precision;
use mobilenet_core::model::network::{Layer, Network, Operation};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The kernels of a card, which all plans on it share.
#[derive(Debug)]
pub struct Library {
    module: Arc<Module>,
    /// Those that were launched before.
    functions: Mutex<HashMap<String, Function>>,
}

impl Library {
    /// Has the driver load them, or compile them where they are not compiled for its card.
    ///
    /// # Errors
    /// `DEVICE_UNAVAILABLE` when driver or card are too old for them.
    pub fn load(context: &Arc<Context>) -> Result<Arc<Self>> {
        Ok(Arc::new(Self { module: crate::images::load(context)?, functions: Mutex::default() }))
    }

    /// A kernel; whenever it is asked for, it has the same `shared_bytes` of dynamic shared memory.
    fn function(&self, name: &str, shared_bytes: u32) -> Result<Function> {
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = functions.get(name) {
            return Ok(function.clone());
        }
        let function = self.module.function(name, shared_bytes as usize)?;
        functions.insert(name.into(), function.clone());
        Ok(function)
    }
}

/// How a map is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    Float32,
    Bfloat16,
}

impl Storage {
    /// Bytes of a value.
    pub fn bytes(self) -> usize {
        match self {
            Self::Float32 => 4,
            Self::Bfloat16 => 2,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Float32 => "f32",
            Self::Bfloat16 => "bf16",
        }
    }
}

/// What a product multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    Float32,
    Tf32,
    Bfloat16,
}

impl Product {
    fn name(self) -> &'static str {
        match self {
            Self::Float32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bfloat16 => "bf16",
        }
    }

    /// How its maps are stored.
    pub fn storage(self) -> Storage {
        match self {
            Self::Float32 | Self::Tf32 => Storage::Float32,
            Self::Bfloat16 => Storage::Bfloat16,
        }
    }
}

/// How each layer's map is stored: those of one pixel that come from a pool are always float32.
pub fn storages(network: &Network, precision: Precision) -> Vec<Storage> {
    let maps = if precision == Precision::Bfloat16 { Storage::Bfloat16 } else { Storage::Float32 };
    let storage = |index| if is_pooled(network, index) { Storage::Float32 } else { maps };
    (0..network.layers.len()).map(storage).collect()
}

/// Whether a layer's map has one pixel because it comes from a pool: its own, or one before it.
pub fn is_pooled(network: &Network, index: usize) -> bool {
    let layer = &network.layers[index];
    layer.operation == Operation::Pool
        || layer.is_product() && layer.input.is_some_and(|input| is_pooled(network, input))
}

/// What a product whose output is stored so multiplies.
pub fn product(precision: Precision, storage: Storage) -> Product {
    match (precision, storage) {
        (Precision::Float32, _) => Product::Float32,
        (Precision::Bfloat16, Storage::Bfloat16) => Product::Bfloat16,
        (Precision::Tf32, _) | (Precision::Bfloat16, Storage::Float32) => Product::Tf32,
    }
}

/// What plans record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// Nothing.
    Never,
    /// What they do more than once; a kernel begins when the one in front of it has ended.
    InTurn,
    /// The same; where the card can, a kernel is there before that.
    Overlapping,
    /// The same; what can't be recorded so is an error, where otherwise it is launched kernel by kernel.
    Strict,
    /// The same, but in the forward pass alone. In the backward pass, kernels that wait on the card keep those of the second stream
    /// from it; which weighs more has to be measured.
    StrictForward,
}

/// The kernels on one stream of a plan.
#[derive(Debug)]
pub struct Kernels {
    library: Arc<Library>,
    stream: Arc<Stream>,
    multiprocessors: usize,
    /// Bytes of shared memory of each of them.
    shared_bytes: usize,
    recording: Recording,
    /// Whether each kernel's time is told.
    timed: bool,
}

/// How often a kernel is launched once more to know its time: the driver takes a few microseconds for a launch, and goes on while the
/// card works.
const TIMED_LAUNCHES: u32 = 20;

impl Kernels {
    /// With a stream of its own; `recording` says what plans may record. Where the environment has
    /// `MOBILENET_NATIVE_CUDA_TIMES`, nothing is recorded, and each kernel is told to the standard error: its name, microseconds,
    /// its [`Work`], blocks and threads, with tabs between. What it computes is then no good.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn new(context: &Arc<Context>, library: Arc<Library>, recording: Recording) -> Result<Self> {
        let timed = std::env::var_os("MOBILENET_NATIVE_CUDA_TIMES").is_some();
        Ok(Self {
            library,
            stream: Stream::new(context, Priority::First)?,
            multiprocessors: context.card().multiprocessors.max(1),
            shared_bytes: context.card().shared_bytes,
            recording: if timed { Recording::Never } else { recording },
            timed,
        })
    }

    /// The same kernels on another stream, which has what the first leaves free of the card.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn beside(&self) -> Result<Self> {
        Ok(Self {
            library: self.library.clone(),
            stream: Stream::new(self.stream.context(), Priority::Last)?,
            ..*self
        })
    }

    /// What plans may record.
    pub fn recording(&self) -> Recording {
        self.recording
    }

    /// How many multiprocessors grids are made for.
    pub fn multiprocessors(&self) -> usize {
        self.multiprocessors
    }

    /// The stream.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// Launches a kernel.
    ///
    /// # Safety
    /// As [`Function::launch`].
    unsafe fn launch(&self, name: &str, grid: Grid, arguments: &Arguments) -> Result<()> {
        let function = self.library.function(name, grid.shared_bytes)?;
        // SAFETY: the caller's promise.
        let launch = || unsafe { function.launch(&self.stream, grid, arguments) };
        launch()?;
        if self.timed {
            self.stream.synchronize()?;
            let start = Instant::now();
            (0..TIMED_LAUNCHES).try_for_each(|_| launch())?;
            self.stream.synchronize()?;
            let microseconds = (start.elapsed() / TIMED_LAUNCHES).as_secs_f64() * 1e6;
            let Work { bytes, multiply_adds } = arguments.work();
            eprintln!(
                "{name}\t{microseconds:.1}\t{bytes}\t{multiply_adds}\t{:?}\t{:?}",
                grid.blocks, grid.threads
            );
        }
        Ok(())
    }
}

/// Values of a layer's input for one picture, padding included.
fn input_values(layer: &Layer) -> usize {
    layer.input_side * layer.input_side * mobilenet_core::kernels::padded(layer.inputs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mobilenet_core::config::{ModelOptions, Variant};
    use mobilenet_core::model;

    #[test]
    fn what_comes_from_a_pool_is_float32() {
        let options = ModelOptions { variant: Some(Variant::V3Small), ..Default::default() };
        let network = model::network(&options.resolve().unwrap());
        let storages = storages(&network, Precision::Bfloat16);
        for (layer, storage) in network.layers.iter().zip(&storages) {
            let small = layer.input_side == 1 || layer.operation == Operation::Pool;
            let behind = layer.name.contains("fc1") || layer.name.contains("fc2");
            assert_eq!(*storage == Storage::Float32, small || behind, "{}", layer.name);
        }
        assert!(super::storages(&network, Precision::Tf32).iter().all(|it| *it == Storage::Float32));
    }
}
