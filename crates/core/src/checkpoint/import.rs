//! Weights of other programs: PyTorch's `.pth` state dicts and plain `.safetensors`, with timm's names or the course's.

use super::Checkpoint;
use crate::config::{ModelOptions, Normalization};
use crate::error::{Error, ErrorCode, Result};
use crate::model;
use crate::model::names::course_name;
use crate::model::tensors::{NamedTensor, specs};
use candle_core::{DType, Device, Tensor};
use std::collections::HashMap;
use std::path::Path;

/// Names under which training scripts put a state dict into a larger file.
const WRAPPERS: [&str; 2] = ["state_dict", "model"];

/// Reads the weights of the network that `options` describes; classes that are not given are counted from the file.
///
/// # Errors
/// `IO` when the file can't be read; `CHECKPOINT_CORRUPT` when it is neither format; `CHECKPOINT_MISMATCH` when its
/// tensors are not that network's.
pub fn import(path: &Path, options: &ModelOptions) -> Result<Checkpoint> {
    let tensors = load(path)?;
    let counted = ["classifier.weight", "fc.weight"].iter().find_map(|name| tensors.get(*name)?.dim(0).ok());
    let config = ModelOptions { classes: options.classes.or(counted), ..options.clone() }.resolve()?;
    let network = model::network(&config);
    let mismatch =
        |why: String| Error::new(ErrorCode::CheckpointMismatch, format!("{}: {why}", path.display()));
    let tensor = |spec: crate::model::tensors::TensorSpec| {
        let course = course_name(&network, &spec.name);
        let found = tensors.get(&spec.name).or_else(|| tensors.get(course.as_deref()?));
        let Some(found) = found else {
            let names = course.map_or(spec.name.clone(), |course| format!("{} (or {course})", spec.name));
            return Err(mismatch(format!("tensor {names} is missing; are variant and layout right?")));
        };
        if found.dims() != spec.shape {
            return Err(mismatch(format!(
                "tensor {} has shape {:?}, but this network asks for {:?}; are width and classes right?",
                spec.name,
                found.dims(),
                spec.shape
            )));
        }
        let values = found.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        Ok(NamedTensor { name: spec.name, shape: spec.shape, values })
    };
    Ok(Checkpoint {
        tensors: specs(&network).into_iter().map(tensor).collect::<Result<_>>()?,
        classes: (0..config.classes).map(|class| class.to_string()).collect(),
        config,
        normalization: Normalization::default(),
        batches_tracked: 0,
        training: None,
    })
}

fn load(path: &Path) -> Result<HashMap<String, Tensor>> {
    let metadata = std::fs::metadata(path).map_err(|error| Error::io("read the weights", path, error))?;
    if !metadata.is_file() {
        return Err(Error::io("read the weights", path, "it is not a file"));
    }
    let corrupt = |error: candle_core::Error| {
        Error::new(
            ErrorCode::CheckpointCorrupt,
            format!(
                "{} can't be read as a PyTorch state dict (.pth) or as safetensors: {error}",
                path.display()
            ),
        )
    };
    let safetensors = path.extension().is_some_and(|extension| extension == "safetensors");
    let tensors: HashMap<String, Tensor> = if safetensors {
        candle_core::safetensors::load(path, &Device::Cpu).map_err(corrupt)?
    } else {
        let mut tensors = candle_core::pickle::read_all(path).map_err(corrupt)?;
        for key in WRAPPERS {
            if tensors.is_empty() {
                tensors = candle_core::pickle::read_all_with_key(path, Some(key)).unwrap_or_default();
            }
        }
        tensors.into_iter().collect()
    };
    if tensors.is_empty() {
        return Err(corrupt(candle_core::Error::Msg("it holds no tensors".into())));
    }
    // `DataParallel` and `torch.compile` put a module of their own around the network.
    let bare = |name: &str| name.trim_start_matches("module.").trim_start_matches("_orig_mod.").to_owned();
    Ok(tensors.into_iter().map(|(name, tensor)| (bare(&name), tensor)).collect())
}
