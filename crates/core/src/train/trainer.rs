//! One run: epochs of steps, each epoch with validation and test at its end.

use super::Control;
use super::event::{EndedBy, Event, Metrics, PictureCounts, Report, RunConfig, Split};
use super::frozen::{self, Frozen};
use super::groups::Groups;
use super::record::{Folder, Record, Tally};
use crate::checkpoint::{Progress, TrainingState, write};
use crate::config::{Augmentation, TestTimeAugmentation, TrainConfig, TrainOptions};
use crate::data::loader::{Feed, Loader, epoch_order};
use crate::data::prepare::Batch;
use crate::data::{Dataset, Pictures};
use crate::device::precision;
use crate::engine::evaluate::{Answers, evaluate};
use crate::engine::head::Head;
use crate::engine::step::TrainingStep;
use crate::engine::{InferencePlan, TrainingPlan};
use crate::error::{Error, ErrorCode, Result};
use crate::floats::floats;
use crate::kernels::loss::Targets;
use crate::kernels::simd::Isa;
use crate::mobilenet::{MobileNet, Weights, check_labels, evaluation_plan};
use crate::optim::average::Average;
use crate::optim::schedule::{Place, learning_rate};
use candle_core::{Device, Storage, Tensor, Var};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

pub(super) struct Trainer<'a> {
    model: &'a MobileNet,
    train: Arc<Pictures>,
    /// Those to validate with, which may be the same.
    validation: Arc<Pictures>,
    test: Arc<Pictures>,
    train_indices: Vec<u32>,
    validation_indices: Vec<u32>,
    test_indices: Vec<u32>,
    config: RunConfig,
    pub(super) record: Option<Record>,
    progress: Progress,
    /// The weights as the run began; class names and normalisation stay.
    weights: Weights,
    parameters: Var,
    step: TrainingStep,
    groups: Groups,
    /// While the backbone stays as it is.
    frozen: Option<Frozen>,
    /// What is evaluated, published and saved as the network, if the recipe has it.
    average: Option<Average>,
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
        let mut train_config = options.resolve(&base)?;
        if data.validation.is_some() {
            // There is nothing to be kept for it.
            train_config.validation_fraction = 0.0;
        }
        if data.train.resize().is_some() && options.augment.is_none() && state.is_none() {
            train_config.augment = Augmentation::photographs();
        }
        if state.is_some() {
            check_unchanged(&base, &train_config)?;
        }
        if options.save_every.is_some() && options.out.is_none() {
            return Err(Error::invalid_option(
                "saveEvery keeps states in the run's folder; give it one by out",
            ));
        }
        let bfloat16 = precision(train_config.precision)?;
        data.check_resolution(model.config().resolution)?;
        if state.is_some() {
            data.check_classes(&weights.classes)?;
        }
        check_labels(&data.train, model.config().classes)?;
        check_labels(&data.test, model.config().classes)?;

        let limit = train_config.limit.unwrap_or(usize::MAX);
        let mut parts = data.split(train_config.validation_fraction);
        let validation = data.validation.as_ref().unwrap_or(&data.train);
        if data.validation.is_some() {
            parts.validation = (0..validation.len() as u32).collect();
        }
        let first = |indices: Vec<u32>| indices.into_iter().take(limit).collect::<Vec<u32>>();
        let mut train_indices = parts.train;
        if !train_config.shuffle {
            // Without shuffling the pictures come as they lie in the data set.
            train_indices.sort_unstable();
        }
        let (train_indices, validation_indices) = (first(train_indices), first(parts.validation));
        let test_indices = first((0..data.test.len() as u32).collect());
        let pictures = PictureCounts {
            total: data.train.len() + data.validation.as_ref().map_or(0, |pictures| pictures.len()),
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
        let labels = train_indices.iter().map(|index| data.train.labels[*index as usize]);
        let class_weights = train_config.class_weights.as_ref();
        let class_weights =
            class_weights.map(|weights| weights.resolve(labels, model.config().classes)).transpose()?;
        let progress = match &state {
            Some(state) => Progress {
                config: train_config.clone(),
                averaged: if train_config.ema.is_some() { state.progress.averaged } else { 0 },
                ..state.progress.clone()
            },
            None => Progress {
                config: train_config.clone(),
                pictures,
                epoch: 0,
                step: 0,
                steps: 0,
                averaged: 0,
                learning_rate: None,
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
        if out_of_patience(&progress) {
            return Err(Error::invalid_option(format!(
                "this run has lost its patience: no epoch since number {} was better; ask for more patience to go on",
                progress.best.map_or(0, |(epoch, _)| epoch)
            )));
        }
        let resumed_from = if resume { model.origin().map(|path| (path, &progress)) } else { None };
        let record = options.out.as_deref().map(|path| Record::open(path, resumed_from)).transpose()?;

        if data.classes.len() == model.config().classes {
            weights.classes = data.classes.clone();
        }
        let capacity = train_config.batch_size.min(train_indices.len());
        let plan = TrainingPlan::new(model.network().clone(), capacity, Isa::best());
        let mut plan = plan.in_bfloat16(bfloat16);
        let raw = state.as_ref().and_then(|state| state.raw.as_ref());
        let (parameters, statistics) = plan.parameters().gather(raw.unwrap_or(&weights.tensors));
        plan.statistics = statistics;
        let average = train_config.ema.map(|ema| {
            let (parameters, statistics) = plan.parameters().gather(&weights.tensors);
            Average::new(ema, parameters, statistics, progress.averaged)
        });
        let steps = train_indices.len().div_ceil(train_config.batch_size);
        let frozen_steps = train_config.frozen_epochs() * steps;
        let groups = Groups::new(&train_config, plan.parameters(), state.as_deref(), frozen_steps);
        let frozen = (progress.epoch < train_config.frozen_epochs()).then(|| {
            let backbone = model.network().backbone();
            let mut plan = evaluation_plan(&backbone).in_bfloat16(bfloat16);
            let (parameters, statistics) = plan.parameters().gather(raw.unwrap_or(&weights.tensors));
            plan.prepare(&parameters, &statistics);
            Frozen::new(plan, Head::of(model.network()))
        });
        let config = RunConfig {
            model: model.config(),
            train: train_config,
            normalization: weights.normalization,
            data: data.source.clone(),
            pictures,
            skipped: data.skipped.len(),
            class_weights,
            device: "cpu".into(),
            simd: Isa::best().name().into(),
            threads,
            out: record.as_ref().map(|record| record.folder.path().to_path_buf()),
            resumed_epochs: state.as_ref().map(|state| state.progress.epoch),
        };
        let floats = parameters.len();
        Ok(Self {
            model,
            train: data.train.clone(),
            validation: validation.clone(),
            test: data.test.clone(),
            train_indices,
            validation_indices,
            test_indices,
            config,
            record,
            progress,
            weights,
            parameters: Var::from_vec(parameters, floats, &Device::Cpu)?,
            step: TrainingStep::new(plan)?,
            groups,
            frozen,
            average,
            evaluation: evaluation_plan(model.network()).in_bfloat16(bfloat16),
            started,
        })
    }

    /// Everything between the events `start` and `done`, `start` included.
    pub fn run(&mut self, control: &Control, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<Report> {
        self.tell(Event::Start { config: Box::new(self.config.clone()) }, on_event)?;
        // So that a run can go on whenever it is killed, and a disk that is too small is found out now.
        self.save_state(Folder::last)?;
        while self.progress.epoch < self.config.train.epochs {
            if let Outcome::Stopped = self.epoch(control, on_event)? {
                self.publish()?;
                self.save_last(control, on_event)?;
                return Ok(self.report(EndedBy::Stop));
            }
            if out_of_patience(&self.progress) {
                return Ok(self.report(EndedBy::Patience));
            }
        }
        Ok(self.report(EndedBy::Epochs))
    }

    /// Logs an event, and tells it.
    fn tell(&mut self, event: Event, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<()> {
        if let Some(record) = &mut self.record {
            record.add(&event)?;
        }
        on_event(event);
        Ok(())
    }

    /// The rest of the epoch that the run is in, with validation, test and checkpoints.
    fn epoch(&mut self, control: &Control, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<Outcome> {
        let started = Instant::now();
        if let Outcome::Stopped = self.steps(control, on_event)? {
            return Ok(Outcome::Stopped);
        }
        let train = Metrics::of(self.progress.loss_sum, self.progress.correct, self.progress.count);
        let (parameters, statistics) = self.network()?;
        self.evaluation.prepare(&parameters, &statistics);
        let head = &parameters[self.groups.head_start()..];
        let epoch = self.progress.epoch + 1;
        let mut metrics = [None; 2];
        let parts = [
            (Split::Validation, &self.validation, &self.validation_indices),
            (Split::Test, &self.test, &self.test_indices),
        ];
        // Of the test pictures if there are any, because the second replaces the first.
        let mut tally = None;
        for (part, (metrics, (split, pictures, indices))) in metrics.iter_mut().zip(parts).enumerate() {
            let (plan, normalization) = (&mut self.evaluation, self.config.normalization);
            let (mut counted, mut done, count) = (Tally::new(&self.weights.classes), 0, indices.len());
            let mut hear = |answers: &Answers| {
                counted.add(answers);
                done += answers.labels.len();
                // Not logged: it is of use only while it is waited for.
                on_event(Event::Evaluating { epoch, split, done, count });
            };
            let (stopping, tta) = (control.stopping(), TestTimeAugmentation::None);
            let features = match &mut self.frozen {
                Some(frozen) => frozen.of_part(part + 1, pictures, indices, normalization, stopping)?,
                None => None,
            };
            *metrics = match (&self.frozen, features) {
                (Some(frozen), Some(features)) => {
                    let labels = indices.iter().map(|index| pictures.labels[*index as usize]);
                    frozen.evaluate(&features, indices, &labels.collect::<Vec<_>>(), head, &mut hear)
                }
                _ => evaluate(plan, pictures, indices, normalization, tta, stopping, &mut hear)?,
            };
            if let Some(metrics) = metrics {
                tally = Some((counted, split, *metrics, pictures));
            }
        }
        if control.stopping().load(Ordering::Relaxed) {
            // Stopped during the evaluation: a resumed run begins with it.
            return Ok(Outcome::Stopped);
        }
        let [validation, test] = metrics;
        let train = train.ok_or_else(|| Error::internal("an epoch without pictures"))?;
        if let (Some(record), Some((tally, split, metrics, pictures))) = (&self.record, tally) {
            record.write_evaluation(&tally.evaluation(epoch, split, metrics, pictures)?)?;
        }
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
        self.tell(Event::Epoch { epoch, train, validation, test, seconds }, on_event)?;
        self.publish()?;
        if let (true, Some(record)) = (improved, &self.record) {
            let path = record.folder.best();
            write(&self.model.checkpoint(&self.weights, None), &path)?;
            self.tell(Event::Checkpoint { path }, on_event)?;
        }
        if self.config.train.save_every.is_some_and(|every| epoch.is_multiple_of(every)) {
            self.save_epoch(epoch, on_event)?;
        }
        self.save_last(control, on_event)?;
        Ok(Outcome::Complete)
    }

    /// The steps of the epoch that are left.
    fn steps(&mut self, control: &Control, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<Outcome> {
        let train = self.config.train.clone();
        let steps = self.train_indices.len().div_ceil(train.batch_size);
        let epoch = self.progress.epoch;
        if epoch >= train.frozen_epochs() {
            self.frozen = None;
        }
        let features = self.train_features(control)?;
        let kept = features.is_some();
        let (mut logged, mut pictures) = (Instant::now(), 0);
        for batch in self.batches(features)? {
            if control.stopping().load(Ordering::Relaxed) {
                return Ok(Outcome::Stopped);
            }
            let batch = batch?;
            let step = self.progress.step;
            // (Of a frozen backbone that was asked once, a batch has features in the place of pictures.)
            if let (0, false, Some(record)) = (self.progress.steps, kept, &self.record) {
                let side = self.config.model.resolution;
                record.write_samples(&batch, side, &self.config.normalization)?;
            }
            let place = Place { epoch, step, epochs: train.epochs, steps };
            let scheduled = learning_rate(&train.schedule, train.optimizer.learning_rate, place);
            if let Some(learning_rate) = control.take_learning_rate() {
                self.progress.learning_rate = Some((learning_rate, scheduled));
                let (epoch, step) = (epoch + 1, step + 1);
                self.tell(Event::LearningRate { epoch, step, learning_rate, scheduled }, on_event)?;
            }
            let rate = match self.progress.learning_rate {
                Some((set, then)) => set * (scheduled / then),
                None => scheduled,
            };
            let stream = (train.seed, self.progress.steps as u64);
            let targets = Targets {
                labels: &batch.labels,
                mixture: batch.mixture.as_ref(),
                smoothing: train.label_smoothing,
                weights: self.config.class_weights.as_deref(),
            };
            let parameters = self.parameters.as_tensor();
            let loss = match &mut self.frozen {
                Some(frozen) => {
                    let features = if kept { batch.input } else { frozen.features_of(&batch.input) };
                    let head = self.groups.head_of(parameters)?.to_vec1::<f32>()?;
                    let mut gradients = vec![0.0; head.len()];
                    let loss = frozen.head.step(features, targets, &head, stream, &mut gradients);
                    let gradients = Tensor::from_vec(gradients, head.len(), &Device::Cpu)?;
                    self.groups.step_head(parameters, &gradients, rate)?;
                    loss
                }
                None => {
                    let side = self.config.model.resolution;
                    let input = Tensor::from_vec(batch.input, (batch.count, side, side, 3), &Device::Cpu)?;
                    self.step.with_plan(|plan| plan.dropout_stream = stream);
                    let loss = self.step.run(&input, targets, parameters)?;
                    self.groups.step(parameters, self.step.gradients(), rate)?;
                    loss
                }
            };
            if !loss.sum.is_finite() {
                return Err(Error::invalid_option(format!(
                    "the loss is no number any more at step {} of epoch {}; lower the learning rate (it is {rate} now)",
                    step + 1,
                    epoch + 1
                )));
            }
            if let Some(average) = &mut self.average {
                let (storage, layout) = self.parameters.storage_and_layout();
                let Storage::Cpu(storage) = &*storage else { return Err(Error::internal("not on the CPU")) };
                let parameters = floats(storage, layout)?;
                self.step.with_plan(|plan| average.update(parameters, &plan.statistics));
            }
            let progress = &mut self.progress;
            progress.step += 1;
            progress.steps += 1;
            progress.loss_sum += loss.sum;
            progress.correct += loss.correct;
            progress.count += batch.count;
            pictures += batch.count;
            if progress.step.is_multiple_of(train.log_every) || progress.step == steps {
                let event = Event::Step {
                    epoch: epoch + 1,
                    step: progress.step,
                    steps,
                    loss: loss.sum / batch.count as f64,
                    accuracy: loss.correct as f64 / batch.count as f64,
                    learning_rate: rate,
                    images_per_second: pictures as f64 / logged.elapsed().as_secs_f64(),
                };
                self.tell(event, on_event)?;
                (logged, pictures) = (Instant::now(), 0);
            }
            if control.wants_checkpoint() {
                self.publish()?;
                self.save_last(control, on_event)?;
            }
        }
        Ok(Outcome::Complete)
    }

    /// What a frozen backbone gives of the training pictures, where that is the same in each epoch and not too much.
    fn train_features(&mut self, control: &Control) -> Result<Option<Arc<Vec<f32>>>> {
        match &mut self.frozen {
            Some(frozen) if self.config.train.augment.is_empty() => {
                let normalization = self.config.normalization;
                frozen.of_part(0, &self.train, &self.train_indices, normalization, control.stopping())
            }
            _ => Ok(None),
        }
    }

    /// The batches of the epoch that are left: pictures, or their features where there are any.
    fn batches(&self, features: Option<Arc<Vec<f32>>>) -> Result<Box<dyn Iterator<Item = Result<Batch>>>> {
        let train = &self.config.train;
        let (epoch, first_batch) = (self.progress.epoch as u64, self.progress.step);
        let order = |indices: &[u32]| epoch_order(indices, train.seed, epoch, train.shuffle);
        if let (Some(features), Some(frozen)) = (features, &self.frozen) {
            let places: Vec<u32> = (0..self.train_indices.len() as u32).collect();
            let labels = self.train_indices.iter().map(|index| self.train.labels[*index as usize]).collect();
            let width = frozen.head.features;
            let order = order(&places);
            return Ok(Box::new(frozen::batches(
                features,
                width,
                labels,
                order,
                train.batch_size,
                first_batch,
            )));
        }
        Ok(Box::new(Loader::start(Feed {
            pictures: self.train.clone(),
            order: order(&self.train_indices).into(),
            batch_size: train.batch_size,
            augment: train.augment.clone(),
            seed: train.seed,
            epoch,
            resolution: self.config.model.resolution,
            normalization: self.config.normalization,
            first_batch,
        })?))
    }

    /// Parameters and running statistics of what is evaluated and saved: the average, where there is one.
    fn network(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        match &self.average {
            Some(average) => Ok((average.parameters.clone(), average.statistics.clone())),
            None => self.trained(),
        }
    }

    /// The same of what is trained.
    fn trained(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        Ok((self.parameters.to_vec1::<f32>()?, self.step.with_plan(|plan| plan.statistics.clone())))
    }

    /// Hands the weights as they are now to the model.
    fn publish(&mut self) -> Result<()> {
        let (parameters, statistics) = self.network()?;
        let tensors = self.step.with_plan(|plan| plan.parameters().scatter(&parameters, &statistics));
        self.weights.tensors = Arc::new(tensors);
        self.weights.batches_tracked = self.progress.steps as u64;
        self.model.set_weights(self.weights.clone());
        Ok(())
    }

    /// Writes what was last published, with the run's state, as the newest.
    fn save_last(&mut self, control: &Control, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<()> {
        let asked_for = control.checkpoints_asked_for();
        let Some(path) = self.save_state(Folder::last)? else { return Ok(()) };
        control.answer_checkpoints(asked_for);
        self.tell(Event::Checkpoint { path }, on_event)
    }

    /// The same as the state after an epoch, which stays; those before are removed as the recipe says.
    fn save_epoch(&mut self, epoch: usize, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<()> {
        let Some(path) = self.save_state(|folder| folder.epoch(epoch))? else { return Ok(()) };
        if let (Some(keep), Some(record)) = (self.config.train.keep, &self.record) {
            record.folder.keep_epochs(keep)?;
        }
        self.tell(Event::Checkpoint { path }, on_event)
    }

    /// Writes what was last published, with the run's state; gives the file, if the run has a folder.
    fn save_state(&self, place: impl FnOnce(&Folder) -> PathBuf) -> Result<Option<PathBuf>> {
        let Some(record) = &self.record else { return Ok(None) };
        let optimizer = self.step.with_plan(|plan| self.groups.buffers(plan.parameters()));
        let mut progress = self.progress.clone();
        let mut raw = None;
        if let Some(average) = &self.average {
            progress.averaged = average.updates;
            let (parameters, statistics) = self.trained()?;
            raw = Some(self.step.with_plan(|plan| plan.parameters().scatter(&parameters, &statistics)));
        }
        let state = TrainingState { progress, raw, optimizer };
        let path = place(&record.folder);
        record.sync()?;
        write(&self.model.checkpoint(&self.weights, Some(state)), &path)?;
        Ok(Some(path))
    }

    fn report(&self, ended_by: EndedBy) -> Report {
        let [train, validation, test] = self.progress.last;
        let folder = self.record.as_ref().map(|record| &record.folder);
        Report {
            epochs: self.progress.epoch,
            steps: self.progress.steps,
            train,
            validation,
            test,
            best_epoch: self.progress.best.map(|(epoch, _)| epoch),
            best_accuracy: self.progress.best.map(|(_, accuracy)| accuracy),
            stopped: ended_by == EndedBy::Stop,
            ended_by,
            seconds: self.started.elapsed().as_secs_f64(),
            checkpoint: folder.map(Folder::last).filter(|path| path.exists()),
            best: folder.map(Folder::best).filter(|path| path.exists()),
        }
    }
}

/// Whether the last epochs, as many as the recipe has patience for, were no better than the best.
fn out_of_patience(Progress { config, epoch, best, .. }: &Progress) -> bool {
    matches!((config.patience, best), (Some(patience), Some((best, _))) if epoch - best >= patience)
}

/// Refuses to go on with other pictures than the run began with, or with an optimizer of another kind.
fn check_unchanged(before: &TrainConfig, now: &TrainConfig) -> Result<()> {
    let [kind, other] = [before, now].map(|config| config.optimizer.rule.kind());
    if kind != other {
        return Err(Error::invalid_option(format!(
            "the optimizer can't change from {} to {} when a run is resumed: what it keeps from step to step is its own",
            kind.name(),
            other.name()
        )));
    }
    let same = [
        ("batchSize", before.batch_size == now.batch_size),
        ("validationFraction", before.validation_fraction == now.validation_fraction),
        ("seed", before.seed == now.seed),
        ("augment", before.augment == now.augment),
        ("freeze", before.freeze == now.freeze && before.freeze_epochs == now.freeze_epochs),
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
