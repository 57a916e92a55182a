//! A run's folder.

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// The folder of one run.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder where it is missing, and finds out now, not after an epoch, whether it can be written to.
    /// A new run doesn't go into a folder that holds one.
    pub fn open(path: &Path, resume: bool) -> Result<Self> {
        let folder = Self { path: path.to_path_buf() };
        if !resume && folder.last().exists() {
            return Err(Error::invalid_option(format!(
                "{} holds a run already; go on with it by resume, or choose another folder",
                path.display()
            )));
        }
        std::fs::create_dir_all(path).map_err(|error| Error::io("make the folder", path, error))?;
        tempfile::tempfile_in(path).map_err(|error| Error::io("write to the folder", path, error))?;
        Ok(folder)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The newest state, from which the run can go on.
    pub fn last(&self) -> PathBuf {
        self.path.join("last.safetensors")
    }

    /// The weights of the best epoch.
    pub fn best(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }
}
