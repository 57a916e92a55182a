//! One run: epochs of steps, each epoch with validation and test at its end.

use super::Control;
use super::event::{Event, Metrics, PictureCounts, Report, RunConfig, Split};
use super::folder::Folder;
use crate::checkpoint::{Progress, TrainingState, write};
use crate::config::{TrainConfig, TrainOptions};
use crate::data::loader::{Feed, Loader, epoch_order};
use crate::data::split::split;
use crate::data::{Dataset, Pictures};
use crate::device::precision;
use crate::engine::evaluate::evaluate;
use crate::engine::step::TrainingStep;
use crate::engine::{InferencePlan, TrainingPlan};
use crate::error::{Error, ErrorCode, Result};
use crate::kernels::simd::Isa;
use crate::mobilenet::{MobileNet, Weights, check_labels, evaluation_plan};
use crate::optim::adam::{Adam, Moments};
use crate::optim::schedule::learning_rate;
use candle_core::{Device, Tensor, Var};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

pub(super) struct Trainer<'a> {
    model: &'a MobileNet,
    train: Arc<Pictures>,
    test: Arc<Pictures>,
    train_indices: Vec<u32>,
    validation_indices: Vec<u32>,
    test_indices: Vec<u32>,
    config: RunConfig,
    folder: Option<Folder>,
    progress: Progress,
    /// The weights as the run began; class names and normalisation stay.
    weights: Weights,
    parameters: Var,
    step: TrainingStep,
    adam: Adam,
    evaluation: InferencePlan,
    started: Instant,
}

/// How an epoch or a part of it ended.
enum Outcome {
    Complete,
    Stopped,
}

impl<'a> Trainer<'a> {
    pub fn new(
        model: &'a MobileNet,
        data: &Dataset,
        options: &TrainOptions,
        resume: bool,
        threads: usize,
    ) -> Result<Self> {
        let started = Instant::now();
        let mut weights = model.weights();
        let resumed = weights.training.take();
        let state = match (resume, resumed) {
            (false, _) => None,
            (true, Some(state)) => Some(state),
            (true, None) => {
                return Err(Error::invalid_option(
                    "there is no run to resume in this checkpoint; take a run's last.safetensors, or start a new run",
                ));
            }
        };
        let base = state.as_ref().map_or_else(TrainConfig::default, |state| state.progress.config.clone());
        let train_config = options.resolve(&base)?;
        if state.is_some() {
            check_unchanged(&base, &train_config)?;
        }
        let bfloat16 = precision(train_config.precision)?;
        check_labels(&data.train, model.config().classes)?;
        check_labels(&data.test, model.config().classes)?;

        let limit = train_config.limit.unwrap_or(usize::MAX);
        let parts = split(data.train.len(), train_config.validation_fraction);
        let first = |indices: Vec<u32>| indices.into_iter().take(limit).collect::<Vec<u32>>();
        let mut train_indices = parts.train;
        if !train_config.shuffle {
            // Without shuffling the pictures come as they lie in the data set.
            train_indices.sort_unstable();
        }
        let (train_indices, validation_indices) = (first(train_indices), first(parts.validation));
        let test_indices = first((0..data.test.len() as u32).collect());
        let pictures = PictureCounts {
            total: data.train.len(),
            train: train_indices.len(),
            validation: validation_indices.len(),
            test: test_indices.len(),
        };
        if train_indices.len() < 2 {
            return Err(Error::invalid_option(format!(
                "there must be at least 2 pictures to train on, not {}; lower validationFraction or raise limit",
                train_indices.len()
            )));
        }
        let progress = match &state {
            Some(state) => Progress { config: train_config.clone(), ..state.progress.clone() },
            None => Progress {
                config: train_config.clone(),
                pictures,
                epoch: 0,
                step: 0,
                steps: 0,
                loss_sum: 0.0,
                correct: 0,
                count: 0,
                best: None,
                last: [None; 3],
            },
        };
        if progress.pictures != pictures {
            return Err(Error::new(
                ErrorCode::CheckpointMismatch,
                format!(
                    "the run to resume used {} training, {} validation and {} test pictures, and this data has {}, {} and {}",
                    progress.pictures.train,
                    progress.pictures.validation,
                    progress.pictures.test,
                    pictures.train,
                    pictures.validation,
                    pictures.test
                ),
            ));
        }
        if progress.epoch >= train_config.epochs {
            return Err(Error::invalid_option(format!(
                "all {} epochs of this run are done; ask for more epochs to go on",
                progress.epoch
            )));
        }
        let resumed_from = if resume { model.origin() } else { None };
        let folder = options.out.as_deref().map(|path| Folder::open(path, resumed_from)).transpose()?;

        if data.classes.len() == model.config().classes {
            weights.classes = data.classes.clone();
        }
        let capacity = train_config.batch_size.min(train_indices.len());
        let plan = TrainingPlan::new(model.network().clone(), capacity, Isa::best());
        let mut plan = plan.in_bfloat16(bfloat16);
        let (parameters, statistics) = plan.parameters().gather(&weights.tensors);
        plan.statistics = statistics;
        let moments = match &state {
            None => Moments::new(parameters.len()),
            Some(state) => Moments {
                first: plan.parameters().gather_parameters(&state.first),
                second: plan.parameters().gather_parameters(&state.second),
                steps: state.progress.steps as u64,
            },
        };
        let config = RunConfig {
            model: model.config(),
            train: train_config,
            normalization: weights.normalization,
            data: data.source.clone(),
            pictures,
            device: "cpu".into(),
            simd: Isa::best().name().into(),
            threads,
            out: folder.as_ref().map(|folder| folder.path().to_path_buf()),
            resumed_epochs: state.as_ref().map(|state| state.progress.epoch),
        };
        let floats = parameters.len();
        Ok(Self {
            model,
            train: data.train.clone(),
            test: data.test.clone(),
            train_indices,
            validation_indices,
            test_indices,
            config,
            folder,
            progress,
            weights,
            parameters: Var::from_vec(parameters, floats, &Device::Cpu)?,
            step: TrainingStep::new(plan)?,
            adam: Adam::new(moments),
            evaluation: evaluation_plan(model.network()).in_bfloat16(bfloat16),
            started,
        })
    }

