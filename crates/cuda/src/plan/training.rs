//! A network that a card trains: a step is one copy to the card and one graph, from the forward pass to the average of
//! weights. The processor goes on meanwhile; it waits only for losses and for the state.

use super::backward::Gradients;
use super::forward::{Gathering, Maps};
use super::graphs::Graphs;
use super::scalars::{Rate, StepScalars, constants};
use super::staging::{Parts, Staging};
use super::weights::Weights;
use crate::driver::{DeviceBuffer, PinnedBuffer, Slice};
use crate::kernels::loss::Targets as LossTargets;
use crate::kernels::optimizer::Arrays;
use crate::kernels::{Kernels, Workspaces};
use mobilenet_core::config::{OptimizerConfig, TrainConfig};
use mobilenet_core::data::prepare::Batch;
use mobilenet_core::engine::backend::{EngineState, Recipe, TrainingEngine, Update};
use mobilenet_core::engine::head::Head;
use mobilenet_core::kernels::loss::{Loss, Targets};
use mobilenet_core::kernels::padded;
use mobilenet_core::optim::State;
use mobilenet_core::optim::average::Average;
use mobilenet_core::rng::{Purpose, stream, unit};
use mobilenet_core::{Error, Result};
use std::cell::RefCell;

/// Steps whose losses may wait on their way back.
const PENDING: usize = 1024;

/// See [`TrainingEngine`].
#[derive(Debug)]
pub struct Training {
    // In the order in which they are dropped: what was recorded before what it works with.
    graphs: RefCell<Graphs<usize>>,
    weights: Weights,
    maps: Maps,
    gradients: Gradients,
    staging: Staging,
    optimizer: Optimizer,
    loss: LossArrays,
    averages: Option<Averages>,
    smoothing: f64,
    kernels: Kernels,
}

/// What the optimizer keeps on the card, and how it moves.
#[derive(Debug)]
struct Optimizer {
    config: OptimizerConfig,
    backbone_rate: f64,
    /// Steps done, those of a frozen backbone included.
    steps: u64,
    frozen_steps: u64,
    /// One or two, as `optim::buffers` has it.
    buffers: Vec<DeviceBuffer<f32>>,
    decays: DeviceBuffer<u8>,
    /// Where the head's parameters begin.
    split: usize,
    norm_partials: DeviceBuffer<f64>,
    clip_scale: DeviceBuffer<f32>,
}

/// The loss's arrays, and the losses on their way back.
#[derive(Debug)]
struct LossArrays {
    class_weights: Option<(DeviceBuffer<f64>, Vec<f64>)>,
    losses: DeviceBuffer<f64>,
    correct: DeviceBuffer<u32>,
    last: DeviceBuffer<f64>,
    totals: DeviceBuffer<f64>,
    /// Two values a step.
    returned: PinnedBuffer<f64>,
    /// Steps whose losses are on their way.
    pending: usize,
    /// Those that have come and were not given yet.
    known: Vec<Loss>,
}

#[derive(Debug)]
struct Averages {
    parameters: DeviceBuffer<f32>,
    statistics: DeviceBuffer<f32>,
    /// How it moves, and how often it has; its values are on the card.
    average: Average,
}

