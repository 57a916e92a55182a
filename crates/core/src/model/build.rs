//! Puts layers one behind the other, and keeps account of channels and pixels, so that a model file is its table.

use super::network::{Layer, Operation};
use crate::config::Activation;
use crate::kernels::stem::PICTURE_CHANNELS;

/// A network in the making. Names are those of the state dict; `norm` is the batch norm's.
#[derive(Debug)]
pub struct Builder {
    layers: Vec<Layer>,
    channels: usize,
    side: usize,
    excitation: Option<usize>,
}

impl Builder {
    /// For pictures of so many pixels a side.
    pub fn new(resolution: usize) -> Self {
        Self { layers: Vec::new(), channels: PICTURE_CHANNELS, side: resolution, excitation: None }
    }

    /// Channels of the last layer.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Index of the last layer.
    pub fn last(&self) -> usize {
        self.layers.len() - 1
    }

    /// A 3x3 convolution of the picture.
    pub fn stem(
        &mut self,
        name: &str,
        norm: Option<&str>,
        outputs: usize,
        stride: usize,
        padding: usize,
        activation: Activation,
    ) {
        let norm = norm.map(String::from);
        self.push(Layer {
            kernel: 3,
            stride,
            padding,
            norm,
            ..self.next(Operation::Stem, name, outputs, activation)
        });
    }

    /// A depthwise convolution.
    pub fn depthwise(
        &mut self,
        name: &str,
        norm: &str,
        kernel: usize,
        stride: usize,
        padding: usize,
        activation: Activation,
    ) {
        let layer = self.next(Operation::Depthwise, name, self.channels, activation);
        self.push(Layer { kernel, stride, padding, norm: Some(norm.into()), ..layer });
    }

    /// A 1x1 convolution.
    pub fn pointwise(&mut self, name: &str, norm: &str, outputs: usize, activation: Activation) {
        let layer = self.next(Operation::Pointwise, name, outputs, activation);
        self.push(Layer { norm: Some(norm.into()), ..layer });
    }

    /// Squeeze-and-excitation (Hu et al. 2017, arXiv 1709.01507, with V3's hard sigmoid): the next layer reads the last
    /// one's output, each channel multiplied by a factor that follows from the means of all.
    pub fn squeeze_and_excite(&mut self, name: &str, squeezed: usize) {
        let (excited, channels, side) = (self.last(), self.channels, self.side);
        self.pool(&format!("{name}.avgpool"));
        self.push(self.next(Operation::Pointwise, &format!("{name}.fc1"), squeezed, Activation::Relu));
        self.push(self.next(Operation::Pointwise, &format!("{name}.fc2"), channels, Activation::HardSigmoid));
        self.excitation = Some(excited);
        self.side = side;
    }

    /// Adds the output of layer `shortcut`.
    pub fn add(&mut self, name: &str, shortcut: usize) {
        self.push(self.next(Operation::Add { shortcut }, name, self.channels, Activation::Identity));
    }

    /// The mean over the pixels.
    pub fn pool(&mut self, name: &str) {
        self.push(self.next(Operation::Pool, name, self.channels, Activation::Identity));
    }

    /// A matrix with a bias.
    pub fn linear(&mut self, name: &str, outputs: usize, activation: Activation) {
        self.push(self.next(Operation::Linear, name, outputs, activation));
    }

    /// All layers.
    pub fn finish(self) -> Vec<Layer> {
        self.layers
    }

    /// A layer that reads the last one, with a 1x1 kernel.
    fn next(&self, operation: Operation, name: &str, outputs: usize, activation: Activation) -> Layer {
        let last = self.layers.len().checked_sub(1);
        Layer {
            operation,
            name: name.into(),
            norm: None,
            // Behind a squeeze-and-excitation: its factors come from the last layer, what they multiply from before it.
            input: self.excitation.or(last),
            excitation: self.excitation.and(last),
            inputs: self.channels,
            outputs,
            kernel: 1,
            stride: 1,
            padding: 0,
            activation,
            input_side: self.side,
        }
    }

    fn push(&mut self, layer: Layer) {
        self.excitation = None;
        self.channels = layer.outputs;
        self.side = layer.output_side();
        self.layers.push(layer);
    }
}
