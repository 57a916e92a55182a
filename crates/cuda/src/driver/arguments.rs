//! What a kernel is given.

use super::Slice;
use mobilenet_core::Result;
use std::ffi::c_void;

/// A value as a kernel takes it.
///
/// # Safety
/// It must lie as the kernel's type does, without padding, and need no larger alignment than 8.
pub unsafe trait Argument: Copy {}

// SAFETY: `float`.
unsafe impl Argument for f32 {}
// SAFETY: `double`.
unsafe impl Argument for f64 {}
// SAFETY: `int`.
unsafe impl Argument for i32 {}
// SAFETY: `unsigned`.
unsafe impl Argument for u32 {}
// SAFETY: a pointer, or none, as an address.
unsafe impl Argument for u64 {}

/// A kernel's arguments, in order.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// Of 8 bytes, so that every argument begins where its alignment wants it.
    words: Vec<u64>,
    /// Where each argument begins.
    starts: Vec<usize>,
    work: Work,
}

/// What a kernel does with its arguments, for whoever compares its time with what the card could do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Bytes between it and memory at least: each value of an array once, and once more where it is read and replaced.
    pub bytes: usize,
    /// Multiplications with an addition that its layer is defined by.
    pub multiply_adds: usize,
}

impl Arguments {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more.
    pub fn with<T: Argument>(mut self, value: T) -> Self {
        let start = self.words.len();
        self.starts.push(start);
        self.words.resize(start + size_of::<T>().div_ceil(8), 0);
        // SAFETY: room for the value was just made, and the room's alignment is 8.
        unsafe { self.words.as_mut_ptr().add(start).cast::<T>().write(value) };
        self
    }

    /// One more, an array, of which the kernel reads or writes so many bytes.
    ///
    /// # Errors
    /// `INTERNAL` if it has fewer.
    pub fn array(mut self, array: Slice, bytes: usize) -> Result<Self> {
        self.work.bytes += bytes;
        Ok(self.with(array.with(bytes)?))
    }

    /// One more, an array that the kernel can do without.
    ///
    /// # Errors
    /// `INTERNAL` if there is one with fewer bytes.
    pub fn array_if_any(self, array: Slice, bytes: usize) -> Result<Self> {
        if array == Slice::NONE { Ok(self.with(0_u64)) } else { self.array(array, bytes) }
    }

    /// So many bytes are moved besides: of an array that is read and replaced, or of one whose size isn't what is read of it.
    pub fn moving(mut self, bytes: usize) -> Self {
        self.work.bytes += bytes;
        self
    }

    /// So many multiplications with an addition are done.
    pub fn computing(mut self, multiply_adds: usize) -> Self {
        self.work.multiply_adds += multiply_adds;
        self
    }

    /// What the kernel does with them.
    pub fn work(&self) -> Work {
        self.work
    }

    /// Where each begins; good as long as these arguments are.
    pub(super) fn pointers(&self) -> Vec<*mut c_void> {
        let pointer = |start: &usize| std::ptr::from_ref(&self.words[*start]).cast_mut().cast();
        self.starts.iter().map(pointer).collect()
    }

    /// One more, an `int` of a size.
    ///
    /// # Panics
    /// When it is too large for one, which no size of a plan is that fits a card's memory.
    pub fn int(self, value: usize) -> Self {
        self.with(i32::try_from(value).expect("sizes are below 2^31"))
    }
}
