//! Every call of the driver fails once: that is an error with a code and words, everything is let go, and the process lives.

use crate::networks::{batch, beginning, engine, every_layer};
use crate::setup::{Mock, mock};
use mobilenet_core::config::{Precision, TrainConfig};
use mobilenet_core::engine::backend::{Backend, Update};
use mobilenet_core::{ErrorCode, Result};

const OUT_OF_MEMORY: i32 = 2;
const UNKNOWN: i32 = 999;

/// Everything that a run does with a card, once.
fn everything(mock: &Mock) -> Result<()> {
    let (network, config) = (every_layer(), TrainConfig::default());
    let card = mock.open()?;
    let mut training = engine(&card, &network, &config, beginning(&network, &config))?;
    for step in 0..3 {
        training.step(batch(&network, 2), Update { rate: 0.01, stream: (1, step) })?;
    }
    training.losses(true)?;
    let state = training.state()?;
    let mut inference = card.inference(&network, Precision::Float32)?;
    inference.prepare(&state.parameters, &state.statistics)?;
    inference.logits(&batch(&network, 2).input, 2)?;
    inference.features(&batch(&network, 2).input, 2).map(drop)
}

#[test]
fn whatever_call_fails_it_is_told_and_nothing_leaks() {
    let Some(mock) = mock() else { return };
    everything(&mock).expect("without failures all is well");
    assert_eq!(mock.leaks(), 0);
    let before = mock.books.calls();
    everything(&mock).expect("a second time, too");
    let calls = mock.books.calls() - before;
    println!("{calls} calls");
    for code in [UNKNOWN, OUT_OF_MEMORY] {
        let (mut told, mut survived) = (0, 0);
        for nth in 1..=calls {
            mock.books.fail_at(nth, code);
            let outcome = everything(&mock);
            mock.books.fail_at(0, 0);
            match outcome {
                // What fails while something is recorded or released is none of the caller's.
                Ok(()) => survived += 1,
                Err(error) => {
                    told += 1;
                    let expected = match code {
                        OUT_OF_MEMORY => ErrorCode::OutOfMemory,
                        _ => ErrorCode::DeviceUnavailable,
                    };
                    assert_eq!(error.code, expected, "call {nth}: {error}");
                    assert!(error.message.contains("--device cpu"), "call {nth} says what to do: {error}");
                }
            }
            assert_eq!(mock.leaks(), 0, "call {nth} with {code}: {}", mock.books.report());
            // A kernel or a copy that came upon freed memory would make every later call fail.
            mock.start().unwrap_or_else(|error| panic!("after call {nth} with {code}: {error}"));
        }
        println!("{code}: {told} told, {survived} without harm");
        assert!(told > survived, "{told} told, {survived} without harm");
    }
    everything(&mock).expect("and afterwards all is well again");
}

#[test]
fn too_little_memory_says_how_much_is_needed_and_free() {
    let Some(mock) = mock() else { return };
    let network = every_layer();
    let config = TrainConfig { batch_size: 1 << 20, ..Default::default() };
    let recipe = mobilenet_core::engine::backend::Recipe {
        network: &network,
        config: &config,
        class_weights: None,
        capacity: 1 << 20,
        frozen_steps: 0,
    };
    let card = mock.card();
    let error = card.training(recipe, beginning(&network, &config)).err().expect("the mock has 8 GiB");
    assert_eq!(error.code, ErrorCode::OutOfMemory);
    let words = &error.message;
    assert!(words.contains("MiB more were needed") && words.contains("are free of 8192.0 MiB"), "{words}");
    drop(card);
    assert_eq!(mock.leaks(), 0);
}
