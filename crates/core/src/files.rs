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
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED.0).suffix(UNFINISHED.1);
    // Temporary files are for their owner alone; this one is for whom the system's mask says, like others in the folder.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(|error| failed(&error))?;
    file.write_all(bytes).map_err(|error| failed(&error))?;
    if flushed {
        file.as_file().sync_all().map_err(|error| failed(&error))?;
    }
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

#[cfg(all(test, unix))]
mod tests {
    use super::write_whole;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    /// In a process of its own, as the mask is the whole process's.
    #[test]
    fn a_file_is_for_whom_the_mask_says() {
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
