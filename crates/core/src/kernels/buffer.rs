//! Memory for the kernels: aligned to a cache line, so that no register's load crosses one.

use crate::error::OutOfMemory;
use aligned_vec::{AVec, ConstAlign, avec};
use memmap2::MmapMut;
use std::ops::{Deref, DerefMut, Range};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of a cache line, and of an AVX-512 register.
const LINE_BYTES: usize = 64;

/// A few values, such as a factor a channel.
pub type Values = AVec<f32, ConstAlign<LINE_BYTES>>;

/// `count` times `value`.
pub fn values(count: usize, value: f32) -> Values {
    avec![[LINE_BYTES]| value; count]
}

/// Many values, zero at first, in pages of their own: large pages where the system has them, because a pass over a
/// map of 20 MB touches 5,000 small ones and the processor remembers where 3,000 lie.
#[derive(Debug)]
pub struct Buffer {
    memory: MmapMut,
    first_byte: usize,
    floats: usize,
}

impl Buffer {
    /// Bytes that the begins of buffers made one after the other are apart within a page. A kernel that reads some
    /// and writes others at the same place within a page takes a load for one of a store that it has not yet done.
    const STAGGER_BYTES: usize = 5 * LINE_BYTES;
    const PAGE_BYTES: usize = 4096;

    /// Room for `floats` values.
    ///
    /// # Panics
    /// With [`OutOfMemory`], and without a word on the standard error, when the system has no more.
    pub fn zeros(floats: usize) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let first_byte = MADE.fetch_add(1, Ordering::Relaxed) * Self::STAGGER_BYTES % Self::PAGE_BYTES;
        let bytes = floats.saturating_mul(size_of::<f32>()).saturating_add(first_byte);
        let memory = MmapMut::map_anon(bytes.max(1))
            .unwrap_or_else(|_| resume_unwind(Box::new(OutOfMemory { bytes })));
        // Only a wish: kernels without large pages refuse it.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        Self { memory, first_byte, floats }
    }

    /// Bytes of several buffers' values.
    pub fn bytes_of<'a>(buffers: impl IntoIterator<Item = &'a Self>) -> usize {
        buffers.into_iter().map(|buffer| buffer.floats * size_of::<f32>()).sum()
    }

    /// Where the values lie.
    fn bytes(&self) -> Range<usize> {
        self.first_byte..self.first_byte + self.floats * size_of::<f32>()
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        let bytes = self.bytes();
        bytemuck::cast_slice(&self.memory[bytes])
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        let bytes = self.bytes();
        bytemuck::cast_slice_mut(&mut self.memory[bytes])
    }
}

/// Scratch for every thread of a pool, for passes whose tasks are not tied to a part.
#[derive(Debug)]
pub struct Scratch {
    threads: Vec<Mutex<Buffer>>,
    floats: usize,
}

impl Scratch {
    /// `floats` values a thread, once there are threads: see [`Self::cover_threads`].
    pub fn new(floats: usize) -> Self {
        Self { threads: Vec::new(), floats }
    }

    /// Sees to it that every thread of the current pool has its own.
    pub fn cover_threads(&mut self) {
        let threads = rayon::current_num_threads().max(self.threads.len());
        self.threads.resize_with(threads, || Mutex::new(Buffer::zeros(self.floats)));
    }

    /// Bytes of all threads' together.
    pub fn bytes(&self) -> usize {
        self.threads.len() * self.floats * size_of::<f32>()
    }

    /// The current thread's. What it holds is of no use to the next task: a panic while it was taken does no harm.
    pub fn take(&self) -> MutexGuard<'_, Buffer> {
        let thread = rayon::current_thread_index().unwrap_or(0) % self.threads.len();
        self.threads[thread].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Buffer, LINE_BYTES};

    #[test]
    fn buffers_are_zero_aligned_and_apart_within_a_page() {
        let mut buffers: Vec<Buffer> = [0, 1, 100_000].map(Buffer::zeros).into();
        for (buffer, floats) in buffers.iter_mut().zip([0, 1, 100_000]) {
            assert_eq!(buffer.len(), floats);
            assert!(buffer.iter().all(|value| *value == 0.0));
            assert!(buffer.as_ptr().cast::<u8>().align_offset(LINE_BYTES) == 0);
            buffer.fill(1.0);
        }
        let places: Vec<_> =
            buffers.iter().map(|buffer| buffer.as_ptr().addr() % Buffer::PAGE_BYTES).collect();
        assert!(places[0] != places[1] && places[1] != places[2]);
    }
}
