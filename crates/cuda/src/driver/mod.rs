//! NVIDIA's driver, opened at run time: so one library works on machines with and without it, and building it needs
//! nothing of NVIDIA's.
//!
//! Every call is checked, and none panics; what is owned is freed when it is dropped, whatever the driver says to that.

mod arguments;
mod context;
mod device;
mod error;
mod event;
mod functions;
mod graph;
mod library;
mod memory;
mod module;
mod stream;
mod transfer;
mod types;

pub use arguments::{Argument, Arguments, Work};
pub use context::Context;
pub use device::Card;
pub use error::{LEAST_VERSION, version_text};
pub use event::Event;
pub use functions::Functions;
pub use graph::Graph;
pub use library::{Attempt, VARIABLE, list};
pub use memory::{DeviceBuffer, Element, PinnedBuffer, Slice};
pub use module::{Function, Grid, Image, Module};
pub use stream::{Priority, Stream};
pub use transfer::{Download, Upload};
pub use types::{Address, Code};

use library::Found;
use mobilenet_core::{Error, Result};
use std::ffi::{CStr, OsString};
use std::fmt;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::ptr::null;
use std::sync::{Arc, OnceLock};

/// A driver that was opened and is new enough.
pub struct Driver {
    functions: Functions,
    path: PathBuf,
    version: i32,
    /// Never closed: a driver keeps threads and what the process registered with it.
    _library: ManuallyDrop<libloading::Library>,
}

impl Driver {
    /// This process's driver, opened at the first call; see [`Driver::open`].
    ///
    /// # Errors
    /// `DEVICE_UNAVAILABLE`, the same each time: a driver that is installed later is found by the next process.
    pub fn get() -> Result<Arc<Self>> {
        Self::opened().driver.clone()
    }

    /// Whether this process found a driver's library, be it usable or not.
    pub fn is_found() -> bool {
        Self::opened().found
    }

    /// Where this process looked for a driver's library.
    pub fn process_attempts() -> &'static [Attempt] {
        &Self::opened().attempts
    }

    fn opened() -> &'static Opened {
        static OPENED: OnceLock<Opened> = OnceLock::new();
        OPENED.get_or_init(|| match library::open(std::env::var_os(VARIABLE)) {
            Ok(found) => Opened { found: true, attempts: found.attempts.clone(), driver: Self::start(found) },
            Err(attempts) => Opened { found: false, driver: Err(error::not_found(&attempts)), attempts },
        })
    }

    /// Opens the library that `asked` names, or the first of the usual places, and starts it.
    ///
    /// # Errors
    /// `DEVICE_UNAVAILABLE` when there is none, or it is too old, or doesn't start.
    pub fn open(asked: Option<OsString>) -> Result<Arc<Self>> {
        Self::start(library::open(asked).map_err(|attempts| error::not_found(&attempts))?)
    }

    fn start(found: Found) -> Result<Arc<Self>> {
        let functions =
            Functions::of(&found.library).map_err(|name| error::missing_function(&found.path, name))?;
        let mut driver =
            Self { functions, path: found.path, version: 0, _library: ManuallyDrop::new(found.library) };
        // SAFETY: 0 is the only flag there is.
        driver.check("cuInit", unsafe { (driver.functions.init)(0) })?;
        let mut version = 0;
        // SAFETY: `version` is a place for the answer.
        driver.check("cuDriverGetVersion", unsafe { (driver.functions.driver_version)(&raw mut version) })?;
        if version < LEAST_VERSION {
            return Err(error::too_old(version));
        }
        driver.version = version;
        Ok(Arc::new(driver))
    }

    /// Where the library is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The newest CUDA that it knows: 1000 * major + 10 * minor.
    pub fn version(&self) -> i32 {
        self.version
    }

    /// An error unless `code` says success.
    fn check(&self, function: &str, code: Code) -> Result<()> {
        if code == types::SUCCESS { Ok(()) } else { Err(self.failed(function, code)) }
    }

    /// The error of a call that gave `code`.
    fn failed(&self, function: &str, code: Code) -> Error {
        // SAFETY: the pointer's place is given; what is pointed at is a constant of the driver's.
        let name = self.words(|to| unsafe { (self.functions.error_name)(code, to) });
        // SAFETY: the same.
        let text = self.words(|to| unsafe { (self.functions.error_text)(code, to) });
        let (name, text) = (name.as_deref().unwrap_or("an unknown error"), text.as_deref());
        error::failed(function, code, name, text.unwrap_or("no explanation"))
    }

    /// A text that the driver points at.
    fn words(&self, ask: impl FnOnce(*mut *const std::ffi::c_char) -> Code) -> Option<String> {
        let mut words = null();
        if ask(&raw mut words) != types::SUCCESS || words.is_null() {
            return None;
        }
        // SAFETY: not null, and by the driver's contract a text that ends with a zero.
        Some(unsafe { CStr::from_ptr(words) }.to_string_lossy().into_owned())
    }
}

/// What came of opening this process's driver.
struct Opened {
    found: bool,
    attempts: Vec<Attempt>,
    driver: Result<Arc<Driver>>,
}

impl fmt::Debug for Driver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Driver").field("path", &self.path).field("version", &self.version).finish()
    }
}
