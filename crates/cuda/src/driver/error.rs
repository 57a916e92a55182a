//! What the driver refuses, as errors of this library: with a code, and with what to do.

use super::library::{self, Attempt, VARIABLE};
use super::types::{
    Code, INVALID_IMAGE, INVALID_PTX, INVALID_VALUE, NO_BINARY_FOR_GPU, NO_DEVICE, OUT_OF_MEMORY,
    UNSUPPORTED_PTX_VERSION,
};
use mobilenet_core::{Error, ErrorCode};
use std::path::Path;

/// The oldest driver that can be used, as `cuDriverGetVersion` has it: 1000 * major + 10 * minor of the newest CUDA that it
/// knows. It is what the kernels' PTX asks for.
pub const LEAST_VERSION: i32 = 12_000;

/// A driver's version for people: `12.4`.
pub fn version_text(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

/// No library could be opened.
pub fn not_found(attempts: &[Attempt]) -> Error {
    let what = if cfg!(target_os = "macos") {
        "there is no CUDA for macOS".to_string()
    } else {
        format!("no NVIDIA driver was found. Looked for: {}", library::list(attempts))
    };
    unavailable(format!(
        "CUDA can't be used: {what}. Install the driver, or name its library in {VARIABLE}, or use --device cpu"
    ))
}

/// The library is not a driver's, or an older one's: a function is missing.
pub fn missing_function(path: &Path, name: &str) -> Error {
    unavailable(format!(
        "CUDA can't be used: {} has no function {name}; a driver for CUDA {} or newer is needed. Update the NVIDIA \
         driver, or use --device cpu",
        path.display(),
        version_text(LEAST_VERSION)
    ))
}

/// The driver is too old.
pub fn too_old(version: i32) -> Error {
    unavailable(format!(
        "CUDA can't be used: the NVIDIA driver is for CUDA {}, and one for CUDA {} or newer is needed. Update the \
         driver, or use --device cpu",
        version_text(version),
        version_text(LEAST_VERSION)
    ))
}

/// There is no card, or none of that number.
pub fn no_such_card(index: usize, count: usize) -> Error {
    let there = match count {
        0 => "the driver finds no card".to_string(),
        1 => "there is one card, cuda:0".to_string(),
        _ => format!("there are {count} cards, cuda:0 to cuda:{}", count - 1),
    };
    unavailable(format!("cuda:{index} can't be used: {there}; use --device cpu or auto"))
}

/// Memory ran out; `free` and `total` are the card's, in bytes, where the driver still says so.
pub fn out_of_memory(device: &str, needed: usize, memory: Option<(usize, usize)>) -> Error {
    let mib = |bytes: usize| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let there = memory
        .map_or_else(String::new, |(free, total)| format!("; {} are free of {}", mib(free), mib(total)));
    Error::new(
        ErrorCode::OutOfMemory,
        format!(
            "{device} has too little memory: {} more were needed{there}. Use a smaller --batch-size, end other programs \
             on the card, or use --device cpu",
            mib(needed)
        ),
    )
}

/// A call that failed: `name` is the driver's for the code, `text` its explanation.
pub fn failed(function: &str, code: Code, name: &str, text: &str) -> Error {
    let what = format!("{function} failed with {name} ({code}): {text}");
    match code {
        OUT_OF_MEMORY => Error::new(
            ErrorCode::OutOfMemory,
            format!("the card has too little memory: {what}. Use a smaller --batch-size, or --device cpu"),
        ),
        NO_DEVICE => {
            unavailable("CUDA can't be used: the driver finds no card; use --device cpu or auto".into())
        }
        INVALID_IMAGE | NO_BINARY_FOR_GPU | INVALID_PTX | UNSUPPORTED_PTX_VERSION => unavailable(format!(
            "CUDA can't be used: the driver doesn't take the kernels: {what}. They need a driver for CUDA {} or newer and \
             a card of compute capability 8.0 or newer; update the driver, or use --device cpu",
            version_text(LEAST_VERSION)
        )),
        INVALID_VALUE => Error::internal(what),
        _ => unavailable(format!(
            "CUDA failed: {what}. See what nvidia-smi says of the card; a run with a folder goes on from its last \
             checkpoint by --resume, also with --device cpu"
        )),
    }
}

fn unavailable(message: String) -> Error {
    Error::new(ErrorCode::DeviceUnavailable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_written_as_people_know_them() {
        assert_eq!(version_text(11_040), "11.4");
        assert_eq!(version_text(13_000), "13.0");
    }

    #[test]
    fn errors_have_their_code_and_say_what_to_do() {
        let old = too_old(11_020);
        assert_eq!(old.code, ErrorCode::DeviceUnavailable);
        assert!(old.message.contains("for CUDA 11.2") && old.message.contains("for CUDA 12.0"), "{old}");
        let memory = out_of_memory("cuda:1", 3 << 20, Some((1 << 20, 8 << 20)));
        assert_eq!(memory.code, ErrorCode::OutOfMemory);
        assert!(memory.message.contains("3.0 MiB more were needed; 1.0 MiB are free of 8.0 MiB"), "{memory}");
        assert!(no_such_card(2, 2).message.contains("there are 2 cards, cuda:0 to cuda:1"));
        assert_eq!(failed("cuInit", 999, "CUDA_ERROR_UNKNOWN", "unknown").code, ErrorCode::DeviceUnavailable);
        assert_eq!(failed("cuLaunchKernel", INVALID_VALUE, "A", "b").code, ErrorCode::Internal);
        assert_eq!(failed("cuLaunchKernel", OUT_OF_MEMORY, "A", "b").code, ErrorCode::OutOfMemory);
    }
}
