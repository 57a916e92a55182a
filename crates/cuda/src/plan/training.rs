//! A network that a card trains: a step is one copy to the card and one graph, from the forward pass to the average of
//! weights. The processor goes on meanwhile; it waits only for losses and for the state.

use super::backward::Gradients;
use super::forward::{Gathering, Maps};
use super::graphs::Graphs;
use super::kept::{Kept, Mixing, words};
use super::losses::Losses;
use super::optimizer::Optimizer;
use super::scalars::StepScalars;
use super::staging::{Parts, Room, Staging};
use super::weights::Weights;
use crate::driver::DeviceBuffer;
use crate::kernels::loss::Targets as LossTargets;
use crate::kernels::{Kernels, Recording, Workspaces};
use mobilenet_core::config::{Augmentation, Normalization};
use mobilenet_core::data::Pictures;
use mobilenet_core::data::prepare::Batch;
use mobilenet_core::engine::backend::{EngineState, Recipe, TrainingEngine, Update, Wait};
use mobilenet_core::engine::head::Head;
use mobilenet_core::kernels::loss::{Loss, Targets};
use mobilenet_core::kernels::padded;
use mobilenet_core::optim::average::Average;
use mobilenet_core::rng::{Purpose, stream, unit};
use mobilenet_core::{Error, Result};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// See [`TrainingEngine`].
#[derive(Debug)]
pub struct Training {
    // In the order in which they are dropped: what was recorded before what it works with.
    graphs: RefCell<Graphs<(usize, bool)>>,
    weights: Weights,
    maps: Maps,
    gradients: Gradients,
    staging: Staging,
    optimizer: Optimizer,
    losses: Losses,
    averages: Option<Averages>,
    /// The training pictures, if the card keeps them.
    kept: Option<Kept>,
    smoothing: f64,
    kernels: Kernels,
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
        let rooms = Workspaces::of(network, capacity, kernels.multiprocessors());
        let gradients = Gradients::new(&kernels, &maps, &weights, capacity, &rooms)?;
        let dropped = if network.dropout > 0.0 { capacity * padded(network.classifier().inputs) } else { 0 };
        let holes = config.augment.iter().filter(|step| matches!(step, Augmentation::Cutout { .. }));
        let averages = match state.average {
            None => None,
            Some(average) => Some(Averages {
                parameters: DeviceBuffer::of(&queue, &average.parameters)?,
                statistics: DeviceBuffer::of(&queue, &average.statistics)?,
                average: Average { parameters: Vec::new(), statistics: Vec::new(), ..average },
            }),
        };
        Ok(Self {
            graphs: RefCell::new(Graphs::new(kernels.recording())),
            optimizer: Optimizer::new(&kernels, &weights, config, state.optimizer, frozen_steps)?,
            staging: Staging::new(
                &queue,
                Room {
                    capacity,
                    dropout_values: dropped,
                    holes_per_picture: holes.count(),
                    picture_floats: network.picture_floats(),
                    draws: true,
                },
            )?,
            losses: Losses::new(&queue, capacity, class_weights)?,
            averages,
            kept: None,
            smoothing: config.label_smoothing,
            weights,
            maps,
            gradients,
            kernels,
        })
    }

    fn targets<'a>(&'a self, batch: &'a Batch) -> Targets<'a> {
        Targets {
            labels: &batch.labels,
            mixture: batch.mixture.as_ref(),
            smoothing: self.smoothing,
            weights: self.losses.class_weight_values(),
        }
    }

    /// What this step's kernels read besides arrays.
    fn scalars(&self, batch: &Batch, rate: f64) -> Result<StepScalars> {
        Ok(StepScalars {
            share: batch.mixture.as_ref().map_or(1.0, |mixture| mixture.share),
            divisor: self.targets(batch).divisor(),
            rates: self.optimizer.rates(rate),
            average_decay: self.averages.as_ref().map_or(0.0, |averages| averages.average.decay()),
            mixing: Mixing::of(batch.drawn.as_ref().and_then(|drawn| drawn.mix.as_ref()))?,
        })
    }

    /// Which of the classifier's inputs dropout keeps: the same as the processor's plan, a bit each.
    fn kept_bits(&self, pictures: usize, (seed, step): (u64, u64)) -> Vec<u32> {
        let (network, mut bits) = (&self.maps.network, Vec::new());
        if network.dropout == 0.0 {
            return bits;
        }
        let channels = padded(network.classifier().inputs);
        bits.resize((pictures * channels).div_ceil(32), 0);
        // Channels are a multiple of 16, so two pictures together end with a word.
        bits.par_chunks_mut(2 * channels / 32).enumerate().for_each(|(pair, bits)| {
            for picture in 2 * pair..pictures.min(2 * pair + 2) {
                let mut random = stream(seed, Purpose::Dropout, step, picture as u64);
                let first = picture % 2 * channels;
                for value in first..first + channels {
                    bits[value / 32] |= u32::from(unit(&mut random) >= network.dropout) << (value % 32);
                }
            }
        });
        bits
    }

    /// Forward, loss, backward, optimizer, average: of what lies in the staging area, or of pictures that were `drawn`.
    fn work(&self, pictures: usize, drawn: bool) -> Result<()> {
        let Self { kernels, weights, maps, gradients, staging, losses, .. } = self;
        let layers = &maps.network.layers;
        let (last, classes) = (layers.len() - 1, maps.network.classes());
        if let (true, Some(kept)) = (drawn, &self.kept) {
            kept.make(kernels, staging, pictures)?;
        }
        let input = (staging.pictures(), pictures);
        let gathering = Gathering { partials: gradients.partials.all(), kept_bits: staging.kept_bits() };
        maps.forward(kernels, weights, input, last, Some(gathering))?;
        let targets = LossTargets {
            labels: staging.labels(),
            second_labels: staging.second_labels(),
            class_weights: losses.class_weights(),
            smoothing: self.smoothing,
            step: staging.scalars(),
        };
        let arrays = [maps.values(last), gradients.of(last), losses.pictures.all(), losses.correct.all()];
        kernels.cross_entropy(pictures, (padded(classes), classes), &targets, arrays)?;
        if kernels.recording() == Recording::StrictForward {
            kernels.stream().end_overlapping();
        }
        let (early, count) = (self.optimizer.early(), weights.parameters.len());
        gradients.backward(kernels, maps, weights, input, &|layer, turn| {
            if layer == last {
                self.sum_losses(turn.follow()?, pictures)?;
            }
            match early {
                Some(early) if early.layer == layer => {
                    self.move_parameters(turn.follow()?, early.first..count)
                }
                _ => Ok(()),
            }
        })?;
        self.optimize(0..early.map_or(count, |early| early.first))
    }

    /// Of the pictures' losses that of the batch, for which nothing on the card waits.
    fn sum_losses(&self, kernels: &Kernels, pictures: usize) -> Result<()> {
        let Self { losses, staging, .. } = self;
        let arrays = [
            losses.pictures.all(),
            losses.correct.all(),
            staging.scalars(),
            losses.last.all(),
            losses.totals.all(),
        ];
        kernels.loss_finish(pictures, arrays)
    }

    fn move_parameters(&self, kernels: &Kernels, moved: Range<usize>) -> Result<()> {
        let scalars = self.staging.scalars();
        self.optimizer.step(kernels, &self.weights, &self.gradients.parameters, scalars, moved)
    }

    /// Moves these parameters, and the average.
    fn optimize(&self, moved: Range<usize>) -> Result<()> {
        let Self { kernels, weights, staging, .. } = self;
        self.move_parameters(kernels, moved)?;
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
        self.optimizer.count();
        if let Some(averages) = &mut self.averages {
            averages.average.updates += 1;
        }
    }
}

