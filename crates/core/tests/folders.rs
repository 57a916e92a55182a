//! Folders of pictures: real ones, damaged ones, their cache, and runs on them.

mod common;

use common::fixture;
use image::{ExtendedColorType, ImageFormat};
use mobilenet_core::config::{FolderOptions, Layout, ModelOptions, TrainOptions};
use mobilenet_core::data::folder::{self, Progress};
use mobilenet_core::data::image::{Evaluation, Limits, decode_file};
use mobilenet_core::data::prepare::{Place, Preparer};
use mobilenet_core::data::{Dataset, cifar10};
use mobilenet_core::mobilenet::MobileNet;
use mobilenet_core::train::event::Event;
use mobilenet_core::train::{self, Control};
use mobilenet_core::{Error, ErrorCode};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

/// A folder of pictures with a cache beside it.
struct Photos {
    folder: TempDir,
    cache: TempDir,
}

impl Photos {
    /// CIFAR-10's sample as PNGs: a folder for each class.
    fn cifar10() -> Self {
        let photos = Self::empty();
        let sample = cifar10::open(&fixture("cifar-10-sample")).unwrap();
        for (index, label) in sample.train.labels.iter().enumerate() {
            let view = sample.train.picture(index);
            let path = photos.at(&format!("{}/{index:03}.png", sample.classes[*label as usize]));
            photos.save(&path, view.pixels, view.width, view.height);
        }
        photos
    }

    fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), cache: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn save(&self, path: &Path, pixels: &[u8], width: usize, height: usize) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let (width, height) = (width as u32, height as u32);
        image::save_buffer_with_format(
            path,
            pixels,
            width,
            height,
            ExtendedColorType::Rgb8,
            ImageFormat::Png,
        )
        .unwrap();
    }

    fn options(&self) -> FolderOptions {
        FolderOptions {
            resolution: Some(32),
            cache: Some(self.cache.path().to_path_buf()),
            ..Default::default()
        }
    }

    fn open(&self, options: &FolderOptions) -> Result<(Dataset, Vec<Progress>), Error> {
        let mut progress = Vec::new();
        let never = AtomicBool::new(false);
        let data = folder::open(self.folder.path(), options, &never, &mut |step| progress.push(step))?;
        Ok((data, progress))
    }

    /// Names in the cache.
    fn cached(&self) -> Vec<String> {
        let entries = self.cache.path().read_dir().unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[test]
fn pictures_are_decoded_once_and_split_by_class() {
    let photos = Photos::cifar10();
    let (data, progress) = photos.open(&photos.options()).unwrap();
    assert_eq!(progress.first(), Some(&Progress { done: 0, total: 256, skipped: 0 }));
    assert_eq!(progress.last(), Some(&Progress { done: 256, total: 256, skipped: 0 }));
    assert_eq!(data.classes[..2], ["airplane", "automobile"]);
    assert_eq!(data.train.len() + data.test.len(), 256);
    assert_eq!((data.validation, data.note, data.skipped), (None, None, vec![]));
    for class in 0..10 {
        let count = |labels: &[u32]| labels.iter().filter(|label| **label == class).count();
        let (train, test) = (count(&data.train.labels), count(&data.test.labels));
        assert_eq!(test, (0.1 * (train + test) as f64).round() as usize);
    }
    // Every picture is one of the sample's, with its label.
    let sample = cifar10::open(&fixture("cifar-10-sample")).unwrap();
    for part in [&data.train, &data.test] {
        for index in 0..part.len() {
            let same = |other: &usize| sample.train.picture(*other) == part.picture(index);
            let other = (0..256).find(same).unwrap();
            assert_eq!(sample.train.labels[other], part.labels[index]);
        }
    }

    let (again, progress) = photos.open(&photos.options()).unwrap();
    assert_eq!(progress, [], "nothing is decoded a second time");
    assert!(again.train == data.train && again.test == data.test);
    let (other, _) = photos.open(&FolderOptions { seed: Some(2), ..photos.options() }).unwrap();
    assert!(other.test != data.test);
    assert_eq!(photos.cached().len(), 1);
}

#[test]
fn a_changed_folder_is_decoded_again_and_its_old_cache_removed() {
    let photos = Photos::cifar10();
    photos.open(&photos.options()).unwrap();
    let before = photos.cached();
    std::fs::write(photos.at("cat/new.png"), std::fs::read(fixture("images/cat-0.png")).unwrap()).unwrap();
    let (data, progress) = photos.open(&photos.options()).unwrap();
    assert_eq!(progress.last().unwrap().total, 257);
    assert_eq!(data.train.len() + data.test.len(), 257);
    let after = photos.cached();
    assert!(after.len() == 1 && after != before, "{before:?} {after:?}");
    // A file that was not written to its end, or was damaged, is made anew.
    let file = photos.cache.path().join(&after[0]);
    let whole = std::fs::read(&file).unwrap();
    // No longer mapped, because Windows would let nobody change it; the same pictures are in another cache.
    drop(data);
    let elsewhere = tempfile::tempdir().unwrap();
    let options = FolderOptions { cache: Some(elsewhere.path().to_path_buf()), ..photos.options() };
    let (data, _) = photos.open(&options).unwrap();
    for bytes in [&whole[..whole.len() - 1], &whole[..20], &[], &[b"x", &whole[1..]].concat()] {
        std::fs::write(&file, bytes).unwrap();
        let (again, progress) = photos.open(&photos.options()).unwrap();
        assert!(!progress.is_empty() && again.train == data.train);
        assert_eq!(std::fs::read(&file).unwrap(), whole);
    }
}

#[test]
fn what_cannot_be_read_is_named_and_left_out() {
    let photos = Photos::cifar10();
    let png = std::fs::read(fixture("images/cat-0.png")).unwrap();
    std::fs::write(photos.at("cat/half.png"), &png[..png.len() / 2]).unwrap();
    std::fs::write(photos.at("cat/empty.jpg"), "").unwrap();
    std::fs::write(photos.at("dog/text.jpeg"), "hello, I am text").unwrap();
    std::fs::write(photos.at("dog/readme.txt"), "hello, I am text").unwrap();
    std::fs::create_dir(photos.at("dog/folder.png")).unwrap();
    let (data, progress) = photos.open(&photos.options()).unwrap();
    assert_eq!(progress.last(), Some(&Progress { done: 259, total: 259, skipped: 3 }));
    assert_eq!(data.train.len() + data.test.len(), 256);
    let files: Vec<&str> = data.skipped.iter().map(|skipped| skipped.file.as_str()).collect();
    assert_eq!(files, ["cat/empty.jpg", "cat/half.png", "dog/text.jpeg"]);
    assert!(data.skipped.iter().all(|skipped| !skipped.reason.contains("cat/")), "{:?}", data.skipped);
    let note = data.note.clone().unwrap();
    assert!(note.contains("3 of 259 files could not be read"), "{note}");
    assert!(note.contains("1 other files are no pictures by their names: dog/readme.txt"), "{note}");
    let (again, progress) = photos.open(&photos.options()).unwrap();
    assert!(progress.is_empty());
    assert_eq!((again.skipped, again.note), (data.skipped, data.note), "they are named each time");

    let photos = Photos::empty();
    photos.save(&photos.at("a/1.png"), &[1; 12], 2, 2);
    std::fs::create_dir(photos.at("b")).unwrap();
    std::fs::write(photos.at("b/2.png"), "no picture").unwrap();
    let error = photos.open(&photos.options()).unwrap_err();
    assert_eq!(error.code, ErrorCode::DatasetCorrupt);
    assert!(error.message.contains("no picture of class b"), "{}", error.message);
}

/// A file that is away, or may not be read, looks the same when it is back.
#[test]
fn what_could_not_be_read_once_is_tried_again() {
    let photos = Photos::cifar10();
    let (folder, options, never) = (photos.folder.path(), photos.options(), AtomicBool::new(false));
    let (here, away) = (photos.at("cat").join(first_in(&photos.at("cat"))), photos.at("away"));
    let first = folder::open(folder, &options, &never, &mut |step| {
        if step.done == 0 {
            std::fs::rename(&here, &away).unwrap();
        }
    })
    .unwrap();
    assert_eq!(first.skipped.len(), 1);
    std::fs::rename(&away, &here).unwrap();
    let (data, progress) = photos.open(&options).unwrap();
    assert!(data.skipped.is_empty() && !progress.is_empty());
    assert_eq!(data.train.len() + data.test.len(), first.train.len() + first.test.len() + 1);
    let (_, progress) = photos.open(&options).unwrap();
    assert!(progress.is_empty(), "it is decoded a third time");
    // Windows removes no file that is mapped, and the first still is.
    assert_eq!(photos.cached().len(), if cfg!(windows) { 2 } else { 1 });
}

#[test]
fn two_at_once_find_the_same() {
    let photos = Photos::cifar10();
    let (folder, options) = (photos.folder.path(), photos.options());
    let (never, both) = (AtomicBool::new(false), std::sync::Barrier::new(2));
    let open = || {
        // Both are decoding before one of them is done.
        folder::open(folder, &options, &never, &mut |step| {
            if step.done == 0 {
                both.wait();
            }
        })
        .unwrap()
    };
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(open);
        (open(), other.join().unwrap())
    });
    assert!(one.train == other.train && one.test == other.test);
    assert_eq!(photos.cached().len(), 1);
}

