//! Files that are whole or not there, whenever the process ends.

use crate::error::{Error, Result};
use std::io::Write;
use std::path::Path;

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
    let mut file = tempfile::Builder::new()
        .prefix(UNFINISHED.0)
        .suffix(UNFINISHED.1)
        .tempfile_in(folder)
        .map_err(|error| failed(&error))?;
    file.write_all(bytes).map_err(|error| failed(&error))?;
    if flushed {
        file.as_file().sync_all().map_err(|error| failed(&error))?;
    }
    share(file.path()).map_err(|error| failed(&error))?;
    file.persist(path).map_err(|error| failed(&error.error))?;
    Ok(())
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

/// Temporary files are for their owner alone; what is written is for whom the folder is for.
fn share(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
