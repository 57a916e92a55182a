//! Files that are made to do harm, or are damaged: each ends in `CHECKPOINT_CORRUPT`, before anything of the size that it
//! claims is made.

use super::weights::{Weights, pth};
use crate::ErrorCode;
use candle_core::Tensor;
use proptest::prelude::*;
use std::path::Path;

const FIXTURES: [&str; 2] = ["course-8-channels.pth", "course-8-channels-legacy.pth"];

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

/// An archive of these files, stored as they are.
fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let mut sizes = [0; 14];
        sizes[4..8].copy_from_slice(&(content.len() as u32).to_le_bytes());
        sizes[8..12].copy_from_slice(&(content.len() as u32).to_le_bytes());
        sizes[12] = name.len() as u8;
        let place = (bytes.len() as u32).to_le_bytes();
        directory.extend([b"PK\x01\x02", &[0; 12][..], &sizes, &[0; 12], &place, name.as_bytes()].concat());
        bytes.extend([b"PK\x03\x04", &[0; 10][..], &sizes, &[0; 2], name.as_bytes(), content].concat());
    }
    let [start, size] = [bytes.len(), directory.len()].map(|number| (number as u32).to_le_bytes());
    let count = (files.len() as u16).to_le_bytes();
    bytes.extend([&directory, &b"PK\x05\x06\0\0\0\0"[..], &count, &count, &size, &start, &[0; 2]].concat());
    bytes
}

/// A file of today, and one from before PyTorch 1.6, with this pickle and a storage of 8 float32 values from 0 on.
fn both(pickle: &[u8]) -> [Vec<u8>; 2] {
    let values: Vec<u8> = (0..8).flat_map(|value| (value as f32).to_le_bytes()).collect();
    let magic = &fixture(FIXTURES[1])[..15];
    let (nothing, keys, count) = (b"N.", b"]X\x01\0\0\x000a.", 8u64.to_le_bytes());
    [
        zip(&[("a/data.pkl", pickle), ("a/data/0", &values)]),
        [magic, nothing, nothing, pickle, keys, &count, &values].concat(),
    ]
}

/// A tuple of numbers.
fn tuple(numbers: &[i32]) -> Vec<u8> {
    let numbers = numbers.iter().flat_map(|number| [&b"J"[..], &number.to_le_bytes()].concat());
    [&b"("[..], &numbers.collect::<Vec<_>>(), b"t"].concat()
}

/// A name and a tensor, as entries of a dictionary.
fn entry(name: &str, first: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    let storage = b"((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x08tQ";
    let name = [b"X", &(name.len() as u32).to_le_bytes()[..], name.as_bytes()].concat();
    let first = [&b"J"[..], &first.to_le_bytes()].concat();
    let call = b"ctorch._utils\n_rebuild_tensor_v2\n";
    [&name, &call[..], storage, &first, &tuple(shape), &tuple(strides), b"\x89}tRs"].concat()
}

fn state_dict(entries: &[Vec<u8>]) -> Vec<u8> {
    [b"\x80\x02}", &entries.concat()[..], b"."].concat()
}

fn read_bytes(bytes: &[u8]) -> Result<Weights, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pth");
    std::fs::write(&path, bytes).unwrap();
    Weights::read(&path).map_err(|error| {
        assert_eq!(error.code, ErrorCode::CheckpointCorrupt, "{}", error.message);
        error.message
    })
}

/// That it is refused with these words, and not by a reader that panicked.
fn refused(bytes: &[u8], words: &str) {
    let _ = pth(bytes);
    let message = read_bytes(bytes).unwrap_err();
    assert!(message.contains(words), "{message}");
}

