//! Runs on real pictures that take about a second.

// Not every file of tests uses all of it.
#![allow(dead_code)]

use crate::common::fixture;
use mobilenet_core::Error;
use mobilenet_core::config::{Layout, ModelOptions, TrainOptions};
use mobilenet_core::data::{Dataset, cifar10};
use mobilenet_core::mobilenet::MobileNet;
use mobilenet_core::model::tensors::NamedTensor;
use mobilenet_core::train::event::{Event, Report};
use mobilenet_core::train::{self, Control};

pub fn data() -> Dataset {
    cifar10::open(&fixture("cifar-10-sample")).unwrap()
}

pub fn small() -> MobileNet {
    let options = ModelOptions { layout: Some(Layout::Cifar), width: Some(0.25), ..Default::default() };
    MobileNet::create(&options, 1).unwrap()
}

/// Two epochs of five steps, the last of 8 pictures.
pub fn recipe() -> TrainOptions {
    TrainOptions { epochs: Some(2), batch_size: Some(16), limit: Some(72), ..Default::default() }
}

pub fn run(model: &MobileNet, options: &TrainOptions, resume: bool) -> Result<(Report, Vec<Event>), Error> {
    run_until(model, options, resume, |_| false)
}

/// Stops the run at the first event that `stop` likes.
pub fn run_until(
    model: &MobileNet,
    options: &TrainOptions,
    resume: bool,
    stop: impl Fn(&Event) -> bool + Send + Sync,
) -> Result<(Report, Vec<Event>), Error> {
    let (control, mut events) = (Control::default(), Vec::new());
    let report = train::run(model, &data(), options, resume, &control, &mut |event| {
        if stop(&event) {
            control.stop();
        }
        events.push(event);
    })?;
    Ok((report, events))
}

pub fn bits(tensors: &[NamedTensor]) -> Vec<u32> {
    tensors.iter().flat_map(|tensor| &tensor.values).map(|value| value.to_bits()).collect()
}
