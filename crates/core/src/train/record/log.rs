//! `log.jsonl`: every event as a line of JSON, in the order in which they happened.

use crate::checkpoint::Progress;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A log that is written to. Nothing waits in memory: a line is the system's as soon as it was added, so a process that is
/// killed loses none, but may leave the last one torn.
#[derive(Debug)]
pub struct Log {
    file: File,
    path: PathBuf,
    /// Up to here the lines are whole.
    bytes: u64,
}

impl Log {
    /// An empty one.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(|error| Error::io("write", path, error))?;
        Ok(Self { file, path: path.to_path_buf(), bytes: 0 })
    }

    /// The log of a run that goes on from a state: what the run will do again is cut off, from the first step after the
    /// state on; so is a last line that is torn.
    pub fn resume(path: &Path, state: &Progress) -> Result<Self> {
        let failed = |error| Error::io("go on with", path, error);
        let bytes = until(&read(path)?, state).len() as u64;
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed)?;
        file.set_len(bytes).map_err(failed)?;
        file.seek(SeekFrom::Start(bytes)).map_err(failed)?;
        Ok(Self { file, path: path.to_path_buf(), bytes })
    }

    /// The log of a run that goes on in another folder: what `other` says up to the state.
    pub fn branch(path: &Path, other: &Path, state: &Progress) -> Result<Self> {
        let mut log = Self::create(path)?;
        log.write(until(&read(other)?, state))?;
        Ok(log)
    }

    /// Adds a line: the event, and the time in seconds since 1970.
    pub fn add(&mut self, event: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_string(event).map_err(Error::internal)?;
        // At the end, so that every line begins with its type.
        if line.pop() != Some('}') {
            return Err(Error::internal("an event is no object"));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        line += &format!(",\"time\":{}.{:03}}}\n", now / 1000, now % 1000);
        self.write(line.as_bytes())
    }

    fn write(&mut self, lines: &[u8]) -> Result<()> {
        if let Err(error) = self.file.write_all(lines) {
            // Whatever is added later must begin a line. If that fails, too, the first failure is the one to tell.
            let _ = self.file.set_len(self.bytes);
            let _ = self.file.seek(SeekFrom::Start(self.bytes));
            return Err(Error::io("write", &self.path, error));
        }
        self.bytes += lines.len() as u64;
        Ok(())
    }

    /// What waits, when it is called, until all of it is on the disk: a state must not outlive the log of how it came about.
    pub fn sync(&self) -> Result<impl FnOnce() -> Result<()> + Send + use<>> {
        let path = self.path.clone();
        let failed = move |error| Error::io("write", &path, error);
        let file = self.file.try_clone().map_err(&failed)?;
        Ok(move || file.sync_data().map_err(failed))
    }
}

/// Without a log there is nothing in it.
fn read(path: &Path) -> Result<Vec<u8>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(|error| Error::io("read", path, error)),
    }
}

/// The whole lines before the first that a run going on from `state` will write again.
fn until<'a>(log: &'a [u8], state: &Progress) -> &'a [u8] {
    let kept = log.split_inclusive(|byte| *byte == b'\n');
    let kept = kept.take_while(|line| line.ends_with(b"\n") && !is_after(line, state));
    &log[..kept.map(<[u8]>::len).sum()]
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Line {
    Step { epoch: usize, step: usize },
    LearningRate { epoch: usize, step: usize },
    Epoch { epoch: usize },
}

/// Whether a line is about a step, a learning rate from a step on, or the end of an epoch that lies after the state. Other
/// events stay true.
fn is_after(line: &[u8], state: &Progress) -> bool {
    match serde_json::from_slice(line) {
        Ok(Line::Step { epoch, step } | Line::LearningRate { epoch, step }) => {
            (epoch, step) > (state.epoch + 1, state.step)
        }
        Ok(Line::Epoch { epoch }) => epoch > state.epoch,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TrainConfig;
    use crate::metrics::PictureCounts;

    fn state(epoch: usize, step: usize) -> Progress {
        let pictures = PictureCounts { total: 4, train: 4, validation: 0, test: 0 };
        Progress {
            epoch,
            step,
            steps: 2 * epoch + step,
            ..Progress::new(TrainConfig::default(), pictures, None)
        }
    }

    /// Two epochs of two steps, killed while the last line was written.
    const LOG: &str = r#"{"type":"start"}
{"type":"step","epoch":1,"step":1,"steps":2}
{"type":"step","epoch":1,"step":2,"steps":2}
{"type":"epoch","epoch":1,"seconds":1}
{"type":"checkpoint","path":"last"}
{"type":"done"}
{"type":"start"}
{"type":"step","epoch":2,"step":1,"steps":2}
{"type":"checkpoint","path":"last"}
{"type":"step","epoch":2,"step":2,"steps":2}
{"type":"epo"#;

    fn resumed(log: &str, state: &Progress) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, log).unwrap();
        let mut log = Log::resume(&path, state).unwrap();
        log.add(&serde_json::json!({ "type": "start" })).unwrap();
        log.sync().and_then(|sync| sync()).unwrap();
        std::fs::read_to_string(&path).unwrap().lines().map(String::from).collect()
    }

    #[test]
    fn what_will_be_repeated_is_cut_off_and_what_was_is_kept() {
        let lines: Vec<&str> = LOG.lines().collect();
        // The state, and how many lines lie before it.
        for (epoch, step, kept) in
            [(0, 0, 1), (0, 1, 2), (0, 2, 3), (1, 0, 7), (1, 1, 9), (1, 2, 10), (5, 0, 10)]
        {
            let resumed = resumed(LOG, &state(epoch, step));
            assert_eq!(resumed[..kept], lines[..kept], "after epoch {epoch} and step {step}");
            assert_eq!(resumed.len(), kept + 1, "after epoch {epoch} and step {step}");
            assert!(resumed[kept].starts_with(r#"{"type":"start","time":1"#), "{resumed:?}");
        }
    }

    #[test]
    fn a_log_that_is_not_there_or_changed_by_hand_is_gone_on_with() {
        assert_eq!(resumed("", &state(1, 0)).len(), 1);
        assert_eq!(resumed("by hand\n{\"type\":\"st", &state(1, 0)).len(), 2);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        Log::resume(&path, &state(1, 0)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn another_folder_gets_the_lines_up_to_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        std::fs::write(&old, LOG).unwrap();
        Log::branch(&new, &old, &state(1, 0)).unwrap();
        assert_eq!(std::fs::read_to_string(&new).unwrap().lines().count(), 7);
        assert_eq!(std::fs::read_to_string(&old).unwrap(), LOG);
        Log::branch(&new, &folder.path().join("gone"), &state(1, 0)).unwrap();
        assert_eq!(std::fs::read(&new).unwrap(), b"");
    }
}
