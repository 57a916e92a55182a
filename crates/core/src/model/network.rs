//! A network as a list of layers, in the order of the forward pass: what a model file makes and the engine compiles.

use crate::config::Activation;
use crate::kernels::stem::PICTURE_CHANNELS;

/// What a layer computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A full 3x3 convolution of the picture.
    Stem,
    /// A convolution with one filter a channel.
    Depthwise,
    /// A 1x1 convolution.
    Pointwise,
    /// A matrix: every output from every input. Of a 1x1 map.
    Linear,
    /// The mean over a map's pixels.
    Pool,
    /// The sum of the input and the output of an earlier layer.
    Add {
        /// That layer's index.
        shortcut: usize,
    },
}

/// An operation with what follows it: batch norm or a bias, and the activation.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// What it computes.
    pub operation: Operation,
    /// Name in the state dict: the weight, if it has one, is `<name>.weight`.
    pub name: String,
    /// Name of its batch norm; where it has a weight but no batch norm, it has a bias.
    pub norm: Option<String>,
    /// Index of the layer that it reads; `None` for the picture.
    pub input: Option<usize>,
    /// Index of the layer whose output, one value a channel, the input is multiplied by: squeeze-and-excitation.
    pub excitation: Option<usize>,
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
        match self.operation {
            Operation::Pool => 1,
            _ => (self.input_side + 2 * self.padding - self.kernel) / self.stride + 1,
        }
    }

    /// The weight's shape in PyTorch; empty where there is none.
    pub fn weight_shape(&self) -> Vec<usize> {
        match self.operation {
            Operation::Stem | Operation::Pointwise => {
                vec![self.outputs, self.inputs, self.kernel, self.kernel]
            }
            Operation::Depthwise => vec![self.outputs, 1, self.kernel, self.kernel],
            Operation::Linear => vec![self.outputs, self.inputs],
            Operation::Pool | Operation::Add { .. } => Vec::new(),
        }
    }

    /// Whether it has a weight.
    pub fn has_weight(&self) -> bool {
        !matches!(self.operation, Operation::Pool | Operation::Add { .. })
    }

    /// Whether it is a matrix product of every pixel.
    pub fn is_product(&self) -> bool {
        matches!(self.operation, Operation::Pointwise | Operation::Linear)
    }

    /// The layers that it reads, the one for its input first.
    pub fn reads(&self) -> impl Iterator<Item = usize> {
        let shortcut = match self.operation {
            Operation::Add { shortcut } => Some(shortcut),
            _ => None,
        };
        [self.input, self.excitation, shortcut].into_iter().flatten()
    }

    /// Multiplications with an addition for one picture.
    pub fn multiply_adds(&self) -> usize {
        if !self.has_weight() {
            return 0;
        }
        self.weight_shape().iter().product::<usize>() * self.output_side() * self.output_side()
    }
}

/// How the weights of a new network are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initialization {
    /// As PyTorch's modules do it: uniform within plus or minus 1 / sqrt(fan-in).
    Uniform,
    /// As torchvision's V2 and V3 do it: normal, with a variance of 2 / fan-out (He et al. 2015, arXiv 1502.01852), a
    /// linear layer's deviation 0.01, biases 0.
    Normal,
}

/// A whole network.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// In the order of the forward pass: every layer behind those that it reads. The first is the stem, the last the
    /// linear classifier.
    pub layers: Vec<Layer>,
    /// Height and width of a picture.
    pub resolution: usize,
    /// Added to a variance before the root is taken.
    pub batch_norm_eps: f64,
    /// Share of the way that a running statistic moves in a step.
    pub batch_norm_momentum: f64,
    /// Share of the classifier's inputs that a training step leaves out.
    pub dropout: f64,
    /// How it starts.
    pub initialization: Initialization,
}

impl Network {
    /// Floats of a picture: `[resolution, resolution, 3]`.
    pub fn picture_floats(&self) -> usize {
        self.resolution * self.resolution * PICTURE_CHANNELS
    }

    /// The last layer.
    pub fn classifier(&self) -> &Layer {
        &self.layers[self.layers.len() - 1]
    }

    /// Index of the layer whose outputs are the picture's features: the pool before the classifier, in V3 before the
    /// linear layer before that.
    pub fn features(&self) -> usize {
        let pool = self.layers.iter().rposition(|layer| layer.operation == Operation::Pool);
        pool.expect("every network pools its last map")
    }

    /// The network without the classifier: what its last layer gives is what the classifier reads.
    pub fn backbone(&self) -> Self {
        Self { layers: self.layers[..self.layers.len() - 1].to_vec(), dropout: 0.0, ..self.clone() }
    }

    /// Whether in the backward pass the gradient of the layer's input holds already what came along a shortcut round this
    /// layer.
    pub fn accumulates(&self, index: usize) -> bool {
        let input = self.layers[index].input;
        let shortcut = |layer: &Layer| match layer.operation {
            Operation::Add { shortcut } => Some(shortcut),
            _ => None,
        };
        self.layers[index..].iter().any(|layer| shortcut(layer).is_some() && shortcut(layer) == input)
    }

    /// Outputs of the classifier.
    pub fn classes(&self) -> usize {
        self.classifier().outputs
    }
}