impl Training {
    /// From a state, on the stream of `kernels`.
    pub fn new(kernels: Kernels, recipe: Recipe<'_>, state: EngineState) -> Result<Self> {
        let Recipe { network, config, class_weights, capacity, frozen_steps } = recipe;
        let precision = config.precision;
        let queue = kernels.stream().clone();
        let mut weights = Weights::new(&kernels, network, precision)?;
        weights.write(&kernels, &state.parameters, &state.statistics)?;
        let maps = Maps::of_training(&kernels, network, precision, capacity)?;
        let Workspaces { sums, weight_gradients } = Workspaces::of(network, capacity, kernels.multiprocessors());
        let gradients = Gradients::new(&kernels, &maps, &weights, capacity, (sums, weight_gradients))?;
        let dropped = if network.dropout > 0.0 { capacity * padded(network.classifier().inputs) } else { 0 };
        let averages = match state.average {
            None => None,
            Some(average) => Some(Averages {
                parameters: DeviceBuffer::of(&queue, &average.parameters)?,
                statistics: DeviceBuffer::of(&queue, &average.statistics)?,
                average: Average { parameters: Vec::new(), statistics: Vec::new(), ..average },
            }),
        };
        let class_weights = match class_weights {
            None => None,
            Some(values) => Some((DeviceBuffer::of(&queue, values)?, values.to_vec())),
        };
        Ok(Self {
            graphs: RefCell::new(Graphs::new(kernels.records())),
            optimizer: Optimizer::new(&kernels, &weights, config, state.optimizer, frozen_steps)?,
            staging: Staging::new(&queue, capacity, dropped, network.picture_floats())?,
            loss: LossArrays {
                class_weights,
                losses: DeviceBuffer::zeros(&queue, capacity)?,
                correct: DeviceBuffer::zeros(&queue, capacity)?,
                last: DeviceBuffer::zeros(&queue, 2)?,
                totals: DeviceBuffer::zeros(&queue, 2)?,
                returned: PinnedBuffer::zeros(queue.context(), 2 * PENDING)?,
                pending: 0,
                known: Vec::new(),
            },
            averages,
            smoothing: config.label_smoothing,
            weights,
            maps,
            gradients,
            kernels,
        })
    }

    /// What this step's kernels read besides arrays.
    fn scalars(&self, batch: &Batch, rate: f64) -> StepScalars {
        let labels = Targets {
            labels: &batch.labels,
            mixture: batch.mixture.as_ref(),
            smoothing: self.smoothing,
            weights: self.loss.class_weights.as_ref().map(|(_, values)| values.as_slice()),
        };
        StepScalars {
            share: batch.mixture.as_ref().map_or(1.0, |mixture| mixture.share),
            divisor: labels.divisor(),
            rates: self.optimizer.rates(rate),
            average_decay: self.averages.as_ref().map_or(0.0, |averages| averages.average.decay()),
        }
    }

    /// Which of the classifier's inputs dropout keeps: the same as the processor's plan, a bit each.
    fn kept_bits(&self, pictures: usize, (seed, step): (u64, u64)) -> Vec<u32> {
        let (network, mut bits) = (&self.maps.network, Vec::new());
        if network.dropout == 0.0 {
            return bits;
        }
        let channels = padded(network.classifier().inputs);
        bits.resize((pictures * channels).div_ceil(32), 0);
        for picture in 0..pictures {
            let mut random = stream(seed, Purpose::Dropout, step, picture as u64);
            for value in picture * channels..(picture + 1) * channels {
                bits[value / 32] |= u32::from(unit(&mut random) >= network.dropout) << (value % 32);
            }
        }
        bits
    }

    /// Forward, loss, backward, optimizer, average: of what lies in the staging area.
    fn work(&self, pictures: usize) -> Result<()> {
        let Self { kernels, weights, maps, gradients, staging, loss, .. } = self;
        let layers = &maps.network.layers;
        let (last, classes) = (layers.len() - 1, maps.network.classes());
        let input = (staging.pictures(), pictures);
        let gathering =
            Gathering { partials: gradients.partials.all(), kept_bits: staging.kept_bits() };
        maps.forward(kernels, weights, input, last, Some(gathering))?;
        let targets = LossTargets {
            labels: staging.labels(),
            second_labels: staging.second_labels(),
            class_weights: loss.class_weights.as_ref().map_or(Slice::NONE, |(values, _)| values.all()),
            smoothing: self.smoothing,
            step: staging.scalars(),
        };
        let arrays = [maps.values(last), gradients.of(last), loss.losses.all(), loss.correct.all()];
        kernels.cross_entropy(pictures, (padded(classes), classes), &targets, arrays)?;
        let arrays =
            [loss.losses.all(), loss.correct.all(), staging.scalars(), loss.last.all(), loss.totals.all()];
        kernels.loss_finish(pictures, arrays)?;
        gradients.backward(kernels, maps, weights, input)?;
        self.optimize(0)
    }

