//! The mock driver (`emulation/`), built when a test first asks for it.

use std::ffi::{CStr, c_char, c_int};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Names the library of a real driver that tests are to work with in the mock's stead.
const VARIABLE: &str = "MOBILENET_TEST_CUDA_DRIVER";

/// The library that stands in for NVIDIA's driver, or a driver's own where the environment names one; `None` where the mock
/// can't be built, which is told.
///
/// # Panics
/// When there is a compiler and it fails.
pub fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || match std::env::var_os(VARIABLE) {
        Some(driver) => Some(driver.into()),
        None => Some(build("mock-cuda", &[])?.join("libcuda.so.1")),
    };
    LIBRARY.get_or_init(find).as_deref()
}

/// Whether [`library`] is a real driver's.
#[allow(dead_code, reason = "each test takes what it needs")]
pub fn is_real() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// The folder of cargo's for tests into which it was built; what is there already and up to date stays.
pub fn build(folder: &str, arguments: &[&str]) -> Option<PathBuf> {
    if cfg!(not(target_os = "linux")) || Command::new("g++").arg("--version").output().is_err() {
        println!("skipped: the kernels' emulation needs Linux and g++, and a test of it did not run");
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("emulation/build.sh");
    let built =
        Command::new("sh").arg(script).arg(&folder).args(arguments).output().expect("there is a shell");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(folder)
}

/// The mock's own functions, beside those of the driver.
pub struct Books {
    library: libloading::Library,
}

#[allow(dead_code, reason = "each test takes what it needs")]
impl Books {
    /// Of the library that the process has open, or opens now.
    pub fn open(path: &Path) -> Self {
        // SAFETY: the mock's initialisers only enter the kernels in a list.
        Self { library: unsafe { libloading::Library::new(path) }.expect("the mock was built") }
    }

    fn number(&self, name: &str) -> u64 {
        // SAFETY: the mock's functions of these names take nothing and give this.
        unsafe { self.library.get::<unsafe extern "C" fn() -> u64>(name).expect("the mock has it")() }
    }

    /// Driver calls so far.
    pub fn calls(&self) -> u64 {
        self.number("mockCudaCalls")
    }

    /// What is allocated or created and not released.
    pub fn leaks(&self) -> u64 {
        self.number("mockCudaLeaks")
    }

    /// Makes the `nth` call from now (1 is the next) fail with this code; 0 for none.
    pub fn fail_at(&self, nth: u64, code: i32) {
        // SAFETY: the mock's function of this name takes and gives these.
        unsafe {
            self.library.get::<unsafe extern "C" fn(u64, c_int) -> c_int>("mockCudaFailAt").unwrap()(
                nth, code,
            )
        };
    }

    /// Threads and blocks run from the last to the first.
    pub fn set_reversed(&self, on: bool) {
        // SAFETY: the same.
        unsafe {
            self.library.get::<unsafe extern "C" fn(c_int) -> c_int>("mockCudaReversed").unwrap()(on.into())
        };
    }

    /// Whether other streams than the one that is waited for work as early as they may, or as late; gives what it was.
    pub fn set_early(&self, on: bool) -> bool {
        // SAFETY: the same.
        let set =
            unsafe { self.library.get::<unsafe extern "C" fn(c_int) -> c_int>("mockCudaEarly").unwrap() };
        // SAFETY: the same.
        unsafe { set(on.into()) != 0 }
    }

    /// All books as JSON.
    pub fn report(&self) -> String {
        let mut text = [0 as c_char; 1024];
        // SAFETY: the function writes at most so many bytes, and a zero at their end.
        unsafe {
            self.library.get::<unsafe extern "C" fn(*mut c_char, usize) -> c_int>("mockCudaReport").unwrap()(
                text.as_mut_ptr(),
                text.len(),
            );
            CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned()
        }
    }
}
