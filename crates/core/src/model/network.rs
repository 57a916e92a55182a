//! A network as a list of layers, in the order of the forward pass: what a model file makes and the engine compiles.

use crate::config::Activation;
use crate::kernels::stem::PICTURE_CHANNELS;

/// What a layer computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A full 3x3 convolution of the picture.
    Stem,
    /// One filter a channel.
    Depthwise,
    /// A 1x1 convolution.
    Pointwise,
}

/// A convolution with what follows it: batch norm or a bias, and the activation.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// What it computes.
    pub operation: Operation,
    /// Name of the convolution in the state dict: its weight is `<name>.weight`.
    pub name: String,
    /// Name of its batch norm; without one the convolution has a bias.
    pub norm: Option<String>,
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Height and width of the filter.
    pub kernel: usize,
    /// Pixels from one filter position to the next.
    pub stride: usize,
    /// Zeros round the input.
    pub padding: usize,
    /// What follows.
    pub activation: Activation,
    /// Height and width of the input.
    pub input_side: usize,
}

impl Layer {
    /// Height and width of the output.
    pub fn output_side(&self) -> usize {
        (self.input_side + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// The weight's shape in PyTorch.
    pub fn weight_shape(&self) -> Vec<usize> {
        let inputs = if self.operation == Operation::Depthwise { 1 } else { self.inputs };
        vec![self.outputs, inputs, self.kernel, self.kernel]
    }

    /// Multiplications with an addition for one picture.
    pub fn multiply_adds(&self) -> usize {
        self.weight_shape().iter().product::<usize>() * self.output_side() * self.output_side()
    }
}

/// A whole network: the layers, then a global average pool, then a linear classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// In the order of the forward pass; the first is the stem.
    pub layers: Vec<Layer>,
    /// Name of the classifier in the state dict.
    pub classifier: String,
    /// Its outputs.
    pub classes: usize,
    /// Height and width of a picture.
    pub resolution: usize,
    /// Added to a variance before the root is taken.
    pub batch_norm_eps: f64,
    /// Share of the way that a running statistic moves in a step.
    pub batch_norm_momentum: f64,
}

impl Network {
    /// Floats of a picture: `[resolution, resolution, 3]`.
    pub fn picture_floats(&self) -> usize {
        self.resolution * self.resolution * PICTURE_CHANNELS
    }

    /// Inputs of the classifier.
    pub fn features(&self) -> usize {
        self.layers[self.layers.len() - 1].outputs
    }
}
