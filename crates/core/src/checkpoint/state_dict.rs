//! State dicts, which PyTorch saves as a pickle of names and of where each tensor's values lie in which storage.
//!
//! What a file says of a tensor is compared with what is there before anything of that size is made.

use crate::pickle::{Call, Id, Pickle, Value};
use candle_core::{DType, Device, Tensor};
use std::collections::HashMap;

/// Names under which training scripts put a state dict into a larger file.
const WRAPPERS: [&str; 2] = ["state_dict", "model"];
/// Tensors may share a storage, as tied weights do. How many times as large as their file all of them may be.
const SHARED: usize = 8;
/// The most dimensions of a tensor, as in PyTorch.
const MOST_DIMENSIONS: usize = 64;

/// Tensors by their names.
pub type Tensors = HashMap<String, Tensor>;

/// What a pickle says of a storage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Storage<'p> {
    /// What the file calls it.
    pub key: &'p str,
    /// What PyTorch calls its type.
    kind: &'p str,
}

/// What a pickle says of a tensor.
struct Described<'p> {
    storage: Storage<'p>,
    dtype: DType,
    /// The first value's place in the storage.
    first: usize,
    shape: Vec<usize>,
    /// From a value to the next, of each dimension.
    strides: Vec<usize>,
}

impl<'p> Storage<'p> {
    /// The storage that a value stands for: ("storage", type, key, device, count, ...).
    pub fn of(pickle: &'p Pickle<'_>, value: &Value<'_>) -> Option<Self> {
        let Value::Persistent(id) = value else { return None };
        let [_, kind, key, ..] = pickle.tuple(*id)? else { return None };
        Some(Self { key: pickle.text(*key)?, kind: pickle.global(*kind)?.1 })
    }

    /// Bytes of a value.
    pub fn width(&self) -> Option<usize> {
        match self.kind {
            "DoubleStorage" | "LongStorage" => Some(8),
            "FloatStorage" | "IntStorage" => Some(4),
            "HalfStorage" | "BFloat16Storage" | "ShortStorage" => Some(2),
            "ByteStorage" | "CharStorage" | "BoolStorage" => Some(1),
            _ => None,
        }
    }

    /// The type of its values, if tensors here can have it.
    fn dtype(&self) -> Option<DType> {
        match self.kind {
            "DoubleStorage" => Some(DType::F64),
            "FloatStorage" => Some(DType::F32),
            "HalfStorage" => Some(DType::F16),
            "BFloat16Storage" => Some(DType::BF16),
            "LongStorage" => Some(DType::I64),
            "ByteStorage" => Some(DType::U8),
            _ => None,
        }
    }
}

