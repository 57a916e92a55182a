//! Where no processor has the instruction: what `cpu.rs` offers, never called, because [`super::Bfloat16`] can't be had.

use crate::kernels::batch_norm::Finish;
use crate::kernels::product::tile::{Left, To};

/// Never.
pub fn is_there() -> bool {
    false
}

/// # Safety
/// Never called.
pub unsafe fn round(_: *const f32, _: usize, _: *mut f32, _: usize, _: usize, _: usize) {
    unreachable!("without the instruction")
}

/// # Safety
/// Never called.
#[allow(clippy::too_many_arguments)] // As there.
pub unsafe fn interleave<const WIDTH: usize>(
    _: *const f32,
    _: usize,
    _: usize,
    _: usize,
    _: *mut f32,
    _: usize,
    _: usize,
) {
    unreachable!("without the instruction")
}

/// # Safety
/// Never called.
pub unsafe fn transpose(_: *const f32, _: usize, _: usize, _: *mut f32) {
    unreachable!("without the instruction")
}

/// # Safety
/// Never called.
pub unsafe fn tiles(_: usize, _: usize, _: usize, _: Left, _: *const f32, _: To<'_>) {
    unreachable!("without the instruction")
}

/// # Safety
/// Never called.
pub unsafe fn finish_from(_: *const f32, _: usize, _: usize, _: Finish<'_>, _: To<'_>) {
    unreachable!("without the instruction")
}
