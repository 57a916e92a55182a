//! State dicts as PyTorch saved them before version 1.6, without a ZIP archive round them: a pickle each for a magic
//! number, the format's version, the machine, the state dict and the keys of its storages; then the storages, each a
//! count of values and these values. Older published weights are such files.

use super::state_dict::{Storage, Tensors, tensors};
use crate::pickle::{Pickle, Value};
use std::collections::HashMap;

/// The pickle of the magic number 0x1950a86a20f9469cfc6c.
const MAGIC: [u8; 15] = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];

/// Reads the tensors; `None` when the file is in another format.
///
/// # Errors
/// In words, when the file is damaged.
pub fn read(bytes: &[u8]) -> Result<Option<Tensors>, String> {
    let Some(mut rest) = bytes.strip_prefix(&MAGIC) else { return Ok(None) };
    let mut unpickle = || Pickle::read(&mut rest).map_err(|error| error.to_string());
    let (_version, machine, state, keys) = (unpickle()?, unpickle()?, unpickle()?, unpickle()?);
    let little_endian = machine.entry(machine.root(), "little_endian");
    if little_endian.is_some_and(|id| *machine.get(id) == Value::Bool(false)) {
        return Err("its numbers are big-endian; save it again on a little-endian machine".into());
    }
    let keys =
        keys.list(keys.root()).map(|list| list.iter().map(|id| keys.text(*id)).collect::<Option<Vec<_>>>());
    let keys = keys.flatten().ok_or("its storages are not named")?;

    let widths = widths(&state)?;
    let mut storages = HashMap::new();
    for key in keys {
        let width = widths.get(key).ok_or("a storage is of an unknown type")?;
        let count = take(&mut rest, 8)?.try_into().map_or(0, u64::from_le_bytes);
        let size = usize::try_from(count).ok().and_then(|count| count.checked_mul(*width));
        storages.insert(key, take(&mut rest, size.ok_or("a storage has an impossible size")?)?);
    }
    let storage = |key: &str| storages.get(key).copied().ok_or_else(|| "its storage is missing".to_owned());
    tensors(&state, &storage, bytes.len()).map(Some)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], String> {
    let (head, rest) = bytes.split_at_checked(count).ok_or("it ends too early")?;
    *bytes = rest;
    Ok(head)
}

/// Bytes of a value in each storage, by the storage's key: the file itself says only how many values there are.
fn widths<'p>(state: &'p Pickle<'_>) -> Result<HashMap<&'p str, usize>, String> {
    let mut widths = HashMap::new();
    for storage in state.values().filter_map(|value| Storage::of(state, value)) {
        let Some(width) = storage.width() else { continue };
        if widths.insert(storage.key, width).is_some_and(|other| other != width) {
            return Err("a storage has two types".into());
        }
    }
    Ok(widths)
}