/// The tensors of a state dict, or of the one inside a larger dictionary; all that is no tensor is left out. `storages` gives
/// a storage's bytes; the file has `size` of them.
///
/// # Errors
/// In words, when a tensor is not described as PyTorch does it, or is larger than what is there.
pub fn tensors<'s>(
    pickle: &Pickle<'_>,
    storages: &dyn Fn(&str) -> Result<&'s [u8], String>,
    size: usize,
) -> Result<Tensors, String> {
    let root = match pickle.call(pickle.root()) {
        Some(Call { function: ("__torch__", "Module"), state: Some(state), .. }) => state,
        _ => pickle.root(),
    };
    let inside = WRAPPERS.iter().filter_map(|name| pickle.entry(root, name));
    let mut left = size.saturating_mul(SHARED);
    for state in [root].into_iter().chain(inside) {
        let mut found = Tensors::new();
        for (name, value) in pickle.dict(state).unwrap_or_default() {
            let Some(name) = pickle.text(*name) else { continue };
            let mut read = || match describe(pickle, *value)? {
                Some(described) => described.read(storages(described.storage.key)?, &mut left).map(Some),
                None => Ok(None),
            };
            let tensor = read().map_err(|why: String| format!("tensor {}: {why}", shown(name)))?;
            found.extend(tensor.map(|tensor| (name.to_owned(), tensor)));
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Tensors::new())
}

/// A name as errors show it.
fn shown(name: &str) -> String {
    const MOST: usize = 100;
    if name.chars().nth(MOST).is_none() {
        name.into()
    } else {
        name.chars().take(MOST).chain("...".chars()).collect()
    }
}

/// What a value says of a tensor; `None` when it is none, or of a type that tensors here can't have.
fn describe<'p>(pickle: &'p Pickle<'_>, value: Id) -> Result<Option<Described<'p>>, String> {
    let missing = || "it is called with too few arguments".to_owned();
    let Some(mut call) = pickle.call(value) else { return Ok(None) };
    // Around a tensor: a parameter (data, ...), or a class of one's own (function, class, arguments, state).
    if call.function == ("torch._tensor", "_rebuild_from_type_v2") {
        let [function, _, arguments, ..] = call.arguments else { return Err(missing()) };
        let (Some(function), Some(arguments)) = (pickle.global(*function), pickle.tuple(*arguments)) else {
            return Ok(None);
        };
        call = Call { function, arguments, state: None };
    } else if call.function == ("torch._utils", "_rebuild_parameter") {
        let [data, ..] = call.arguments else { return Err(missing()) };
        let Some(inner) = pickle.call(*data) else { return Ok(None) };
        call = inner;
    }
    if call.function != ("torch._utils", "_rebuild_tensor_v2") {
        return Ok(None);
    }
    let [storage, first, shape, strides, ..] = call.arguments else { return Err(missing()) };
    let storage = Storage::of(pickle, pickle.get(*storage)).ok_or("it names no storage")?;
    let Some(dtype) = storage.dtype() else { return Ok(None) };
    let size = |id: Id| pickle.int(id).and_then(|number| usize::try_from(number).ok());
    let sizes = |id: Id, what: &str| {
        let items = pickle.tuple(id).filter(|items| items.len() <= MOST_DIMENSIONS);
        let sizes: Option<Vec<usize>> = items.and_then(|items| items.iter().map(|id| size(*id)).collect());
        sizes.ok_or_else(|| format!("its {what} is not some numbers from 0 on, at most {MOST_DIMENSIONS}"))
    };
    let first = size(*first).ok_or("its first value has no place in its storage")?;
    let (shape, strides) = (sizes(*shape, "shape")?, sizes(*strides, "stride")?);
    if shape.len() != strides.len() {
        return Err(format!("it has {} dimensions and {} strides", shape.len(), strides.len()));
    }
    Ok(Some(Described { storage, dtype, first, shape, strides }))
}

impl Described<'_> {
    /// The tensor, whatever its strides are in its storage. What it takes is taken from what is `left`.
    fn read(&self, storage: &[u8], left: &mut usize) -> Result<Tensor, String> {
        let width = self.dtype.size_in_bytes();
        let small = || {
            let held = storage.len() / width;
            format!("with shape {:?}, it is larger than its storage, which holds {held} values", self.shape)
        };
        // Also of an empty one the other sizes must have a product.
        let product = |least: usize| {
            self.shape.iter().try_fold(1usize, |all, size| all.checked_mul((*size).max(least)))
        };
        let count =
            product(1).and(product(0)).filter(|count| *count <= storage.len() / width).ok_or_else(small)?;
        *left = left.checked_sub(count * width).ok_or_else(|| {
            format!("its file's tensors share storages so much that they take more than {SHARED} times the file's size")
        })?;
        let first = self.first.saturating_mul(width);
        if self.is_contiguous() {
            let values = first.checked_add(count * width).and_then(|end| storage.get(first..end));
            return self.tensor(values.ok_or_else(small)?);
        }
        let mut values = Vec::with_capacity(count * width);
        for index in 0..count {
            let (mut place, mut left) = (first, index);
            for (size, stride) in self.shape.iter().zip(&self.strides).rev() {
                place = (left % size).saturating_mul(*stride).saturating_mul(width).saturating_add(place);
                left /= size;
            }
            values.extend_from_slice(storage.get(place..place.saturating_add(width)).ok_or_else(small)?);
        }
        self.tensor(&values)
    }

    /// Whether the values lie one after the other. The shape's product must be known to be one.
    fn is_contiguous(&self) -> bool {
        let mut next = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(size, stride)| {
            let right = *size <= 1 || *stride == next;
            next *= (*size).max(1);
            right
        })
    }

    fn tensor(&self, values: &[u8]) -> Result<Tensor, String> {
        Tensor::from_raw_buffer(values, self.dtype, &self.shape, &Device::Cpu)
            .map_err(|error| error.to_string())
    }
}
