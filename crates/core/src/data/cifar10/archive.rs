//! Reading `.tar.gz` files as they are, without unpacking them to disk.
//!
//! Entries are taken one by one, raw: left to itself, `tar` reads an entry that only names the next one whole into memory,
//! however long it is when it is unpacked.

use super::{check_size, corrupt};
use crate::error::{Error, Result};
use flate2::bufread::GzDecoder;
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

/// The most bytes of an entry that describes the next one.
const MAX_DESCRIPTION_BYTES: u64 = 1 << 20;

/// What gzip's files begin with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads the file that is being visited.
pub type Content<'a> = &'a mut dyn FnMut() -> Result<Vec<u8>>;

/// Goes through the files of an archive in its order. `visit` gets a file's name, without the folders before it, and a
/// function that reads it. `progress` gets the bytes of the archive read so far, and all.
///
/// # Errors
/// `DATASET_CORRUPT` when the archive is damaged or is none, `IO` when it can't be opened, and those of `visit`.
pub fn for_each_file(
    path: &Path,
    progress: &mut dyn FnMut(u64, u64),
    visit: &mut dyn FnMut(&str, Content) -> Result<()>,
) -> Result<()> {
    let failed = |error| Error::io("open", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let total = file.metadata().map_err(failed)?.len();
    let mut begins = Vec::new();
    file.by_ref().take(GZIP.len() as u64).read_to_end(&mut begins).map_err(failed)?;
    file.rewind().map_err(failed)?;
    if !GZIP.starts_with(&begins) {
        return Err(corrupt(format!(
            "{} ({total} bytes) is no .tar.gz archive, in which CIFAR-10 comes; if that is what was fetched, fetch it again; own \
             pictures are given as a folder that has a folder of pictures for each class",
            path.display()
        )));
    }
    let damaged = |error: std::io::Error| {
        corrupt(format!(
            "{} ({total} bytes) can't be read as a .tar.gz archive: {error}; it is damaged or incomplete, so fetch it \
             again",
            path.display()
        ))
    };

    let watched = Watched { file, done: 0, total, progress };
    let mut archive = tar::Archive::new(GzDecoder::new(BufReader::with_capacity(1 << 20, watched)));
    let mut long_name = None;
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() || kind.is_pax_local_extensions() {
            long_name = described_name(&mut entry).map_err(damaged)?.or(long_name);
            continue;
        }
        if kind.is_gnu_longlink() || kind.is_pax_global_extensions() {
            continue;
        }
        let path = match long_name.take() {
            Some(name) => Cow::Owned(name),
            None => entry.path().map_err(damaged)?,
        };
        if !kind.is_file() {
            continue;
        }
        let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { continue };
        drop(path);
        let size = entry.size();
        visit(&name, &mut || {
            check_size(size, &name)?;
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(damaged)?;
            // The tar reader takes an archive that ends within a file for a short file.
            if bytes.len() as u64 != size {
                return Err(damaged(std::io::ErrorKind::UnexpectedEof.into()));
            }
            Ok(bytes)
        })?;
    }
    // What follows the last file holds the checksum of all, which is compared only when it is read.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).map_err(damaged)?;
    Ok(())
}

/// The name that an entry gives to the next one, if it does.
fn described_name<R: Read>(entry: &mut tar::Entry<'_, R>) -> std::io::Result<Option<PathBuf>> {
    if entry.size() > MAX_DESCRIPTION_BYTES {
        return Err(std::io::Error::other(format!(
            "an entry has a description of {} bytes; at most {MAX_DESCRIPTION_BYTES} are read",
            entry.size()
        )));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    let name = if entry.header().entry_type().is_gnu_longname() {
        bytes.split(|byte| *byte == 0).next().map(<[u8]>::to_vec)
    } else {
        let mut fields = tar::PaxExtensions::new(&bytes).flatten();
        fields.find(|field| field.key_bytes() == b"path").map(|field| field.value_bytes().to_vec())
    };
    Ok(name.map(|name| String::from_utf8_lossy(&name).into_owned().into()))
}

/// A file that tells how far it has been read.
struct Watched<'a> {
    file: File,
    done: u64,
    total: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.done += read as u64;
        (self.progress)(self.done, self.total);
        Ok(read)
    }
}
