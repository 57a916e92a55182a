//! Weights of other programs: PyTorch's `.pth` state dicts and plain `.safetensors`, with torchvision's names, timm's or
//! the course's.

use super::Checkpoint;
use super::detect::detect;
use super::weights::Weights;
use crate::config::{ModelOptions, Variant};
use crate::error::{Error, Result};
use crate::model;
use crate::model::names::Naming;
use crate::model::tensors::{NamedTensor, TensorSpec, specs};
use crate::model::timm;
use candle_core::DType;
use std::path::Path;

/// Reads weights. Variant, width, classes and whether the layout is `unpadded` are found from the tensors; what is given in
/// `options` must be right, or is taken where weights don't show it: the layout's strides, the resolution, the activation.
/// `resize` is what they expect a picture's shorter side to be resized to; `None` for what a checkpoint of ours says, or what is usual.
/// Only a checkpoint of ours has class names; of others there are none.
///
/// # Errors
/// `IO` when the file can't be read; `CHECKPOINT_CORRUPT` when it is in no known format; `CHECKPOINT_MISMATCH` when its
/// tensors are of no network known here, or not of the one that `options` describe.
pub fn import(path: &Path, options: &ModelOptions, resize: Option<usize>) -> Result<Checkpoint> {
    let weights = Weights::read(path)?;
    let found = detect(&weights, options)?;
    let own = weights.own.as_ref();
    // For another resolution than theirs, our own weights have no value of their own.
    let kept = own.filter(|own| own.config.resolution == found.config.resolution).and_then(|own| own.resize);
    let resize = resize.or(kept).unwrap_or(found.config.usual_resize());
    found.config.check_resize(resize)?;
    let network = model::network(&found.config);
    let tensor = |(spec, name): (TensorSpec, &String)| {
        let tensor = weights.tensors.get(name).ok_or_else(|| Error::internal(format!("{name} is gone")))?;
        let values = tensor.to_dtype(DType::F32).and_then(|tensor| tensor.flatten_all()?.to_vec1());
        let values = values.map_err(|error| {
            weights.mismatch(format!(
                "tensor {name} of type {:?} can't be made float32: {error}",
                tensor.dtype()
            ))
        })?;
        Ok(NamedTensor { name: spec.name, shape: spec.shape, values })
    };
    let mut tensors =
        specs(&network).into_iter().zip(&found.names).map(tensor).collect::<Result<Vec<_>>>()?;
    if found.naming == Naming::Timm && found.config.variant != Variant::V2 {
        change_eps(&mut tensors, timm::V3_BATCH_NORM_EPS, network.batch_norm_eps);
    }
    let classes = own.and_then(|own| own.classes.clone());
    let classes = classes.filter(|classes| classes.len() == found.config.classes).unwrap_or_default();
    Ok(Checkpoint {
        tensors,
        classes,
        config: found.config,
        resize,
        trained_on: None,
        normalization: own.and_then(|own| own.normalization).unwrap_or_default(),
        batches_tracked: 0,
        training: None,
    })
}

/// Makes batch norms of networks that add `from` to a variance compute the same where `to` is added: their weights take up
/// the difference.
fn change_eps(tensors: &mut [NamedTensor], from: f64, to: f64) {
    // Weight, bias, running mean and variance of a batch norm stand together.
    for last in 3..tensors.len() {
        if !tensors[last].name.ends_with(".running_var") {
            continue;
        }
        let (before, variance) = tensors.split_at_mut(last);
        for (weight, variance) in before[last - 3].values.iter_mut().zip(&variance[0].values) {
            let variance = f64::from(*variance);
            *weight = (f64::from(*weight) * ((variance + to) / (variance + from)).sqrt()) as f32;
        }
    }
}
