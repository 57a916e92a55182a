//! Memory on the card, and memory of the machine that the card reads and writes by itself.

use super::types::Address;
use super::{Context, Stream};
use mobilenet_core::{Error, Result};
use std::ffi::c_void;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::null_mut;
use std::sync::Arc;

/// A value as it is in both memories: plain bits, any of which are a value.
///
/// # Safety
/// Every pattern of bits must be a value, and there must be no padding.
pub unsafe trait Element: Copy + Send + Sync + 'static {}

// SAFETY: numbers have no padding, and every pattern of their bits is one.
unsafe impl Element for f32 {}
// SAFETY: the same.
unsafe impl Element for f64 {}
// SAFETY: the same.
unsafe impl Element for u8 {}
// SAFETY: the same.
unsafe impl Element for u16 {}
// SAFETY: the same.
unsafe impl Element for u32 {}
// SAFETY: the same.
unsafe impl Element for i32 {}
// SAFETY: the same.
unsafe impl Element for u64 {}

/// A part of an array on the card, or none: what a kernel is given. Whoever makes one sees that the array lives as long as
/// kernels work with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    address: Address,
    bytes: usize,
}

impl Slice {
    /// No array: a null pointer.
    pub const NONE: Self = Self { address: 0, bytes: 0 };

    /// Its address, if it has at least so many bytes.
    ///
    /// # Errors
    /// `INTERNAL` if it hasn't.
    pub fn with(self, bytes: usize) -> Result<Address> {
        if self.bytes < bytes || self.address == 0 {
            return Err(Error::internal(format!(
                "a kernel needs {bytes} bytes and would get {}",
                self.bytes
            )));
        }
        Ok(self.address)
    }

    /// What begins `bytes` behind its beginning.
    ///
    /// # Errors
    /// `INTERNAL` if it ends before.
    pub fn from(self, bytes: usize) -> Result<Self> {
        let left = self.bytes.checked_sub(bytes).ok_or_else(|| {
            Error::internal(format!("byte {bytes} of an array of {} was to be used", self.bytes))
        })?;
        Ok(Self { address: self.address + bytes as Address, bytes: left })
    }
}

/// An array on the card, freed when it is dropped. It may be empty, and then has no address.
#[derive(Debug)]
pub struct DeviceBuffer<T: Element> {
    context: Arc<Context>,
    address: Address,
    length: usize,
    element: PhantomData<T>,
}

impl<T: Element> DeviceBuffer<T> {
    /// An array of zeros; they are there before anything that the stream does later.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY`, with the bytes needed and free.
    pub fn zeros(stream: &Stream, length: usize) -> Result<Self> {
        let buffer = Self::new(stream.context(), length)?;
        if length > 0 {
            // SAFETY: the array was allocated with so many bytes.
            stream.context().call("cuMemsetD8Async", |f| unsafe {
                (f.fill_bytes)(buffer.address, 0, buffer.bytes(), stream.copying())
            })?;
        }
        Ok(buffer)
    }

    /// An array with these values, which are there when this returns.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY`, with the bytes needed and free.
    pub fn of(stream: &Stream, values: &[T]) -> Result<Self> {
        let mut buffer = Self::new(stream.context(), values.len())?;
        buffer.write(stream, values)?;
        Ok(buffer)
    }

    fn new(context: &Arc<Context>, length: usize) -> Result<Self> {
        let bytes = length
            .checked_mul(size_of::<T>())
            .ok_or_else(|| Error::internal(format!("an array of {length} values was asked for")))?;
        let mut address = 0;
        if bytes > 0 {
            // SAFETY: a place for the answer.
            context.allocate(bytes, |f| unsafe { (f.memory_allocate)(&raw mut address, bytes) })?;
        }
        Ok(Self { context: context.clone(), address, length, element: PhantomData })
    }

