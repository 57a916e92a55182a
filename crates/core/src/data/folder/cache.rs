//! Decoded pictures in one file that is mapped into memory: what is not needed right now needs no memory of the process,
//! however many pictures there are, and a second run finds them decoded.
//!
//! The file: a header, the pictures' bytes one after the other, 16 bytes a picture that say where each lies, and as JSON
//! which of these files are no pictures. Numbers are little-endian.

use super::Skipped;
use crate::data::Rgb;
use crate::data::pictures::View;
use crate::error::{Error, Result};
use crate::files::put_in_place;
use memmap2::Mmap;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// The first bytes; the last is the version of this layout, and of how pictures are made smaller.
const MAGIC: [u8; 8] = *b"MNPIX\0\0\x02";
/// Bytes of the header: magic, key, number of pictures, begin of the index, begin of the JSON, length of the file.
const HEADER_BYTES: usize = 8 + 32 + 4 * 8;
/// Bytes of a picture's line in the index: begin, width, height.
const ENTRY_BYTES: usize = 16;

/// What the names of unfinished files begin and end with.
const TEMPORARY: [&str; 2] = [".pictures-", ".tmp"];

/// Whether a file of this name is an unfinished one.
pub fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY[0]) && name.ends_with(TEMPORARY[1])
}

/// A mapped file of pictures.
#[derive(Debug)]
pub struct Cache {
    map: Mmap,
    count: usize,
    index: usize,
    skipped: Vec<Skipped>,
}

impl Cache {
    /// Maps the file if it is there, whole, and was made of the files that `key` stands for.
    pub fn open(path: &Path, key: &[u8; 32]) -> Option<Self> {
        let file = File::open(path).ok()?;
        // SAFETY: a mapped file must not be changed. Only `Writer` makes these, under another name, and no program of ours
        // opens one for writing once it has its own; replacing and removing leave the mapped file as it is.
        let map = unsafe { Mmap::map(&file) }.ok()?;
        let cache = Self::read(map, key)?;
        // 1,000,000 lines take a few milliseconds.
        (0..cache.count).all(|index| cache.entry(index).is_some()).then_some(cache)
    }

    fn read(map: Mmap, key: &[u8; 32]) -> Option<Self> {
        let header = map.get(..HEADER_BYTES)?;
        let number = |place: usize| {
            let bytes = header[40 + 8 * place..][..8].try_into().ok()?;
            usize::try_from(u64::from_le_bytes(bytes)).ok()
        };
        let [count, index, notes, end] = [number(0)?, number(1)?, number(2)?, number(3)?];
        let whole = header[..8] == MAGIC && header[8..40] == *key && end == map.len() && index <= notes;
        if !whole || notes.checked_sub(index)? != count.checked_mul(ENTRY_BYTES)? {
            return None;
        }
        let skipped = serde_json::from_slice(map.get(notes..)?).ok()?;
        Some(Self { map, count, index, skipped })
    }

    /// How many files it was made of.
    pub fn files(&self) -> usize {
        self.count
    }

    /// Those of the files that could not be read.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Whether file `index` is a picture, and not one that was skipped.
    pub fn holds(&self, index: usize) -> bool {
        self.entry(index).is_some_and(|(_, width, _)| width > 0)
    }

    /// The picture of file `index`.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn picture(&self, index: usize) -> View<'_> {
        let (begin, width, height) = self.entry(index).expect("an entry that was checked when it was mapped");
        View { pixels: &self.map[begin..begin + width * height * 3], width, height }
    }

    /// Begin, width and height; `None` when they lead out of the file.
    fn entry(&self, index: usize) -> Option<(usize, usize, usize)> {
        let line = self.map.get(self.index + index * ENTRY_BYTES..)?.get(..ENTRY_BYTES)?;
        let begin = usize::try_from(u64::from_le_bytes(line[..8].try_into().ok()?)).ok()?;
        let side = |place: usize| Some(u32::from_le_bytes(line[place..place + 4].try_into().ok()?) as usize);
        let (width, height) = (side(8)?, side(12)?);
        let end = width.checked_mul(height)?.checked_mul(3)?.checked_add(begin)?;
        (begin >= HEADER_BYTES && end <= self.index).then_some((begin, width, height))
    }
}

/// Writes a cache: under a temporary name, then renamed.
pub struct Writer {
    folder: PathBuf,
    file: BufWriter<NamedTempFile>,
    written: u64,
    index: Vec<u8>,
    skipped: Vec<Skipped>,
}

impl Writer {
    /// Begins a file in `folder`, which is made if it isn't there.
    ///
    /// # Errors
    /// `IO`.
    pub fn new(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|error| Error::io("make the folder", folder, error))?;
        let file = tempfile::Builder::new().prefix(TEMPORARY[0]).suffix(TEMPORARY[1]).tempfile_in(folder);
        let mut writer = Self {
            folder: folder.into(),
            file: BufWriter::with_capacity(
                1 << 20,
                file.map_err(|error| Error::io("write to", folder, error))?,
            ),
            written: 0,
            index: Vec::new(),
            skipped: Vec::new(),
        };
        writer.write(&[0; HEADER_BYTES])?;
        Ok(writer)
    }

    /// Adds the next file's picture.
    ///
    /// # Errors
    /// `IO`, above all when the disk is full.
    pub fn picture(&mut self, picture: &Rgb) -> Result<()> {
        self.line(picture.width as u32, picture.height as u32);
        self.write(&picture.pixels)
    }

    /// Notes that the next file is none.
    pub fn skip(&mut self, file: Skipped) {
        self.line(0, 0);
        self.skipped.push(file);
    }

    /// How many files were skipped so far.
    pub fn skipped(&self) -> usize {
        self.skipped.len()
    }

    /// Ends the file, and gives it its name.
    ///
    /// # Errors
    /// `IO`.
    pub fn finish(mut self, path: &Path, key: &[u8; 32]) -> Result<()> {
        let (index, count) = (self.written, self.index.len() / ENTRY_BYTES);
        let lines = std::mem::take(&mut self.index);
        self.write(&lines)?;
        let notes = self.written;
        let json = serde_json::to_vec(&self.skipped).map_err(Error::internal)?;
        self.write(&json)?;
        let mut header = MAGIC.to_vec();
        header.extend(key);
        header.extend([count as u64, index, notes, self.written].iter().flat_map(|n| n.to_le_bytes()));
        let failed = |error: std::io::Error| Error::io("write", path, error);
        self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        self.write(&header)?;
        let file = self.file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        match put_in_place(file, path) {
            // Another program made the same meanwhile, and has it mapped: Windows lets nobody replace that.
            Err(_) if Cache::open(path, key).is_some() => Ok(()),
            ended => ended.map_err(failed),
        }
    }

    fn line(&mut self, width: u32, height: u32) {
        self.index.extend(self.written.to_le_bytes());
        self.index.extend(width.to_le_bytes());
        self.index.extend(height.to_le_bytes());
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.written += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|error| {
            Error::new(
                crate::ErrorCode::Io,
                format!(
                    "cannot write to {}: {error}; decoded pictures take {} MB so far, and another folder for them can be \
                     given (--cache-dir on the command line, cache in the API)",
                    self.folder.display(),
                    self.written / 1_000_000
                ),
            )
        })
    }
}
