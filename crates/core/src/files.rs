//! Files that are whole or not there, whenever the process ends.

use crate::error::{Error, Result};
use std::fs::File;
#[cfg(not(windows))]
use std::fs::rename;
use std::io::Write;
use std::path::Path;
use tempfile::NamedTempFile;

/// How the names of files begin and end while they are written.
const UNFINISHED: (&str, &str) = (".unfinished-", ".tmp");

/// Writes a file under a temporary name beside its place, flushes it to the disk and renames it: at any moment there is
/// the old file or the whole new one.
///
/// # Errors
/// `IO` when the folder can't be written to.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    put(path, bytes, true)
}

/// The same for what is soon written anew: without waiting for the disk, so that it may be lost where the machine fails.
///
/// # Errors
/// `IO` when the folder can't be written to.
pub fn write_unflushed(path: &Path, bytes: &[u8]) -> Result<()> {
    put(path, bytes, false)
}

fn put(path: &Path, bytes: &[u8], flushed: bool) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| Error::io("write", path, error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Temporary files are for their owner alone; this one is for whom the system's mask says, like others in the folder.
    let open = |path: &Path| File::options().write(true).create_new(true).open(path);
    let file = tempfile::Builder::new().prefix(UNFINISHED.0).suffix(UNFINISHED.1).make_in(folder, open);
    let mut file = file.map_err(|error| failed(&error))?;
    file.write_all(bytes).map_err(|error| failed(&error))?;
    if flushed {
        file.as_file().sync_all().map_err(|error| failed(&error))?;
    }
    put_in_place(file, path).map_err(|error| failed(&error))
}

/// Gives a finished file its name. An older one of that name is replaced, also while somebody reads it: on Windows std's
/// `rename` asks for POSIX's semantics, and tempfile's `persist` doesn't. What is mapped into memory can't be replaced there.
///
/// # Errors
/// That of the system; then the finished file is gone.
pub fn put_in_place(file: NamedTempFile, path: &Path) -> std::io::Result<()> {
    let (file, temporary) = file.keep().map_err(|error| error.error)?;
    drop(file);
    rename(&temporary, path).inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    })
}

/// Tries for a second: scanners for viruses and indexers keep a file from others for as long as they look at it.
#[cfg(windows)]
fn rename(from: &Path, to: &Path) -> std::io::Result<()> {
    const HELD: [Option<i32>; 2] = [Some(5), Some(32)]; // ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION
    for milliseconds in [10, 40, 150, 300, 500] {
        match std::fs::rename(from, to) {
            Err(error) if HELD.contains(&error.raw_os_error()) => {
                std::thread::sleep(std::time::Duration::from_millis(milliseconds));
            }
            ended => return ended,
        }
    }
    std::fs::rename(from, to)
}

/// The content of a file; `doing` is for the error ("read the checkpoint").
///
/// # Errors
/// `IO`, also for what is no file: to open a named pipe would wait for somebody to write.
pub fn read_whole(doing: &str, path: &Path) -> Result<Vec<u8>> {
    let failed = |error: &dyn std::fmt::Display| Error::io(doing, path, error);
    if !std::fs::metadata(path).map_err(|error| failed(&error))?.is_file() {
        return Err(failed(&"it is not a file"));
    }
    std::fs::read(path).map_err(|error| failed(&error))
}

/// Removes what [`write_whole`] leaves in a folder when the process is killed in the middle of it.
///
/// # Errors
/// `IO`.
pub fn remove_unfinished(folder: &Path) -> Result<()> {
    let failed = |error| Error::io("read the folder", folder, error);
    for entry in folder.read_dir().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(UNFINISHED.0) && name.ends_with(UNFINISHED.1) {
            std::fs::remove_file(entry.path())
                .map_err(|error| Error::io("remove the unfinished", &entry.path(), error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::write_whole;
    use std::fs::File;
    use std::io::Read;

    #[test]
    fn a_file_is_replaced_while_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_whole(&path, b"old").unwrap();
        let mut reader = File::open(&path).unwrap();
        write_whole(&path, b"new").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!((&*text, &*std::fs::read(&path).unwrap()), ("old", &b"new"[..]));
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[cfg(windows)]
    #[test]
    fn a_file_that_others_hold_for_a_moment_is_replaced() {
        use std::os::windows::fs::OpenOptionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_whole(&path, b"old").unwrap();
        let hold = || File::options().read(true).share_mode(0).open(&path).unwrap();
        let held = hold();
        let release = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(300));
            drop(held);
        });
        write_whole(&path, b"new").unwrap();
        release.join().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        // For good: that is an error, and nothing is left.
        let held = hold();
        assert_eq!(write_whole(&path, b"newer").unwrap_err().code, crate::ErrorCode::Io);
        drop(held);
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    /// In a process of its own, as the mask is the whole process's.
    #[cfg(unix)]
    #[test]
    fn a_file_is_for_whom_the_mask_says() {
        use std::os::unix::fs::PermissionsExt;
        use std::process::Command;
        if let Some(path) = std::env::var_os("MOBILENET_TEST_MASKED") {
            return write_whole(path.as_ref(), b"content").unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        for (mask, mode) in [("002", 0o664), ("022", 0o644), ("027", 0o640), ("077", 0o600)] {
            let path = folder.path().join(mask);
            let mut command = Command::new("sh");
            command.args(["-c", &format!("umask {mask} && exec \"$0\" \"$@\"")]);
            command.arg(std::env::current_exe().unwrap());
            command.args(["--exact", "files::tests::a_file_is_for_whom_the_mask_says"]);
            assert!(command.env("MOBILENET_TEST_MASKED", &path).output().unwrap().status.success());
            let found = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{found:o} under {mask}");
        }
    }
}
