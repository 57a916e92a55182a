//! Files of weights, of this program or another: every tensor in them, by its name.

use super::state_dict::Tensors;
use super::{FORMAT, legacy, zipped};
use crate::config::{ModelConfig, Normalization};
use crate::error::{Error, ErrorCode, Result};
use crate::files::read_whole;
use candle_core::Device;
use safetensors::SafeTensors;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// What `DataParallel` and `torch.compile` put before names, in either order.
const PREFIXES: [&str; 2] = ["module.", "_orig_mod."];

/// What is in a file of weights.
#[derive(Debug)]
pub struct Weights {
    path: PathBuf,
    /// By name, without what `DataParallel` and `torch.compile` put before it.
    pub tensors: Tensors,
    /// What else it says, where this library wrote it.
    pub own: Option<Own>,
}

/// What a checkpoint of ours says besides its tensors, as far as it makes sense.
#[derive(Debug)]
pub struct Own {
    /// The network.
    pub config: ModelConfig,
    /// What the shorter side of its pictures is resized to.
    pub resize: Option<usize>,
    /// What they are normalised with.
    pub normalization: Option<Normalization>,
    /// Names of its classes.
    pub classes: Option<Vec<String>>,
}

impl Weights {
    /// Reads a `.safetensors` file, or a state dict as PyTorch has saved it, today or before version 1.6.
    ///
    /// # Errors
    /// `IO` when the file can't be read; `CHECKPOINT_CORRUPT` when it is in none of these formats, or not whole.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_whole("read the weights", path)?;
        let corrupt = |why: String| {
            Error::new(
                ErrorCode::CheckpointCorrupt,
                format!(
                    "{} can't be read as a PyTorch state dict (.pth) or as safetensors: {why}",
                    path.display()
                ),
            )
        };
        let ours = path.extension().is_some_and(|extension| extension == "safetensors");
        // Readers meet files that nobody tried them on; a defect in one is that file's failure, not the program's.
        let (tensors, own) =
            catch_unwind(|| Ok(if ours { (load(&bytes)?, own(&bytes)) } else { (pth(&bytes)?, None) }))
                .unwrap_or_else(|_| Err("its reader met something that it wasn't made for".into()))
                .map_err(corrupt)?;
        if tensors.is_empty() {
            return Err(corrupt("it holds no tensors".into()));
        }
        let tensors = with_bare_names(tensors).map_err(corrupt)?;
        Ok(Self { path: path.into(), tensors, own })
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

fn load(bytes: &[u8]) -> std::result::Result<Tensors, String> {
    candle_core::safetensors::load_buffer(bytes, &Device::Cpu).map_err(|error| error.to_string())
}

/// The tensors of PyTorch's own formats.
pub(super) fn pth(bytes: &[u8]) -> std::result::Result<Tensors, String> {
    match legacy::read(bytes)? {
        Some(tensors) => Ok(tensors),
        None => zipped::read(bytes),
    }
}

/// The same tensors, without what others put before their names.
fn with_bare_names(tensors: Tensors) -> std::result::Result<Tensors, String> {
    let mut bare = Tensors::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let mut rest = name.as_str();
        while let Some(shorter) = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(prefix)) {
            rest = shorter;
        }
        if bare.insert(rest.to_owned(), tensor).is_some() {
            return Err(format!("it holds {rest} twice, with different prefixes ({})", PREFIXES.join(", ")));
        }
    }
    Ok(bare)
}

/// The metadata of a checkpoint of ours.
fn own(bytes: &[u8]) -> Option<Own> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let metadata =
        header.metadata().as_ref().filter(|metadata| metadata.get("format").is_some_and(|f| f == FORMAT))?;
    let normalization = metadata.get("normalization").and_then(|text| serde_json::from_str(text).ok());
    Some(Own {
        config: serde_json::from_str(metadata.get("config")?).ok()?,
        resize: metadata.get("resize").and_then(|text| text.parse().ok()),
        normalization: normalization.filter(|given: &Normalization| given.check().is_ok()),
        classes: metadata.get("classes").and_then(|text| serde_json::from_str(text).ok()),
    })
}
