//! The forward pass: of training, where batch statistics are gathered on the way, and of inference.

use super::weights::Weights;
use crate::driver::{DeviceBuffer, Download, Slice};
use crate::kernels::forward::Map;
use crate::kernels::{Kernels, Norms, Product, Storage, is_pooled, product, storages};
use mobilenet_core::config::Precision;
use mobilenet_core::engine::lifetimes::{Lifetime, share_buffers};
use mobilenet_core::kernels::padded;
use mobilenet_core::model::network::{Layer, Network, Operation};
use mobilenet_core::{Error, Result};

/// A network's maps on a card, and how they are read.
#[derive(Debug)]
pub struct Maps {
    pub network: Network,
    pub precision: Precision,
    /// How each layer's map is stored.
    pub storages: Vec<Storage>,
    pub norms: Norms,
    buffers: Vec<DeviceBuffer<u8>>,
    /// Which of them is a layer's.
    places: Vec<usize>,
    /// What a layer's input is multiplied by, `[capacity, inputs]`; empty where by nothing.
    factors: Vec<DeviceBuffer<f32>>,
}

/// What training needs beside the maps.
#[derive(Debug, Clone, Copy)]
pub struct Gathering {
    /// Room for partial sums.
    pub partials: Slice,
    /// Which of the classifier's inputs dropout keeps, a bit each.
    pub kept_bits: Slice,
}

impl Maps {
    /// Of training: every layer's map is kept for the backward pass.
    pub fn of_training(
        kernels: &Kernels,
        network: &Network,
        precision: Precision,
        capacity: usize,
    ) -> Result<Self> {
        let places = (0..network.layers.len()).collect();
        let storages = storages(network, precision);
        let bytes =
            network.layers.iter().zip(&storages).map(|(layer, storage)| map_bytes(layer, *storage, capacity));
        let bytes = bytes.collect();
        Self::new(kernels, network, (precision, storages), capacity, (places, bytes), true)
    }

    /// Of inference: maps share buffers by when they are read.
    pub fn of_inference(
        kernels: &Kernels,
        network: &Network,
        precision: Precision,
        capacity: usize,
    ) -> Result<Self> {
        let storages = storages(network, precision);
        let layers = network.layers.iter().zip(&storages).enumerate();
        let lifetimes: Vec<Lifetime> = layers
            .map(|(index, (layer, storage))| {
                let reader =
                    network.layers.iter().rposition(|reader| reader.reads().any(|read| read == index));
                let floats = map_bytes(layer, *storage, capacity);
                // What nobody reads is what the network says.
                Lifetime { made: index, used: reader.unwrap_or(network.layers.len()), floats }
            })
            .collect();
        Self::new(kernels, network, (precision, storages), capacity, share_buffers(&lifetimes), false)
    }

    fn new(
        kernels: &Kernels,
        network: &Network,
        (precision, storages): (Precision, Vec<Storage>),
        capacity: usize,
        (places, bytes): (Vec<usize>, Vec<usize>),
        training: bool,
    ) -> Result<Self> {
        let stream = kernels.stream();
        let last = network.layers.len() - 1;
        let factors = network.layers.iter().enumerate().map(|(index, layer)| {
            let dropout = training && index == last && network.dropout > 0.0;
            let values =
                if dropout || layer.excitation.is_some() { capacity * padded(layer.inputs) } else { 0 };
            DeviceBuffer::zeros(stream, values)
        });
        Ok(Self {
            norms: Norms::new(stream, network)?,
            buffers: bytes
                .into_iter()
                .map(|bytes| DeviceBuffer::zeros(stream, bytes))
                .collect::<Result<_>>()?,
            factors: factors.collect::<Result<_>>()?,
            network: network.clone(),
            precision,
            storages,
            places,
        })
    }

    /// A layer's map.
    pub fn values(&self, layer: usize) -> Slice {
        self.buffers[self.places[layer]].all()
    }

    /// A layer's map with how it is read.
    pub fn map(&self, layer: usize) -> Result<Map> {
        Ok(Map { values: self.values(layer), reading: self.norms.reading(layer)? })
    }

