//! A network's turn: its training and its evaluation are built, timed, and gone. So of all networks that are measured
//! only one is in memory at a time.

use super::timetable::{Timetable, Work};
use crate::config::TrainConfig;
use crate::device::precision;
use crate::engine::step::TrainingStep;
use crate::engine::{InferencePlan, TrainingPlan};
use crate::error::Result;
use crate::kernels::simd::Isa;
use crate::mobilenet::evaluation_plan;
use crate::model::initial;
use crate::model::network::Network;
use crate::optim::{Optimizer, State};
use crate::rng;
use candle_core::{Device, Tensor, Var};
use std::time::Instant;

/// What the turns of a network gave. Times are in seconds.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// Of training steps.
    pub training: Vec<f64>,
    /// Of batches of [`Self::evaluation_batch`] pictures.
    pub evaluation: Vec<f64>,
    /// Of single pictures.
    pub prediction: Vec<f64>,
    /// Pictures that are evaluated at a time.
    pub evaluation_batch: usize,
    /// Bytes that training works with.
    pub training_bytes: usize,
    /// Bytes that inference works with.
    pub inference_bytes: usize,
}

impl Samples {
    /// Takes a turn of network number `index`; false when the benchmark was cancelled.
    pub fn take(
        &mut self,
        index: usize,
        network: &Network,
        train: &TrainConfig,
        timetable: &mut Timetable,
    ) -> Result<bool> {
        let index = Some(index);
        let mut training = Training::new(network, train)?;
        self.training_bytes = training.bytes();
        let Some(times) = timetable.repeat(Work::Training, index, || training.step())? else {
            return Ok(false);
        };
        self.training.extend(times);

        let mut evaluation = Evaluation::new(network, train, training)?;
        let batch = evaluation.plan.capacity();
        self.evaluation_batch = batch;
        let Some(times) = timetable.repeat(Work::Evaluation, index, || Ok(evaluation.batch(batch)))? else {
            return Ok(false);
        };
        self.evaluation.extend(times);
        let Some(times) = timetable.repeat(Work::Prediction, index, || Ok(evaluation.batch(1)))? else {
            return Ok(false);
        };
        self.prediction.extend(times);
        self.inference_bytes = evaluation.plan.bytes();
        Ok(true)
    }
}

/// A run's steps, over one made-up batch.
struct Training {
    step: TrainingStep,
    optimizer: Optimizer,
    parameters: Var,
    pictures: Tensor,
    labels: Vec<u32>,
    learning_rate: f64,
}

impl Training {
    fn new(network: &Network, train: &TrainConfig) -> Result<Self> {
        let plan = TrainingPlan::new(network.clone(), train.batch_size, Isa::best());
        let mut plan = plan.in_bfloat16(precision(train.precision)?);
        let (parameters, statistics) = plan.parameters().gather(&initial::tensors(network, train.seed));
        plan.statistics = statistics;
        let (floats, weights) = (parameters.len(), plan.parameters().weights());
        let shape = (train.batch_size, network.resolution, network.resolution, 3);
        let pictures = pictures(train.batch_size * plan.picture_floats());
        Ok(Self {
            step: TrainingStep::new(plan)?,
            optimizer: Optimizer::new(
                train.optimizer,
                &weights,
                floats,
                State::new(train.optimizer.rule, floats),
            ),
            parameters: Var::from_vec(parameters, floats, &Device::Cpu)?,
            pictures: Tensor::from_vec(pictures, shape, &Device::Cpu)?,
            labels: labels(train.batch_size, network.classes()),
            learning_rate: train.optimizer.learning_rate,
        })
    }

    /// What it works with: parameters, their gradients, what the optimizer keeps of them, and the plan's buffers.
    fn bytes(&self) -> usize {
        let plan = |plan: &mut TrainingPlan| {
            plan.bytes() + 2 * plan.parameters().parameter_floats * size_of::<f32>()
        };
        self.step.with_plan(plan) + self.optimizer.bytes()
    }

    /// One step; gives its seconds.
    fn step(&mut self) -> Result<f64> {
        let started = Instant::now();
        self.step.run(&self.pictures, &self.labels, self.parameters.as_tensor())?;
        self.optimizer.step(&self.parameters, self.step.gradients(), self.learning_rate)?;
        Ok(started.elapsed().as_secs_f64())
    }
}

/// The forward pass that validation, test and prediction use, over made-up pictures.
struct Evaluation {
    plan: InferencePlan,
    pictures: Vec<f32>,
    labels: Vec<u32>,
}

impl Evaluation {
    /// With the weights that the training left, as an epoch's end does it.
    fn new(network: &Network, train: &TrainConfig, training: Training) -> Result<Self> {
        let parameters = training.parameters.to_vec1::<f32>()?;
        let statistics = training.step.with_plan(|plan| plan.statistics.clone());
        // Its buffers are the larger part of the memory.
        drop(training);
        let mut plan = evaluation_plan(network).in_bfloat16(precision(train.precision)?);
        plan.prepare(&parameters, &statistics);
        let pictures = pictures(plan.capacity() * plan.picture_floats());
        let labels = labels(plan.capacity(), network.classes());
        Ok(Self { plan, pictures, labels })
    }

    /// A batch of so many pictures; gives its seconds.
    fn batch(&mut self, count: usize) -> f64 {
        let input = &self.pictures[..count * self.plan.picture_floats()];
        let started = Instant::now();
        self.plan.forward(input, count);
        self.plan.loss(&self.labels[..count]);
        started.elapsed().as_secs_f64()
    }
}

/// Values such as normalised pictures have: from -2 to 2.
fn pictures(floats: usize) -> Vec<f32> {
    let mut random = rng::stream(1, rng::Purpose::Benchmark, 0, 0);
    (0..floats).map(|_| (4.0 * rng::unit(&mut random) - 2.0) as f32).collect()
}

fn labels(count: usize, classes: usize) -> Vec<u32> {
    (0..count).map(|index| (index % classes) as u32).collect()
}
