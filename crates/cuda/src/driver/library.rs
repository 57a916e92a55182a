//! Where the driver's library is: the only one of NVIDIA's that is needed. It comes with the driver, never with the CUDA
//! toolkit nor with a package of pip, so theirs are no places to look, but for the newer drivers that they put beside
//! (`compat`).

use libloading::Library;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The environment variable that names the library, or a folder with it. Then nothing else is tried.
pub const VARIABLE: &str = "MOBILENET_NATIVE_CUDA_PATH";

/// What the library is called.
const NAME: &str = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };

/// Folders in which drivers are, where the loader doesn't look by itself.
#[cfg(not(windows))]
const FOLDERS: &[&str] = &[
    // Windows' driver, seen from its Linux (WSL 2).
    "/usr/lib/wsl/lib",
    // What container runtimes mount.
    "/usr/local/nvidia/lib64",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
    // NixOS.
    "/run/opengl-driver/lib",
    // A newer driver than the kernel's, as CUDA installs it for servers.
    "/usr/local/cuda/compat",
];
#[cfg(windows)]
const FOLDERS: &[&str] = &["C:\\Windows\\System32"];

/// One place that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The library's path, or its bare name where the system's loader was asked.
    pub place: PathBuf,
    /// Why not this one; `None` if it was.
    pub failure: Option<String>,
}

/// An opened library, and the places that were tried up to it.
pub struct Found {
    /// The library.
    pub library: Library,
    /// Its place, last of `attempts`.
    pub path: PathBuf,
    /// All that were tried.
    pub attempts: Vec<Attempt>,
}

/// Opens the first library that can be; else gives all places with what is wrong with each. `asked` is what the
/// environment variable holds.
///
/// # Errors
/// The attempts, when none can be opened.
pub fn open(asked: Option<OsString>) -> Result<Found, Vec<Attempt>> {
    let mut attempts = Vec::new();
    for place in places(asked) {
        // A folder's file that isn't there needs no loader to say so, whose words would be the longer.
        let opened = if place.components().count() > 1 && !place.exists() {
            Err("there is no such file".into())
        } else {
            // SAFETY: opening runs the library's own initialisers. It is NVIDIA's driver, or what the user of this
            // process named in its stead.
            unsafe { Library::new(&place) }.map_err(|error| words(&error))
        };
        match opened {
            Ok(library) => {
                attempts.push(Attempt { place: place.clone(), failure: None });
                return Ok(Found { library, path: place, attempts });
            }
            Err(failure) => attempts.push(Attempt { place, failure: Some(failure) }),
        }
    }
    Err(attempts)
}

/// Where to look, in order.
fn places(asked: Option<OsString>) -> Vec<PathBuf> {
    if let Some(asked) = asked.filter(|asked| !asked.is_empty()) {
        let asked = PathBuf::from(asked);
        return vec![if asked.is_dir() { asked.join(NAME) } else { asked }];
    }
    let mut places = vec![PathBuf::from(NAME)];
    let toolkits = ["CUDA_HOME", "CUDA_PATH"].iter().filter_map(|name| Some(named(name)?.join("compat")));
    let conda = named("CONDA_PREFIX").map(|folder| folder.join("cuda-compat"));
    let folders = FOLDERS.iter().map(PathBuf::from).chain(toolkits).chain(conda);
    for place in folders.map(|folder| folder.join(NAME)) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The loader's own words, which its error keeps as its source.
fn words(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Every place on a line of its own with what is wrong with it.
pub fn list(attempts: &[Attempt]) -> String {
    let line = |attempt: &Attempt| {
        let place = shown(&attempt.place);
        match &attempt.failure {
            Some(failure) => format!("{place}: {failure}"),
            None => format!("{place}: opened"),
        }
    };
    attempts.iter().map(line).collect::<Vec<_>>().join("; ")
}

fn shown(place: &Path) -> String {
    match place.components().count() {
        1 => format!("{} where the system's loader looks", place.display()),
        _ => place.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{NAME, list, open, places};
    use std::path::PathBuf;

    #[test]
    fn what_is_asked_for_is_the_only_place() {
        assert_eq!(places(Some("/somewhere/mock.so".into())), [PathBuf::from("/somewhere/mock.so")]);
        let folder = std::env::temp_dir();
        assert_eq!(places(Some(folder.clone().into())), [folder.join(NAME)]);
    }

    #[test]
    fn the_loader_comes_first_and_no_place_comes_twice() {
        for asked in [None, Some("".into())] {
            let mut places = places(asked);
            assert_eq!(places[0], PathBuf::from(NAME));
            let count = places.len();
            assert!(count > 1);
            places.sort();
            places.dedup();
            assert_eq!(places.len(), count);
        }
    }

    #[test]
    fn what_is_no_library_is_told_with_its_place() {
        let missing = open(Some("/no/such/libcuda.so".into())).err().expect("there is nothing to open");
        assert_eq!(list(&missing), "/no/such/libcuda.so: there is no such file");
        let text = std::env::current_dir().unwrap().join("Cargo.toml");
        let attempts = open(Some(text.clone().into())).err().expect("a text is no library");
        let said = attempts[0].failure.as_deref().unwrap();
        assert!(said != "there is no such file" && !said.is_empty(), "{said}");
        assert_eq!(attempts[0].place, text);
    }
}