/// What the file system refuses is not decoded, so whether it does can change while the decoded pictures stay the same.
#[cfg(unix)]
#[test]
fn what_the_file_system_refuses_is_named_as_it_is_now() {
    let photos = Photos::cifar10();
    let open = || {
        let (data, progress) = photos.open(&photos.options()).unwrap();
        let files: Vec<String> = data.skipped.into_iter().map(|skipped| skipped.file).collect();
        (files, data.note.is_some(), progress.is_empty())
    };
    let link = |name: &str| std::os::unix::fs::symlink("nowhere", photos.at(name)).unwrap();
    link("cat/gone.png");
    assert_eq!(open(), (vec!["cat/gone.png".into()], true, false));
    assert_eq!(open(), (vec!["cat/gone.png".into()], true, true));
    link("dog/gone.png");
    assert_eq!(open(), (vec!["cat/gone.png".into(), "dog/gone.png".into()], true, true));
    std::fs::remove_file(photos.at("cat/gone.png")).unwrap();
    std::fs::remove_file(photos.at("dog/gone.png")).unwrap();
    assert_eq!(open(), (vec![], false, true));
}

fn first_in(folder: &Path) -> String {
    let entry = folder.read_dir().unwrap().next().unwrap();
    entry.unwrap().file_name().into_string().unwrap()
}

#[test]
fn a_cancelled_opening_leaves_nothing() {
    let photos = Photos::cifar10();
    let cancelled = AtomicBool::new(true);
    let opened = folder::open(photos.folder.path(), &photos.options(), &cancelled, &mut |_| {});
    assert_eq!(opened.unwrap_err().code, ErrorCode::InvalidOption);
    assert_eq!(photos.cached(), Vec::<String>::new());
}

#[test]
fn parts_and_options_that_contradict_are_refused() {
    let photos = Photos::empty();
    for name in ["train/a/1.png", "train/b/1.png", "validation/a/2.png"] {
        photos.save(&photos.at(name), &[1; 12], 2, 2);
    }
    let (data, _) = photos.open(&photos.options()).unwrap();
    let validation = data.validation.unwrap();
    assert_eq!((data.train.len(), validation.len(), data.test.len()), (2, 1, 0));
    let fraction = FolderOptions { test_fraction: Some(0.5), ..photos.options() };
    assert!(photos.open(&fraction).unwrap_err().message.contains("no testFraction to take"));
    for (options, words) in [
        (FolderOptions { resolution: Some(0), ..photos.options() }, "resolution must be from 1 to 1024"),
        (FolderOptions { resize: Some(31), ..photos.options() }, "resize must be from 32, the resolution"),
        (FolderOptions { test_fraction: Some(1.0), ..photos.options() }, "testFraction must be"),
        (FolderOptions { threads: Some(0), ..photos.options() }, "threads must be"),
    ] {
        let error = photos.open(&options).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidOption);
        assert!(error.message.contains(words), "{}", error.message);
    }
}

