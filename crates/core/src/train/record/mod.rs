//! What a run leaves in its folder: a log, checkpoints, and what the network answers on pictures that it did not learn
//! from. Whatever is made of these for people is not the core's.

mod evaluation;
mod folder;
mod log;
mod samples;

pub use evaluation::Tally;
pub use folder::{BEST, Folder, is_running, keep_epochs, same};

use super::event::Event;
use crate::checkpoint::Progress;
use crate::config::Normalization;
use crate::data::prepare::Batch;
use crate::error::{Error, Result};
use crate::files::write_whole;
use log::Log;
use serde::Serialize;
use std::path::Path;

const LOG: &str = "log.jsonl";

/// The record of a run, as it goes.
#[derive(Debug)]
pub struct Record {
    pub folder: Folder,
    log: Log,
}

impl Record {
    /// Begins a record, or goes on with that of the run whose state was read from `resumed`.
    ///
    /// # Errors
    /// `INVALID_OPTION` when another run is in the folder, `IO` when it can't be written to.
    pub fn open(path: &Path, resumed: Option<(&Path, &Progress)>) -> Result<Self> {
        let folder = Folder::open(path, resumed)?;
        let own = path.join(LOG);
        let log = match resumed {
            None => Log::create(&own)?,
            Some((checkpoint, progress)) => {
                // Also an earlier state of the same folder goes on with its log.
                match folder.has(checkpoint) {
                    true => Log::resume(&own, progress)?,
                    false => Log::branch(&own, &checkpoint.with_file_name(LOG), progress)?,
                }
            }
        };
        Ok(Self { folder, log })
    }

    /// Logs an event.
    pub fn add(&mut self, event: &Event) -> Result<()> {
        self.log.add(event)
    }

    /// Logs that the run ends with an error.
    pub fn add_failure(&mut self, error: &Error) -> Result<()> {
        #[derive(Serialize)]
        #[serde(tag = "type", rename = "error")]
        struct Failure<'a> {
            code: &'a str,
            message: &'a str,
        }
        self.log.add(&Failure { code: error.code.as_str(), message: &error.message })
    }

    /// What has the log on the disk when it is called: before a state that follows from it.
    pub fn sync(&self) -> Result<impl FnOnce() -> Result<()> + Send + use<>> {
        self.log.sync()
    }

    /// Writes `samples.png`: the first pictures of a batch, as the network gets them.
    pub fn write_samples(&self, batch: &Batch, side: usize, normalization: &Normalization) -> Result<()> {
        let png = samples::sheet(batch, side, normalization)?;
        write_whole(&self.folder.samples(), &png)
    }
}
