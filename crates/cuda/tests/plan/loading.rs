//! No driver, one that is too old, cards that are too old or not there.
//!
//! What a process sees of the mock follows from its environment, so these tests run themselves again with another one.

use crate::mock;
use crate::networks::{batch, beginning, engine, every_layer};
use crate::setup::mock;
use mobilenet_core::ErrorCode;
use mobilenet_core::config::{DeviceChoice, TrainConfig};
use mobilenet_core::engine::backend::Update;
use mobilenet_cuda::device::{cards, select};
use mobilenet_cuda::driver::Driver;
use std::process::Command;

/// Set in the second process: which part of a test it is to do.
const PART: &str = "MOBILENET_TEST_PART";

/// Runs the test `name` again in a process with these variables.
fn again(name: &str, part: &str, variables: &[(&str, &str)]) {
    let itself = std::env::current_exe().unwrap();
    let mut command = Command::new(itself);
    command.args([&format!("loading::{name}"), "--exact", "--nocapture"]).env(PART, part);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{part}: {text}");
}

#[test]
fn a_process_sees_what_its_driver_can() {
    let Some(library) = mock::library().map(|path| path.to_str().unwrap()) else { return };
    let at = ("MOBILENET_NATIVE_CUDA_PATH", library);
    let unavailable = |choice, words: &[&str]| {
        let error = select(choice).unwrap_err();
        assert_eq!(error.code, ErrorCode::DeviceUnavailable, "{error}");
        words.iter().for_each(|word| assert!(error.message.contains(word), "no {word} in: {error}"));
        assert_eq!(select(DeviceChoice::Auto).unwrap().backend.name(), "cpu");
    };
    let name = "a_process_sees_what_its_driver_can";
    match std::env::var(PART).as_deref() {
        Err(_) => {
            again(name, "cards", &[at, ("MOCK_CUDA_DEVICES", "2")]);
            again(name, "old driver", &[at, ("MOCK_CUDA_DRIVER_VERSION", "11040")]);
            again(name, "old card", &[at, ("MOCK_CUDA_CAPABILITY", "7.5")]);
            again(name, "no card", &[at, ("MOCK_CUDA_DEVICES", "0")]);
            again(name, "no library", &[("MOBILENET_NATIVE_CUDA_PATH", "/no/such/libcuda.so.1")]);
        }
        Ok("cards") => {
            let names: Vec<_> = cards().unwrap().iter().map(|card| card.device_name()).collect();
            assert_eq!(names, ["cuda:0", "cuda:1"]);
            assert_eq!(select(DeviceChoice::Auto).unwrap().backend.name(), "cuda:0");
            assert_eq!(select(DeviceChoice::Cuda(1)).unwrap().backend.name(), "cuda:1");
            assert_eq!(select(DeviceChoice::Cpu).unwrap().backend.name(), "cpu");
            let error = select(DeviceChoice::Cuda(2)).unwrap_err();
            assert!(error.message.contains("cuda:2 can't be used: there are 2 cards"), "{error}");
        }
        Ok("old driver") => {
            unavailable(DeviceChoice::Cuda(0), &["cuda:0", "for CUDA 11.4", "CUDA 12.0 or newer"]);
            let note = select(DeviceChoice::Auto).unwrap().note.expect("a driver is there");
            assert!(note.contains("for CUDA 11.4"), "{note}");
        }
        Ok("old card") => unavailable(DeviceChoice::Cuda(0), &["compute capability 7.5", "8.0 or newer"]),
        Ok("no card") => unavailable(DeviceChoice::Cuda(0), &["finds no card"]),
        Ok("no library") => {
            unavailable(DeviceChoice::Cuda(3), &["cuda:3", "/no/such/libcuda.so.1: there is no such file"]);
            assert_eq!(select(DeviceChoice::Auto).unwrap().note, None, "nobody expects a card there");
            assert!(!Driver::is_found() && cards().unwrap().is_empty());
            assert_eq!(Driver::process_attempts().len(), 1);
        }
        Ok(other) => panic!("{other}"),
    }
}

#[test]
fn machine_code_is_taken_where_there_is_some_for_the_card() {
    let Some(mock) = mock() else { return };
    let name = "machine_code_is_taken_where_there_is_some_for_the_card";
    // Whether machine code is loaded, and where kernels of a recorded step come early.
    let cases = [
        ("8.0", "13000", "1", "1 never"),
        ("8.9", "13010", "1", "1 never"),
        ("9.0", "13000", "1", "1 everywhere"),
        ("9.0", "13000", "strict", "1 everywhere"),
        ("9.0", "13000", "strict-forward", "1 forward"),
        ("9.0", "13000", "in-turn", "1 never"),
        ("9.0", "13000", "0", "1 never"),
        ("8.6", "12000", "1", "1 never"),
        ("9.0", "12020", "1", "1 never"),
        ("9.0", "12030", "1", "1 everywhere"),
        ("12.1", "12090", "1", "1 everywhere"),
        ("12.0", "12080", "1", "0 never"),
        ("10.0", "13000", "1", "0 never"),
    ];
    let Ok(expected) = std::env::var(PART) else {
        for (capability, version, graphs, expected) in cases {
            let variables = [
                ("MOCK_CUDA_CAPABILITY", capability),
                ("MOCK_CUDA_DRIVER_VERSION", version),
                ("MOBILENET_NATIVE_CUDA_GRAPHS", graphs),
                ("MOCK_CUDA_COMPILED", "1"),
            ];
            again(name, expected, &variables);
        }
        return;
    };
    let (network, config) = (every_layer(), TrainConfig::default());
    let mut training = engine(&mock.card(), &network, &config, beginning(&network, &config)).unwrap();
    // The second step is the first that can be recorded.
    for step in 0..2 {
        training.step(batch(&network, 2), Update { rate: 0.01, stream: (1, step) }).unwrap();
    }
    training.state().unwrap();
    let report: serde_json::Value = serde_json::from_str(&mock.books().unwrap().report()).unwrap();
    // Of the main stream's some 35 kernels a step all that don't wait for the other stream, too, or those of the forward pass.
    let (early, launches) = (&report["earlyLaunches"], &report["launches"]);
    let early = match (early.as_u64().unwrap(), launches.as_u64().unwrap()) {
        (0, _) => "never",
        (early, launches) if early > launches / 4 => "everywhere",
        _ => "forward",
    };
    assert_eq!(format!("{} {early}", report["compiledModules"]), expected, "{report}");
}

#[test]
fn a_library_that_is_no_driver_is_told() {
    let Some(_mock) = mock() else { return };
    // The C library is one, and has none of the driver's functions.
    let error = Driver::open(Some("libm.so.6".into())).unwrap_err();
    assert_eq!(error.code, ErrorCode::DeviceUnavailable);
    assert!(error.message.contains("has no function cuInit"), "{error}");
}
