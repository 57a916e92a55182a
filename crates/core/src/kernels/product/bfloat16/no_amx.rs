//! Where AMX can't be had: what `amx.rs` offers, never called, because there is no [`Amx`].

use super::Tiled;
use crate::kernels::product::tile::To;

/// None can be made.
#[derive(Debug, Clone, Copy)]
pub enum Amx {}

impl Amx {
    /// None.
    pub fn find() -> Option<Self> {
        None
    }

    /// Never called.
    pub fn begin(self) -> Registers {
        match self {}
    }

    /// # Safety
    /// Never called.
    pub unsafe fn turn(self, _: *mut f32, _: usize) {
        match self {}
    }
}

/// None can be made.
#[derive(Debug)]
pub enum Registers {}

impl Registers {
    /// # Safety
    /// Never called.
    pub unsafe fn tiles(&self, _: usize, _: usize, _: usize, _: Tiled, _: *const f32, _: To<'_>) {
        match *self {}
    }
}
