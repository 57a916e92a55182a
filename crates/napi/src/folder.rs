//! Folders of pictures as data sets.

use crate::dataset::Dataset;
use crate::error::{Result, thrown};
use crate::job::{Promise, start_abandonable};
use crate::model::Cancel;
use crate::number::number;
use crate::options::{seed, whole};
use crate::progress::listener;
use mobilenet_core::Error;
use mobilenet_core::config;
use mobilenet_core::data::folder::{self, Progress};
use napi::bindgen_prelude::Function;
use napi_derive::napi;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How a folder becomes a data set.
#[napi(object)]
#[derive(Default)]
pub struct FolderOptions {
    /// Height and width that the network takes, in pixels; default 224. Larger pictures are made smaller to that.
    #[napi(ts_type = "number | null")]
    pub resolution: Option<f64>,
    /// What the shorter side of a picture is resized to, in pixels, before the network's square is cut out; default the
    /// resolution.
    #[napi(ts_type = "number | null")]
    pub resize: Option<f64>,
    /// Share of every class's pictures that is for testing, from 0 to below 1, where the folder has no parts; default 0.1.
    #[napi(ts_type = "number | null")]
    pub test_fraction: Option<f64>,
    /// Decides which pictures these are, and the split of a run: a whole number from 0 to 4294967295; default 1.
    #[napi(ts_type = "number | null")]
    pub seed: Option<f64>,
    /// The folder where decoded pictures are kept.
    #[napi(ts_type = "string | null")]
    pub cache: Option<String>,
    /// Threads that decode; default one a core.
    #[napi(ts_type = "number | null")]
    pub threads: Option<f64>,
}

/// How far the decoding of a folder is.
#[napi(object)]
pub struct FolderProgress {
    /// Files done.
    pub done: u32,
    /// Files in all.
    pub total: u32,
    /// Files among those done that could not be read.
    pub skipped: u32,
}

/// A file that could not be read as a picture.
#[napi(object)]
pub struct SkippedPicture {
    /// Its path from the data set's folder.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// Decoding that is cancelled ends after the pictures at hand, half a second each where they are large, and removes its file: before it
/// has, the promise should not be settled, or a process that ends then leaves the file behind.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens a folder of pictures, one folder a class. `onProgress` hears how the decoding goes, if there is any to do, and may
/// still be called after the promise has settled. Cancelled, it fails when the pictures at hand are decoded.
#[napi(
    ts_args_type = "path: string, options: FolderOptions, cancel: Cancel, onProgress: (progress: FolderProgress) => void",
    ts_return_type = "Promise<Dataset>"
)]
pub fn open_folder(
    path: String,
    options: FolderOptions,
    cancel: &Cancel,
    on_progress: Function<FolderProgress, ()>,
) -> Result<Promise<Dataset>> {
    let options = config::FolderOptions::try_from(options).map_err(thrown)?;
    let tell = listener(on_progress)?;
    let cancelled = cancel.inner.clone();
    Ok(start_abandonable(cancelled.clone(), PATIENCE, move || {
        let mut on_progress = |progress: Progress| tell(progress.into());
        let inner = folder::open(Path::new(&path), &options, &cancelled, &mut on_progress)?;
        Ok(Dataset { inner: Arc::new(inner) })
    }))
}

impl TryFrom<FolderOptions> for config::FolderOptions {
    type Error = Error;

    fn try_from(options: FolderOptions) -> std::result::Result<Self, Error> {
        Ok(Self {
            resolution: whole("resolution", options.resolution)?,
            resize: whole("resize", options.resize)?,
            test_fraction: options.test_fraction,
            seed: seed(options.seed)?,
            cache: options.cache.map(PathBuf::from),
            threads: whole("threads", options.threads)?,
        })
    }
}

impl From<Progress> for FolderProgress {
    fn from(Progress { done, total, skipped }: Progress) -> Self {
        Self { done: number(done), total: number(total), skipped: number(skipped) }
    }
}

impl From<folder::Skipped> for SkippedPicture {
    fn from(folder::Skipped { file, reason }: folder::Skipped) -> Self {
        Self { file, reason }
    }
}
