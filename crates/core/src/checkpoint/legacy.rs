//! State dicts as PyTorch saved them before version 1.6, without a ZIP archive round them: a pickle each for a magic
//! number, the format's version, the machine, the state dict and the keys of its storages; then the storages, each a
//! count of values and these values. Older published weights are such files.

use candle_core::pickle::{Object, Stack, TensorInfo};
use candle_core::{Device, Error, Result, Tensor};
use std::collections::HashMap;
use std::path::Path;

/// The pickle of the magic number 0x1950a86a20f9469cfc6c.
const MAGIC: [u8; 15] = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];

/// Reads the tensors, those under `key` if there is one; `None` when the file is in another format.
pub fn read(path: &Path, key: Option<&str>) -> Result<Option<HashMap<String, Tensor>>> {
    let bytes = std::fs::read(path)?;
    let Some(mut rest) = bytes.strip_prefix(&MAGIC) else { return Ok(None) };
    let (_version, _machine) = (unpickle(&mut rest)?, unpickle(&mut rest)?);
    let state = unpickle(&mut rest)?;
    let Object::List(keys) = unpickle(&mut rest)? else { return Err(damaged("its storages are not named")) };
    let mut widths = HashMap::new();
    collect_widths(&state, &mut widths);
    let tensors = infos(state, key)?;

    let mut storages = HashMap::new();
    for key in keys {
        let key = key.unicode()?;
        let count = usize::from_le_bytes(take(&mut rest, 8)?.try_into().map_err(Error::wrap)?);
        let width = widths.get(&key).ok_or_else(|| damaged("a storage is of an unknown type"))?;
        let size = count.checked_mul(*width).ok_or_else(|| damaged("a storage has an impossible size"))?;
        storages.insert(key, take(&mut rest, size)?);
    }
    let tensor = |info: &TensorInfo| {
        let storage = storages.get(storage_key(info)).ok_or_else(|| damaged("a storage is missing"))?;
        Ok((info.name.clone(), tensor(info, storage)?))
    };
    tensors.iter().map(tensor).collect::<Result<_>>().map(Some)
}

fn damaged(why: &str) -> Error {
    Error::Msg(why.into())
}

fn unpickle(bytes: &mut &[u8]) -> Result<Object> {
    let mut stack = Stack::empty();
    stack.read_loop(bytes)?;
    stack.finalize()
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(count).ok_or_else(|| damaged("it ends too early"))?;
    *bytes = rest;
    Ok(head)
}

/// Bytes of a value in each storage, by the storage's key: the file itself says only how many values there are.
fn collect_widths(object: &Object, widths: &mut HashMap<String, usize>) {
    let mut each = |objects: &[Object]| objects.iter().for_each(|object| collect_widths(object, widths));
    match object {
        Object::Tuple(objects) | Object::List(objects) => each(objects),
        Object::Dict(entries) => entries.iter().for_each(|(_, value)| collect_widths(value, widths)),
        Object::Reduce { callable, args } | Object::Build { callable, args } => {
            collect_widths(callable, widths);
            collect_widths(args, widths);
        }
        Object::PersistentLoad(id) => {
            // ("storage", type, key, device, count, view)
            let Object::Tuple(id) = &**id else { return };
            let [_, Object::Class { class_name, .. }, Object::Unicode(key), ..] = &id[..] else { return };
            let width = match class_name.as_str() {
                "DoubleStorage" | "LongStorage" => 8,
                "FloatStorage" | "IntStorage" => 4,
                "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
                "ByteStorage" | "CharStorage" | "BoolStorage" => 1,
                _ => return,
            };
            widths.insert(key.clone(), width);
        }
        _ => {}
    }
}

/// The tensors of a state dict: all that is no tensor is left out.
fn infos(state: Object, key: Option<&str>) -> Result<Vec<TensorInfo>> {
    let entries = |object: Object| object.dict().unwrap_or_default();
    let state = match key {
        None => state,
        Some(key) => {
            let named = Object::Unicode(key.into());
            entries(state)
                .into_iter()
                .find(|(name, _)| *name == named)
                .map_or(Object::None, |(_, value)| value)
        }
    };
    let info = |(name, value): (Object, Object)| value.into_tensor_info(name, Path::new("")).transpose();
    entries(state).into_iter().filter_map(info).collect()
}

/// The key stands behind the (empty) folder that candle puts before it.
fn storage_key(info: &TensorInfo) -> &str {
    info.path.trim_start_matches('/')
}

/// A tensor `[...]` out of its storage, whatever its strides are there.
fn tensor(info: &TensorInfo, storage: &[u8]) -> Result<Tensor> {
    let width = info.dtype.size_in_bytes();
    let shape = info.layout.shape();
    let (first, strides) = (info.layout.start_offset(), info.layout.stride());
    let small = || damaged("a tensor is larger than its storage");
    if shape.elem_count() > storage.len() / width {
        return Err(small());
    }
    let mut values = Vec::with_capacity(shape.elem_count() * width);
    for index in 0..shape.elem_count() {
        let (mut place, mut left) = (first, index);
        for (size, stride) in shape.dims().iter().zip(strides).rev() {
            place = (left % size).saturating_mul(*stride).saturating_mul(width).saturating_add(place);
            left /= size;
        }
        values.extend_from_slice(storage.get(place..place.saturating_add(width)).ok_or_else(small)?);
    }
    Tensor::from_raw_buffer(&values, info.dtype, shape.dims(), &Device::Cpu)
}
