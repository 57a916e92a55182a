//! The backward pass: from the logits' gradient to every parameter's, a layer at a time, in core's order; those of weights
//! beside the others, see [`Side`].

use super::forward::{Maps, map_bytes};
use super::side::{Side, Turn};
use super::weights::Weights;
use crate::driver::{DeviceBuffer, Slice};
use crate::kernels::backward::{Input, Output};
use crate::kernels::{Kernels, Workspaces};
use mobilenet_core::engine::plan::place_gradients;
use mobilenet_core::kernels::padded;
use mobilenet_core::model::network::Operation;
use mobilenet_core::{Error, Result};
use std::cell::Cell;
use std::ops::Range;

/// Gradients of the maps' normalised values, in front of the curve, and of the parameters. Where several layers read a map, the
/// gradient is that of what they read until the first of them, whose pass is the last, has gathered the map's sums.
#[derive(Debug)]
pub struct Gradients {
    buffers: Vec<DeviceBuffer<u8>>,
    /// Which of them is a layer's.
    places: Vec<usize>,
    /// Of the parameters, laid out as they are.
    pub parameters: DeviceBuffer<f32>,
    /// Room for partial sums, which one pass leaves to the next.
    pub partials: DeviceBuffer<f32>,
    /// Where those of weights are made.
    pub side: Side,
}

/// One backward pass.
struct Pass<'a> {
    gradients: &'a Gradients,
    maps: &'a Maps,
    kernels: &'a Kernels,
    turn: Turn<'a>,
    weights: &'a Weights,
    input: Slice,
    pictures: usize,
    /// Partial sums that the last pass left.
    parts: Cell<usize>,
}

impl Gradients {
    /// Room for those of a network.
    pub fn new(
        kernels: &Kernels,
        maps: &Maps,
        weights: &Weights,
        capacity: usize,
        rooms: &Workspaces,
    ) -> Result<Self> {
        let stream = kernels.stream();
        let size = |index: usize| map_bytes(&maps.network.layers[index], maps.storages[index], capacity);
        let (places, bytes) = place_gradients(&maps.network, size);
        let layers = &maps.network.layers;
        let in_ring = |index: &usize| layers[*index].is_product() && !maps.is_pooled(*index);
        let products = (0..layers.len()).rev().filter(in_ring);
        Ok(Self {
            buffers: bytes
                .into_iter()
                .map(|bytes| DeviceBuffer::zeros(stream, bytes))
                .collect::<Result<_>>()?,
            places,
            parameters: DeviceBuffer::zeros(stream, weights.parameters.len())?,
            partials: DeviceBuffer::zeros(stream, rooms.sums)?,
            side: Side::new(kernels, rooms, products.map(size))?,
        })
    }

    /// The gradient of the normalised values of a layer's map.
    pub fn of(&self, layer: usize) -> Slice {
        self.buffers[self.places[layer]].all()
    }

    /// Bytes on the card.
    pub fn bytes(&self) -> usize {
        let buffers: usize = self.buffers.iter().map(DeviceBuffer::bytes).sum();
        buffers + self.parameters.bytes() + self.partials.bytes() + self.side.bytes()
    }

