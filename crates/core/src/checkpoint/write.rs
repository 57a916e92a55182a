//! Writing, whole or not at all.

use super::{Checkpoint, FORMAT, RAW, TRAINING, VERSION};
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::model::tensors::NamedTensor;
use crate::optim::buffers;
use safetensors::{Dtype, View};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

/// Writes a checkpoint. The target is either the old file or the whole new one, at any moment.
///
/// # Errors
/// `IO` when the folder can't be written to.
pub fn write(checkpoint: &Checkpoint, path: &Path) -> Result<()> {
    write_whole(path, &serialize(checkpoint)?)
}

fn serialize(checkpoint: &Checkpoint) -> Result<Vec<u8>> {
    let json = |value: serde_json::Result<String>| value.map_err(Error::internal);
    let mut metadata = HashMap::from([
        ("format".to_owned(), FORMAT.to_owned()),
        ("version".to_owned(), VERSION.to_owned()),
        ("config".to_owned(), json(serde_json::to_string(&checkpoint.config))?),
        ("classes".to_owned(), json(serde_json::to_string(&checkpoint.classes))?),
        ("normalization".to_owned(), json(serde_json::to_string(&checkpoint.normalization))?),
        ("resize".to_owned(), checkpoint.resize.to_string()),
    ]);
    if let Some(trained_on) = &checkpoint.trained_on {
        metadata.insert("trainedOn".to_owned(), json(serde_json::to_string(trained_on))?);
    }
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
        let raw = training.raw.iter().flatten();
        tensors
            .extend(raw.map(|tensor| (format!("{TRAINING}{RAW}{}", tensor.name), Values::Float32(tensor))));
        let names = buffers(training.progress.config.optimizer.rule).iter().map(|(name, _)| name);
        for (buffer, kept) in names.zip(&training.optimizer) {
            let name = |tensor: &NamedTensor| format!("{TRAINING}{buffer}.{}", tensor.name);
            tensors.extend(kept.iter().map(|tensor| (name(tensor), Values::Float32(tensor))));
        }
    }
    ordered(safetensors::serialize(tensors, Some(metadata)).map_err(Error::internal)?)
}

/// The same file with its header in the order of its keys, which otherwise differs from time to time: so equal checkpoints are equal
/// files.
fn ordered(mut file: Vec<u8>) -> Result<Vec<u8>> {
    let (length, rest) =
        file.split_first_chunk_mut().ok_or_else(|| Error::internal("a file without a header"))?;
    let header = &mut rest[..u64::from_le_bytes(*length) as usize];
    // serde_json's maps are in order.
    let keys: serde_json::Value = serde_json::from_slice(header).map_err(Error::internal)?;
    let text = serde_json::to_vec(&keys).map_err(Error::internal)?;
    if text.len() > header.len() {
        return Err(Error::internal("a header in order is longer"));
    }
    header.fill(b' ');
    header[..text.len()].copy_from_slice(&text);
    Ok(file)
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
