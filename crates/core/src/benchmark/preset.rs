//! What a preset's network does on this machine, and how long the preset's whole run would take.

use super::timetable::{Timetable, Work};
use crate::config::{Preset, TrainConfig};
use crate::engine::step::TrainingStep;
use crate::engine::{InferencePlan, TrainingPlan};
use crate::error::Result;
use crate::kernels::simd::Isa;
use crate::mobilenet::evaluation_plan;
use crate::model::network::Network;
use crate::model::summary::layers;
use crate::model::{self, initial};
use crate::optim::adam::{Adam, Moments};
use crate::rng;
use candle_core::{Device, Tensor, Var};
use std::time::Instant;

/// CIFAR-10's, from which a run takes those to validate with.
const TRAINING_PICTURES: f64 = 50_000.0;
/// CIFAR-10's.
const TEST_PICTURES: f64 = 10_000.0;

/// What one preset would do. Times are medians, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct PresetReport {
    /// Which one.
    pub preset: Preset,
    /// Multiplications with an addition for one picture, forward.
    pub multiply_adds: usize,
    /// Training, at the preset's batch size.
    pub training: TrainingSpeed,
    /// Evaluation, in the batches that validation and test use.
    pub evaluation: EvaluationSpeed,
    /// One picture by itself.
    pub prediction: PredictionSpeed,
    /// How long the preset's run would take: all its epochs with validation and test. What prepares the pictures
    /// meanwhile is not counted.
    pub preset_seconds: f64,
}

/// How fast a network trains.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSpeed {
    /// Pictures a step.
    pub batch_size: usize,
    /// Time of a step: forward, loss, backward and Adam.
    pub step_seconds: f64,
    /// Pictures trained on in a second.
    pub images_per_second: f64,
    /// Multiply-adds a second as a share of the machine's peak. A picture takes those of the forward pass three times:
    /// also for the gradients of the weights and of the maps. (The stem's map is the picture: no gradient, not counted.)
    pub share_of_peak: f64,
    /// Steps that were timed.
    pub repetitions: usize,
}

/// How fast a network evaluates.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationSpeed {
    /// Pictures a batch.
    pub batch_size: usize,
    /// Time of a batch: forward and loss.
    pub batch_seconds: f64,
    /// Pictures evaluated in a second.
    pub images_per_second: f64,
    /// Multiply-adds a second as a share of the machine's peak.
    pub share_of_peak: f64,
    /// Batches that were timed.
    pub repetitions: usize,
}

/// How fast a network answers.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictionSpeed {
    /// Time from one normalised picture to its logits.
    pub latency_seconds: f64,
    /// Multiply-adds a second as a share of the machine's peak.
    pub share_of_peak: f64,
    /// Pictures that were timed.
    pub repetitions: usize,
}

/// Measures one preset against `peak` multiply-adds a second; `None` when the benchmark was cancelled.
pub(super) fn measure(preset: Preset, peak: f64, timetable: &mut Timetable) -> Result<Option<PresetReport>> {
    let (model_options, train) = preset.options();
    let train = train.resolve(&TrainConfig::default())?;
    let network = model::network(&model_options.resolve()?);
    let multiply_adds: usize = layers(&network).iter().map(|layer| layer.multiply_adds).sum();
    let training_multiply_adds = 3 * multiply_adds - network.layers[0].multiply_adds();
    let share_of_peak = |multiply_adds: usize, pictures: f64| multiply_adds as f64 * pictures / peak;

    let mut training = Training::new(&network, &train)?;
    let Some(times) = timetable.repeat(Work::Training, Some(preset), || training.step())? else {
        return Ok(None);
    };
    let step_seconds = median(times.clone());
    let images_per_second = train.batch_size as f64 / step_seconds;
    let training_speed = TrainingSpeed {
        batch_size: train.batch_size,
        step_seconds,
        images_per_second,
        share_of_peak: share_of_peak(training_multiply_adds, images_per_second),
        repetitions: times.len(),
    };

    let mut evaluation = Evaluation::new(&network, training)?;
    let batch_size = evaluation.plan.capacity();
    let Some(times) =
        timetable.repeat(Work::Evaluation, Some(preset), || Ok(evaluation.batch(batch_size)))?
    else {
        return Ok(None);
    };
    let batch_seconds = median(times.clone());
    let images_per_second = batch_size as f64 / batch_seconds;
    let evaluation_speed = EvaluationSpeed {
        batch_size,
        batch_seconds,
        images_per_second,
        share_of_peak: share_of_peak(multiply_adds, images_per_second),
        repetitions: times.len(),
    };

    let Some(times) = timetable.repeat(Work::Prediction, Some(preset), || Ok(evaluation.batch(1)))? else {
        return Ok(None);
    };
    let latency_seconds = median(times.clone());
    let prediction_speed = PredictionSpeed {
        latency_seconds,
        share_of_peak: share_of_peak(multiply_adds, 1.0 / latency_seconds),
        repetitions: times.len(),
    };

    Ok(Some(PresetReport {
        preset,
        multiply_adds,
        preset_seconds: run_seconds(&train, &training_speed, &evaluation_speed),
        training: training_speed,
        evaluation: evaluation_speed,
        prediction: prediction_speed,
    }))
}

/// How long a run over the whole of CIFAR-10 would take.
fn run_seconds(train: &TrainConfig, training: &TrainingSpeed, evaluation: &EvaluationSpeed) -> f64 {
    let validated = TRAINING_PICTURES * train.validation_fraction;
    let epoch = (TRAINING_PICTURES - validated) / training.images_per_second
        + (validated + TEST_PICTURES) / evaluation.images_per_second;
    train.epochs as f64 * epoch
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] }
}

/// A run's steps, over one made-up batch.
struct Training {
    step: TrainingStep,
    adam: Adam,
    parameters: Var,
    pictures: Tensor,
    labels: Vec<u32>,
    learning_rate: f64,
}

impl Training {
    fn new(network: &Network, train: &TrainConfig) -> Result<Self> {
        let mut plan = TrainingPlan::new(network.clone(), train.batch_size, Isa::best());
        let (parameters, statistics) = plan.parameters().gather(&initial::tensors(network, train.seed));
        plan.statistics = statistics;
        let floats = parameters.len();
        let shape = (train.batch_size, network.resolution, network.resolution, 3);
        let pictures = pictures(train.batch_size * plan.picture_floats());
        Ok(Self {
            step: TrainingStep::new(plan)?,
            adam: Adam::new(Moments::new(floats)),
            parameters: Var::from_vec(parameters, floats, &Device::Cpu)?,
            pictures: Tensor::from_vec(pictures, shape, &Device::Cpu)?,
            labels: labels(train.batch_size, network.classes()),
            learning_rate: train.optimizer.learning_rate(),
        })
    }

    /// One step; gives its seconds.
    fn step(&mut self) -> Result<f64> {
        let started = Instant::now();
        self.step.run(&self.pictures, &self.labels, self.parameters.as_tensor())?;
        self.adam.step(&self.parameters, self.step.gradients(), self.learning_rate)?;
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
    fn new(network: &Network, training: Training) -> Result<Self> {
        let parameters = training.parameters.to_vec1::<f32>()?;
        let statistics = training.step.with_plan(|plan| plan.statistics.clone());
        // Its buffers are the larger part of the memory.
        drop(training);
        let mut plan = evaluation_plan(network);
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