/// What a network sees of a photograph in a run is what it is shown when it predicts.
#[test]
fn evaluation_sees_what_prediction_sees() {
    let photos = Photos::empty();
    let curves = |width: usize, height: usize| -> Vec<u8> {
        (0..width * height * 3).map(|i| ((i * i / 97 + i / 3) % 256) as u8).collect()
    };
    // Wide, high, smaller than the network's square, of the resized size, and panoramas.
    let sizes = [
        (150, 90),
        (61, 200),
        (20, 30),
        (40, 40),
        (41, 40),
        (900, 44),
        (909, 45),
        (45, 911),
        (364, 40),
        (365, 40),
    ];
    for (index, (width, height)) in sizes.into_iter().enumerate() {
        let path = photos.at(&format!("{}/{index}.png", ["a", "b"][index % 2]));
        photos.save(&path, &curves(width, height), width, height);
    }
    let options = FolderOptions { resize: Some(40), test_fraction: Some(0.0), ..photos.options() };
    let (data, _) = photos.open(&options).unwrap();
    assert_eq!(data.train.len(), sizes.len());
    let preparer = Preparer::new(&Default::default(), 32, &[]);
    let fit = Evaluation { resize: 40, crop: 32 };
    let files = ["a/0", "a/2", "a/4", "a/6", "a/8", "b/1", "b/3", "b/5", "b/7", "b/9"];
    for (place, file) in files.into_iter().enumerate() {
        let picture = decode_file(&photos.at(&format!("{file}.png")), &Limits::default()).unwrap();
        let mut expected = vec![0.0; 32 * 32 * 3];
        let lookup = mobilenet_core::data::normalize::Lookup::new(&Default::default());
        lookup.apply(&fit.apply(&picture).unwrap(), &mut expected);
        let batch =
            preparer.batch(&data.train, &[place as u32], Place { seed: 0, epoch: 0, position: 0 }).unwrap();
        assert!(batch.input == expected, "{file}");
    }
}

fn small(classes: usize) -> MobileNet {
    let options = ModelOptions {
        layout: Some(Layout::Cifar),
        width: Some(0.25),
        classes: Some(classes),
        ..Default::default()
    };
    MobileNet::create(&options, 1).unwrap()
}

fn bits(model: &MobileNet) -> Vec<u32> {
    model.tensors().iter().flat_map(|tensor| &tensor.values).map(|value| value.to_bits()).collect()
}

fn train(
    model: &MobileNet,
    data: &Dataset,
    options: &TrainOptions,
    resume: bool,
) -> Result<Vec<Event>, Error> {
    let mut events = Vec::new();
    train::run(model, data, options, resume, &Control::default(), &mut |event| events.push(event))?;
    Ok(events)
}

#[test]
fn a_run_has_the_same_bits_whatever_the_threads_and_goes_on_with_them() {
    let photos = Photos::cifar10();
    std::fs::write(photos.at("cat/broken.png"), "no picture").unwrap();
    let (data, _) = photos.open(&photos.options()).unwrap();
    let recipe = |epochs, threads| TrainOptions {
        epochs: Some(epochs),
        batch_size: Some(16),
        limit: Some(40),
        threads: Some(threads),
        ..Default::default()
    };
    let whole = small(10);
    let events = train(&whole, &data, &recipe(2, 1), false).unwrap();
    let Event::Start { config } = &events[0] else { panic!("a run begins with its start") };
    assert_eq!((config.pictures.train, config.pictures.validation, config.skipped), (40, 23, 1));
    let again = small(10);
    train(&again, &data, &recipe(2, 3), false).unwrap();
    assert!(bits(&again) == bits(&whole));

    let out = tempfile::tempdir().unwrap();
    let first = TrainOptions { out: Some(out.path().join("run")), ..recipe(1, 2) };
    train(&small(10), &data, &first, false).unwrap();
    let resumed = MobileNet::load(&out.path().join("run/last.safetensors")).unwrap();
    assert_eq!(resumed.class_names(), data.classes);
    let more = TrainOptions { epochs: Some(2), out: first.out, ..Default::default() };
    train(&resumed, &data, &more, true).unwrap();
    assert!(bits(&resumed) == bits(&whole));
}

#[test]
fn pictures_for_another_network_are_refused() {
    let photos = Photos::cifar10();
    let (data, _) = photos.open(&FolderOptions { resolution: Some(48), ..photos.options() }).unwrap();
    let error = train(&small(10), &data, &TrainOptions::default(), false).unwrap_err();
    assert!(error.message.contains("open it with resolution 32"), "{}", error.message);
    assert!(data.check_classes(&data.classes).is_ok());
    let other = data.check_classes(&["cat".into(), "dog".into()]).unwrap_err();
    assert_eq!(other.code, ErrorCode::CheckpointMismatch);
    assert!(data.check_classes(&["0".into(), "1".into()]).is_ok(), "it has no names to compare");
}

