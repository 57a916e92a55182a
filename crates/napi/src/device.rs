//! `devices()` and the version.

use crate::error::{Result, thrown};
use mobilenet_core::config::DeviceChoice;
use mobilenet_core::{Error, device};
use napi_derive::napi;

/// A device that can train and run a network.
#[napi(object)]
pub struct Device {
    /// What options call it: `cpu`, or `cuda:0`.
    pub name: String,
    /// What kind it is, for people.
    pub description: String,
    /// Threads it can run at once.
    pub threads: u32,
    /// The widest instruction set that the kernels use on it.
    #[napi(ts_type = "'avx512' | 'avx2' | 'neon' | 'plain'")]
    pub simd: String,
}

/// The devices of this machine that this build can use, the best first.
#[napi]
pub fn devices() -> Vec<Device> {
    device::devices()
        .into_iter()
        .map(|info| Device {
            name: info.name,
            description: info.description,
            threads: info.threads.try_into().unwrap_or(u32::MAX),
            simd: info.simd,
        })
        .collect()
}

/// Version of the native library.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Checks that a device can be used: `auto`, `cpu`, `cuda` or `cuda:N`; gives its full name.
#[napi]
pub fn select_device(name: String) -> Result<String> {
    let choice = match name.as_str() {
        "auto" => Some(DeviceChoice::Auto),
        "cpu" => Some(DeviceChoice::Cpu),
        "cuda" => Some(DeviceChoice::Cuda(0)),
        other => other.strip_prefix("cuda:").and_then(|index| index.parse().ok()).map(DeviceChoice::Cuda),
    };
    let wrong =
        || Error::invalid_option(format!("device must be one of auto, cpu, cuda, cuda:N, not {name}"));
    device::select(choice.ok_or_else(wrong).map_err(thrown)?).map_err(thrown)
}