    /// Computes the gradient of every parameter from that of the logits. `input` and `pictures` are those of the last
    /// forward pass. When a layer's pass is done, `done` is told.
    pub fn backward(
        &self,
        kernels: &Kernels,
        maps: &Maps,
        weights: &Weights,
        (input, pictures): (Slice, usize),
        done: &dyn Fn(usize, &Turn<'_>) -> Result<()>,
    ) -> Result<()> {
        let (turn, parts) = (self.side.turn(kernels.stream()), Cell::new(0));
        let pass = Pass { gradients: self, maps, kernels, turn, weights, input, pictures, parts };
        pass.layers(done).and(pass.turn.end())
    }
}

impl Pass<'_> {
    fn layers(&self, done: &dyn Fn(usize, &Turn<'_>) -> Result<()>) -> Result<()> {
        let layers = &self.maps.network.layers;
        for index in (0..layers.len()).rev() {
            self.take_sums(index)?;
            match layers[index].operation {
                Operation::Stem => self.stem(index)?,
                Operation::Depthwise => self.depthwise(index)?,
                Operation::Pointwise | Operation::Linear if self.maps.is_pooled(index) => {
                    self.pooled_product(index)?
                }
                Operation::Pointwise | Operation::Linear => self.product(index)?,
                Operation::Pool => self.pool(index)?,
                // Its gradient is that of both that it adds, and stands where theirs do.
                Operation::Add { .. } if self.product_follows(index) => {}
                Operation::Add { .. } => self.sum_gradient(index, index - 1)?,
            }
            done(index, &self.turn)?;
        }
        Ok(())
    }

    /// Whether the next layer is a product, which then gathers the sums for a sum's second summand, the layer in front of it.
    fn product_follows(&self, index: usize) -> bool {
        let next = self.maps.network.layers.get(index + 1);
        next.is_some_and(|next| next.is_product() && next.input == Some(index) && next.excitation.is_none())
    }

    /// Gathers the sums for the map of layer `index`, of which `from`'s gradient is the gradient.
    fn sum_gradient(&self, from: usize, index: usize) -> Result<()> {
        let layer = &self.maps.network.layers[index];
        let rows = self.pictures * layer.output_side() * layer.output_side();
        let arrays = [self.gradients.of(from), self.maps.values(index), self.gradients.partials.all()];
        let (storage, reading) = (self.maps.storages[index], self.maps.norms.sum_reading(index)?);
        self.parts.set(self.kernels.sum_gradient(storage, rows, padded(layer.outputs), arrays, reading)?);
        Ok(())
    }

    /// Makes of the gathered sums the gradients of the layer's batch norm or bias, and what its pass needs.
    fn take_sums(&self, index: usize) -> Result<()> {
        let (layer, slot) = (&self.maps.network.layers[index], &self.weights.layout.slots[index]);
        // A product behind a pool needs none: it has no norm, and its bias's gradient comes with its weight's.
        if !layer.has_weight() || self.maps.is_pooled(index) {
            return Ok(());
        }
        let (norms, channels) = (&self.maps.norms, padded(layer.outputs));
        let (partials, parts) = (self.gradients.partials.all(), self.parts.get());
        if layer.norm.is_none() {
            let to = self.parameter(&slot.bias);
            return self.kernels.bias_finish(norms, index, channels, (partials, parts), to);
        }
        let rows = self.pictures * layer.output_side() * layer.output_side();
        let to = [self.parameter(&slot.norm_weight), self.parameter(&slot.norm_bias)];
        self.kernels.gradient_finish(norms, index, channels, (partials, parts, rows), to)
    }

    /// The gradient of some parameters.
    fn parameter(&self, range: &Range<usize>) -> Slice {
        self.gradients.parameters.slice(range.clone())
    }

    fn output(&self, index: usize) -> Result<Output> {
        Ok(Output {
            gradient: self.gradients.of(index),
            values: self.maps.values(index),
            reading: self.maps.norms.gradient_reading(index)?,
        })
    }

    /// What layer `index` reads.
    fn read(&self, index: usize) -> Result<(usize, Input)> {
        let Some(read) = self.maps.network.layers[index].input else {
            return Err(Error::internal("only the stem reads the picture"));
        };
        let input = Input {
            values: self.maps.values(read),
            reading: self.maps.norms.sum_reading(read)?,
            gradient: self.gradients.of(read),
            accumulate: self.maps.network.accumulates(index),
        };
        Ok((read, input))
    }

    fn weight_gradient(&self, index: usize) -> Slice {
        self.parameter(&self.weights.layout.slots[index].weight)
    }

    /// Adds up the partial weight gradients that are in the layer's room.
    fn reduce(&self, index: usize, parts: usize) -> Result<()> {
        let count = self.weights.layout.slots[index].weight.len();
        self.turn.reduce(index, parts, count, self.weight_gradient(index))
    }

    fn stem(&self, index: usize) -> Result<()> {
        let (layer, storage) = (&self.maps.network.layers[index], self.maps.storages[index]);
        let arrays = [self.input, self.gradients.side.room(index)];
        let parts = self.kernels.stem_backward(layer, storage, self.pictures, self.output(index)?, arrays)?;
        self.reduce(index, parts)
    }

    fn depthwise(&self, index: usize) -> Result<()> {
        let (layer, storage) = (&self.maps.network.layers[index], self.maps.storages[index]);
        let (_, input) = self.read(index)?;
        let arrays =
            [self.weights.plain(index), self.gradients.side.room(index), self.gradients.partials.all()];
        let operands = (self.output(index)?, input);
        self.parts.set(self.kernels.depthwise_backward(layer, storage, self.pictures, operands, arrays)?);
        self.reduce(index, self.parts.get())
    }

    fn product(&self, index: usize) -> Result<()> {
        let layer = &self.maps.network.layers[index];
        let (product, factors) = (self.maps.product(index), self.maps.factors(index));
        let (read, mut input) = self.read(index)?;
        let (output, map) = (self.output(index)?, self.maps.map(read)?);
        let is_sum = matches!(self.maps.network.layers[read].operation, Operation::Add { .. });
        if is_sum && self.product_follows(read) {
            // The sum itself needs none, and the gradient is the same.
            (input.values, input.reading) =
                (self.maps.values(read - 1), self.maps.norms.sum_reading(read - 1)?);
        }
        let excited = layer.excitation.is_some();
        let partials = if excited { Slice::NONE } else { self.gradients.partials.all() };
        let weight = self.weights.weight(index, product.storage());
        let output_gradient = self.turn.output()?;
        let parts = self.kernels.product_input_gradient(
            layer,
            product,
            self.pictures,
            (output, input),
            [weight, factors, output_gradient, partials],
            excited,
        )?;
        self.parts.set(parts);
        self.turn.product(|kernels, room| {
            let arrays = [factors, room, self.weight_gradient(index)];
            kernels.product_weight_gradient(layer, product, self.pictures, (output_gradient, map), arrays)
        })?;
        let Some(excitation) = layer.excitation else { return Ok(()) };
        let shape = (self.pictures, layer.output_side() * layer.output_side(), padded(layer.inputs));
        let (maps, to) = ([map, self.maps.map(excitation)?], self.gradients.of(excitation));
        self.kernels.excitation_gradient(self.maps.storages[read], shape, input.gradient, maps, to)
    }

    fn pooled_product(&self, index: usize) -> Result<()> {
        let layer = &self.maps.network.layers[index];
        let (product, factors) = (self.maps.product(index), self.maps.factors(index));
        let (read, input) = self.read(index)?;
        let output_gradient = self.gradients.side.room(index);
        let arrays = [self.weights.plain(index), factors, output_gradient];
        let map = self.maps.map(read)?;
        let operands = (self.output(index)?, input, map);
        self.kernels.pooled_input_gradient(layer, product, self.pictures, operands, arrays)?;
        let bias_gradient = self.parameter(&self.weights.layout.slots[index].bias);
        let arrays = [factors, self.weight_gradient(index), bias_gradient];
        let operands = (output_gradient, map);
        self.turn.follow()?.pooled_weight_gradient(layer, product, self.pictures, operands, arrays)
    }

    fn pool(&self, index: usize) -> Result<()> {
        let layers = &self.maps.network.layers;
        let (read, input) = self.read(index)?;
        // Another reader of the same map: the layer that reads it with the factors that follow from this pool.
        let excited =
            layers.iter().rposition(|other| other.input == Some(read) && other.excitation.is_some());
        let factors = excited.map_or(Slice::NONE, |excited| self.maps.factors(excited));
        let arrays = [self.gradients.of(index), factors, self.gradients.partials.all()];
        let storage = self.maps.storages[read];
        self.parts.set(self.kernels.pool_backward(&layers[index], storage, self.pictures, input, arrays)?);
        Ok(())
    }
}
