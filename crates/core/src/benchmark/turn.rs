//! A network's turn: its training and its evaluation are built, timed, and gone. So of all networks that are measured
//! only one is in memory at a time.

use super::timetable::{Timetable, Work};
use crate::config::TrainConfig;
use crate::data::prepare::Batch;
use crate::engine::backend::{Backend, EngineState, InferenceEngine, Recipe, TrainingEngine, Update, Wait};
use crate::engine::parameters::Parameters;
use crate::error::Result;
use crate::kernels::loss::cross_entropy;
use crate::model::initial;
use crate::model::network::Network;
use crate::optim::State;
use crate::rng;
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
        backend: &dyn Backend,
        network: &Network,
        train: &TrainConfig,
        timetable: &mut Timetable,
    ) -> Result<bool> {
        let index = Some(index);
        let mut training = Training::new(backend, network, train)?;
        self.training_bytes = training.engine.bytes();
        let Some(times) = timetable.repeat(Work::Training, index, || training.step())? else {
            return Ok(false);
        };
        self.training.extend(times);

        let mut evaluation = Evaluation::new(backend, network, train, training)?;
        let batch = evaluation.engine.capacity();
        self.evaluation_batch = batch;
        let Some(times) = timetable.repeat(Work::Evaluation, index, || evaluation.batch(batch))? else {
            return Ok(false);
        };
        self.evaluation.extend(times);
        let Some(times) = timetable.repeat(Work::Prediction, index, || evaluation.batch(1))? else {
            return Ok(false);
        };
        self.prediction.extend(times);
        self.inference_bytes = evaluation.engine.bytes();
        Ok(true)
    }
}

/// A run's steps, over one made-up batch.
struct Training {
    engine: Box<dyn TrainingEngine>,
    batch: Batch,
    update: Update,
}

impl Training {
    fn new(backend: &dyn Backend, network: &Network, train: &TrainConfig) -> Result<Self> {
        let layout = Parameters::new(network);
        let (parameters, statistics) = layout.gather(&initial::tensors(network, train.seed));
        let optimizer = State::new(train.optimizer.rule, parameters.len());
        let recipe = Recipe {
            network,
            config: train,
            class_weights: None,
            capacity: train.batch_size,
            frozen_steps: 0,
        };
        let state = EngineState { parameters, statistics, optimizer, average: None };
        let count = train.batch_size;
        Ok(Self {
            engine: backend.training(recipe, state)?,
            batch: Batch {
                input: pictures(count * network.picture_floats()),
                labels: labels(count, network.classes()),
                mixture: None,
                drawn: None,
                count,
            },
            update: Update { rate: train.optimizer.learning_rate, stream: (train.seed, 0) },
        })
    }

    /// One step, to its end; gives its seconds.
    fn step(&mut self) -> Result<f64> {
        let batch = self.batch.clone();
        let started = Instant::now();
        self.engine.step(batch, self.update)?;
        self.engine.losses(Wait::ForAll)?;
        Ok(started.elapsed().as_secs_f64())
    }
}

/// The forward pass that validation, test and prediction use, over made-up pictures.
struct Evaluation {
    engine: Box<dyn InferenceEngine>,
    pictures: Vec<f32>,
    labels: Vec<u32>,
}

impl Evaluation {
    /// With the weights that the training left, as an epoch's end does it.
    fn new(
        backend: &dyn Backend,
        network: &Network,
        train: &TrainConfig,
        mut training: Training,
    ) -> Result<Self> {
        let EngineState { parameters, statistics, .. } = training.engine.state()?;
        // Its buffers are the larger part of the memory.
        drop(training);
        let mut engine = backend.inference(network, train.precision)?;
        engine.prepare(&parameters, &statistics)?;
        let pictures = pictures(engine.capacity() * network.picture_floats());
        let labels = labels(engine.capacity(), network.classes());
        Ok(Self { engine, pictures, labels })
    }

    /// A batch of so many pictures; gives its seconds.
    fn batch(&mut self, count: usize) -> Result<f64> {
        let (size, classes) = (self.engine.network().picture_floats(), self.engine.network().classes());
        let started = Instant::now();
        let logits = self.engine.logits(&self.pictures[..count * size], count)?;
        cross_entropy(&logits, classes, classes, &self.labels[..count], None);
        Ok(started.elapsed().as_secs_f64())
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
