//! Names that other programs give to the same tensors.

use super::network::{Network, Operation};
use super::tensors::specs;
use super::timm;
use crate::config::ModelConfig;

/// Whose names the tensors of a file have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// This library's: timm's for V1, torchvision's for V2 and V3.
    Ours,
    /// The course's, of V1 in layout `unpadded`.
    Course,
    /// timm's, of V2 and V3.
    Timm,
}

impl Naming {
    /// What a file calls each tensor of the state dict, in its order.
    pub fn names(self, config: &ModelConfig, network: &Network) -> Vec<String> {
        let modules = if self == Self::Timm { timm::module_names(config) } else { Default::default() };
        let theirs = |ours: &str| match self {
            Self::Ours => None,
            Self::Course => course_name(network, ours),
            Self::Timm => {
                let (module, parameter) = ours.rsplit_once('.')?;
                Some(format!("{}.{parameter}", modules.get(module)?))
            }
        };
        specs(network).into_iter().map(|spec| theirs(&spec.name).unwrap_or(spec.name)).collect()
    }
}

/// The course's name for each of our tensors: its network is one `features` sequence of a convolution, an activation,
/// then a depthwise and a pointwise module a block; and `fc`. `None` for a tensor that it hasn't, as for all of V2 and V3.
pub fn course_name(network: &Network, name: &str) -> Option<String> {
    let (module, parameter) = name.rsplit_once('.')?;
    if network.classifier().name != "classifier" {
        return None;
    }
    if module == network.classifier().name {
        return Some(format!("fc.{parameter}"));
    }
    let (index, layer) = network
        .layers
        .iter()
        .enumerate()
        .find(|(_, layer)| layer.name == module || layer.norm.as_deref() == Some(module))?;
    let convolution = match layer.operation {
        Operation::Stem if layer.norm.is_some() => return None,
        Operation::Stem => return Some(format!("features.0.{parameter}")),
        Operation::Depthwise => "dw_conv_k3",
        Operation::Pointwise => "p_conv_k1",
        Operation::Linear | Operation::Pool | Operation::Add { .. } => return None,
    };
    let part = if layer.name == module { convolution } else { "bn" };
    // Behind the stem stands its activation, so layer i is module i + 1.
    Some(format!("features.{}.{part}.{parameter}", index + 1))
}
