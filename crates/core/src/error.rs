//! One error type with a stable code, for every failure that a caller can meet.

use std::fmt;
use std::path::Path;

/// What kind of failure it was; the names are part of the public contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// An option has a value that is not allowed, or two options contradict each other.
    InvalidOption,
    /// No data set lies where it was looked for.
    DatasetNotFound,
    /// A data file is short, long, or not what it says it is.
    DatasetCorrupt,
    /// A checkpoint can't be read.
    CheckpointCorrupt,
    /// A checkpoint is sound but belongs to another network.
    CheckpointMismatch,
    /// A picture can't be decoded.
    ImageUnreadable,
    /// The device asked for can't be used.
    DeviceUnavailable,
    /// Memory ran out.
    OutOfMemory,
    /// The file system refused.
    Io,
    /// A defect of this library.
    Internal,
}

impl ErrorCode {
    /// The code as callers see it, for example `INVALID_OPTION`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidOption => "INVALID_OPTION",
            Self::DatasetNotFound => "DATASET_NOT_FOUND",
            Self::DatasetCorrupt => "DATASET_CORRUPT",
            Self::CheckpointCorrupt => "CHECKPOINT_CORRUPT",
            Self::CheckpointMismatch => "CHECKPOINT_MISMATCH",
            Self::ImageUnreadable => "IMAGE_UNREADABLE",
            Self::DeviceUnavailable => "DEVICE_UNAVAILABLE",
            Self::OutOfMemory => "OUT_OF_MEMORY",
            Self::Io => "IO",
            Self::Internal => "INTERNAL",
        }
    }
}

/// A failure: its code, and a message that says what was wrong, what was expected and what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What kind of failure it was.
    pub code: ErrorCode,
    /// One or two sentences for a person.
    pub message: String,
}

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of the given kind.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// [`ErrorCode::InvalidOption`].
    pub fn invalid_option(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidOption, message)
    }

    /// [`ErrorCode::Io`] for a path, with the system's own words.
    pub fn io(doing: &str, path: &Path, error: impl fmt::Display) -> Self {
        Self::new(ErrorCode::Io, format!("cannot {doing} {}: {error}", path.display()))
    }

    /// [`ErrorCode::Io`]: the system gives no thread.
    pub fn no_thread(error: impl fmt::Display) -> Self {
        Self::new(ErrorCode::Io, format!("cannot start a thread: {error}"))
    }

    /// [`ErrorCode::Internal`].
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::new(ErrorCode::Internal, format!("internal error: {message}; please report it"))
    }
}

/// What unwinds from where a plan's memory is taken, when the system has no more: it is taken in too many places, and too deep, for
/// results. Who catches panics makes an [`Error`] of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory {
    /// So many were asked for at once.
    pub bytes: usize,
}

impl From<OutOfMemory> for Error {
    fn from(OutOfMemory { bytes }: OutOfMemory) -> Self {
        Self::new(
            ErrorCode::OutOfMemory,
            format!(
                "{:.1} GB of memory can't be had at once; a smaller batch, width or resolution needs less",
                bytes as f64 / 1e9
            ),
        )
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::internal(error)
    }
}
