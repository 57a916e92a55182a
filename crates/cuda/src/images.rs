//! The kernels as they are checked in, which `scripts/cuda-kernels` makes of their sources.

use crate::driver::{Context, Image, Module};
use mobilenet_core::Result;
use std::sync::Arc;

/// All kernels as PTX, which a driver compiles for its card; that took 10 s for an H200, when there were 73.
pub const PTX: &[u8] = include_bytes!("../ptx/kernels.ptx.gz");

/// The same as machine code, by the compute capability that it is for: it runs on all later ones of the same major number, so
/// on Ampere and Ada (8.x) and Hopper (9.0). 0.8 MB each, so not for cards that are rarer.
pub const COMPILED: [((i32, i32), &[u8]); 2] = [
    ((8, 0), include_bytes!("../ptx/kernels.sm_80.cubin.gz")),
    ((9, 0), include_bytes!("../ptx/kernels.sm_90.cubin.gz")),
];

/// The oldest driver that reads machine code of the compiler that made it, as `cuDriverGetVersion` has it.
const LEAST_VERSION: i32 = 13_000;

/// Has the driver load the kernels for its card, and compile them where they are not compiled for it.
///
/// # Errors
/// `DEVICE_UNAVAILABLE` when driver or card are too old for them.
pub fn load(context: &Arc<Context>) -> Result<Arc<Module>> {
    let (major, minor) = context.card().compute_capability;
    let reads_code = context.driver().version() >= LEAST_VERSION;
    let suits = |least: (i32, i32)| reads_code && least.0 == major && least.1 <= minor;
    let compiled = COMPILED.iter().filter(|(least, _)| suits(*least));
    // `begin_kernel` of the kernels: Hopper can, and PTX is for older cards too.
    let mut images: Vec<Image> =
        compiled.map(|(least, bytes)| Image { bytes, waits: *least >= (9, 0) }).collect();
    images.push(Image { bytes: PTX, waits: false });
    Module::load(context, &images)
}