impl TrainingEngine for Training {
    fn keep(&mut self, pictures: &Pictures, normalization: &Normalization) -> Result<bool> {
        let side = self.maps.network.resolution;
        // What was recorded works with the pictures that were kept before.
        self.kernels.stream().synchronize()?;
        self.graphs = RefCell::new(Graphs::new(self.kernels.recording()));
        self.kept = match pictures.square_bytes(side) {
            Some(bytes) => Kept::new(&self.kernels, bytes, &pictures.labels, normalization, side)?,
            None => None,
        };
        Ok(self.kept.is_some())
    }

    fn step(&mut self, batch: Batch, update: Update) -> Result<()> {
        let kept_bits = self.kept_bits(batch.count, update.stream);
        let (choices, holes) = match &batch.drawn {
            Some(drawn) if self.kept.is_some() => words(drawn, self.maps.network.resolution)?,
            Some(_) => {
                return Err(Error::internal("a batch was drawn of pictures that the card doesn't keep"));
            }
            None => (Vec::new(), Vec::new()),
        };
        let parts = Parts {
            scalars: self.scalars(&batch, update.rate)?,
            labels: &batch.labels,
            second_labels: batch.mixture.as_ref().map_or(&batch.labels, |mixture| &mixture.labels),
            kept_bits: &kept_bits,
            choices: &choices,
            holes: &holes,
            pictures: &batch.input,
        };
        let queue = self.kernels.stream().clone();
        self.staging.send(&parts)?;
        let key = (batch.count, batch.drawn.is_some());
        self.graphs.borrow_mut().run(&queue, key, || self.work(key.0, key.1))?;
        self.count();
        self.losses.ask()
    }

    fn step_head(&mut self, head: &mut Head, mut batch: Batch, update: Update) -> Result<()> {
        self.losses.wait(0)?;
        let (queue, split) = (self.kernels.stream().clone(), self.optimizer.split);
        let mut own = vec![0.0; self.weights.parameters.len() - split];
        self.weights.parameters.read_at(split, &queue, &mut own)?;
        let mut gradients = vec![0.0; own.len()];
        let scalars = self.scalars(&batch, update.rate)?;
        let features = std::mem::take(&mut batch.input);
        let loss = head.step(features, self.targets(&batch), &own, update.stream, &mut gradients);
        self.staging.send(&Parts::of(scalars))?;
        self.gradients.parameters.write_at(split, &queue, &gradients)?;
        self.optimize(split..self.weights.parameters.len())?;
        self.count();
        self.losses.push(loss);
        Ok(())
    }

    fn losses(&mut self, wait: Wait) -> Result<Vec<Loss>> {
        match wait {
            Wait::No => {}
            Wait::ForEarlier => self.losses.wait(1)?,
            Wait::ForAll => self.losses.wait(0)?,
        }
        Ok(self.losses.take())
    }

    fn state(&mut self) -> Result<EngineState> {
        let queue = self.kernels.stream();
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
            optimizer: self.optimizer.state(&self.kernels)?,
            average,
        })
    }

    fn bytes(&self) -> usize {
        let averages = self.averages.as_ref();
        let averages =
            averages.map_or(0, |averages| averages.parameters.bytes() + averages.statistics.bytes());
        let plan = self.weights.bytes() + self.maps.bytes() + self.gradients.bytes() + self.staging.bytes();
        let kept = self.kept.as_ref().map_or(0, Kept::bytes);
        plan + self.optimizer.bytes() + averages + kept
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        // What is on its way reads and writes arrays that are about to be freed. Of a failure nobody is left to hear.
        let _ = self.kernels.stream().synchronize();
        // The main stream has waited for this one, unless a step failed.
        let _ = self.gradients.side.synchronize();
    }
}