    /// Everything between the events `start` and `done`, `start` included.
    pub fn run(mut self, control: &Control, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<Report> {
        on_event(Event::Start { config: Box::new(self.config.clone()) });
        let mut stopped = false;
        while self.progress.epoch < self.config.train.epochs {
            if let Outcome::Stopped = self.epoch(control, on_event)? {
                self.publish()?;
                self.save_last(on_event)?;
                stopped = true;
                break;
            }
        }
        Ok(self.report(stopped))
    }

    /// The rest of the epoch that the run is in, with validation, test and checkpoints.
    fn epoch(&mut self, control: &Control, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<Outcome> {
        let started = Instant::now();
        if let Outcome::Stopped = self.steps(control, on_event)? {
            return Ok(Outcome::Stopped);
        }
        let train = Metrics::of(self.progress.loss_sum, self.progress.correct, self.progress.count);
        let parameters = self.parameters.to_vec1::<f32>()?;
        self.step.with_plan(|plan| self.evaluation.prepare(&parameters, &plan.statistics));
        let epoch = self.progress.epoch + 1;
        let mut metrics = [None; 2];
        let parts = [
            (Split::Validation, &self.train, &self.validation_indices),
            (Split::Test, &self.test, &self.test_indices),
        ];
        for (metrics, (split, pictures, indices)) in metrics.iter_mut().zip(parts) {
            let (plan, normalization) = (&mut self.evaluation, self.config.normalization);
            let count = indices.len();
            let mut tell = |done| on_event(Event::Evaluating { epoch, split, done, count });
            *metrics = evaluate(plan, pictures, indices, normalization, control.stopping(), &mut tell)?;
        }
        if control.stopping().load(Ordering::Relaxed) {
            // Stopped during the evaluation: a resumed run begins with it.
            return Ok(Outcome::Stopped);
        }
        let [validation, test] = metrics;
        let train = train.ok_or_else(|| Error::internal("an epoch without pictures"))?;
        let accuracy = validation.or(test).unwrap_or(train).accuracy;
        let improved = self.progress.best.is_none_or(|(_, best)| accuracy > best);
        if improved {
            self.progress.best = Some((epoch, accuracy));
        }
        let progress = &mut self.progress;
        progress.last = [Some(train), validation, test];
        (progress.epoch, progress.step) = (epoch, 0);
        (progress.loss_sum, progress.correct, progress.count) = (0.0, 0, 0);
        let seconds = started.elapsed().as_secs_f64();
        on_event(Event::Epoch { epoch, train, validation, test, seconds });
        self.publish()?;
        if let (true, Some(folder)) = (improved, &self.folder) {
            let path = folder.best();
            write(&self.model.checkpoint(&self.weights, None), &path)?;
            on_event(Event::Checkpoint { path });
        }
        self.save_last(on_event)?;
        Ok(Outcome::Complete)
    }

    /// The steps of the epoch that are left.
    fn steps(&mut self, control: &Control, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<Outcome> {
        let train = self.config.train.clone();
        let steps = self.train_indices.len().div_ceil(train.batch_size);
        let epoch = self.progress.epoch;
        let order = epoch_order(&self.train_indices, train.seed, epoch as u64, train.shuffle);
        let loader = Loader::start(Feed {
            pictures: self.train.clone(),
            order: order.into(),
            batch_size: train.batch_size,
            augment: train.augment,
            seed: train.seed,
            epoch: epoch as u64,
            resolution: self.config.model.resolution,
            normalization: self.config.normalization,
            first_batch: self.progress.step,
        })?;
        let (mut logged, mut pictures) = (Instant::now(), 0);
        for batch in loader {
            if control.stopping().load(Ordering::Relaxed) {
                return Ok(Outcome::Stopped);
            }
            let batch = batch?;
            let step = self.progress.step;
            let rate = learning_rate(
                train.schedule,
                train.optimizer.learning_rate(),
                epoch,
                step,
                train.epochs,
                steps,
            );
            let side = self.config.model.resolution;
            let input = Tensor::from_vec(batch.input, (batch.count, side, side, 3), &Device::Cpu)?;
            let stream = (train.seed, self.progress.steps as u64);
            self.step.with_plan(|plan| plan.dropout_stream = stream);
            let loss = self.step.run(&input, &batch.labels, self.parameters.as_tensor())?;
            self.adam.step(&self.parameters, self.step.gradients(), rate)?;
            if !loss.sum.is_finite() {
                return Err(Error::invalid_option(format!(
                    "the loss is no number any more at step {} of epoch {}; lower the learning rate (it is {rate} now)",
                    step + 1,
                    epoch + 1
                )));
            }
            let progress = &mut self.progress;
            progress.step += 1;
            progress.steps += 1;
            progress.loss_sum += loss.sum;
            progress.correct += loss.correct;
            progress.count += batch.count;
            pictures += batch.count;
            if progress.step.is_multiple_of(train.log_every) || progress.step == steps {
                on_event(Event::Step {
                    epoch: epoch + 1,
                    step: progress.step,
                    steps,
                    loss: loss.sum / batch.count as f64,
                    accuracy: loss.correct as f64 / batch.count as f64,
                    learning_rate: rate,
                    images_per_second: pictures as f64 / logged.elapsed().as_secs_f64(),
                });
                (logged, pictures) = (Instant::now(), 0);
            }
            if control.take_checkpoint() {
                self.publish()?;
                self.save_last(on_event)?;
            }
        }
        Ok(Outcome::Complete)
    }

    /// Hands the weights as they are now to the model.
    fn publish(&mut self) -> Result<()> {
        let parameters = self.parameters.to_vec1::<f32>()?;
        let tensors = self.step.with_plan(|plan| plan.parameters().scatter(&parameters, &plan.statistics));
        self.weights.tensors = Arc::new(tensors);
        self.weights.batches_tracked = self.progress.steps as u64;
        self.model.set_weights(self.weights.clone());
        Ok(())
    }

    /// Writes what was last published, with the run's state.
    fn save_last(&self, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let moments = self.adam.moments();
        let (first, second) = self.step.with_plan(|plan| {
            let layout = plan.parameters();
            (layout.scatter_parameters(&moments.first), layout.scatter_parameters(&moments.second))
        });
        let state = TrainingState { progress: self.progress.clone(), first, second };
        let path = folder.last();
        write(&self.model.checkpoint(&self.weights, Some(state)), &path)?;
        on_event(Event::Checkpoint { path });
        Ok(())
    }

    fn report(&self, stopped: bool) -> Report {
        let [train, validation, test] = self.progress.last;
        let folder = self.folder.as_ref();
        Report {
            epochs: self.progress.epoch,
            steps: self.progress.steps,
            train,
            validation,
            test,
            best_epoch: self.progress.best.map(|(epoch, _)| epoch),
            best_accuracy: self.progress.best.map(|(_, accuracy)| accuracy),
            stopped,
            seconds: self.started.elapsed().as_secs_f64(),
            checkpoint: folder.map(Folder::last).filter(|path| path.exists()),
            best: folder.map(Folder::best).filter(|path| path.exists()),
        }
    }
}

/// Refuses to go on with other pictures than the run began with.
fn check_unchanged(before: &TrainConfig, now: &TrainConfig) -> Result<()> {
    let same = [
        ("batchSize", before.batch_size == now.batch_size),
        ("validationFraction", before.validation_fraction == now.validation_fraction),
        ("seed", before.seed == now.seed),
        ("augment", before.augment == now.augment),
        ("shuffle", before.shuffle == now.shuffle),
        ("limit", before.limit == now.limit),
    ];
    match same.iter().find(|(_, same)| !same) {
        None => Ok(()),
        Some((name, _)) => Err(Error::invalid_option(format!(
            "{name} can't change when a run is resumed: it decides which pictures come next"
        ))),
    }
}
