//! ZIP archives as PyTorch writes them: files are stored as they are, so each is a part of the archive's bytes, and to open
//! one takes nothing. (The crate `zip` makes room for as many files as the archive says that it has.)

use std::collections::HashMap;

/// The record at the end, without the comment behind it.
const END: (&[u8], usize) = (b"PK\x05\x06", 22);
/// What says where the larger record at the end lies; it stands right before [`END`].
const LOCATOR: (&[u8], usize) = (b"PK\x06\x07", 20);
/// The larger record, for archives with larger numbers.
const LARGE_END: (&[u8], usize) = (b"PK\x06\x06", 56);
/// A file's record in the directory, without the names behind it.
const RECORD: (&[u8], usize) = (b"PK\x01\x02", 46);
/// What stands before a file's bytes, without the names.
const HEADER: (&[u8], usize) = (b"PK\x03\x04", 30);
/// The longest comment.
const MOST_COMMENT: usize = 0xffff;
/// Instead of a number that is in the larger record, or in the field with this number.
const ELSEWHERE: u64 = 0xffff_ffff;
const LARGE_FIELD: u64 = 1;

/// An archive.
#[derive(Debug)]
pub struct Archive<'a> {
    bytes: &'a [u8],
    files: HashMap<&'a str, File>,
}

/// What the directory says of a file.
#[derive(Debug)]
struct File {
    encrypted: bool,
    method: u64,
    /// In the archive, and after unpacking.
    sizes: [u64; 2],
    /// Where its header is.
    header: u64,
}

impl<'a> Archive<'a> {
    /// Reads the directory.
    ///
    /// # Errors
    /// In words, when these bytes are no archive, or not a whole one.
    pub fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let (start, size, count) = directory(bytes)?;
        let mut rest = part(bytes, start, size)?;
        let mut files = HashMap::new();
        let mut found = 0;
        while !rest.is_empty() {
            let record = record(rest, 0, RECORD)?;
            let [name, extra, comment] = [28, 30, 32].map(|place| number(record, place, 2));
            let name_bytes = part(rest, RECORD.1 as u64, name)?;
            let fields = part(rest, RECORD.1 as u64 + name, extra)?;
            let mut file = File {
                encrypted: number(record, 8, 2) & 1 != 0,
                method: number(record, 10, 2),
                sizes: [number(record, 20, 4), number(record, 24, 4)],
                header: number(record, 42, 4),
            };
            file.complete(fields)?;
            let name_text = std::str::from_utf8(name_bytes)
                .map_err(|_| "its ZIP directory has a name that is not UTF-8")?;
            if files.insert(name_text, file).is_some() {
                return Err(format!("its ZIP directory has {name_text} twice"));
            }
            let length = RECORD.1 as u64 + name + extra + comment;
            part(rest, 0, length)?;
            rest = &rest[length as usize..];
            found += 1;
        }
        if found != count {
            return Err(format!("its ZIP directory has {found} files, and should have {count}"));
        }
        Ok(Self { bytes, files })
    }

    /// The names of all files.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.files.keys().copied()
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// In words, when it is missing, or compressed, or not whole.
    pub fn file(&self, name: &str) -> Result<&'a [u8], String> {
        let file = self.files.get(name).ok_or_else(|| format!("it holds no {name}"))?;
        let [stored, size] = file.sizes;
        if file.method != 0 || file.encrypted || stored != size {
            return Err(format!(
                "{name} is compressed or encrypted, which PyTorch's files are not; save it with PyTorch"
            ));
        }
        let read = || {
            let header = record(self.bytes, file.header, HEADER)?;
            // Its own name and fields are as long as they are.
            let before = HEADER.1 as u64 + number(header, 26, 2) + number(header, 28, 2);
            part(self.bytes, file.header.saturating_add(before), size)
        };
        read().map_err(|why| format!("{name}: {why}"))
    }
}

impl File {
    /// Takes the numbers that don't fit into a record from the fields behind it.
    fn complete(&mut self, mut fields: &[u8]) -> Result<(), String> {
        let [stored, size] = &mut self.sizes;
        let mut open = [size, stored, &mut self.header].into_iter().filter(|number| **number == ELSEWHERE);
        while fields.len() >= 4 {
            let field = part(fields, 4, number(fields, 2, 2))?;
            if number(fields, 0, 2) == LARGE_FIELD {
                for (large, place) in open.by_ref().zip((0..field.len() / 8).map(|index| 8 * index)) {
                    *large = number(field, place, 8);
                }
            }
            fields = &fields[4 + field.len()..];
        }
        Ok(())
    }
}

/// Where the directory starts, its size, and the number of its files.
fn directory(bytes: &[u8]) -> Result<(u64, u64, u64), String> {
    let first = bytes.len().saturating_sub(END.1 + MOST_COMMENT);
    let end =
        (first..=bytes.len().saturating_sub(END.1)).rev().find(|place| bytes[*place..].starts_with(END.0));
    let end = end.ok_or("it is no whole ZIP archive: it has no directory at its end")?;
    let small = record(bytes, end as u64, END)?;
    let locator = end.checked_sub(LOCATOR.1).and_then(|place| record(bytes, place as u64, LOCATOR).ok());
    Ok(match locator {
        Some(locator) => {
            let large = record(bytes, number(locator, 8, 8), LARGE_END)?;
            (number(large, 48, 8), number(large, 40, 8), number(large, 32, 8))
        }
        None => (number(small, 16, 4), number(small, 12, 4), number(small, 10, 2)),
    })
}

/// A record, which must begin with its signature.
fn record<'a>(bytes: &'a [u8], place: u64, (signature, length): (&[u8], usize)) -> Result<&'a [u8], String> {
    let record = part(bytes, place, length as u64)?;
    if record.starts_with(signature) {
        Ok(record)
    } else {
        Err(format!("at byte {place} its ZIP structure is damaged"))
    }
}

/// A part of the archive, which must be there.
fn part(bytes: &[u8], start: u64, length: u64) -> Result<&[u8], String> {
    let range = || -> Option<_> {
        let start = usize::try_from(start).ok()?;
        bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
    };
    range().ok_or_else(|| format!("{length} bytes should follow byte {start}, and don't"))
}

/// A number of `width` bytes at a place within a record.
fn number(record: &[u8], place: usize, width: usize) -> u64 {
    record[place..place + width].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
