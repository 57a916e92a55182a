//! Files that are made to do harm, or are damaged, and the largest of the official ones.

use super::python::{class_names, to_records};
use super::{archive, open};
use crate::ErrorCode;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

const BATCHES: [&str; 4] = [
    "cifar-10-batches-py2/data_batch_1",
    "cifar-10-batches-py3/data_batch_1",
    "cifar-10-batches-py2/batches.meta",
    "cifar-10-batches-py3/batches.meta",
];

#[test]
fn deep_and_branching_pickles_do_no_harm() {
    let deep = [b"\x80\x02)", &b"\x85".repeat(400_000)[..], b"."].concat();
    let doubled = [b"]", &b"\x85q\x00h\x00h\x00\x86q\x00".repeat(1000)[..], b"."].concat();
    let itself = b"}q\x00(X\x06\0\0\0labelsh\x00X\x04\0\0\0datah\x00X\x0b\0\0\0label_namesh\x00u.".to_vec();
    for pickle in [deep, doubled, itself] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("data_batch_1"), &pickle).unwrap();
        let error = open(folder.path()).unwrap_err();
        assert_eq!(error.code, ErrorCode::DatasetCorrupt, "{}", error.message);
        assert!(error.message.contains("data_batch_1"), "{}", error.message);
        assert_eq!(class_names(&pickle, "x").unwrap_err().code, ErrorCode::DatasetCorrupt);
    }
}

#[test]
fn a_batch_of_ten_thousand_comes_in() {
    const COUNT: usize = 10_000;
    let text = |text: &str| [b"U", &[text.len() as u8][..], text.as_bytes()].concat();
    let names: Vec<u8> = (0..COUNT)
        .flat_map(|number| text(&format!("leptodactylus_pentadactylus_s_{number:06}.png")))
        .collect();
    let labels: Vec<u8> = (0..COUNT).flat_map(|number| [b'K', (number % 10) as u8]).collect();
    let (pixels, length) = (vec![7; COUNT * 3072], ((COUNT * 3072) as u32).to_le_bytes());
    let array = b"cnumpy.core.multiarray\n_reconstruct\n)R(K\x01M\x10\x27M\x00\x0c\x86N\x89T";
    let pickle = [
        &b"\x80\x02}("[..],
        &text("data"),
        array,
        &length,
        &pixels,
        b"tb",
        &text("labels"),
        b"](",
        &labels,
        b"e",
        &text("filenames"),
        b"](",
        &names,
        b"e",
        b"u.",
    ]
    .concat();
    let records = to_records(&pickle, "x").unwrap();
    assert_eq!((records.len(), records[3073 * 1234], records[1]), (COUNT * 3073, 4, 7));
}

/// A packed archive of entries, each of a kind and a name.
fn packed(entries: &[(tar::EntryType, &str, &[u8])]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar.gz");
    let file = std::fs::File::create(&path).unwrap();
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
    for (kind, name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, *content).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap();
    (folder, path)
}

fn names_in(path: &Path) -> crate::Result<Vec<String>> {
    let mut names = Vec::new();
    archive::for_each_file(path, &mut |_, _| {}, &mut |name, read| {
        names.push(format!("{name} {}", read()?.len()));
        Ok(())
    })?;
    Ok(names)
}

#[test]
fn long_names_are_read_and_endless_ones_are_not() {
    use tar::EntryType as Kind;
    // `tar` itself puts an entry with the long name before this one.
    let long = format!("{}/data_batch_1.bin", "folder/".repeat(30));
    let pax = b"19 path=b/test.bin\n";
    let (_folder, path) = packed(&[
        (Kind::Regular, &long, b"abc"),
        (Kind::XHeader, "pax", pax),
        (Kind::Regular, "short", b"ab"),
        (Kind::XGlobalHeader, "global", b"19 path=b/ever.bin\n"),
        (Kind::Regular, "a/last.bin", b""),
    ]);
    assert_eq!(names_in(&path).unwrap(), ["data_batch_1.bin 3", "test.bin 2", "last.bin 0"]);

    let endless = vec![b'a'; (1 << 20) + 1];
    for kind in [Kind::GNULongName, Kind::XHeader] {
        let (_folder, path) = packed(&[(kind, "x", &endless), (Kind::Regular, "a", b"")]);
        let error = names_in(&path).unwrap_err();
        assert_eq!(error.code, ErrorCode::DatasetCorrupt);
        assert!(error.message.contains("a description of 1048577 bytes"), "{}", error.message);
    }
    // A link's name is of no interest, however long it is.
    let (_folder, path) = packed(&[(Kind::GNULongLink, "x", &endless), (Kind::Regular, "a", b"")]);
    assert_eq!(names_in(&path).unwrap(), ["a 0"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn damaged_pickles_end_in_an_error_or_records(
        file in 0..BATCHES.len(),
        changes in proptest::collection::vec((0.0..1.0, any::<u8>()), 1..6),
        // Most of a batch are pixels: what is in front of them, and its end.
        within in 1usize..400,
    ) {
        let mut bytes = fixture(BATCHES[file]);
        let within = within.min(bytes.len());
        for (place, byte) in changes {
            let place = (place * within as f64) as usize;
            let end = bytes.len() - 1 - place;
            bytes[if byte % 2 == 0 { place } else { end }] = byte;
        }
        if let Err(error) = to_records(&bytes, "x") {
            prop_assert_eq!(error.code, ErrorCode::DatasetCorrupt);
        }
        if let Err(error) = class_names(&bytes, "x") {
            prop_assert_eq!(error.code, ErrorCode::DatasetCorrupt);
        }
    }
}
