//! A network's turn: its training and its evaluation are built, timed, and gone. So of all networks that are measured
//! only one is in memory at a time.

use super::timetable::{Timetable, Work};
use crate::config::{Normalization, TrainConfig};
use crate::data::Pictures;
use crate::data::prepare::{Batch, Place, Preparer};
use crate::engine::backend::{
    Backend, EngineState, InferenceEngine, KeptPictures, Recipe, TrainingEngine, Update, Wait,
};
use crate::engine::parameters::Parameters;
use crate::error::Result;
use crate::kernels::loss::cross_entropy;
use crate::model::initial;
use crate::model::network::Network;
use crate::optim::State;
use crate::rng;
use rand_chacha::rand_core::Rng;
use std::ops::ControlFlow;
use std::time::Instant;

/// Nothing is drawn of a place.
const NOWHERE: Place = Place { seed: 0, epoch: 0, position: 0 };

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
        self.evaluation_batch = evaluation.engine.capacity();
        let Some(times) = timetable.repeat(Work::Evaluation, index, || evaluation.evaluate())? else {
            return Ok(false);
        };
        self.evaluation.extend(times);
        let Some(times) = timetable.repeat(Work::Prediction, index, || evaluation.predict(1))? else {
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
        let mut engine = backend.training(recipe, state)?;
        let (pictures, indices) = pictures(train.batch_size, network);
        let normalization = Normalization::default();
        let preparer = Preparer::new(&normalization, network.resolution, &[]);
        let batch = match engine.keep(&pictures, &normalization)? {
            true => preparer.draw(&pictures, &indices, NOWHERE),
            false => preparer.batch(&pictures, &indices, NOWHERE)?,
        };
        let update = Update { rate: train.optimizer.learning_rate, stream: (train.seed, 0) };
        Ok(Self { engine, batch, update })
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
    batch: Batch,
    /// The same pictures, if the engine keeps those that it evaluates.
    kept: Option<KeptPictures>,
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
        let (pictures, indices) = pictures(engine.capacity(), network);
        let normalization = Normalization::default();
        let preparer = Preparer::new(&normalization, network.resolution, &[]);
        let batch = preparer.batch(&pictures, &indices, NOWHERE)?;
        let kept = engine.keep(&pictures, &indices, &normalization)?;
        Ok(Self { engine, batch, kept })
    }

    /// A batch of a run's validation or test; gives its seconds.
    fn evaluate(&mut self) -> Result<f64> {
        let Some(kept) = self.kept else { return self.predict(self.batch.count) };
        let (classes, labels) = (self.engine.network().classes(), &self.batch.labels[..]);
        let started = Instant::now();
        self.engine.logits_of_kept(kept, &mut |logits| {
            cross_entropy(logits, classes, classes, labels, None);
            ControlFlow::Continue(())
        })?;
        Ok(started.elapsed().as_secs_f64())
    }

    /// So many pictures from outside; gives the seconds.
    fn predict(&mut self, count: usize) -> Result<f64> {
        let (size, classes) = (self.engine.network().picture_floats(), self.engine.network().classes());
        let started = Instant::now();
        let logits = self.engine.logits(&self.batch.input[..count * size], count)?;
        cross_entropy(&logits, classes, classes, &self.batch.labels[..count], None);
        Ok(started.elapsed().as_secs_f64())
    }
}

/// Made-up pictures of a network's size, and the indices of all.
fn pictures(count: usize, network: &Network) -> (Pictures, Vec<u32>) {
    let mut pixels = vec![0; count * network.picture_floats()];
    rng::stream(1, rng::Purpose::Benchmark, 0, 0).fill_bytes(&mut pixels);
    let labels = (0..count).map(|index| (index % network.classes()) as u32).collect();
    let side = network.resolution;
    (Pictures::of_one_size(pixels, labels, (side, side)), (0..count as u32).collect())
}
