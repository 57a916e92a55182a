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
    /// A run doesn't go into a folder that holds another: only the run that `resumed` is the state of may be there.
    pub fn open(path: &Path, resumed: Option<&Path>) -> Result<Self> {
        let folder = Self { path: path.to_path_buf() };
        let last = folder.last();
        // By their resolved paths, because the same file can be named in many ways.
        let same =
            |other: &Path| matches!((last.canonicalize(), other.canonicalize()), (Ok(a), Ok(b)) if a == b);
        if last.exists() && !resumed.is_some_and(same) {
            return Err(Error::invalid_option(format!(
                "{} holds a run already; go on with that run by resume, or choose another folder",
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
