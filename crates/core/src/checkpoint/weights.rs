//! Files of weights, of this program or another: every tensor in them, by its name.

use super::{FORMAT, legacy};
use crate::config::ModelConfig;
use crate::error::{Error, ErrorCode, Result};
use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Names under which training scripts put a state dict into a larger file.
const WRAPPERS: [&str; 2] = ["state_dict", "model"];

type Tensors = HashMap<String, Tensor>;

/// What is in a file of weights.
#[derive(Debug)]
pub struct Weights {
    path: PathBuf,
    /// By name, without what `DataParallel` and `torch.compile` put before it.
    pub tensors: Tensors,
    /// The network, where this library wrote the file.
    pub config: Option<ModelConfig>,
}

impl Weights {
    /// Reads a `.safetensors` file, or a state dict as PyTorch has saved it, today or before version 1.6.
    ///
    /// # Errors
    /// `IO` when the file can't be read; `CHECKPOINT_CORRUPT` when it is in none of these formats, or not whole.
    pub fn read(path: &Path) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| Error::io("read the weights", path, error);
        if !std::fs::metadata(path).map_err(|error| failed(&error))?.is_file() {
            return Err(failed(&"it is not a file"));
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
        let (tensors, config) = if path.extension().is_some_and(|extension| extension == "safetensors") {
            let bytes = std::fs::read(path).map_err(|error| failed(&error))?;
            (candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).map_err(corrupt)?, config(&bytes))
        } else {
            (pth(path).map_err(corrupt)?, None)
        };
        if tensors.is_empty() {
            return Err(corrupt(candle_core::Error::Msg("it holds no tensors".into())));
        }
        let bare =
            |name: String| name.trim_start_matches("module.").trim_start_matches("_orig_mod.").to_owned();
        let tensors = tensors.into_iter().map(|(name, tensor)| (bare(name), tensor)).collect();
        Ok(Self { path: path.into(), tensors, config })
    }

    /// The shape of a tensor, if there is one of this name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        Some(self.tensors.get(name)?.dims())
    }

    /// `CHECKPOINT_MISMATCH`, with the file's name before the words.
    pub fn mismatch(&self, why: impl std::fmt::Display) -> Error {
        Error::new(ErrorCode::CheckpointMismatch, format!("{}: {why}", self.path.display()))
    }
}

fn pth(path: &Path) -> candle_core::Result<Tensors> {
    for key in [None, Some(WRAPPERS[0]), Some(WRAPPERS[1])] {
        let tensors: Tensors = match legacy::read(path, key)? {
            Some(tensors) => tensors,
            None if key.is_none() => candle_core::pickle::read_all(path)?.into_iter().collect(),
            // Without this key it is an error there.
            None => {
                candle_core::pickle::read_all_with_key(path, key).unwrap_or_default().into_iter().collect()
            }
        };
        if !tensors.is_empty() {
            return Ok(tensors);
        }
    }
    Ok(Tensors::new())
}

/// The configuration in the metadata of a checkpoint of ours.
fn config(bytes: &[u8]) -> Option<ModelConfig> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let metadata =
        header.metadata().as_ref().filter(|metadata| metadata.get("format").is_some_and(|f| f == FORMAT))?;
    serde_json::from_str(metadata.get("config")?).ok()
}
