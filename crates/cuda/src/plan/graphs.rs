//! Work that is the same from step to step: recorded for each batch size, and launched as one.

use crate::driver::{Graph, Stream};
use mobilenet_core::Result;

/// Batch sizes that are recorded at most: that of the run, that of an epoch's last batch, and as many of other parts. What
/// comes beyond is launched kernel by kernel.
const MOST: usize = 4;

/// Set to 0, nothing is recorded: every kernel is launched by itself, so that an error names its kernel.
pub const VARIABLE: &str = "MOBILENET_NATIVE_CUDA_GRAPHS";

/// Recorded work, by a batch size and whatever else it depends on.
#[derive(Debug)]
pub struct Graphs<K> {
    /// `None` where it could not be recorded.
    recorded: Vec<(K, Option<Graph>)>,
    allowed: bool,
}

impl<K: PartialEq> Graphs<K> {
    /// Nothing recorded yet.
    pub fn new() -> Self {
        let allowed = std::env::var_os(VARIABLE).is_none_or(|value| value != "0");
        Self { recorded: Vec::new(), allowed }
    }

    /// Does `work`, from its record if there is one or can be.
    ///
    /// # Errors
    /// Those of the work itself: that it can't be recorded is none.
    pub fn run(&mut self, stream: &Stream, key: K, work: impl Fn() -> Result<()>) -> Result<()> {
        if !self.allowed {
            return work();
        }
        let place = match self.recorded.iter().position(|(recorded, _)| *recorded == key) {
            Some(place) => place,
            None if self.recorded.len() < MOST => {
                // What fails while it is recorded may work when it is done at once; if not, it says so itself.
                self.recorded.push((key, Graph::record(stream, &work).ok()));
                self.recorded.len() - 1
            }
            None => return work(),
        };
        match &self.recorded[place].1 {
            Some(graph) => graph.launch(stream),
            None => work(),
        }
    }
}
