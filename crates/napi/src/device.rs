//! Devices: which there are, and which one is meant.

use crate::error::{Result, thrown};
use crate::job::{Promise, start};
use mobilenet_core::config::DeviceChoice;
use mobilenet_core::{self as core, Error};
use mobilenet_cuda as cuda;
use napi_derive::napi;

/// A device that can train and run a network.
#[napi(object, use_nullable = true)]
pub struct Device {
    /// What options call it: `cpu`, or `cuda:0`.
    pub name: String,
    /// What kind it is, for people.
    pub description: String,
    /// Threads that the processor can run at once; null of a card.
    pub threads: Option<u32>,
    /// The widest instruction set that the kernels use on the processor; null of a card.
    #[napi(ts_type = "'avx512' | 'avx2' | 'neon' | 'plain'")]
    pub simd: Option<String>,
    /// What multiplies bfloat16 on the processor (the option `precision`); null where nothing does, and of a card.
    #[napi(ts_type = "'amx' | 'avx512'")]
    pub bfloat16: Option<String>,
    /// Bytes of a card's memory; null of the processor.
    pub memory_bytes: Option<f64>,
    /// What a card can do, as NVIDIA numbers it, for example `9.0`; null of the processor.
    pub compute_capability: Option<String>,
}

/// A place where the driver's library was looked for.
#[napi(object, use_nullable = true)]
pub struct LibraryAttempt {
    /// A path, or a name that the system's loader was asked for.
    pub place: String,
    /// What was wrong with it; null of the one that was opened.
    pub failure: Option<String>,
}

/// What there is of CUDA on this machine.
#[napi(object, use_nullable = true)]
pub struct CudaStatus {
    /// Whether a driver's library was found, be it usable or not.
    pub found: bool,
    /// The library; null where there is none that can be used.
    pub library: Option<String>,
    /// The newest CUDA that the driver knows, for example `13.0`.
    pub version: Option<String>,
    /// Where the library was looked for.
    pub attempts: Vec<LibraryAttempt>,
    /// Why cards can't be used; null where they can.
    pub error: Option<String>,
}

/// A device that was chosen.
#[napi(object, use_nullable = true)]
pub struct SelectedDevice {
    /// Its full name.
    pub name: String,
    /// Why `auto` is the processor although there is a driver; null otherwise.
    pub note: Option<String>,
}

/// The devices of this machine that can be used, the best first.
#[napi]
pub fn devices() -> Vec<Device> {
    // Why there are none although there is a driver, `cudaStatus` tells.
    let cards = cuda::device::cards().unwrap_or_default();
    let mut devices: Vec<Device> = cards.into_iter().map(Device::from).collect();
    devices.push(core::device::processor().into());
    devices
}

impl From<core::device::DeviceInfo> for Device {
    fn from(info: core::device::DeviceInfo) -> Self {
        Self {
            name: info.name,
            description: info.description,
            threads: Some(info.threads.try_into().unwrap_or(u32::MAX)),
            simd: Some(info.simd),
            bfloat16: info.bfloat16,
            memory_bytes: None,
            compute_capability: None,
        }
    }
}

impl From<cuda::driver::Card> for Device {
    fn from(card: cuda::driver::Card) -> Self {
        let (major, minor) = card.compute_capability;
        Self {
            name: card.device_name(),
            description: card.name,
            threads: None,
            simd: None,
            bfloat16: None,
            memory_bytes: Some(card.memory_bytes as f64),
            compute_capability: Some(format!("{major}.{minor}")),
        }
    }
}

/// What there is of CUDA, and where it was looked for.
#[napi]
pub fn cuda_status() -> CudaStatus {
    let driver = cuda::device::driver();
    let opened = driver.as_ref().ok();
    let cards = driver.as_ref().map_err(Clone::clone).and_then(|driver| driver.cards());
    let attempts = cuda::driver::Driver::process_attempts().iter();
    CudaStatus {
        found: cuda::driver::Driver::is_found(),
        library: opened.map(|driver| driver.path().display().to_string()),
        version: opened.map(|driver| cuda::driver::version_text(driver.version())),
        attempts: attempts
            .map(|attempt| LibraryAttempt {
                place: attempt.place.display().to_string(),
                failure: attempt.failure.clone(),
            })
            .collect(),
        error: cards.err().map(|error| error.message),
    }
}

/// Version of the native library.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Takes a device in use: `auto`, `cpu`, `cuda` or `cuda:N`. The first use of a card takes seconds, in which the driver
/// compiles the kernels for it.
#[napi(ts_return_type = "Promise<SelectedDevice>")]
pub fn select_device(name: String) -> Result<Promise<SelectedDevice>> {
    let choice = device_choice(&name).map_err(thrown)?;
    Ok(start(move || {
        let selected = cuda::device::select(choice)?;
        Ok(SelectedDevice { name: selected.backend.name(), note: selected.note })
    }))
}

/// A device by the name that options have for it.
pub(crate) fn device_choice(name: &str) -> core::Result<DeviceChoice> {
    let choice = match name {
        "auto" => Some(DeviceChoice::Auto),
        "cpu" => Some(DeviceChoice::Cpu),
        "cuda" => Some(DeviceChoice::Cuda(0)),
        other => other.strip_prefix("cuda:").and_then(|index| index.parse().ok()).map(DeviceChoice::Cuda),
    };
    choice.ok_or_else(|| {
        Error::invalid_option(format!("device must be one of auto, cpu, cuda, cuda:N, not {name}"))
    })
}

/// What trains and runs networks on a device that was selected before.
pub(crate) fn backend(name: &str) -> core::Result<std::sync::Arc<dyn core::engine::backend::Backend>> {
    Ok(cuda::device::select(device_choice(name)?)?.backend)
}
