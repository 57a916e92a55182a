//! Calls of the driver fail, one at a time: that is an error with a code and words, everything is let go, and the process lives.

use crate::mock::Books;
use crate::networks::{batch, beginning, engine, every_layer};
use crate::setup::{Mock, excused, mock};
use mobilenet_core::config::{Normalization, Precision, TrainConfig};
use mobilenet_core::data::Pictures;
use mobilenet_core::engine::backend::{Backend, EngineState, Update, Wait};
use mobilenet_core::{ErrorCode, Result};
use mobilenet_cuda::backend::Cuda;
use std::ops::ControlFlow;

const OUT_OF_MEMORY: i32 = 2;
const UNKNOWN: i32 = 999;

/// What training does with a card, once, and its state.
fn run(card: &Cuda) -> Result<EngineState> {
    let (network, config) = (every_layer(), TrainConfig::default());
    let mut training = engine(card, &network, &config, beginning(&network, &config))?;
    // The first step as it is, the second recorded.
    for step in 0..2 {
        training.step(batch(&network, 2), Update { rate: 0.01, stream: (1, step) })?;
    }
    training.losses(Wait::ForAll)?;
    training.state()
}

/// What a prediction does with a card, and what it says.
fn ask(card: &Cuda, state: &EngineState) -> Result<Vec<f32>> {
    let network = every_layer();
    let mut inference = card.inference(&network, Precision::Float32)?;
    inference.prepare(&state.parameters, &state.statistics)?;
    let mut values = inference.logits(&batch(&network, 2).input, 2)?;
    values.extend(inference.features(&batch(&network, 2).input, 2)?);
    let pictures = Pictures::of_one_size(vec![7; 3 * 8 * 8 * 3], vec![0; 3], (8, 8));
    // (Where there is no room for them, they are not kept.)
    if let Some(kept) = inference.keep(&pictures, &[0, 2], &Normalization::default())? {
        inference.logits_of_kept(kept, &mut |logits| {
            values.extend(logits);
            ControlFlow::Continue(())
        })?;
    }
    Ok(values)
}

/// Makes the calls of `work` that `chosen` takes fail in turn, by their number, from 1.
fn fail_each<T: PartialEq>(
    mock: &Mock,
    books: &Books,
    code: i32,
    chosen: impl Fn(u64) -> bool,
    work: impl Fn() -> Result<T>,
) {
    let whole = work().expect("without failures all is well");
    let before = books.calls();
    work().expect("a second time, too");
    let calls = books.calls() - before;
    let expected = if code == OUT_OF_MEMORY { ErrorCode::OutOfMemory } else { ErrorCode::DeviceUnavailable };
    let (mut told, mut survived, mut held) = (0, 0, books.leaks());
    for nth in (1..=calls).filter(|nth| chosen(*nth)) {
        let before = excused(books);
        books.fail_at(nth, code);
        let outcome = work();
        books.fail_at(0, 0);
        let words = format!("{:?}", outcome.as_ref().err());
        match outcome {
            // What fails while something is recorded or released is none of the caller's.
            Ok(outcome) => {
                survived += 1;
                assert!(outcome == whole, "call {nth} with {code} changes what comes out");
            }
            Err(error) => {
                told += 1;
                assert_eq!(error.code, expected, "call {nth}: {error}");
                assert!(error.message.contains("--device cpu"), "call {nth} says what to do: {error}");
            }
        }
        // Only what could not be released is held beyond what was.
        let (now, most) = (books.leaks(), held + excused(books) - before);
        assert!((held..=most).contains(&now), "call {nth} with {code}, {words}: {}", books.report());
        held = now;
        // A kernel or a copy that came upon freed memory would make every later call fail.
        mock.start()
            .unwrap_or_else(|error| panic!("after call {nth} with {code}, which gave {words}: {error}"));
    }
    println!("{code}: of {calls} calls {told} told, {survived} without harm");
    assert!(told > survived, "{told} told, {survived} without harm");
    work().expect("and afterwards all is well again");
}

#[test]
fn whatever_call_of_a_run_fails_it_is_told_and_nothing_leaks() {
    let Some(mock) = mock() else { return };
    let Some(books) = mock.books() else { return };
    let card = mock.card();
    // Every other call is `cuCtxSetCurrent`, and that its failure is told is one line of code: some of them will do.
    fail_each(&mock, books, UNKNOWN, |nth| nth % 2 == 0 || nth % 31 == 0, || run(&card));
    // Only the code differs.
    fail_each(&mock, books, OUT_OF_MEMORY, |nth| nth % 26 == 0, || run(&card));
    let state = beginning(&every_layer(), &TrainConfig::default());
    fail_each(&mock, books, UNKNOWN, |nth| nth % 2 == 0 || nth % 31 == 0, || ask(&card, &state));
    drop(card);
    assert_eq!(mock.leaks(), 0);
}

#[test]
fn whatever_call_fails_while_a_card_is_opened_it_is_told_and_nothing_leaks() {
    let Some(mock) = mock() else { return };
    let Some(books) = mock.books() else { return };
    let state = beginning(&every_layer(), &TrainConfig::default());
    fail_each(
        &mock,
        books,
        UNKNOWN,
        |_| true,
        || {
            let mut inference = mock.open()?.inference(&every_layer(), Precision::Float32)?;
            inference.prepare(&state.parameters, &state.statistics)
        },
    );
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
    let error = card.training(recipe, beginning(&network, &config)).expect_err("the mock has 8 GiB");
    assert_eq!(error.code, ErrorCode::OutOfMemory);
    let words = &error.message;
    assert!(words.contains("MiB more were needed") && words.contains("are free of 8192.0 MiB"), "{words}");
    drop(card);
    assert_eq!(mock.leaks(), 0);
}