    /// Moves the parameters from `first` on, and the average.
    fn optimize(&self, first: usize) -> Result<()> {
        let Self { kernels, weights, gradients, staging, optimizer, .. } = self;
        let count = weights.parameters.len();
        let clip_scale = match optimizer.config.clip_norm {
            None => Slice::NONE,
            Some(most) => {
                let moved = gradients.parameters.slice(first..count);
                let scale = optimizer.clip_scale.all();
                kernels.clip(count - first, most, [moved, optimizer.norm_partials.all(), scale])?;
                scale
            }
        };
        let buffer = |index: usize| optimizer.buffers.get(index).map_or(Slice::NONE, DeviceBuffer::all);
        let arrays = Arrays {
            parameters: weights.parameters.all(),
            gradients: gradients.parameters.all(),
            buffers: [buffer(0), buffer(1)],
            shadow: weights.shadow.all(),
            decays: optimizer.decays.all(),
            clip_scale,
        };
        let (kind, constants) =
            (optimizer.config.rule.kind(), constants(&optimizer.config, optimizer.split, first));
        kernels.optimize(kind, count, &arrays, constants, staging.scalars())?;
        if let Some(Averages { parameters, statistics, .. }) = &self.averages {
            let step = staging.scalars();
            kernels.average(parameters.len(), [parameters.all(), weights.parameters.all(), step])?;
            if !statistics.is_empty() {
                kernels.average(statistics.len(), [statistics.all(), weights.statistics.all(), step])?;
            }
        }
        Ok(())
    }

    /// Counts a step that was begun.
    fn count(&mut self) {
        self.optimizer.steps += 1;
        if let Some(averages) = &mut self.averages {
            averages.average.updates += 1;
        }
    }
}

impl TrainingEngine for Training {
    fn step(&mut self, batch: Batch, update: Update) -> Result<()> {
        let kept_bits = self.kept_bits(batch.count, update.stream);
        let parts = Parts {
            scalars: self.scalars(&batch, update.rate),
            labels: &batch.labels,
            second_labels: batch.mixture.as_ref().map_or(&batch.labels, |mixture| &mixture.labels),
            kept_bits: &kept_bits,
            pictures: &batch.input,
        };
        let queue = self.kernels.stream().clone();
        self.staging.send(&queue, &parts)?;
        self.graphs.borrow_mut().run(&queue, batch.count, || self.work(batch.count))?;
        self.count();
        self.loss.bring_back(&self.kernels)
    }

    fn step_head(&mut self, head: &Head, batch: Batch, update: Update) -> Result<()> {
        self.loss.wait(&self.kernels)?;
        let (queue, split) = (self.kernels.stream().clone(), self.optimizer.split);
        let own = self.weights.parameters.read(&queue)?.split_off(split);
        let mut gradients = vec![0.0; own.len()];
        let weights = self.loss.class_weights.as_ref().map(|(_, values)| values.as_slice());
        let targets = Targets {
            labels: &batch.labels,
            mixture: batch.mixture.as_ref(),
            smoothing: self.smoothing,
            weights,
        };
        let scalars = self.scalars(&batch, update.rate);
        let loss = head.step(batch.input, targets, &own, update.stream, &mut gradients);
        let parts = Parts { scalars, labels: &[], second_labels: &[], kept_bits: &[], pictures: &[] };
        self.staging.send(&queue, &parts)?;
        let mut all = vec![0.0; split];
        all.extend(gradients);
        self.gradients.parameters.write(&queue, &all)?;
        self.optimize(split)?;
        self.count();
        self.loss.known.push(loss);
        Ok(())
    }

    fn losses(&mut self, all: bool) -> Result<Vec<Loss>> {
        if all {
            self.loss.wait(&self.kernels)?;
        }
        Ok(std::mem::take(&mut self.loss.known))
    }

