//! Two streams: what waits for what. A card may do what is in different streams in many orders; the mock takes the two that are
//! farthest apart, so that a wait that is missing shows.

use crate::agreement::train;
use crate::mock::Books;
use crate::networks::{every_layer, in_precision, narrow};
use crate::setup::{Mock, mock};
use mobilenet_core::config::{Layout, Precision, Variant};
use mobilenet_core::{Error, Result};
use mobilenet_cuda::driver::{Context, DeviceBuffer, Download, Event, Graph, Priority, Stream, Upload};
use std::sync::Arc;

/// Numbers of the mock's books.
fn counts<const N: usize>(books: &Books, names: [&str; N]) -> [u64; N] {
    let report: serde_json::Value = serde_json::from_str(&books.report()).expect("JSON");
    names.map(|name| report[name].as_u64().expect("a number"))
}

#[test]
fn a_run_has_the_same_bits_in_whatever_order_streams_work() {
    let Some(mock) = mock() else { return };
    let Some(books) = mock.books() else { return };
    let networks = [
        ("every layer", every_layer(), Precision::Float32),
        ("every layer", every_layer(), Precision::Bfloat16),
        ("V1 unpadded", narrow(Variant::V1, Layout::Unpadded), Precision::Float32),
        ("V2 cifar", narrow(Variant::V2, Layout::Cifar), Precision::Float32),
        ("V3-small cifar", narrow(Variant::V3Small, Layout::Cifar), Precision::Float32),
    ];
    for (name, network, precision) in &networks {
        let config = in_precision(*precision);
        // The first step as it is, the second recorded.
        let run = |early: bool, graphs: bool| {
            let (before, [launched]) = (books.set_early(early), counts(books, ["graphLaunches"]));
            let card = if graphs { mock.card() } else { mock.card().without_graphs() };
            let outcome = train(&card, network, &config, 2, 0.01);
            books.set_early(before);
            // What could not be recorded would be launched kernel by kernel.
            assert_eq!(counts(books, ["graphLaunches"]), [launched + u64::from(graphs)]);
            outcome
        };
        let expected = run(false, true);
        for (early, graphs) in [(false, false), (true, false), (true, true)] {
            // Not `assert_eq`, which would write all parameters.
            assert!(run(early, graphs) == expected, "{name}, {precision:?}: early {early}, graphs {graphs}");
        }
    }
    assert_eq!(mock.leaks(), 0);
}

#[test]
fn weights_have_a_stream_of_their_own_that_comes_last() {
    let Some(mock) = mock() else { return };
    let Some(books) = mock.books() else { return };
    let launches = || counts(books, ["launchesBehind", "launches"]);
    for graphs in [true, false] {
        let card = if graphs { mock.card() } else { mock.card().without_graphs() };
        let [behind, all] = launches();
        train(&card, &every_layer(), &in_precision(Precision::Float32), 2, 0.01);
        let [behind, all] = [launches()[0] - behind, launches()[1] - all];
        // A step has 5 products, of whose weights' gradients one may come in parts, 3 other layers with weights, most of its
        // parameters to move, and losses to sum.
        assert!((2 * 10..=2 * 11).contains(&behind) && behind < all / 2, "{behind} of {all}");
    }
}

/// Two streams, and values that come from one and are asked for by the other.
struct Pair {
    main: Arc<Stream>,
    side: Arc<Stream>,
    /// Places in the main stream and beside.
    given: Event,
    ended: Event,
    values: DeviceBuffer<f32>,
    from: Upload<f32>,
    to: Download<f32>,
}

impl Pair {
    fn new(mock: &Mock) -> Self {
        let made = |context: &Arc<Context>| -> Result<Self> {
            let main = Stream::new(context, Priority::First)?;
            let side = Stream::new(context, Priority::Last)?;
            Ok(Self {
                given: Event::new(context)?,
                ended: Event::new(context)?,
                values: DeviceBuffer::of(&main, &[0.0])?,
                from: Upload::new(&side, 1)?,
                to: Download::new(&main, 1, 1)?,
                main,
                side,
            })
        };
        made(mock.card().context()).expect("nothing is made to fail")
    }

    /// Sends a value beside.
    fn send(&mut self, value: f32) -> Result<()> {
        self.from.send(&mut self.values, |values| {
            values[0] = value;
            1
        })
    }

    /// Asks for the value in the main stream.
    fn ask(&mut self) -> Result<()> {
        self.to.ask(&self.values, 1)
    }

    fn fork(&self) -> Result<()> {
        self.given.record(&self.main)?;
        self.side.wait(&self.given)
    }

    fn join(&self) -> Result<()> {
        self.ended.record(&self.side)?;
        self.main.wait(&self.ended)
    }

