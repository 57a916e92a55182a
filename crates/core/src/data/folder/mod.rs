//! A folder of pictures as a data set: one folder a class, as in torchvision's `ImageFolder`.

pub mod cache;
mod listing;
mod parts;

pub(super) use listing::shortened;
pub use parts::split_by_class;

use super::frame::shrink;
use super::image::{self, Limits, read_file};
use super::{Dataset, Pictures, Splitting};
use crate::config::{FolderConfig, FolderOptions, FolderSplit};
use crate::error::{Error, ErrorCode, Result};
use cache::{Cache, Writer};
use listing::{Listing, Part};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Files that are decoded at most before they are written and the next progress is told: a fraction of a second.
const AT_A_TIME: usize = 128;
/// Bytes that the decoded pictures of that time may take, as long as there is one for each thread.
const MOST_HELD: usize = 128 << 20;
/// Of files, classes and reasons that a message names.
const MOST_NAMED: usize = 5;

/// A file that could not be read as a picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its path from the data set's folder.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// How far the decoding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Files done.
    pub done: usize,
    /// Files in all.
    pub total: usize,
    /// Files among those done that could not be read.
    pub skipped: usize,
}

/// Opens a folder: either `train`, and `validation` (or `val`) and `test` beside it if they are there, each with a folder
/// for every class, or only the folders of the classes; then [`FolderOptions::test_fraction`] of every class is for
/// testing. Pictures may lie in folders within a class's, and are found by the ends of their names.
///
/// They are decoded once, in parallel, made smaller to what a network of that resolution needs of them, and written to a
/// file in the cache, which is mapped into memory. It is found again as long as the files' names, sizes and times of change
/// are the same. Files that can't be read are left out, and named in [`Dataset::skipped`].
///
/// # Errors
/// `DATASET_NOT_FOUND` when there are no class folders with pictures, `DATASET_CORRUPT` when there is only one, when no
/// picture can be read, or when a part has a class that the training pictures haven't; `INVALID_OPTION`; `IO`.
pub fn open(
    path: &Path,
    options: &FolderOptions,
    cancelled: &AtomicBool,
    on_progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Dataset> {
    let config = options.resolve()?;
    let listing = Listing::of(path)?;
    let parted = listing.parts.len() > 1;
    if parted && options.test_fraction.is_some() {
        return Err(Error::invalid_option(format!(
            "{} has a folder for each part, so there is no testFraction to take of the training pictures",
            path.display()
        )));
    }
    let file = cache_file(path, &config, &listing.key);
    let cache = match Cache::open(&file, &listing.key) {
        Some(cache) => cache,
        None => {
            let (file, key) = decode(path, &listing, &config, cancelled, on_progress)?;
            remove_older(&file);
            Cache::open(&file, &key)
                .ok_or_else(|| Error::io("read back", &file, "it is not what was written"))?
        }
    };
    dataset(path, listing, Arc::new(cache), &config)
}

/// Where the decoded pictures lie: the name says of which folder, at which size, of which files.
fn cache_file(path: &Path, config: &FolderConfig, key: &[u8; 32]) -> PathBuf {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let short = |bytes: &[u8]| bytes[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let folder = short(&Sha256::digest(whole.as_os_str().as_encoded_bytes()));
    config.cache.join(format!("{folder}-{}-{}.pictures", config.resize, short(key)))
}

/// Removes what the same folder was cached as before its files changed. A program that still has it mapped keeps it.
fn remove_older(file: &Path) {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    let Some((begin, _)) = name.rsplit_once('-') else { return };
    let Ok(entries) = folder.read_dir() else { return };
    for entry in entries.flatten() {
        let other = entry.file_name();
        let Some(other) = other.to_str() else { continue };
        let older = other != name && other.rsplit_once('-').is_some_and(|(other, _)| other == begin);
        if older || (cache::is_temporary(other) && untouched(&entry)) {
            // Room is lost, and nothing else, when it can't be removed.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Whether nobody has written to it for an hour: then it was left by a program that was killed.
fn untouched(entry: &std::fs::DirEntry) -> bool {
    let changed = entry.metadata().and_then(|data| data.modified());
    changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age.as_secs() > 3600))
}

/// How many files are decoded before they are written, where their shorter sides become `resize`; the longer ones are mostly
/// not more than half as long again.
fn at_a_time(resize: usize, threads: usize) -> usize {
    (MOST_HELD / (resize * resize * 3 * 3 / 2)).clamp(threads.min(AT_A_TIME), AT_A_TIME)
}

/// Decodes every file of the listing into a cache file; gives it with the key under which it is found.
fn decode(
    folder: &Path,
    listing: &Listing,
    config: &FolderConfig,
    cancelled: &AtomicBool,
    on_progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<(PathBuf, [u8; 32])> {
    let mut writer = Writer::new(&config.cache)?;
    let threads = config.threads.unwrap_or_else(crate::device::default_threads);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(Error::no_thread)?;
    let files: Vec<usize> = (0..listing.len()).collect();
    on_progress(Progress { done: 0, total: files.len(), skipped: 0 });
    let mut all_read = true;
    for chunk in files.chunks(at_a_time(config.resize, threads)) {
        let limits = Limits::default();
        // A picture, or why there is none and whether that is the file's own fault.
        let one = |file: &usize| {
            let path = folder.join(listing.name(*file));
            let bytes = read_file(&path).map_err(|error| (error, false))?;
            let picture = image::decode(&bytes, &path.display().to_string(), &limits);
            picture.map(|picture| shrink(picture, config.resize)).map_err(|error| (error, true))
        };
        let unless_cancelled = |file| (!cancelled.load(Ordering::Relaxed)).then(|| one(file));
        let pictures: Option<Vec<_>> =
            pool.install(|| chunk.par_iter().with_max_len(1).map(unless_cancelled).collect());
        let pictures = pictures.ok_or_else(|| Error::invalid_option("opening the folder was cancelled"))?;
        for (file, picture) in chunk.iter().zip(pictures) {
            match picture {
                Ok(picture) => writer.picture(&picture)?,
                Err((error, own_fault)) => {
                    all_read &= own_fault;
                    writer.skip(skipped(listing.name(*file), &error));
                }
            }
        }
        let done = chunk.last().map_or(0, |last| last + 1);
        on_progress(Progress { done, total: files.len(), skipped: writer.skipped() });
    }
    // A file that couldn't be read today may be readable tomorrow, without looking different. So this is not found again.
    let key = if all_read { listing.key } else { listing.key.map(|byte| !byte) };
    let file = cache_file(folder, config, &key);
    writer.finish(&file, &key)?;
    Ok((file, key))
}

/// A file with the reason alone: its name is said once.
fn skipped(file: &str, error: &Error) -> Skipped {
    let reason = error.message.split_once(" as a picture: ").map_or(&*error.message, |(_, reason)| reason);
    Skipped { file: file.into(), reason: reason.into() }
}

/// The data set of what could be read.
fn dataset(path: &Path, listing: Listing, cache: Arc<Cache>, config: &FolderConfig) -> Result<Dataset> {
    let readable = |range: std::ops::Range<usize>| {
        let files: Vec<u32> =
            range.map(|file| file as u32).filter(|file| cache.holds(*file as usize)).collect();
        let labels: Vec<u32> = files.iter().map(|file| listing.labels[*file as usize]).collect();
        (files, labels)
    };
    let pictures = |files: Vec<u32>, labels: Vec<u32>| {
        Arc::new(Pictures::of_cache(cache.clone(), config.resize, files, labels))
    };
    let part = |part: Part| {
        let (_, range) = listing.parts.iter().find(|(other, _)| *other == part)?;
        Some(readable(range.clone()))
    };
    // The file system's refusals are today's: what they are about was not decoded, so no cache knows of it.
    let refused = listing.refused.iter().cloned().map(|(file, reason)| Skipped { file, reason });
    let skipped: Vec<Skipped> = cache.skipped().iter().cloned().chain(refused).collect();
    let (mut files, mut labels) = part(Part::Train).unwrap_or_default();
    let mut seen = vec![false; listing.classes.len()];
    labels.iter().for_each(|label| seen[*label as usize] = true);
    if let Some(unseen) = seen.iter().position(|seen| !seen) {
        let reasons = skipped
            .iter()
            .find(|skipped| skipped.file.split('/').any(|name| name == listing.classes[unseen]));
        return Err(corrupt(format!(
            "no picture of class {} in {} can be read; the first: {}",
            listing.classes[unseen],
            path.display(),
            reasons.map_or("none is there", |skipped| &skipped.reason)
        )));
    }
    let (mut validation, mut test) = (part(Part::Validation), part(Part::Test));
    if listing.parts.len() == 1 {
        let chosen = parts::test_files(
            &labels,
            |picture| listing.name(files[picture] as usize),
            config.test_fraction,
            config.seed,
        );
        let choose = |values: &[u32], wanted: bool| -> Vec<u32> {
            values
                .iter()
                .zip(&chosen)
                .filter(|(_, chosen)| **chosen == wanted)
                .map(|(value, _)| *value)
                .collect()
        };
        test = Some((choose(&files, true), choose(&labels, true)));
        (files, labels) = (choose(&files, false), choose(&labels, false));
    }
    // In a random order, so that the first of them are a fair share.
    for part in [&mut validation, &mut test].into_iter().flatten() {
        let order = split_by_class(&part.1, 0.0, config.seed).train;
        let ordered = |values: &[u32]| order.iter().map(|place| values[*place as usize]).collect();
        *part = (ordered(&part.0), ordered(&part.1));
    }
    let note = note(&listing, &skipped, cache.files());
    let parts = [Some(&files), validation.as_ref().map(|part| &part.0), test.as_ref().map(|part| &part.0)];
    Ok(Dataset {
        digest: Some(digest(&listing, parts, config.seed)),
        train: pictures(files, labels),
        validation: validation.map(|(files, labels)| pictures(files, labels)),
        test: test.map_or_else(Arc::default, |(files, labels)| pictures(files, labels)),
        folder: Some(FolderSplit {
            resize: config.resize,
            test_fraction: (listing.parts.len() == 1).then_some(config.test_fraction),
            seed: config.seed,
        }),
        splitting: Splitting::ByClass { seed: config.seed },
        resolution: Some(config.resolution),
        skipped,
        classes: listing.classes,
        source: path.display().to_string(),
        official: false,
        note,
    })
}

/// Of the names of each part's files, in order, and of the seed, from which follows which of them are for validation.
fn digest(listing: &Listing, parts: [Option<&Vec<u32>>; 3], seed: u64) -> String {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    for files in parts {
        hash.update((files.map_or(0, Vec::len) as u64).to_le_bytes());
        for file in files.into_iter().flatten() {
            let name = listing.name(*file as usize);
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
        }
    }
    hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a person should know about the folder.
fn note(listing: &Listing, skipped: &[Skipped], files: usize) -> Option<String> {
    let mut notes = Vec::new();
    if !skipped.is_empty() {
        notes.push(format!(
            "{} of {files} files could not be read as pictures and are left out",
            skipped.len()
        ));
    }
    let (others, names) = &listing.others;
    if *others > 0 {
        let rest = if *others > names.len() { ", ..." } else { "" };
        notes
            .push(format!("{others} other files are no pictures by their names: {}{rest}", names.join(", ")));
    }
    if !listing.empty.is_empty() {
        notes.push(format!("folders without pictures are no classes: {}", shortened(&listing.empty)));
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}

fn not_found(what: String) -> Error {
    Error::new(
        ErrorCode::DatasetNotFound,
        format!("{what}; a data set of pictures is a folder with a folder of pictures for every class in it"),
    )
}

fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::DatasetCorrupt, message)
}

#[cfg(test)]
mod tests {
    use super::at_a_time;

    #[test]
    fn large_pictures_are_decoded_in_smaller_groups_that_have_work_for_every_thread() {
        assert_eq!([32, 224, 256, 400].map(|resize| at_a_time(resize, 8)), [128; 4]);
        assert_eq!(at_a_time(1024, 8), 28);
        assert_eq!([1, 8, 64, 1024].map(|threads| at_a_time(4096, threads)), [1, 8, 64, 128]);
    }
}
