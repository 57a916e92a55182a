//! Cards, before anything is done on one.

use super::types::{
    ATTRIBUTE_CAPABILITY_MAJOR, ATTRIBUTE_CAPABILITY_MINOR, ATTRIBUTE_CLOCK_RATE, ATTRIBUTE_MEMORY_BITS,
    ATTRIBUTE_MEMORY_CLOCK_RATE, ATTRIBUTE_MULTIPROCESSORS, ATTRIBUTE_SHARED_BYTES, DeviceHandle,
};
use super::{Driver, error};
use mobilenet_core::Result;
use std::ffi::{CStr, c_char};

/// Room for a card's name; the longest has some 40 letters.
const NAME_BYTES: usize = 128;

/// A card, as the driver describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// Its number: `cuda:<index>`. The environment variable `CUDA_VISIBLE_DEVICES` decides which cards there are.
    pub index: usize,
    pub(super) handle: DeviceHandle,
    /// Its model.
    pub name: String,
    /// Bytes of its memory.
    pub memory_bytes: usize,
    /// Major and minor number of what it can do: (9, 0) is Hopper.
    pub compute_capability: (i32, i32),
    /// Its processors.
    pub multiprocessors: usize,
    /// Bytes of shared memory that each of them has for all its blocks.
    pub shared_bytes: usize,
    /// Their highest clock, in Hz; 0 where the driver doesn't tell.
    pub clock_hz: f64,
    /// Bytes a second between it and its memory, at most; 0 where the driver doesn't tell.
    pub bytes_per_second: f64,
}

impl Driver {
    /// All cards.
    ///
    /// # Errors
    /// `DEVICE_UNAVAILABLE` when the driver fails.
    pub fn cards(&self) -> Result<Vec<Card>> {
        (0..self.card_count()?).map(|index| self.describe(index)).collect()
    }

    /// Card number `index`.
    ///
    /// # Errors
    /// `DEVICE_UNAVAILABLE` when there is none of this number.
    pub fn card(&self, index: usize) -> Result<Card> {
        let count = self.card_count()?;
        if index >= count {
            return Err(error::no_such_card(index, count));
        }
        self.describe(index)
    }

    fn card_count(&self) -> Result<usize> {
        let mut count = 0;
        // SAFETY: a place for the answer.
        self.check("cuDeviceGetCount", unsafe { (self.functions.device_count)(&raw mut count) })?;
        Ok(count.max(0) as usize)
    }

    fn describe(&self, index: usize) -> Result<Card> {
        let functions = &self.functions;
        let mut handle = 0;
        // SAFETY: a place for the answer; the index is below the count.
        self.check("cuDeviceGet", unsafe { (functions.device)(&raw mut handle, index as i32) })?;
        let mut name: [c_char; NAME_BYTES] = [0; NAME_BYTES];
        // SAFETY: at most as many bytes as there are, one less than that so that a zero stays at the end.
        let named = unsafe { (functions.device_name)(name.as_mut_ptr(), NAME_BYTES as i32 - 1, handle) };
        self.check("cuDeviceGetName", named)?;
        let mut memory_bytes = 0;
        // SAFETY: a place for the answer.
        let asked = unsafe { (functions.device_memory)(&raw mut memory_bytes, handle) };
        self.check("cuDeviceTotalMem", asked)?;
        let attribute = |number| {
            let mut value = 0;
            // SAFETY: a place for the answer; the number is one of `cuda.h`.
            let asked = unsafe { (functions.device_attribute)(&raw mut value, number, handle) };
            self.check("cuDeviceGetAttribute", asked).map(|()| value)
        };
        // What nothing but benchmarks needs may be missing in other drivers.
        let told = |number| attribute(number).map_or(0.0, f64::from);
        Ok(Card {
            index,
            handle,
            // SAFETY: the array ends with a zero, as it was made.
            name: unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned(),
            memory_bytes,
            compute_capability: (
                attribute(ATTRIBUTE_CAPABILITY_MAJOR)?,
                attribute(ATTRIBUTE_CAPABILITY_MINOR)?,
            ),
            multiprocessors: attribute(ATTRIBUTE_MULTIPROCESSORS)?.max(0) as usize,
            shared_bytes: attribute(ATTRIBUTE_SHARED_BYTES)?.max(0) as usize,
            clock_hz: told(ATTRIBUTE_CLOCK_RATE) * 1e3,
            // Two transfers a clock.
            bytes_per_second: told(ATTRIBUTE_MEMORY_CLOCK_RATE) * 1e3 * 2.0 * told(ATTRIBUTE_MEMORY_BITS)
                / 8.0,
        })
    }
}

impl Card {
    /// What options call it.
    pub fn device_name(&self) -> String {
        format!("cuda:{}", self.index)
    }

    /// Multiplications with an addition that it can do in a second, at most, in float32 and without tensor cores.
    pub fn multiply_adds_per_second(&self) -> f64 {
        // NVIDIA's "CUDA cores" of a multiprocessor: A100 has half of what all others have since.
        let cores = if self.compute_capability == (8, 0) { 64.0 } else { 128.0 };
        self.multiprocessors as f64 * cores * self.clock_hz
    }

    /// The same of its tensor cores, where they multiply bfloat16 and add up in float32; half of it with TF32. `None` for cards whose
    /// kinds differ in it, or that are newer than this. By NVIDIA's papers on the architectures of A100, H100 and B200.
    pub fn tensor_multiply_adds_per_second(&self) -> Option<f64> {
        let a_cycle = match self.compute_capability {
            (8, 0) => 1024.0,
            (9, 0) => 2048.0,
            (10, 0) => 4096.0,
            _ => return None,
        };
        Some(self.multiprocessors as f64 * a_cycle * self.clock_hz)
    }
}
