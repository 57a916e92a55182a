//! State dicts as PyTorch saves them since version 1.6: a ZIP archive with a pickle, `data.pkl`, and beside it a file for
//! each storage.

use super::state_dict::{Tensors, tensors};
use super::zip::Archive;
use crate::pickle::Pickle;

/// The pickle's name, in the archive's folder.
const PICKLE: &str = "data.pkl";

/// Reads the tensors.
///
/// # Errors
/// In words, when the file is none, or is damaged.
pub fn read(bytes: &[u8]) -> Result<Tensors, String> {
    let archive = Archive::open(bytes)?;
    // With TorchScript, others may lie deeper inside.
    let folder = archive.names().filter_map(|name| name.strip_suffix(PICKLE));
    let folder = folder
        .filter(|folder| folder.is_empty() || folder.ends_with('/'))
        .min_by_key(|folder| (folder.len(), *folder));
    let folder = folder.ok_or_else(|| format!("it is a ZIP archive without a {PICKLE}"))?;
    if archive.file(&format!("{folder}byteorder")).is_ok_and(|order| order.starts_with(b"big")) {
        return Err("its numbers are big-endian; save it again on a little-endian machine".into());
    }
    let name = format!("{folder}{PICKLE}");
    let pickle = Pickle::read(&mut archive.file(&name)?).map_err(|error| format!("{name}: {error}"))?;
    let storage = |key: &str| archive.file(&format!("{folder}data/{key}"));
    tensors(&pickle, &storage, bytes.len())
}