    /// How many values it has.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        self.length * size_of::<T>()
    }

    /// All of it; an empty array is none.
    pub fn all(&self) -> Slice {
        Slice { address: self.address, bytes: self.bytes() }
    }

    /// The values in a range; an empty range is none.
    ///
    /// # Panics
    /// When the range goes beyond the array.
    pub fn slice(&self, range: Range<usize>) -> Slice {
        assert!(range.end <= self.length, "values {range:?} of {}", self.length);
        if range.is_empty() {
            return Slice::NONE;
        }
        let address = self.address + (range.start * size_of::<T>()) as Address;
        Slice { address, bytes: range.len() * size_of::<T>() }
    }

    /// Replaces the first values by these, and waits for it.
    ///
    /// # Errors
    /// When the driver fails, or an earlier work of the stream did.
    pub fn write(&mut self, stream: &Stream, values: &[T]) -> Result<()> {
        self.write_at(0, stream, values)
    }

    /// Replaces the values from `first` on by these, and waits for it.
    ///
    /// # Errors
    /// When the driver fails, or an earlier work of the stream did.
    pub fn write_at(&mut self, first: usize, stream: &Stream, values: &[T]) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        self.check_room(first + values.len())?;
        let to = self.slice(first..first + values.len()).address;
        // SAFETY: both arrays have so many bytes; the values live until the copy has ended, which is waited for.
        self.context.call("cuMemcpyHtoDAsync", |f| unsafe {
            (f.copy_to_device)(to, values.as_ptr().cast(), size_of_val(values), stream.copying())
        })?;
        stream.synchronize()
    }

    /// Replaces the first values by the first of `values`, when the stream comes to it.
    ///
    /// # Safety
    /// `values` must neither be changed nor dropped before the stream has come past this.
    ///
    /// # Errors
    /// When the driver fails.
    pub unsafe fn write_later(
        &mut self,
        stream: &Stream,
        values: &PinnedBuffer<T>,
        count: usize,
    ) -> Result<()> {
        self.check_room(count)?;
        if count > values.length {
            return Err(Error::internal(format!("{count} values were to be copied of {}", values.length)));
        }
        // SAFETY: both arrays have so many values; that they stay is the caller's promise.
        self.context.call("cuMemcpyHtoDAsync", |f| unsafe {
            (f.copy_to_device)(self.address, values.pointer.cast(), count * size_of::<T>(), stream.copying())
        })
    }

    /// Copies the first values to `values`, and waits for them.
    ///
    /// # Errors
    /// When the driver fails, or an earlier work of the stream did.
    pub fn read_into(&self, stream: &Stream, values: &mut [T]) -> Result<()> {
        self.read_at(0, stream, values)
    }

    /// Copies the values from `first` on to `values`, and waits for them.
    ///
    /// # Errors
    /// When the driver fails, or an earlier work of the stream did.
    pub fn read_at(&self, first: usize, stream: &Stream, values: &mut [T]) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        self.check_room(first + values.len())?;
        let from = self.slice(first..first + values.len()).address;
        // SAFETY: both arrays have so many bytes; the values are borrowed until the copy has ended, which is waited for.
        self.context.call("cuMemcpyDtoHAsync", |f| unsafe {
            (f.copy_to_host)(values.as_mut_ptr().cast(), from, size_of_val(values), stream.copying())
        })?;
        stream.synchronize()
    }

    /// Copies the first values to `to`, from its value `first` on, when the stream comes to it.
    ///
    /// # Safety
    /// These values of `to` must be neither read nor changed before the stream has come past this, and `to` not be dropped.
    ///
    /// # Errors
    /// When the driver fails.
    pub unsafe fn read_later(
        &self,
        stream: &Stream,
        to: &mut PinnedBuffer<T>,
        first: usize,
        count: usize,
    ) -> Result<()> {
        self.check_room(count)?;
        if first + count > to.length {
            return Err(Error::internal(format!(
                "{count} values were to be copied to {first} of {}",
                to.length
            )));
        }
        // SAFETY: both arrays have so many values; that they stay is the caller's promise.
        self.context.call("cuMemcpyDtoHAsync", |f| unsafe {
            let to = to.pointer.add(first);
            (f.copy_to_host)(to.cast(), self.address, count * size_of::<T>(), stream.copying())
        })
    }

    fn check_room(&self, count: usize) -> Result<()> {
        if count <= self.length {
            return Ok(());
        }
        Err(Error::internal(format!("{count} values were to be copied to or from {}", self.length)))
    }
}

impl<T: Element + Default> DeviceBuffer<T> {
    /// A copy of all values.
    ///
    /// # Errors
    /// When the driver fails, or an earlier work of the stream did.
    pub fn read(&self, stream: &Stream) -> Result<Vec<T>> {
        let mut values = vec![T::default(); self.length];
        self.read_into(stream, &mut values)?;
        Ok(values)
    }
}

impl<T: Element> Drop for DeviceBuffer<T> {
    fn drop(&mut self) {
        if self.address != 0 {
            // SAFETY: allocated in `new`, freed once. The driver waits for what still works on it.
            self.context.release(|f| unsafe { (f.memory_free)(self.address) });
        }
    }
}

/// An array in the machine's memory that stays where it is, so that the card copies it without help.
#[derive(Debug)]
pub struct PinnedBuffer<T: Element> {
    context: Arc<Context>,
    pointer: *mut T,
    length: usize,
}

// SAFETY: it owns its memory, as a `Vec` does.
unsafe impl<T: Element> Send for PinnedBuffer<T> {}

impl<T: Element> PinnedBuffer<T> {
    /// An array of zeros.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY` when the system gives no such memory.
    pub fn zeros(context: &Arc<Context>, length: usize) -> Result<Self> {
        let bytes = length.max(1) * size_of::<T>();
        let mut pointer: *mut c_void = null_mut();
        // SAFETY: a place for the answer; no flags.
        context.call("cuMemHostAlloc", |f| unsafe { (f.host_allocate)(&raw mut pointer, bytes, 0) })?;
        // SAFETY: so many bytes were just given, and zeros are a value of every element.
        unsafe { pointer.cast::<u8>().write_bytes(0, bytes) };
        Ok(Self { context: context.clone(), pointer: pointer.cast(), length })
    }

    /// Its values.
    pub fn values(&self) -> &[T] {
        // SAFETY: allocated with so many values and filled when it was made.
        unsafe { std::slice::from_raw_parts(self.pointer, self.length) }
    }

    /// Its values, to be changed: not while a copy that was asked for reads them.
    pub fn values_mut(&mut self) -> &mut [T] {
        // SAFETY: the same, and borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.pointer, self.length) }
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        self.length * size_of::<T>()
    }
}

impl<T: Element> Drop for PinnedBuffer<T> {
    fn drop(&mut self) {
        // SAFETY: allocated in `zeros`, freed once.
        self.context.release(|f| unsafe { (f.host_free)(self.pointer.cast()) });
    }
}
