//! The Python version's files: pickled dictionaries with a NumPy array of pixels and a list of labels.
//!
//! Nothing in a pickle is executed: of a NumPy array its state is read, which is all that is needed.

use super::corrupt;
use super::records::{PLANE, RECORD, check_names};
use crate::error::{Error, Result};
use crate::pickle::{Id, Malformed, Pickle, Value};
use std::borrow::Cow;

/// Bytes of a picture: the three planes of a record.
const PICTURE: usize = 3 * PLANE;

/// The pictures and labels of a `data_batch_*` or `test_batch`, as records.
pub fn to_records(pickle: &[u8], shown: &str) -> Result<Vec<u8>> {
    let batch = Dictionary::read(pickle, shown)?;
    let labels = batch.entry("labels")?;
    let pixels = batch.entry("data")?;
    let pixels =
        batch.array(pixels).map_err(|found| batch.wrong("data", &found, "an array of bytes [n, 3072]"))?;
    let labels =
        batch.pickle.list(labels).ok_or_else(|| batch.wrong("labels", "something else", "a list"))?;
    let pictures = pixels.as_chunks::<PICTURE>().0;
    if labels.len() != pictures.len() {
        let found = format!("{} for {} pictures", labels.len(), pictures.len());
        return Err(batch.wrong("labels", &found, "one a picture"));
    }
    let mut records = Vec::with_capacity(labels.len() * RECORD);
    for (label, picture) in labels.iter().zip(pictures) {
        let number = batch.pickle.int(*label);
        let Some(label) = number.and_then(|number| u8::try_from(number).ok()) else {
            let found = number.map_or("a list with something else".into(), |number| number.to_string());
            return Err(batch.wrong("labels", &found, "whole numbers from 0 to 9"));
        };
        records.push(label);
        records.extend_from_slice(picture);
    }
    Ok(records)
}

/// The class names in a `batches.meta`.
pub fn class_names(pickle: &[u8], shown: &str) -> Result<Vec<String>> {
    let meta = Dictionary::read(pickle, shown)?;
    let names = meta.pickle.list(meta.entry("label_names")?);
    let names = names.and_then(|names| names.iter().map(|name| meta.name(*name)).collect());
    let names = names.ok_or_else(|| meta.wrong("label_names", "something else", "a list of strings"))?;
    check_names(names, shown)
}

/// A pickled dictionary whose keys are strings.
struct Dictionary<'a> {
    pickle: Pickle<'a>,
    shown: &'a str,
}

impl<'a> Dictionary<'a> {
    fn read(bytes: &'a [u8], shown: &'a str) -> Result<Self> {
        let damaged = |why: &dyn std::fmt::Display| {
            corrupt(format!(
                "{shown} ({} bytes) can't be read as a Python pickle: {why}; it is damaged or incomplete, so fetch it \
                 again",
                bytes.len()
            ))
        };
        let mut rest = bytes;
        let pickle = Pickle::read(&mut rest).map_err(|error: Malformed| damaged(&error))?;
        if !rest.is_empty() {
            return Err(damaged(&format!("{} bytes follow its end", rest.len())));
        }
        if pickle.dict(pickle.root()).is_none() {
            return Err(corrupt(format!("{shown} is a pickle of something else; expected a dictionary")));
        }
        Ok(Self { pickle, shown })
    }

    fn entry(&self, key: &str) -> Result<Id> {
        self.pickle.entry(self.pickle.root(), key).ok_or_else(|| {
            corrupt(format!(
                "{} has no entry `{key}`; is it a file of CIFAR-10's Python version?",
                self.shown
            ))
        })
    }

    fn wrong(&self, key: &str, found: &str, expected: &str) -> Error {
        corrupt(format!("{}: `{key}` is {found}; expected {expected}", self.shown))
    }

    /// The bytes of an array `[n, 3072]`, or what it is instead. Its state is (version, shape, type, by columns, bytes).
    fn array(&self, value: Id) -> std::result::Result<Cow<'_, [u8]>, String> {
        let Value::Object { state: Some(state), .. } = self.pickle.get(value) else {
            return Err("not an array".into());
        };
        let Some([_, shape, _, by_columns, bytes]) = self.pickle.tuple(*state) else {
            return Err("not an array".into());
        };
        let (Some(shape), Some(bytes)) = (self.pickle.tuple(*shape), self.pickle.bytes(*bytes)) else {
            return Err("not an array".into());
        };
        let size = |id: &Id| self.pickle.int(*id).and_then(|number| usize::try_from(number).ok());
        match shape.iter().map(size).collect::<Option<Vec<_>>>().as_deref() {
            Some([count, PICTURE]) if count.checked_mul(PICTURE) == Some(bytes.len()) => {}
            Some(shape @ ([] | [_] | [_, _] | [_, _, _] | [_, _, _, _])) => {
                return Err(format!("an array of {shape:?} in {} bytes", bytes.len()));
            }
            Some(shape) => return Err(format!("an array of {} dimensions", shape.len())),
            None => return Err("an array without a shape".into()),
        }
        match self.pickle.get(*by_columns) {
            Value::Bool(false) | Value::Int(0) => Ok(bytes),
            _ => Err("an array stored by columns".into()),
        }
    }

    fn name(&self, id: Id) -> Option<String> {
        match self.pickle.get(id) {
            Value::Text(text) => Some(text.clone().into_owned()),
            Value::Bytes(bytes) => String::from_utf8(bytes.clone().into_owned()).ok(),
            _ => None,
        }
    }
}
