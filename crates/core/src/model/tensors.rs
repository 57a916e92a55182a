//! The tensors of a network: names, shapes and order as in PyTorch's state dict.

use super::network::{Network, Operation};

/// What a tensor is for, which decides how it starts and how the engine lays it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Weight of a convolution or of a linear layer: `[outputs, inputs, ...]`.
    Weight(Operation),
    /// Bias of one whose weight has this many values an output.
    Bias {
        /// Values of the weight that feed one output.
        fan_in: usize,
    },
    /// Weight of a batch norm.
    NormWeight,
    /// Bias of a batch norm.
    NormBias,
    /// Moving mean of a batch norm: not trained.
    RunningMean,
    /// Moving variance of a batch norm: not trained.
    RunningVar,
}

impl Role {
    /// Whether the optimizer moves it.
    pub fn is_parameter(self) -> bool {
        !matches!(self, Self::RunningMean | Self::RunningVar)
    }
}

/// One entry of the state dict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
    /// The layer that it belongs to.
    pub layer: usize,
}

impl TensorSpec {
    /// How many values it has.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A named float32 tensor in PyTorch's shape and order.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Its name in the state dict.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, the last dimension running fastest.
    pub values: Vec<f32>,
}

/// The state dict of a network, in PyTorch's order (`num_batches_tracked` left out).
pub fn specs(network: &Network) -> Vec<TensorSpec> {
    let mut specs = Vec::new();
    let weighted = network.layers.iter().enumerate().filter(|(_, layer)| layer.has_weight());
    for (index, layer) in weighted {
        let mut push = |name: String, shape: Vec<usize>, role| {
            specs.push(TensorSpec { name, shape, role, layer: index })
        };
        let weight = layer.weight_shape();
        let fan_in = weight[1..].iter().product();
        push(format!("{}.weight", layer.name), weight, Role::Weight(layer.operation));
        match &layer.norm {
            None => push(format!("{}.bias", layer.name), vec![layer.outputs], Role::Bias { fan_in }),
            Some(norm) => {
                push(format!("{norm}.weight"), vec![layer.outputs], Role::NormWeight);
                push(format!("{norm}.bias"), vec![layer.outputs], Role::NormBias);
                push(format!("{norm}.running_mean"), vec![layer.outputs], Role::RunningMean);
                push(format!("{norm}.running_var"), vec![layer.outputs], Role::RunningVar);
            }
        }
    }
    specs
}

#[cfg(test)]
mod tests {
    use super::specs;
    use crate::config::{Layout, ModelOptions, Variant};
    use crate::model::network;

    fn parameters(variant: Variant, layout: Layout, classes: usize) -> usize {
        parameters_at(1.0, variant, layout, classes)
    }

    fn parameters_at(width: f64, variant: Variant, layout: Layout, classes: usize) -> usize {
        let options = ModelOptions {
            variant: Some(variant),
            layout: Some(layout),
            width: Some(width),
            classes: Some(classes),
            ..Default::default()
        };
        let specs = specs(&network(&options.resolve().unwrap()));
        specs.iter().filter(|spec| spec.role.is_parameter()).map(|spec| spec.count()).sum()
    }

    #[test]
    fn totals_are_those_of_the_papers_networks_and_the_courses() {
        assert_eq!(parameters(Variant::V1, Layout::Unpadded, 10), 3_217_194);
        assert_eq!(parameters(Variant::V1, Layout::Cifar, 10), 3_217_226);
        assert_eq!(parameters(Variant::V1, Layout::Imagenet, 1000), 4_231_976);
        // As torchvision counts them.
        for (variant, thousand, ten) in [
            (Variant::V2, 3_504_872, 2_236_682),
            (Variant::V3Large, 5_483_032, 4_214_842),
            (Variant::V3Small, 2_542_856, 1_528_106),
        ] {
            assert_eq!(parameters(variant, Layout::Imagenet, 1000), thousand, "{variant:?}");
            assert_eq!(parameters(variant, Layout::Cifar, 10), ten, "{variant:?}");
        }
    }
    #[test]
    fn totals_are_torchvisions_at_every_width() {
        // sum(p.numel() for p in torchvision.models.mobilenet_v2(width_mult=0.35, num_classes=10).parameters())
        for (variant, totals) in [
            (Variant::V2, [408_938, 700_490, 4_333_706]),
            (Variant::V3Large, [552_554, 1_099_986, 8_214_258]),
            (Variant::V3Small, [201_354, 409_394, 2_955_154]),
        ] {
            let ours = [0.35, 0.5, 1.4].map(|width| parameters_at(width, variant, Layout::Imagenet, 10));
            assert_eq!(ours, totals, "{variant:?}");
        }
    }
}
