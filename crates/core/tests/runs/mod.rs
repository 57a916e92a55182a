//! Runs on real pictures that take about a second.

// Not every file of tests uses all of it.
#![allow(dead_code)]

use crate::common::fixture;
use mobilenet_core::Error;
use mobilenet_core::config::{Augmentation, Layout, ModelOptions, TrainOptions};
use mobilenet_core::data::prepare::{Batch, Place, Preparer};
use mobilenet_core::data::{Dataset, cifar10};
use mobilenet_core::engine::TrainingPlan;
use mobilenet_core::kernels::simd::Isa;
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

/// One step on the first 16 pictures as they are.
pub fn one_step() -> TrainOptions {
    TrainOptions {
        augment: Some(Vec::new()),
        shuffle: Some(false),
        validation_fraction: Some(0.0),
        epochs: Some(1),
        limit: Some(16),
        ..recipe()
    }
}

/// Loss and accuracy of the run's first step.
pub fn first_step(options: &TrainOptions) -> (f64, f64) {
    let (_, events) = run(&small(), options, false).unwrap();
    let step = events.iter().find_map(|event| match event {
        Event::Step { loss, accuracy, .. } => Some((*loss, *accuracy)),
        _ => None,
    });
    step.unwrap()
}

/// The new network in training mode, after the forward pass of [`one_step`] with these steps of augmentation, and its batch.
pub fn plan_of_one_step(steps: &[Augmentation]) -> (TrainingPlan, Batch) {
    let model = small();
    let preparer = Preparer::new(&model.normalization(), 32, steps);
    let place = Place { seed: 1, epoch: 0, position: 0 };
    let batch = preparer.batch(&data().train, &(0..16).collect::<Vec<u32>>(), place).unwrap();
    let mut plan = TrainingPlan::new(model.network().clone(), 16, Isa::best());
    let (parameters, statistics) = plan.parameters().gather(&model.tensors());
    plan.statistics = statistics;
    plan.prepare(&parameters);
    plan.forward(&batch.input, &parameters, 16);
    (plan, batch)
}
