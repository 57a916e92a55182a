//! The kernels as they are checked in, which `scripts/cuda-kernels` makes of their sources.

use crate::driver::{Context, Image, Module};
use mobilenet_core::Result;
use std::sync::Arc;

/// All kernels as PTX, which a driver compiles for its card; that took 10 s for an H200, when there were 73.
pub const PTX: &[u8] = include_bytes!("../ptx/kernels.ptx.gz");

/// Kernels as machine code.
#[derive(Debug, Clone, Copy)]
pub struct Compiled {
    /// The compute capability that it is for; it runs on all later ones of the same major number, too.
    pub capability: (i32, i32),
    /// The oldest driver that reads it, as `cuDriverGetVersion` has it.
    pub driver: i32,
    /// Compressed by gzip.
    pub bytes: &'static [u8],
}

/// The same as machine code, for Ampere and Ada, Hopper, and the Blackwell of GeForce. 0.8 MB each, so not for cards that are rarer.
/// The first two are in the form that drivers have read since CUDA 12.0; what is for Blackwell the assembler writes in a newer one.
pub const COMPILED: [Compiled; 3] = [
    Compiled { capability: (8, 0), driver: 12_000, bytes: include_bytes!("../ptx/kernels.sm_80.cubin.gz") },
    Compiled { capability: (9, 0), driver: 12_000, bytes: include_bytes!("../ptx/kernels.sm_90.cubin.gz") },
    Compiled { capability: (12, 0), driver: 12_090, bytes: include_bytes!("../ptx/kernels.sm_120.cubin.gz") },
];

/// The oldest driver that can record that a kernel comes early: `cuda.h` has such edges of graphs since CUDA 12.3.
const RECORDS_EARLY: i32 = 12_030;

/// Has the driver load the kernels for its card, and compile them where they are not compiled for it.
///
/// # Errors
/// `DEVICE_UNAVAILABLE` when driver or card are too old for them.
pub fn load(context: &Arc<Context>) -> Result<Arc<Module>> {
    let (major, minor) = context.card().compute_capability;
    let version = context.driver().version();
    let suits =
        |code: &Compiled| code.driver <= version && code.capability.0 == major && code.capability.1 <= minor;
    // `begin_kernel` of the kernels: Hopper and later cards can, and PTX is for older ones too.
    let waits = |code: &Compiled| code.capability >= (9, 0) && version >= RECORDS_EARLY;
    let image = |code: &Compiled| Image { bytes: code.bytes, waits: waits(code) };
    let mut images: Vec<Image> = COMPILED.iter().filter(|code| suits(code)).map(image).collect();
    images.push(Image { bytes: PTX, waits: false });
    Module::load(context, &images)
}
