//! Steps of a network on a card, for whoever times them: `scripts/cuda/bench.py`.
//!
//! `steps train|evaluate NETWORK BATCH float32|tf32|bfloat16`. A network is a layout of V1 (`unpadded`, `cifar`), or a variant
//! with its layout (`v2-cifar`). Each number on a line of the input is answered, once so many steps are done, by a line with
//! the seconds that they took; the word `bits` by a checksum of what was trained. Batches are made from bytes on the card meanwhile, as in a run: cropped, flipped and normalised, to
//! evaluate only normalised.

use flate2::Crc;
use mobilenet_core::config::{Augmentation, ModelOptions, Normalization, Precision, TrainConfig};
use mobilenet_core::data::Pictures;
use mobilenet_core::data::loader::{Feed, Loader};
use mobilenet_core::data::prepare::Preparer;
use mobilenet_core::engine::backend::{Backend, EngineState, Recipe, Update, Wait};
use mobilenet_core::engine::parameters::Parameters;
use mobilenet_core::model::{initial, network};
use mobilenet_core::optim::State;
use mobilenet_core::{Error, Result};
use mobilenet_cuda::backend::Cuda;
use mobilenet_cuda::driver::{Card, Driver};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

/// Pictures of the made-up set; more than any batch, so that the order changes.
const SET: usize = 8192;
/// Steps between two looks at the losses, as a run has them.
const LOG_EVERY: usize = 50;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [work, name, batch, precision] = &arguments[..] else {
        return Err(Error::invalid_option("steps train|evaluate NETWORK BATCH PRECISION"));
    };
    let batch: usize = batch.parse().map_err(|_| Error::invalid_option("BATCH is a number"))?;
    let precision: Precision =
        serde_json::from_value(json!(precision)).map_err(|error| Error::invalid_option(error.to_string()))?;
    let (variant, layout) = name.rsplit_once('-').unwrap_or(("v1", name));
    let options: ModelOptions = serde_json::from_value(json!({ "variant": variant, "layout": layout }))
        .map_err(|error| Error::invalid_option(error.to_string()))?;
    let network = network(&options.resolve()?);
    let cuda = Cuda::open(Driver::get()?, 0)?;
    let card = cuda.context().card().clone();

    let layout = Parameters::new(&network);
    let (parameters, statistics) = layout.gather(&initial::tensors(&network, 1));
    let side = network.resolution;
    let pixels = (0..SET * side * side * 3).map(|at| (at * 7919 % 251) as u8).collect();
    let labels = (0..SET as u32).map(|at| at % network.classes() as u32).collect();
    let pictures = Arc::new(Pictures::of_one_size(pixels, labels, (side, side)));

    if work == "evaluate" {
        let mut engine = cuda.inference(&network, precision)?;
        engine.prepare(&parameters, &statistics)?;
        let batch = batch.min(engine.capacity());
        let indices: Vec<u32> = (0..batch as u32).collect();
        let kept = engine.keep(&pictures, &indices, &Normalization::default())?;
        let kept = kept.ok_or_else(|| Error::internal("the card has no room for the pictures"))?;
        tell(about(&card, batch, engine.bytes()))?;
        return serve(|asked| match asked {
            Asked::Steps(steps) => {
                let mut step = || engine.logits_of_kept(kept, &mut |_| ControlFlow::Continue(()));
                (0..steps).try_for_each(|_| step()).map(|()| 0)
            }
            Asked::Bits => Err(Error::invalid_option("only what is trained has bits")),
        });
    }
    let config = TrainConfig { precision, batch_size: batch, ..TrainConfig::default() };
    let state = EngineState {
        optimizer: State::new(config.optimizer.rule, parameters.len()),
        average: None,
        parameters,
        statistics,
    };
    let recipe =
        Recipe { network: &network, config: &config, class_weights: None, capacity: batch, frozen_steps: 0 };
    let mut engine = cuda.training(recipe, state)?;
    let normalization = Normalization::default();
    let preparer = Preparer::new(&normalization, side, &Augmentation::course());
    let drawn = preparer.can_draw(&pictures) && engine.keep(&pictures, &normalization)?;
    tell(about(&card, batch, engine.bytes()))?;
    let mut epoch = 0;
    let mut loader: Option<Loader> = None;
    let mut done = 0;
    serve(|asked| {
        let Asked::Steps(steps) = asked else {
            let state = engine.state()?;
            let mut sum = Crc::new();
            for value in state.parameters.iter().chain(&state.statistics) {
                sum.update(&value.to_le_bytes());
            }
            return Ok(sum.sum());
        };
        for _ in 0..steps {
            let next = loader.as_mut().and_then(Iterator::next);
            let prepared = match next {
                Some(prepared) => prepared?,
                None => {
                    epoch += 1;
                    let order: Vec<u32> = (0..SET as u32 / batch as u32 * batch as u32).collect();
                    let feed = Feed {
                        pictures: pictures.clone(),
                        order: order.into(),
                        batch_size: batch,
                        augment: Augmentation::course(),
                        seed: 1,
                        epoch,
                        resolution: side,
                        normalization,
                        first_batch: 0,
                        drawn,
                    };
                    let mut started = Loader::start(feed)?;
                    let first =
                        started.next().ok_or_else(|| Error::internal("an epoch without a batch"))??;
                    loader = Some(started);
                    first
                }
            };
            done += 1;
            engine.step(prepared, Update { rate: 1e-4, stream: (1, done as u64) })?;
            if done % LOG_EVERY == 0 {
                engine.losses(Wait::No)?;
            }
        }
        engine.losses(Wait::ForAll).map(|_| 0)
    })
}

/// What a line of the input asks for.
enum Asked {
    Steps(usize),
    Bits,
}

/// What is told first: the card, what it could do in a second at most, and what the plan takes of it.
fn about(card: &Card, batch: usize, bytes: usize) -> Value {
    let tensor = card.tensor_multiply_adds_per_second();
    json!({
        "card": card.name,
        "batch": batch,
        "bytes": bytes,
        "peak": {
            "bytes": card.bytes_per_second,
            "multiply_adds": {
                "float32": card.multiply_adds_per_second(),
                "tf32": tensor.map(|rate| rate / 2.0),
                "bfloat16": tensor,
            },
        },
    })
}

fn tell(value: Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}").and_then(|()| out.flush()).map_err(Error::internal)
}

/// Answers each line of the input: steps by the time that they took, the rest by what `answer` gives.
fn serve(mut answer: impl FnMut(Asked) -> Result<u32>) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(Error::internal)?;
        if line.trim() == "bits" {
            tell(json!({ "bits": answer(Asked::Bits)? }))?;
            continue;
        }
        let steps = line.trim().parse().map_err(|_| Error::invalid_option("a line is a number or bits"))?;
        let start = Instant::now();
        answer(Asked::Steps(steps))?;
        tell(json!({ "seconds": start.elapsed().as_secs_f64() }))?;
    }
    Ok(())
}
