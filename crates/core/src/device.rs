//! The processor, and what it can do.

use crate::config::Precision;
use crate::error::{Error, ErrorCode, Result};
use crate::kernels::product::bfloat16::Bfloat16;
use crate::kernels::simd::Isa;
use serde::Serialize;

/// The processor as a device.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceInfo {
    /// What options call it: `cpu`.
    pub name: String,
    /// What kind it is, for people.
    pub description: String,
    /// Threads it can run at once.
    pub threads: usize,
    /// The widest instruction set that the kernels use on it: `avx512`, `avx2`, `neon` or `plain`.
    pub simd: String,
    /// What multiplies bfloat16 on it: `amx` or `avx512`, none where nothing does.
    pub bfloat16: Option<String>,
}

/// The processor.
pub fn processor() -> DeviceInfo {
    DeviceInfo {
        name: "cpu".into(),
        description: format!("{} processor", std::env::consts::ARCH),
        threads: default_threads(),
        simd: simd_name().into(),
        bfloat16: Bfloat16::of(Isa::best()).map(|bfloat16| bfloat16.name().into()),
    }
}

/// What products are to be told; an error where the machine can't do what is asked for.
pub fn precision(precision: Precision) -> Result<Option<Bfloat16>> {
    let isa = Isa::best();
    match (precision, Bfloat16::of(isa)) {
        (Precision::Float32, _) => Ok(None),
        (Precision::Tf32, _) => Err(Error::invalid_option(
            "precision must be float32 or bfloat16 on the CPU, not tf32, which only NVIDIA cards have",
        )),
        (Precision::Bfloat16, Some(bfloat16)) => Ok(Some(bfloat16)),
        (Precision::Bfloat16, None) => Err(Error::new(
            ErrorCode::DeviceUnavailable,
            format!(
                "precision bfloat16 can't be used: it needs a processor with AVX512_BF16 (AMD Zen 4, Intel Sapphire \
                 Rapids, and later ones), and the kernels run on {} here; use float32",
                isa.name()
            ),
        )),
    }
}

/// Threads that compute unless an option says otherwise: as many as this process may run at once.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

/// The instruction set that the kernels use on this machine.
pub fn simd_name() -> &'static str {
    Isa::best().name()
}