    fn state(&mut self) -> Result<EngineState> {
        let queue = self.kernels.stream();
        let buffers = self.optimizer.buffers.iter().map(|buffer| buffer.read(queue));
        let average = match &self.averages {
            None => None,
            Some(Averages { parameters, statistics, average }) => Some(Average {
                parameters: parameters.read(queue)?,
                statistics: statistics.read(queue)?,
                ..average.clone()
            }),
        };
        Ok(EngineState {
            parameters: self.weights.parameters.read(queue)?,
            statistics: self.weights.statistics.read(queue)?,
            optimizer: State { steps: self.optimizer.steps, buffers: buffers.collect::<Result<_>>()? },
            average,
        })
    }

    fn bytes(&self) -> usize {
        let averages = self.averages.as_ref();
        let averages = averages.map_or(0, |averages| averages.parameters.bytes() + averages.statistics.bytes());
        let buffers: usize = self.optimizer.buffers.iter().map(DeviceBuffer::bytes).sum();
        let plan = self.weights.bytes() + self.maps.bytes() + self.gradients.bytes() + self.staging.bytes();
        plan + buffers + averages
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        // What is on its way reads and writes arrays that are about to be freed. Of a failure nobody is left to hear.
        let _ = self.kernels.stream().synchronize();
    }
}

impl Optimizer {
    fn new(
        kernels: &Kernels,
        weights: &Weights,
        config: &TrainConfig,
        state: State,
        frozen_steps: usize,
    ) -> Result<Self> {
        let (queue, count) = (kernels.stream(), weights.parameters.len());
        let optimizer = config.optimizer;
        let mut decays = vec![u8::from(optimizer.decay_norms_and_biases); count / 16];
        for range in weights.layout.weights() {
            decays[range.start / 16..range.end / 16].fill(1);
        }
        let buffers = state.buffers.iter().map(|buffer| DeviceBuffer::of(queue, buffer));
        let clips = optimizer.clip_norm.is_some();
        Ok(Self {
            config: optimizer,
            backbone_rate: config.backbone_rate,
            steps: state.steps,
            frozen_steps: frozen_steps as u64,
            buffers: buffers.collect::<Result<_>>()?,
            decays: DeviceBuffer::of(queue, &decays)?,
            split: weights.layout.head().start,
            norm_partials: DeviceBuffer::zeros(queue, if clips { Kernels::norm_values() } else { 0 })?,
            clip_scale: DeviceBuffer::zeros(queue, usize::from(clips))?,
        })
    }

    /// Of the backbone and of the head, in the next step.
    fn rates(&self, rate: f64) -> [Rate; 2] {
        let step = self.steps + 1;
        let own = step.saturating_sub(self.frozen_steps).max(1);
        [
            Rate::of(&self.config, rate * self.backbone_rate, own),
            Rate::of(&self.config, rate, step),
        ]
    }
}

impl LossArrays {
    /// Puts the copy of the last step's loss at the stream's end.
    fn bring_back(&mut self, kernels: &Kernels) -> Result<()> {
        // SAFETY: its place is read only after the stream was waited for, and the plan waits for it before it is dropped.
        unsafe { self.last.read_later(kernels.stream(), &mut self.returned, 2 * self.pending, 2)? };
        self.pending += 1;
        if self.pending == PENDING { self.wait(kernels) } else { Ok(()) }
    }

    /// Waits for all losses.
    fn wait(&mut self, kernels: &Kernels) -> Result<()> {
        if self.pending == 0 {
            return Ok(());
        }
        kernels.stream().synchronize()?;
        let returned = &self.returned.values()[..2 * self.pending];
        let loss = |[sum, correct]: &[f64; 2]| Loss { sum: *sum, correct: *correct as usize };
        self.known.extend(returned.as_chunks::<2>().0.iter().map(loss));
        self.pending = 0;
        if self.known.iter().any(|loss| loss.correct > u32::MAX as usize) {
            return Err(Error::internal("the card counted more right answers than there are pictures"));
        }
        Ok(())
    }
}
