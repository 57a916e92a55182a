//! How fast one thread prepares batches, for each kind of augmentation: it must be faster than training takes them.
//!
//! `cargo run --release -p mobilenet-core --example loader`

use mobilenet_core::config::{Augmentation, Normalization};
use mobilenet_core::data::Pictures;
use mobilenet_core::data::loader::{Feed, Loader};
use mobilenet_core::error::Result;
use mobilenet_core::rng::{Purpose, stream};
use rand_chacha::rand_core::Rng;
use std::sync::Arc;
use std::time::Instant;

const COUNT: u32 = 12_800;
const BATCH: usize = 64;

fn main() -> Result<()> {
    let mut pixels = vec![0; COUNT as usize * 3072];
    stream(1, Purpose::Benchmark, 0, 0).fill_bytes(&mut pixels);
    let labels = (0..COUNT).map(|picture| picture % 10).collect();
    let pictures = Arc::new(Pictures::of_one_size(pixels, labels, (32, 32)));
    let [_, crop, flip, rand, trivial, _, cutout, mixup, cutmix] = Augmentation::ALL;
    println!("{:<36} {:>20} {:>12}", "steps", "microseconds/picture", "pictures/s");
    for steps in [
        &[][..],
        &[crop, flip],
        &[crop, flip, cutout],
        &[crop, flip, trivial],
        &[crop, flip, rand],
        &[crop, flip, mixup],
        &[crop, flip, cutmix],
        &[crop, flip, rand, cutout, mixup, cutmix],
    ] {
        let seconds = (0..3).map(|_| seconds(&pictures, steps)).collect::<Result<Vec<f64>>>()?;
        let best = seconds.into_iter().fold(f64::INFINITY, f64::min) / f64::from(COUNT);
        let names: Vec<&str> = steps.iter().map(Augmentation::name).collect();
        let names = if names.is_empty() { "none".into() } else { names.join(",") };
        println!("{names:<36} {:>20.1} {:>12.0}", best * 1e6, 1.0 / best);
    }
    Ok(())
}

/// For all pictures once.
fn seconds(pictures: &Arc<Pictures>, steps: &[Augmentation]) -> Result<f64> {
    let started = Instant::now();
    let loader = Loader::start(Feed {
        pictures: pictures.clone(),
        order: (0..COUNT).collect(),
        batch_size: BATCH,
        augment: steps.to_vec(),
        seed: 1,
        epoch: 0,
        resolution: 32,
        normalization: Normalization::default(),
        first_batch: 0,
        drawn: false,
    })?;
    for batch in loader {
        std::hint::black_box(batch?);
    }
    Ok(started.elapsed().as_secs_f64())
}
