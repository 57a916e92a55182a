//! The Python version's files: pickled dictionaries with a NumPy array of pixels and a list of labels.
//!
//! Nothing in a pickle is executed: classes and functions that it names are replaced by nothing, and of a NumPy array
//! its state is left, which is all that is needed.

use super::corrupt;
use super::records::{PLANE, RECORD, check_names};
use crate::error::{Error, Result};
use serde_pickle::{DeOptions, HashableValue, Value};

/// Bytes of a picture: the three planes of a record.
const PICTURE: usize = 3 * PLANE;

/// The pictures and labels of a `data_batch_*` or `test_batch`, as records.
pub fn to_records(pickle: &[u8], shown: &str) -> Result<Vec<u8>> {
    let mut batch = Dictionary::read(pickle, shown)?;
    let labels = batch.take("labels")?;
    let pixels = batch.take("data")?;
    let pixels = array(pixels).map_err(|found| batch.wrong("data", &found, "an array of bytes [n, 3072]"))?;
    let Value::List(labels) = labels else {
        return Err(batch.wrong("labels", "something else", "a list"));
    };
    let pictures = pixels.as_chunks::<PICTURE>().0;
    if labels.len() != pictures.len() {
        let found = format!("{} for {} pictures", labels.len(), pictures.len());
        return Err(batch.wrong("labels", &found, "one a picture"));
    }
    let mut records = Vec::with_capacity(labels.len() * RECORD);
    for (label, picture) in labels.iter().zip(pictures) {
        let Some(label) = byte(label) else {
            return Err(batch.wrong("labels", &format!("{label}"), "whole numbers from 0 to 9"));
        };
        records.push(label);
        records.extend_from_slice(picture);
    }
    Ok(records)
}

/// The class names in a `batches.meta`.
pub fn class_names(pickle: &[u8], shown: &str) -> Result<Vec<String>> {
    let mut meta = Dictionary::read(pickle, shown)?;
    let names = match meta.take("label_names")? {
        Value::List(names) => names.into_iter().map(text).collect(),
        _ => None,
    };
    let names = names.ok_or_else(|| meta.wrong("label_names", "something else", "a list of strings"))?;
    check_names(names, shown)
}

/// A pickled dictionary whose keys are strings.
struct Dictionary<'a> {
    entries: std::collections::BTreeMap<HashableValue, Value>,
    shown: &'a str,
}

impl<'a> Dictionary<'a> {
    fn read(pickle: &[u8], shown: &'a str) -> Result<Self> {
        match serde_pickle::value_from_slice(pickle, DeOptions::new().replace_unresolved_globals()) {
            Ok(Value::Dict(entries)) => Ok(Self { entries, shown }),
            Ok(_) => Err(corrupt(format!("{shown} is a pickle of something else; expected a dictionary"))),
            Err(error) => Err(corrupt(format!(
                "{shown} ({} bytes) can't be read as a Python pickle: {error}; it is damaged or incomplete, so fetch \
                 it again",
                pickle.len()
            ))),
        }
    }

    /// Python 2 wrote its strings, which the official files have, as bytes.
    fn take(&mut self, key: &str) -> Result<Value> {
        let as_bytes = HashableValue::Bytes(key.into());
        let as_text = HashableValue::String(key.into());
        self.entries.remove(&as_bytes).or_else(|| self.entries.remove(&as_text)).ok_or_else(|| {
            corrupt(format!(
                "{} has no entry `{key}`; is it a file of CIFAR-10's Python version?",
                self.shown
            ))
        })
    }

    fn wrong(&self, key: &str, found: &str, expected: &str) -> Error {
        corrupt(format!("{}: `{key}` is {found}; expected {expected}", self.shown))
    }
}

/// The bytes of an array `[n, 3072]`, or what it is instead. Its state is (version, shape, type, by columns, bytes).
fn array(value: Value) -> std::result::Result<Vec<u8>, String> {
    let Value::Tuple(state) = value else { return Err("not an array".into()) };
    let Ok([_, Value::Tuple(shape), _, by_columns, Value::Bytes(bytes)]) = <[Value; 5]>::try_from(state)
    else {
        return Err("not an array".into());
    };
    let shape: Option<Vec<usize>> = shape.iter().map(size).collect();
    match shape.as_deref() {
        Some([count, PICTURE]) if count.checked_mul(PICTURE) == Some(bytes.len()) => {}
        Some(shape) => return Err(format!("an array of {shape:?} in {} bytes", bytes.len())),
        None => return Err("an array without a shape".into()),
    }
    match by_columns {
        Value::Bool(false) | Value::I64(0) => Ok(bytes),
        _ => Err("an array stored by columns".into()),
    }
}

fn size(value: &Value) -> Option<usize> {
    if let Value::I64(number) = value { (*number).try_into().ok() } else { None }
}

fn byte(value: &Value) -> Option<u8> {
    if let Value::I64(number) = value { (*number).try_into().ok() } else { None }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Bytes(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    }
}