/// Otherwise it would be a cat's picture that is answered by the name of another network's class.
#[test]
fn a_network_with_names_for_more_classes_than_there_are_is_refused() {
    let photos = Photos::cifar10();
    for class in cifar10::CLASSES.iter().filter(|class| !["cat", "dog"].contains(class)) {
        std::fs::remove_dir_all(photos.at(class)).unwrap();
    }
    let (data, _) = photos.open(&photos.options()).unwrap();
    let recipe = TrainOptions { epochs: Some(1), batch_size: Some(16), ..Default::default() };
    let error = train(&small(10), &data, &recipe, false).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidOption);
    assert!(error.message.contains("has 10 classes (airplane"), "{}", error.message);
    assert!(error.message.contains("has 2 (cat, dog)"), "{}", error.message);
    assert!(error.message.contains("`from`"), "{}", error.message);

    // One with the data's number of classes takes their names; one that has only numbers keeps those.
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("model.safetensors");
    small(10).save(&path).unwrap();
    let options = ModelOptions { classes: Some(2), ..Default::default() };
    let fitted = MobileNet::create_from(&path, &options, 1).unwrap();
    train(&fitted, &data, &recipe, false).unwrap();
    assert_eq!(fitted.class_names(), ["cat", "dog"]);
    let numbered = small(3);
    train(&numbered, &data, &recipe, false).unwrap();
    assert_eq!(numbered.class_names(), ["0", "1", "2"]);
}

#[test]
fn pictures_set_aside_are_validated_with() {
    let photos = Photos::cifar10();
    for part in ["train", "validation"] {
        let (from, to) = (photos.at("."), photos.at(part));
        std::fs::create_dir(&to).unwrap();
        for class in ["cat", "dog", "ship"] {
            std::fs::create_dir(to.join(class)).unwrap();
            for file in from.join(class).read_dir().unwrap() {
                let file = file.unwrap();
                std::fs::copy(file.path(), to.join(class).join(file.file_name())).unwrap();
            }
        }
    }
    let (data, _) = photos.open(&photos.options()).unwrap();
    let recipe = TrainOptions { epochs: Some(1), batch_size: Some(16), ..Default::default() };
    let events = train(&small(3), &data, &recipe, false).unwrap();
    let Event::Start { config } = &events[0] else { panic!("a run begins with its start") };
    let counts = config.pictures;
    assert!(counts.train == counts.validation && counts.total == 2 * counts.train && counts.test == 0);
    assert_eq!(config.train.validation_fraction, 0.0);

    // They are what patience waits for, also in a run that goes on.
    let out = tempfile::tempdir().unwrap();
    let path = Some(out.path().join("run"));
    let patient =
        TrainOptions { patience: Some(5), validation_fraction: Some(0.0), out: path.clone(), ..recipe };
    train(&small(3), &data, &patient, false).unwrap();
    let resumed = MobileNet::load(&out.path().join("run/last.safetensors")).unwrap();
    let more = TrainOptions { epochs: Some(2), out: path, ..Default::default() };
    train(&resumed, &data, &more, true).unwrap();
}

/// Whoever asks the network later sees pictures as the run did that validated it.
#[test]
fn a_network_remembers_what_its_pictures_were_resized_to() {
    let photos = Photos::cifar10();
    let (data, _) = photos.open(&FolderOptions { resize: Some(48), ..photos.options() }).unwrap();
    let recipe =
        TrainOptions { epochs: Some(1), batch_size: Some(16), limit: Some(32), ..Default::default() };
    let model = small(10);
    train(&model, &data, &recipe, false).unwrap();
    assert_eq!(model.resize(), 48);
    // Whatever begins with its weights does, too, unless it is of another resolution.
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("model.safetensors");
    model.save(&path).unwrap();
    let created = |resolution| {
        let options = ModelOptions { classes: Some(3), resolution, ..Default::default() };
        MobileNet::create_from(&path, &options, 1).unwrap().resize()
    };
    assert_eq!((created(None), created(Some(64))), (48, 64));
    assert_eq!(MobileNet::import(&path, &ModelOptions::default(), None).unwrap().resize(), 48);
    // CIFAR-10's have no other size.
    let cifar10 = cifar10::open(&fixture("cifar-10-sample")).unwrap();
    train(&model, &cifar10, &recipe, false).unwrap();
    assert_eq!(model.resize(), 32);
}
