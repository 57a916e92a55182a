//! The folder itself: who may write to it, and what lies where.

use super::LOG;
use crate::checkpoint::{self, Progress};
use crate::error::{Error, Result};
use crate::files::remove_unfinished;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LOCK: &str = ".lock";

/// The weights of the best epoch.
pub const BEST: &str = "best.safetensors";

/// What a run writes besides, and others may have: its own files, and those that are made of its log.
const WRITTEN: [&str; 5] = ["config.json", EVALUATION, "report.html", "results.csv", SAMPLES];

/// What the network answers after the last epoch.
const EVALUATION: &str = "evaluation.json";

/// The first pictures that it learns from.
const SAMPLES: &str = "samples.png";

/// The folder of one run, locked until it is dropped. The system lets the lock go when a process is killed; the file
/// stays, because removing it would let two runs hold a lock of the same name.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder where it is missing, and finds out now, not after an epoch, whether it can be written to.
    /// A run doesn't go into a folder that holds another: only the run that `resumed` is the state of may be there, or one
    /// that has nothing to lose, because no step of it was kept.
    pub fn open(path: &Path, resumed: Option<(&Path, &Progress)>) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| Error::io("make the folder", path, error))?;
        tempfile::tempfile_in(path).map_err(|error| Error::io("write to the folder", path, error))?;
        let folder = Self { path: path.to_path_buf(), _lock: lock(path)? };
        folder.check_newest(resumed)?;
        if !resumed.is_some_and(|(state, _)| folder.has(state)) {
            folder.check_others()?;
        }
        remove_unfinished(path)?;
        Ok(folder)
    }

    /// Refuses to write over the newest state of a run, unless that is the state which is `resumed`.
    fn check_newest(&self, resumed: Option<(&Path, &Progress)>) -> Result<()> {
        let last = self.last();
        if !last.exists() {
            return Ok(());
        }
        let there = checkpoint::read(&last).ok().and_then(|checkpoint| checkpoint.training);
        let steps = there.map(|state| state.progress.steps);
        match resumed {
            _ if steps == Some(0) => Ok(()),
            Some((state, progress)) if same(&last, state) => match steps {
                // In the meantime another network may have been loaded from it and gone on.
                Some(steps) if steps != progress.steps => Err(Error::invalid_option(format!(
                    "{} is a state after {steps} steps by now, and after {} when this network was loaded from it; load it \
                     again to go on from there, or choose another folder",
                    last.display(),
                    progress.steps
                ))),
                // What no run can go on from any more is no loss.
                _ => Ok(()),
            },
            _ => Err(Error::invalid_option(format!(
                "{} holds a run already; go on with that run by resume, or choose another folder",
                self.path.display()
            ))),
        }
    }

    /// Refuses to write over files that a run leaves and that are not of the run which goes on.
    fn check_others(&self) -> Result<()> {
        let path = &self.path;
        let best = self.best();
        let kept = epochs_in(path)?.last().map(|epoch| self.epoch(*epoch));
        let state = [Some(best).filter(|best| best.is_file()), kept].into_iter().flatten().next();
        let name = |path: PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        // Of a run there is always its log; without one these are somebody else's.
        let of_a_run = path.join(LOG).exists();
        match (state.and_then(name), WRITTEN.iter().find(|name| path.join(name).is_file())) {
            (Some(name), _) if of_a_run => Err(Error::invalid_option(format!(
                "{} holds the {name} of a run already; choose another folder",
                path.display()
            ))),
            (Some(name), _) => Err(self.stranger(&name)),
            (None, Some(name)) if !of_a_run => Err(self.stranger(name)),
            _ => Ok(()),
        }
    }

    fn stranger(&self, name: &str) -> Error {
        Error::invalid_option(format!(
            "{} holds a {name} that is no run's, and a run would write over it; choose another folder",
            self.path.display()
        ))
    }

    /// Whether a state is in this folder.
    pub fn has(&self, state: &Path) -> bool {
        // Where a link leads here, or from here.
        let beside = state.parent().filter(|folder| !folder.as_os_str().is_empty());
        same(&self.last(), state) || same(&self.path, beside.unwrap_or(Path::new(".")))
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
        self.path.join(BEST)
    }

    /// What the network answers after the last epoch.
    pub fn evaluation(&self) -> PathBuf {
        self.path.join(EVALUATION)
    }

    /// The first pictures that it learns from.
    pub fn samples(&self) -> PathBuf {
        self.path.join(SAMPLES)
    }

    /// The state after an epoch (from 1).
    pub fn epoch(&self, epoch: usize) -> PathBuf {
        epoch_in(&self.path, epoch)
    }
}

fn epoch_in(folder: &Path, epoch: usize) -> PathBuf {
    folder.join(format!("epoch-{epoch}.safetensors"))
}

/// Of which epochs a folder holds the states, the oldest first.
fn epochs_in(folder: &Path) -> Result<Vec<usize>> {
    let entries = folder.read_dir().map_err(|error| Error::io("read the folder", folder, error))?;
    let number = |name: &str| name.strip_prefix("epoch-")?.strip_suffix(".safetensors")?.parse().ok();
    let epoch_of = |path: PathBuf| {
        let epoch = number(path.file_name()?.to_str()?)?;
        // Not what somebody else has named alike: epoch-07.
        (path == epoch_in(folder, epoch)).then_some(epoch)
    };
    let mut epochs: Vec<usize> = entries.filter_map(|entry| epoch_of(entry.ok()?.path())).collect();
    epochs.sort_unstable();
    Ok(epochs)
}

/// Removes the oldest of the states after epochs in a folder, so that `keep` are left.
pub fn keep_epochs(folder: &Path, keep: usize) -> Result<()> {
    let epochs = epochs_in(folder)?;
    for epoch in &epochs[..epochs.len().saturating_sub(keep)] {
        let path = epoch_in(folder, *epoch);
        std::fs::remove_file(&path).map_err(|error| Error::io("remove", &path, error))?;
    }
    Ok(())
}

/// Whether a run writes to the folder at this moment.
pub fn is_running(path: &Path) -> bool {
    // Whoever holds the lock for writing keeps readers out, too.
    File::open(path.join(LOCK))
        .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn lock(path: &Path) -> Result<File> {
    let failed = |error| Error::io("lock the folder", path, error);
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK)).map_err(failed)?;
    // Somebody who asks whether a run is going on holds it, too, for a moment.
    for _ in 0..20 {
        match file.try_lock() {
            // Some network file systems have no locks, and each says so in its own words: better no lock than no run.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    Err(Error::invalid_option(format!(
        "another run is writing to {}; wait for its end, or choose another folder",
        path.display()
    )))
}

/// By their resolved paths, because the same file can be named in many ways.
pub fn same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
