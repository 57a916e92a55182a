//! Where AMX can't be had: what `amx.rs` offers, never called, because there is no [`Amx`].

use crate::kernels::product::tile::To;

/// As there.
pub const TILE: usize = 16;

/// None can be made.
#[derive(Debug, Clone, Copy)]
pub enum Amx {}

/// As there.
#[derive(Clone, Copy)]
#[allow(dead_code)] // Nothing reads it here.
pub struct Tiled {
    pub at: *const f32,
    pub row: usize,
    pub step: usize,
    pub tile: usize,
}

impl Amx {
    /// None.
    pub fn find() -> Option<Self> {
        None
    }

    /// Never called.
    pub fn configure(self) -> Configured {
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
pub enum Configured {}

impl Configured {
    /// # Safety
    /// Never called.
    pub unsafe fn tiles(&self, _: usize, _: usize, _: usize, _: Tiled, _: *const f32, _: To<'_>) {
        match *self {}
    }
}
