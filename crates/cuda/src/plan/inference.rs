//! A network that a card runs: the forward pass alone, with the running statistics.

use super::forward::Maps;
use super::graphs::Graphs;
use super::kept::{Kept, Mixing, as_they_are};
use super::scalars::{Rate, StepScalars};
use super::staging::{Parts, Room, Staging};
use super::weights::Weights;
use crate::driver::Download;
use crate::kernels::Kernels;
use mobilenet_core::config::{Normalization, OptimizerConfig, OptimizerKind, Precision};
use mobilenet_core::data::Pictures;
use mobilenet_core::engine::backend::{InferenceEngine, KeptPictures};
use mobilenet_core::kernels::padded;
use mobilenet_core::model::network::Network;
use mobilenet_core::{Error, Result};
use std::ops::{ControlFlow, Range};

/// Batches whose logits are on their way back at most: one is heard while the next is computed.
const ANSWERS: usize = 2;

/// See [`InferenceEngine`].
#[derive(Debug)]
pub struct Inference {
    // In the order in which they are dropped: what was recorded before what it works with.
    graphs: Graphs<(usize, usize, Option<usize>)>,
    weights: Weights,
    maps: Maps,
    staging: Staging,
    /// Pictures that stay on the card, and the logits of batches of them on their way back.
    kept: Vec<Kept>,
    answers: Option<Download<u8>>,
    capacity: usize,
    kernels: Kernels,
}

/// The pictures of a batch.
enum Source<'a> {
    /// Normalised, `[pictures, resolution, resolution, 3]`.
    Sent(&'a [f32]),
    /// Some of those that are kept under a number.
    Kept(usize, Range<usize>),
}

impl Inference {
    /// Room for a network and batches of at most `capacity` pictures, on the stream of `kernels`.
    pub fn new(kernels: Kernels, network: &Network, precision: Precision, capacity: usize) -> Result<Self> {
        Ok(Self {
            graphs: Graphs::new(kernels.recording()),
            weights: Weights::new(&kernels, network, precision)?,
            maps: Maps::of_inference(&kernels, network, precision, capacity)?,
            staging: Staging::new(
                kernels.stream(),
                Room { capacity, picture_floats: network.picture_floats(), draws: true, ..Room::default() },
            )?,
            kept: Vec::new(),
            answers: None,
            capacity,
            kernels,
        })
    }

    /// The output of layer `last`, `[pictures, outputs]`, a map of one pixel.
    fn run(&mut self, input: &[f32], pictures: usize, last: usize) -> Result<Vec<f32>> {
        if pictures == 0
            || pictures > self.capacity
            || input.len() != pictures * self.maps.network.picture_floats()
        {
            return Err(Error::internal(format!("a batch of {pictures} pictures in {} values", input.len())));
        }
        self.put(Source::Sent(input), pictures, last)?;
        let outputs = self.maps.network.layers[last].outputs;
        let rows = self.maps.read(&self.kernels, last, pictures * padded(outputs))?;
        Ok(rows.chunks_exact(padded(outputs)).flat_map(|row| &row[..outputs]).copied().collect())
    }

    /// Puts a batch's way up to layer `last` at the stream's end.
    fn put(&mut self, source: Source<'_>, pictures: usize, last: usize) -> Result<()> {
        let still = Rate::of(&OptimizerConfig::of(OptimizerKind::Sgd), 0.0, 1);
        let scalars = StepScalars {
            share: 1.0,
            divisor: 1.0,
            rates: [still; 2],
            average_decay: 0.0,
            mixing: Mixing::default(),
        };
        let (input, choices, number) = match source {
            Source::Sent(input) => (input, Vec::new(), None),
            Source::Kept(number, which) => (&[][..], as_they_are(which)?, Some(number)),
        };
        self.staging.send(&Parts { pictures: input, choices: &choices, ..Parts::of(scalars) })?;
        let Self { graphs, weights, maps, staging, kept, kernels, .. } = self;
        let stream = kernels.stream();
        graphs.run(stream, (pictures, last, number), || {
            if let Some(number) = number {
                kept[number].make(kernels, staging, pictures)?;
            }
            maps.forward(kernels, weights, (staging.pictures(), pictures), last, None)
        })
    }
}

