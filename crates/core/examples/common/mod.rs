//! What the timed programs share: what to run, and made-up weights and pictures.

use mobilenet_core::config::{ModelConfig, ModelOptions};
use mobilenet_core::model::network::Network;
use mobilenet_core::model::tensors::{NamedTensor, specs};
use serde_json::json;
use std::time::Instant;

/// What to run, from the command line: `train|evaluate NETWORK [batch] [threads] [steps] [float32|bfloat16]`. A network is
/// a layout of V1 (`unpadded`, `cifar`, `imagenet`), or a variant with its layout (`v2-cifar`, `v3-small-imagenet`).
pub struct Case {
    pub work: String,
    pub network: String,
    pub batch: usize,
    pub threads: usize,
    pub steps: usize,
    pub precision: String,
}

impl Case {
    pub fn from_arguments() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let text =
            |index: usize, default: &str| arguments.get(index).map_or(default, |text| text).to_string();
        let number = |index: usize, default: &str| text(index, default).parse().expect("a number");
        Self {
            work: text(0, "train"),
            network: text(1, "unpadded"),
            batch: number(2, "64"),
            threads: number(3, "2"),
            steps: number(4, "5"),
            precision: text(5, "float32"),
        }
    }

    pub fn config(&self) -> ModelConfig {
        let (variant, layout) = self.network.rsplit_once('-').unwrap_or(("v1", &self.network));
        let options = json!({ "variant": variant, "layout": layout });
        serde_json::from_value::<ModelOptions>(options).expect("a network").resolve().unwrap()
    }

    pub fn labels(&self) -> Vec<u32> {
        (0..self.batch as u32).map(|index| index % 10).collect()
    }

    /// Threads are rayon's default pool's, which is what candle's own operations use, too.
    pub fn set_threads(&self) {
        rayon::ThreadPoolBuilder::new().num_threads(self.threads).build_global().unwrap();
    }

    /// Times `steps` calls of `step`, after `warm_up` that don't count.
    pub fn time(&self, warm_up: usize, mut step: impl FnMut()) -> Vec<f64> {
        (0..warm_up).for_each(|_| step());
        let mut one = || {
            let start = Instant::now();
            step();
            start.elapsed().as_secs_f64()
        };
        (0..self.steps).map(|_| one()).collect()
    }
}

/// Numbers in [-1, 1): any will do.
pub fn numbers() -> impl FnMut() -> f32 {
    let mut state = 1u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    }
}

/// He-sized weights, ones and zeros for batch norm, so that no map dies out or grows.
pub fn tensors(network: &Network, mut number: impl FnMut() -> f32) -> Vec<NamedTensor> {
    let tensor = |spec: mobilenet_core::model::tensors::TensorSpec| {
        let fan_in: usize = spec.shape[1..].iter().product();
        let values = match spec.shape.len() {
            1 if spec.name.ends_with("bias") || spec.name.ends_with("mean") => vec![0.0; spec.count()],
            1 => vec![1.0; spec.count()],
            _ => (0..spec.count()).map(|_| number() * (6.0 / fan_in as f32).sqrt()).collect(),
        };
        NamedTensor { name: spec.name, shape: spec.shape, values }
    };
    specs(network).into_iter().map(tensor).collect()
}
