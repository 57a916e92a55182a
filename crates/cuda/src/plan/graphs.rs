//! Work that is the same from step to step: recorded for each batch size, and launched as one.

use crate::driver::{Graph, Stream};
use crate::kernels::Recording;
use mobilenet_core::Result;

/// Batch sizes that are recorded at most: that of the run, that of an epoch's last batch, and as many of other parts. What
/// comes beyond is launched kernel by kernel.
const MOST: usize = 4;

/// Recorded work, by a batch size and whatever else it depends on.
#[derive(Debug)]
pub struct Graphs<K> {
    known: Vec<(K, Record)>,
    recording: Recording,
}

#[derive(Debug)]
enum Record {
    /// It was done once, kernel by kernel. So the driver has loaded its kernels, which it can't do while it records.
    Done,
    Recorded(Graph),
    /// It could not be recorded.
    Impossible,
}

impl<K: PartialEq> Graphs<K> {
    /// Nothing recorded yet.
    pub fn new(recording: Recording) -> Self {
        Self { known: Vec::new(), recording }
    }

    /// Does `work`: the first time as it is, then from its record if there can be one.
    ///
    /// # Errors
    /// Those of the work itself: that it can't be recorded is none.
    pub fn run(&mut self, stream: &Stream, key: K, work: impl Fn() -> Result<()>) -> Result<()> {
        let Some((_, record)) = self.known.iter_mut().find(|(known, _)| *known == key) else {
            work()?;
            if self.recording != Recording::Never && self.known.len() < MOST {
                self.known.push((key, Record::Done));
            }
            return Ok(());
        };
        if let Record::Done = record {
            // What fails while it is recorded may work when it is done at once; if not, it says so itself.
            let graph = |overlapping| Graph::record(stream, overlapping, &work);
            let graph = match self.recording {
                Recording::Overlapping => graph(true).or_else(|_| graph(false)),
                Recording::Strict | Recording::StrictForward => Ok(graph(true)?),
                Recording::InTurn | Recording::Never => graph(false),
            };
            *record = graph.map_or(Record::Impossible, Record::Recorded);
        }
        match record {
            Record::Recorded(graph) => graph.launch(stream),
            Record::Done | Record::Impossible => work(),
        }
    }
}