impl InferenceEngine for Inference {
    fn network(&self) -> &Network {
        &self.maps.network
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn prepare(&mut self, parameters: &[f32], statistics: &[f32]) -> Result<()> {
        self.weights.write(&self.kernels, parameters, statistics)?;
        self.maps.read_running(&self.kernels, &self.weights)
    }

    fn logits(&mut self, input: &[f32], pictures: usize) -> Result<Vec<f32>> {
        self.run(input, pictures, self.maps.network.layers.len() - 1)
    }

    fn features(&mut self, input: &[f32], pictures: usize) -> Result<Vec<f32>> {
        self.run(input, pictures, self.maps.network.features())
    }

    fn keep(
        &mut self,
        pictures: &Pictures,
        indices: &[u32],
        normalization: &Normalization,
    ) -> Result<Option<KeptPictures>> {
        let side = self.maps.network.resolution;
        let Some(all) = pictures.square_bytes(side).filter(|_| !indices.is_empty()) else { return Ok(None) };
        let length = side * side * 3;
        let (mut bytes, mut labels) = (Vec::with_capacity(indices.len() * length), Vec::new());
        for index in indices.iter().map(|index| *index as usize) {
            bytes.extend_from_slice(&all[index * length..][..length]);
            labels.push(pictures.labels[index]);
        }
        if self.answers.is_none() {
            let bytes = size_of::<f32>() * self.capacity * padded(self.maps.network.classes());
            self.answers = Some(Download::new(self.kernels.stream(), ANSWERS, bytes)?);
        }
        let Some(kept) = Kept::new(&self.kernels, &bytes, &labels, normalization, side)? else {
            return Ok(None);
        };
        self.kept.push(kept);
        Ok(Some(KeptPictures(self.kept.len() - 1)))
    }

    fn logits_of_kept(
        &mut self,
        KeptPictures(number): KeptPictures,
        hear: &mut dyn FnMut(&[f32]) -> ControlFlow<()>,
    ) -> Result<()> {
        let unknown = || Error::internal(format!("no pictures are kept as number {number}"));
        let count = self.kept.get(number).ok_or_else(unknown)?.len();
        let (capacity, last) = (self.capacity, self.maps.network.layers.len() - 1);
        let classes = self.maps.network.classes();
        let batches: Vec<Range<usize>> =
            (0..count).step_by(capacity).map(|first| first..count.min(first + capacity)).collect();
        let mut heard = batches.iter();
        for (place, batch) in batches.iter().enumerate() {
            self.put(Source::Kept(number, batch.clone()), batch.len(), last)?;
            let answers = self.answers.as_mut().ok_or_else(unknown)?;
            self.maps.ask(last, batch.len() * padded(classes), answers)?;
            // The card has this batch to do while the one before is heard.
            let later = usize::from(place + 1 < batches.len());
            let heard = answers.wait(later)?.zip(heard.by_ref()).try_for_each(|(rows, batch)| {
                let rows = rows.chunks_exact(size_of::<f32>() * padded(classes)).take(batch.len());
                let values = rows.flat_map(|row| row.as_chunks::<4>().0[..classes].iter());
                hear(&values.map(|value| f32::from_ne_bytes(*value)).collect::<Vec<f32>>())
            });
            if heard.is_break() {
                // What was asked for since is nobody's.
                return answers.wait(0).map(drop);
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let kept: usize = self.kept.iter().map(Kept::bytes).sum();
        self.weights.bytes() + self.maps.bytes() + self.staging.bytes() + kept
    }
}

impl Drop for Inference {
    fn drop(&mut self) {
        // As the training plan's.
        let _ = self.kernels.stream().synchronize();
    }
}
