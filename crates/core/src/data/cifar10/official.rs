//! The digests of the published files.

use super::records::RECORD;
use super::{corrupt, not_found, read_file};
use crate::error::Result;
use sha2::{Digest, Sha256};
use std::path::Path;

/// Each file of the binary version with its SHA-256.
pub const FILES: [(&str, &str); 6] = [
    ("data_batch_1.bin", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
    ("data_batch_2.bin", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
    ("data_batch_3.bin", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
    ("data_batch_4.bin", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
    ("data_batch_5.bin", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
    ("test_batch.bin", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
];

/// How many of [`FILES`] are for training.
pub const TRAINING_FILES: usize = FILES.len() - 1;

/// Bytes of each of [`FILES`].
pub const FILE_BYTES: usize = 10_000 * RECORD;

/// Tells if these records are the published ones under this name. The Python version holds the same pictures in the
/// same order under the same names without `.bin`, so its pictures as records have the same digests.
pub fn is_official(name: &str, records: &[u8]) -> bool {
    let expected = FILES.iter().find(|(file, _)| *file == name || file.strip_suffix(".bin") == Some(name));
    expected.is_some_and(|(_, expected)| records.len() == FILE_BYTES && digest(records) == *expected)
}

/// SHA-256 in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks that a folder holds the six official record files.
///
/// # Errors
/// `DATASET_NOT_FOUND` when there is no such folder, `DATASET_CORRUPT` naming the first file that is missing or
/// differs, `IO` when the file system refuses.
pub fn verify(folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        return Err(not_found(format!("there is no folder {}", folder.display())));
    }
    FILES.iter().try_for_each(|(name, _)| verify_file(folder, name))
}

/// [`verify`] of one of the files.
pub fn verify_file(folder: &Path, name: &str) -> Result<()> {
    let path = folder.join(name);
    if !path.is_file() {
        return Err(corrupt(format!("{} is missing: the data set is incomplete", path.display())));
    }
    check(name, &read_file(&path)?, &path.display().to_string())
}

/// Checks the content of one of [`FILES`]; `shown` is how the error names it.
pub fn check(name: &str, records: &[u8], shown: &str) -> Result<()> {
    if is_official(name, records) {
        return Ok(());
    }
    let found = digest(records);
    let expected = FILES.iter().find(|(file, _)| *file == name).map_or("none", |(_, digest)| digest);
    Err(corrupt(format!(
        "{shown} is not CIFAR-10's: found {} bytes with SHA-256 {found}, expected {FILE_BYTES} bytes with {expected}",
        records.len()
    )))
}
