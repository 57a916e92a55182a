//! Writing: to a temporary name beside the target, flushed to the disk, then renamed.

use super::{Checkpoint, FIRST, FORMAT, SECOND, VERSION};
use crate::error::{Error, Result};
use crate::model::tensors::NamedTensor;
use safetensors::{Dtype, View};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

/// Writes a checkpoint. The target is either the old file or the whole new one, at any moment.
///
/// # Errors
/// `IO` when the folder can't be written to.
pub fn write(checkpoint: &Checkpoint, path: &Path) -> Result<()> {
    let bytes = serialize(checkpoint)?;
    let failed = |error: &dyn std::fmt::Display| Error::io("write", path, error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".checkpoint-")
        .suffix(".tmp")
        .tempfile_in(folder)
        .map_err(|error| failed(&error))?;
    file.write_all(&bytes).map_err(|error| failed(&error))?;
    file.as_file().sync_all().map_err(|error| failed(&error))?;
    share(file.path()).map_err(|error| failed(&error))?;
    file.persist(path).map_err(|error| failed(&error.error))?;
    Ok(())
}

/// Temporary files are for their owner alone; a checkpoint is for whom the folder is for.
fn share(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn serialize(checkpoint: &Checkpoint) -> Result<Vec<u8>> {
    let json = |value: serde_json::Result<String>| value.map_err(Error::internal);
    let mut metadata = HashMap::from([
        ("format".to_owned(), FORMAT.to_owned()),
        ("version".to_owned(), VERSION.to_owned()),
        ("config".to_owned(), json(serde_json::to_string(&checkpoint.config))?),
        ("classes".to_owned(), json(serde_json::to_string(&checkpoint.classes))?),
        ("normalization".to_owned(), json(serde_json::to_string(&checkpoint.normalization))?),
    ]);
    let mut tensors: Vec<(String, Values<'_>)> = Vec::new();
    for tensor in &checkpoint.tensors {
        tensors.push((tensor.name.clone(), Values::Float32(tensor)));
        if let Some(norm) = tensor.name.strip_suffix(".running_var") {
            tensors.push((
                format!("{norm}.num_batches_tracked"),
                Values::Count(checkpoint.batches_tracked as i64),
            ));
        }
    }
    if let Some(training) = &checkpoint.training {
        metadata.insert("training".to_owned(), json(serde_json::to_string(&training.progress))?);
        for (prefix, moments) in [(FIRST, &training.first), (SECOND, &training.second)] {
            tensors.extend(
                moments.iter().map(|tensor| (format!("{prefix}{}", tensor.name), Values::Float32(tensor))),
            );
        }
    }
    safetensors::serialize(tensors, Some(metadata)).map_err(Error::internal)
}

/// A tensor to write.
enum Values<'a> {
    Float32(&'a NamedTensor),
    /// A scalar.
    Count(i64),
}

impl View for Values<'_> {
    fn dtype(&self) -> Dtype {
        match self {
            Self::Float32(_) => Dtype::F32,
            Self::Count(_) => Dtype::I64,
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Self::Float32(tensor) => &tensor.shape,
            Self::Count(_) => &[],
        }
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Float32(tensor) => tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Count(count) => Cow::Owned(count.to_le_bytes().to_vec()),
        }
    }

    fn data_len(&self) -> usize {
        match self {
            Self::Float32(tensor) => tensor.values.len() * 4,
            Self::Count(_) => 8,
        }
    }
}