    /// A layer's map in float32, the first `count` values: what the network says.
    pub fn read(&self, kernels: &Kernels, layer: usize, count: usize) -> Result<Vec<f32>> {
        let mut bytes = vec![0; 4 * count];
        self.buffers[self.places[layer]].read_into(kernels.stream(), &mut bytes)?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|value| f32::from_ne_bytes(*value)).collect())
    }

    /// Asks for the same, as bytes.
    pub fn ask(&self, layer: usize, count: usize, to: &mut Download<u8>) -> Result<()> {
        to.ask(&self.buffers[self.places[layer]], size_of::<f32>() * count)
    }

    /// What a layer's input is multiplied by, if by something.
    pub fn factors(&self, layer: usize) -> Slice {
        self.factors[layer].all()
    }

    /// Whether a layer's map comes from a pool.
    pub fn is_pooled(&self, layer: usize) -> bool {
        is_pooled(&self.network, layer)
    }

    /// What a layer, if it is a product, multiplies.
    pub fn product(&self, layer: usize) -> Product {
        product(self.precision, self.storages[layer])
    }

    /// Bytes on the card.
    pub fn bytes(&self) -> usize {
        let buffers: usize = self.buffers.iter().map(DeviceBuffer::bytes).sum();
        buffers + self.factors.iter().map(DeviceBuffer::bytes).sum::<usize>() + self.norms.bytes()
    }

    /// Runs the layers up to `last` on `pictures` pictures. With `gathering` as in training: batch norm by the batch's own
    /// statistics, and the running ones move. Without, as [`Self::read_running`] has set it.
    pub fn forward(
        &self,
        kernels: &Kernels,
        weights: &Weights,
        (input, pictures): (Slice, usize),
        last: usize,
        gathering: Option<Gathering>,
    ) -> Result<()> {
        for index in 0..=last {
            self.set_factors(kernels, index, pictures, gathering)?;
            let layer = &self.network.layers[index];
            let partials = match gathering {
                Some(gathering) if layer.norm.is_some() => gathering.partials,
                _ => Slice::NONE,
            };
            let parts = self.forward_layer(kernels, weights, index, (input, pictures), partials)?;
            if partials != Slice::NONE {
                let rows = pictures * layer.output_side() * layer.output_side();
                let numbers = (self.network.batch_norm_eps, self.network.batch_norm_momentum);
                let (norms, channels) = (&self.norms, padded(layer.outputs));
                kernels.normalize_finish(
                    norms,
                    index,
                    channels,
                    (partials, parts, rows),
                    weights.norm(index),
                    numbers,
                )?;
            }
        }
        Ok(())
    }

    /// Sets how all maps are read from the running statistics.
    pub fn read_running(&self, kernels: &Kernels, weights: &Weights) -> Result<()> {
        for (index, layer) in self.network.layers.iter().enumerate() {
            if layer.norm.is_some() {
                let [weight, bias, mean, variance] = weights.norm(index);
                let (norms, eps) = (&self.norms, self.network.batch_norm_eps);
                let channels = padded(layer.outputs);
                kernels.normalize_running(norms, index, channels, [mean, variance, weight, bias], eps)?;
            }
        }
        Ok(())
    }

    /// What the layer's input will be multiplied by, if dropout chooses it. An excitation has said it itself.
    fn set_factors(
        &self,
        kernels: &Kernels,
        index: usize,
        pictures: usize,
        gathering: Option<Gathering>,
    ) -> Result<()> {
        let (layer, factors) = (&self.network.layers[index], self.factors(index));
        let Some(gathering) = gathering.filter(|_| layer.excitation.is_none() && factors != Slice::NONE)
        else {
            return Ok(());
        };
        let kept = (1.0 / (1.0 - self.network.dropout)) as f32;
        kernels.dropout_factors(pictures * padded(layer.inputs), kept, gathering.kept_bits, factors)
    }

    fn forward_layer(
        &self,
        kernels: &Kernels,
        weights: &Weights,
        index: usize,
        (input, pictures): (Slice, usize),
        partials: Slice,
    ) -> Result<usize> {
        let (layer, storage, output) =
            (&self.network.layers[index], self.storages[index], self.values(index));
        let bias = weights.bias(index);
        let Some(read) = layer.input else {
            let arrays = [input, weights.plain(index), bias, output, partials];
            return kernels.stem_forward(layer, storage, pictures, arrays);
        };
        let map = self.map(read)?;
        match layer.operation {
            Operation::Stem => Err(Error::internal("a stem reads the picture")),
            Operation::Depthwise => {
                let arrays = [weights.plain(index), output, partials];
                kernels.depthwise_forward(layer, storage, pictures, map, arrays)
            }
            Operation::Pointwise | Operation::Linear if self.is_pooled(index) => {
                let excited = self.network.layers.iter().position(|other| other.excitation == Some(index));
                let read_output = excited.map_or(Slice::NONE, |excited| self.factors(excited));
                let arrays = [self.factors(index), weights.plain(index), bias, output, read_output];
                let readings = (map, self.norms.reading(index)?);
                kernels.pooled_forward(layer, self.product(index), pictures, readings, arrays).map(|()| 0)
            }
            Operation::Pointwise | Operation::Linear => {
                let product = self.product(index);
                let weight = weights.weight(index, product.storage());
                let arrays = [self.factors(index), weight, bias, output, partials];
                kernels.product_forward(layer, product, pictures, map, arrays)
            }
            Operation::Pool => {
                kernels.pool_forward(layer, self.storages[read], pictures, map, output).map(|()| 0)
            }
            Operation::Add { shortcut } => {
                let maps = [map, self.map(shortcut)?];
                kernels.add_forward(layer, storage, pictures, maps, output).map(|()| 0)
            }
        }
    }
}

/// Bytes of a layer's map for `pictures` pictures.
pub fn map_bytes(layer: &Layer, storage: Storage, pictures: usize) -> usize {
    storage.bytes() * pictures * layer.map_floats()
}