/// That both files with this pickle are. (Those from before PyTorch 1.6 need a tensor to tell a storage's type.)
fn both_refused(pickle: &[u8], words: &str) {
    for file in both(pickle) {
        let _ = pth(&file);
        let message = read_bytes(&file).unwrap_err();
        let other = file.starts_with(b"\x80") && message.contains("a storage is of an unknown type");
        assert!(other || message.contains(words), "{message}");
    }
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn tensors_lie_in_their_storages_as_they_say() {
    for file in both(&state_dict(&[
        entry("whole", 0, &[2, 4], &[4, 1]),
        entry("turned", 0, &[4, 2], &[1, 4]),
        entry("end", 6, &[2], &[1]),
        entry("number", 3, &[], &[]),
        entry("none", 8, &[0, 5], &[5, 1]),
    ])) {
        let Weights { tensors, .. } = read_bytes(&file).unwrap();
        assert_eq!(values(&tensors["whole"]), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(tensors["turned"].dims(), [4, 2]);
        assert_eq!(values(&tensors["turned"]), [0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]);
        assert_eq!(values(&tensors["end"]), [6.0, 7.0]);
        assert_eq!(values(&tensors["number"]), [3.0]);
        assert_eq!(tensors["none"].dims(), [0, 5]);
    }
}

#[test]
fn tensors_that_are_larger_than_their_storage_are_refused() {
    const HUGE: i32 = i32::MAX;
    let tensors: [(i32, &[i32], &[i32]); 10] = [
        (0, &[1 << 20, HUGE], &[HUGE, 1]),
        (0, &[HUGE, HUGE], &[HUGE, 1]),
        (0, &[HUGE, HUGE, HUGE], &[1, 1, 1]),
        (0, &[0, HUGE, HUGE, HUGE], &[1, 1, 1, 1]),
        (0, &[HUGE, HUGE], &[0, 0]),
        (0, &[9], &[1]),
        (1, &[8], &[1]),
        (HUGE, &[1], &[1]),
        (0, &[2, 2], &[HUGE, HUGE]),
        (9, &[0], &[1]),
    ];
    for (first, shape, strides) in tensors {
        for file in both(&state_dict(&[entry("w", first, shape, strides)])) {
            refused(&file, "tensor w: with shape");
        }
    }
}

#[test]
fn tensors_that_make_no_sense_are_refused() {
    let tensors: [(i32, &[i32], &[i32], &str); 5] = [
        (-1, &[1], &[1], "its first value has no place"),
        (0, &[-1], &[1], "its shape is not some numbers from 0 on"),
        (0, &[1], &[-1], "its stride is not some numbers from 0 on"),
        (0, &[1, 1], &[1], "2 dimensions and 1 strides"),
        (0, &[1; 65], &[1; 65], "at most 64"),
    ];
    for (first, shape, strides, words) in tensors {
        for file in both(&state_dict(&[entry("w", first, shape, strides)])) {
            refused(&file, words);
        }
    }
    let call = |arguments: &[u8]| {
        let name = b"X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n";
        [b"}", &name[..], arguments, b"Rs."].concat()
    };
    both_refused(&call(b")"), "tensor w: it is called with too few arguments");
    both_refused(&call(b"(N)Nt"), "tensor w: it is called with too few arguments");
    both_refused(&call(b"(NK\x00))t"), "tensor w: it names no storage");
    for (module, name) in [("torch._utils", "_rebuild_parameter"), ("torch._tensor", "_rebuild_from_type_v2")]
    {
        both_refused(format!("}}X\x01\0\0\0wc{module}\n{name}\n)Rs.").as_bytes(), "too few arguments");
    }
}

#[test]
fn storages_are_shared_only_so_often() {
    let tensors = |count: usize| -> Vec<_> {
        (0..count).map(|index| entry(&index.to_string(), 0, &[8], &[1])).collect()
    };
    for file in both(&state_dict(&tensors(3))) {
        assert_eq!(read_bytes(&file).unwrap().tensors.len(), 3);
    }
    // In the memo, a tensor of 4 MB takes few bytes.
    let tensor = entry("w", 0, &[1 << 20], &[1]);
    let remembered = [b"}", tensor.strip_suffix(b"s").unwrap(), b"q\x01s"].concat();
    let again = |name: usize| [b"\x8c\x04", format!("{name:04}").as_bytes(), b"h\x01s"].concat();
    let storage = vec![0; 4 << 20];
    let shared = |count: usize| {
        let pickle = [remembered.clone(), (1..count).flat_map(again).collect(), b".".to_vec()].concat();
        zip(&[("a/data.pkl", &pickle), ("a/data/0", &storage)])
    };
    assert_eq!(read_bytes(&shared(8)).unwrap().tensors.len(), 8);
    refused(&shared(2000), "share storages so much that they take more than 8 times the file's size");
}

#[test]
fn deep_and_branching_pickles_do_no_harm() {
    let deep = [b"\x80\x02)", &b"\x85".repeat(400_000)[..], b"."].concat();
    let doubled = [b"]", &b"\x85q\x00h\x00h\x00\x86q\x00".repeat(1000)[..], b"."].concat();
    let itself = b"}q\x00(X\x0a\0\0\0state_dicth\x00X\x05\0\0\0modelh\x00u.".to_vec();
    for pickle in [deep, doubled, itself] {
        both_refused(&pickle, "it holds no tensors");
    }
}

#[test]
fn prefixes_come_off_in_any_order() {
    let names = [
        "module.a",
        "_orig_mod.b",
        "_orig_mod.module.c",
        "module._orig_mod.d",
        "module.module.e",
        "f.module.x",
    ];
    let entries: Vec<_> = names.iter().map(|name| entry(name, 0, &[1], &[1])).collect();
    for file in both(&state_dict(&entries)) {
        let mut bare: Vec<_> = read_bytes(&file).unwrap().tensors.into_keys().collect();
        bare.sort();
        assert_eq!(bare, ["a", "b", "c", "d", "e", "f.module.x"]);
    }
    let twice = ["module.a", "a"].map(|name| entry(name, 0, &[1], &[1]));
    for file in both(&state_dict(&twice)) {
        refused(&file, "it holds a twice, with different prefixes");
    }
}

#[test]
fn archives_that_lie_are_refused() {
    let whole = fixture(FIXTURES[0]);
    let change = |place: usize, bytes: &[u8], words: &str| {
        let mut changed = whole.clone();
        changed[place..place + bytes.len()].copy_from_slice(bytes);
        refused(&changed, words);
    };
    let end = whole.len() - 22;
    let large = end - 20 - 56;
    // The number of files, the directory's size and its place.
    change(large + 32, &[0xff; 8], "and should have 18446744073709551615");
    change(large + 40, &[0xff; 8], "should follow byte");
    change(large + 48, &[0xff; 8], "should follow byte 18446744073709551615");
    change(end - 20 + 8, &[0xff; 8], "should follow byte 18446744073709551615");
    change(large, b"x", "ZIP structure is damaged");
    // Of its first file: method, sizes, length of the name, place.
    let first = whole.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    change(first + 10, &[8], "compressed or encrypted");
    change(first + 20, &[0xfe; 8], "don't");
    change(first + 24, &[0xfe; 4], "compressed or encrypted");
    change(first + 28, &[0xff; 2], "");
    change(first + 42, &[0xfe; 4], "should follow byte 4278124286");
    change(first, b"x", "ZIP structure is damaged");

    let pickle = state_dict(&[entry("w", 0, &[1], &[1])]);
    refused(&zip(&[("a/data.pkl", &pickle)]), "tensor w: it holds no a/data/0");
    refused(&zip(&[("a/data.pkl", &pickle), ("a/data.pkl", &pickle)]), "has a/data.pkl twice");
    refused(&zip(&[("a/other.pkl", &pickle)]), "without a data.pkl");
    refused(&zip(&[("a/data.pkl", &pickle), ("a/byteorder", b"big")]), "big-endian");
    refused(b"PK\x05\x06", "");
}

#[test]
fn files_from_before_pytorch_1_6_that_lie_are_refused() {
    let [_, file] = both(&state_dict(&[entry("w", 0, &[1], &[1])]));
    let count = file.len() - 8 * 4 - 8;
    for claimed in [u64::MAX, 1 << 40, 9] {
        let mut changed = file.clone();
        changed[count..count + 8].copy_from_slice(&claimed.to_le_bytes());
        refused(&changed, if claimed == u64::MAX { "impossible size" } else { "ends too early" });
    }
    let magic = &fixture(FIXTURES[1])[..15];
    let machine = b"}X\x0d\0\0\0little_endian\x89s.";
    refused(&[magic, b"N.", machine, b"}.", b"]."].concat(), "big-endian");
    refused(&[magic, b"N.N.}.N."].concat(), "not named");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn damaged_state_dicts_end_in_an_error_or_tensors(
        file in 0..FIXTURES.len(),
        // Most of a legacy file is its pickle, most of an archive are names.
        changes in proptest::collection::vec((0.0..1.0, any::<u8>()), 1..6),
        cut in proptest::option::weighted(0.2, 0.0..1.0),
    ) {
        let mut bytes = fixture(FIXTURES[file]);
        for (place, byte) in changes {
            let place = (place * bytes.len() as f64) as usize;
            bytes[place] = byte;
        }
        if let Some(share) = cut {
            bytes.truncate((share * bytes.len() as f64) as usize);
        }
        let size = bytes.len();
        if let Ok(tensors) = pth(&bytes) {
            let held: usize = tensors.values().map(|tensor| tensor.elem_count() * tensor.dtype().size_in_bytes()).sum();
            prop_assert!(held <= 8 * size);
        }
    }
}
