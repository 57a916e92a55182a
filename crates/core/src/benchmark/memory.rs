//! What main memory could do: a copy that no cache holds.

use rayon::prelude::*;
use std::time::Instant;

/// Floats that are copied: 128 MiB, and as many where they go, which is more than nearly every cache holds.
const FLOATS: usize = 32 << 20;

/// What is copied, and where to.
pub(super) struct Buffers {
    from: Vec<f32>,
    to: Vec<f32>,
}

impl Buffers {
    /// Not zeros: the system would give the same page of zeros for all of `from`, and a cache holds that.
    pub fn new() -> Self {
        Self { from: vec![1.0; FLOATS], to: vec![0.0; FLOATS] }
    }

    /// Bytes that all threads of the current pool together read and write in a second.
    pub fn copy_rate(&mut self) -> f64 {
        let started = Instant::now();
        let share = FLOATS.div_ceil(rayon::current_num_threads());
        let shares = self.to.par_chunks_mut(share).zip(self.from.par_chunks(share));
        shares.for_each(|(to, from)| to.copy_from_slice(from));
        (2 * size_of_val(self.from.as_slice())) as f64 / started.elapsed().as_secs_f64()
    }
}