    /// What was asked for.
    fn value(&mut self) -> f32 {
        self.to.wait(0).expect("the copy was asked for").last().expect("it was asked for")[0]
    }

    /// Both streams do again what they are given.
    fn check_usable(&mut self) {
        self.send(7.0).and_then(|()| self.join()).and_then(|()| self.ask()).expect("both streams work");
        assert_eq!(self.value(), 7.0);
        self.side.synchronize().expect("nothing failed there");
    }
}

#[test]
fn a_stream_goes_its_own_way_until_it_waits() {
    let Some(mock) = mock() else { return };
    let Some(books) = mock.books() else { return };
    for early in [false, true] {
        let before = books.set_early(early);
        let mut pair = Pair::new(&mock);
        pair.send(3.0).and_then(|()| pair.ask()).unwrap();
        assert_eq!(pair.value(), if early { 3.0 } else { 0.0 }, "nothing waits");
        pair.send(4.0).and_then(|()| pair.join()).and_then(|()| pair.ask()).unwrap();
        assert_eq!(pair.value(), 4.0, "the main stream waits");
        // What is sent later stands behind what is asked for before it.
        pair.ask().and_then(|()| pair.fork()).and_then(|()| pair.send(5.0)).unwrap();
        assert_eq!(pair.value(), 4.0, "the other one waits");
        books.set_early(before);
    }
}

#[test]
fn who_waits_for_an_event_waits_only_for_what_is_before_it() {
    let Some(mock) = mock() else { return };
    let Some(books) = mock.books() else { return };
    let before = books.set_early(false);
    let mut pair = Pair::new(&mock);
    pair.send(1.0).unwrap();
    pair.ended.record(&pair.side).unwrap();
    pair.send(2.0).unwrap();
    pair.ended.synchronize().unwrap();
    pair.ask().unwrap();
    assert_eq!(pair.value(), 1.0);
    books.set_early(before);
}

#[test]
fn branches_of_a_graph_go_their_own_way_too() {
    let Some(mock) = mock() else { return };
    let Some(books) = mock.books() else { return };
    for early in [false, true] {
        let before = books.set_early(early);
        // Asked for before the main stream waits for what is sent beside, and behind it.
        for (waits, expected) in [(false, if early { 6.0 } else { 0.0 }), (true, 6.0)] {
            let mut pair = Pair::new(&mock);
            let main = pair.main.clone();
            let graph = Graph::record(&main, true, || {
                pair.fork()?;
                pair.send(6.0)?;
                if waits {
                    pair.join()?;
                    return pair.ask();
                }
                pair.ask()?;
                pair.join()
            });
            let graph = graph.expect("what can be recorded");
            graph.launch(&main).unwrap();
            assert_eq!(pair.value(), expected, "early {early}, waits {waits}");
        }
        books.set_early(before);
    }
}

#[test]
fn a_recording_that_leaves_a_stream_behind_is_none() {
    let Some(mock) = mock() else { return };
    let mut pair = Pair::new(&mock);
    let mut other = Download::new(&pair.side, 1, 1).unwrap();
    let main = pair.main.clone();
    let error = Graph::record(&main, true, || {
        pair.fork()?;
        other.ask(&pair.values, 1)
    });
    let error = error.expect_err("the main stream doesn't wait");
    assert!(error.message.contains("CUDA_ERROR_STREAM_CAPTURE_UNJOINED"), "{error}");
    pair.check_usable();
    // And so where the work itself fails.
    let error = Graph::record(&main, true, || {
        pair.fork()?;
        Err(Error::internal("in the middle"))
    });
    assert!(error.expect_err("the work failed").message.contains("in the middle"));
    pair.check_usable();
    drop((other, pair, main));
    assert_eq!(mock.leaks(), 0);
}

#[test]
fn what_is_recorded_waits_for_nothing_else() {
    let Some(mock) = mock() else { return };
    let mut pair = Pair::new(&mock);
    let main = pair.main.clone();
    pair.ended.record(&pair.side).unwrap();
    let error = Graph::record(&main, true, || main.wait(&pair.ended)).expect_err("it was not recorded there");
    assert!(error.message.contains("CUDA_ERROR_STREAM_CAPTURE_ISOLATION"), "{error}");
    pair.check_usable();
    // And nothing else for what is recorded. What a real driver says to that was not tried.
    if mock.books().is_none() {
        return;
    }
    Graph::record(&main, true, || pair.given.record(&main)).expect("a graph without work");
    for error in [pair.side.wait(&pair.given), pair.given.synchronize()] {
        let error = error.expect_err("it was recorded in a graph");
        assert!(error.message.contains("CUDA_ERROR_CAPTURED_EVENT"), "{error}");
    }
    pair.check_usable();
}
