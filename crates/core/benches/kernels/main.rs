//! How fast each kernel is at the shapes of real layers, beside what this machine can do at most: a copy of a large
//! buffer, and a large product. All on one thread: passes are measured over one part of a batch of 64, 8 pictures, which
//! is what a thread works on at a time.
//!
//! `cargo bench -p mobilenet-core --bench kernels [-- FILTER]`

mod passes;
mod peaks;
mod record;
mod rows;

use mobilenet_core::config::{Layout, ModelOptions};
use mobilenet_core::kernels::batch_norm::Curve;
use mobilenet_core::kernels::buffer::Buffer;
use mobilenet_core::kernels::segments::SEGMENTS;
use mobilenet_core::kernels::simd::Isa;
use mobilenet_core::model::network::{Layer, Operation};
use mobilenet_core::model::v1;
use record::Record;

const BATCH: usize = 64;
const PICTURES: usize = BATCH / SEGMENTS;
const RELU: Curve = Curve::Cut { low: 0.0, high: f32::INFINITY };

/// Layers to measure: large maps with few channels, small ones with many, and what lies between; both strides.
const LAYERS: [(&str, Layout, &[&str]); 2] = [
    ("cifar", Layout::Cifar, &["conv_stem", "blocks.0.0", "blocks.1.0", "blocks.3.1", "blocks.4.1"]),
    ("unpadded", Layout::Unpadded, &["conv_stem", "blocks.1.1", "blocks.3.1", "blocks.4.1"]),
];

fn main() {
    // candle's product, Adam, pooling and the inference of a block take as many threads as there are.
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().unwrap();
    let (mut record, isa) = (Record::new(), Isa::best());
    peaks::peaks(&mut record, isa);
    for (layout, kind, names) in LAYERS {
        let config = ModelOptions { layout: Some(kind), ..Default::default() }.resolve().unwrap();
        let network = v1::network(&config);
        let chosen = |layer: &&Layer| names.iter().any(|name| layer.name.starts_with(name));
        for layer in network.layers.iter().filter(chosen) {
            match layer.operation {
                Operation::Stem => passes::stem(&mut record, isa, layout, layer),
                Operation::Depthwise => passes::depthwise(&mut record, isa, layout, layer),
                Operation::Pointwise => passes::product(&mut record, isa, layout, layer),
                Operation::Linear | Operation::Pool | Operation::Add { .. } => {}
            }
        }
        for pair in network.layers[1..].chunks_exact(2) {
            if let [depthwise, pointwise] = pair
                && chosen(&depthwise)
            {
                passes::separable(&mut record, isa, layout, depthwise, pointwise);
            }
        }
        passes::pooling(&mut record, isa, layout, &network);
    }
    rows::batch_norm(&mut record, isa);
    rows::loss_and_adam(&mut record);
    println!("\nInstruction set: {}.", isa.name());
    record.print();
}

/// Made-up numbers in [-1, 1), in memory such as a plan's.
fn numbers(count: usize) -> Buffer {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    let mut numbers = Buffer::zeros(count);
    numbers.fill_with(&mut next);
    numbers
}

fn zeros(count: usize) -> Buffer {
    Buffer::zeros(count)
}
