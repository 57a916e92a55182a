//! What memory a folder of very many pictures takes: makes one of so many files (of a few thousand different small PNGs,
//! each under many names), opens it twice, and goes through it once as a training epoch does.
//!
//! `cargo run --release -p mobilenet-core --example many_pictures -- FOLDER 1000000`
//!
//! `own` is memory that only this process has, `mapped` are pages of the cache file, which the system takes back when it
//! needs them.

use image::{ExtendedColorType, ImageFormat};
use mobilenet_core::config::{Augmentation, FolderOptions, Normalization};
use mobilenet_core::data::folder;
use mobilenet_core::data::loader::{Feed, Loader, epoch_order};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

const CLASSES: usize = 1000;
/// A file may have so many names on every usual file system.
const NAMES: usize = 500;
const SIDE: usize = 32;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [place, count] = args.as_slice() else { return Err("give a folder and how many pictures".into()) };
    let (photos, cache) = (Path::new(place).join("photos"), Path::new(place).join("cache"));
    if !photos.exists() {
        make(&photos, &Path::new(place).join("originals"), count.parse()?)?;
    }
    report("at the beginning", Instant::now());
    let options = FolderOptions { resolution: Some(SIDE), cache: Some(cache), ..Default::default() };
    let mut data = None;
    for what in ["listed and decoded", "listed and mapped"] {
        let start = Instant::now();
        data = Some(folder::open(&photos, &options, &AtomicBool::new(false), &mut |_| {})?);
        report(what, start);
    }
    let data = data.ok_or("nothing was opened")?;
    let start = Instant::now();
    let split = data.split(0.1);
    let loader = Loader::start(Feed {
        pictures: data.train.clone(),
        order: epoch_order(&split.train, 1, 1, true).into(),
        batch_size: 64,
        augment: Augmentation::photographs(),
        seed: 1,
        epoch: 1,
        resolution: SIDE,
        normalization: Normalization::default(),
        first_batch: 0,
        drawn: false,
    })?;
    let mut seen = 0;
    for batch in loader {
        seen += batch?.count;
    }
    report(&format!("an epoch of {seen} pictures in batches of 64, augmented"), start);
    Ok(())
}

fn make(photos: &Path, originals: &Path, count: usize) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(originals)?;
    let different = count.div_ceil(NAMES);
    for number in 0..different {
        let pixels: Vec<u8> = (0..SIDE * SIDE * 3).map(|i| ((i * (number + 3)) / 7 % 256) as u8).collect();
        let path = originals.join(format!("{number}.png"));
        let side = SIDE as u32;
        image::save_buffer_with_format(path, &pixels, side, side, ExtendedColorType::Rgb8, ImageFormat::Png)?;
    }
    for class in 0..CLASSES {
        let folder = photos.join(format!("class-{class:04}"));
        std::fs::create_dir_all(&folder)?;
        for number in (class..count).step_by(CLASSES) {
            let original = originals.join(format!("{}.png", number % different));
            std::fs::hard_link(original, folder.join(format!("{number:08}.png")))?;
        }
    }
    Ok(())
}

fn report(what: &str, start: Instant) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let megabytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? / 1024)
    };
    let [own, mapped] = ["RssAnon:", "RssFile:"].map(|key| megabytes(key).unwrap_or(0));
    println!("{what}: {:.1} s, own {own} MiB, mapped {mapped} MiB", start.elapsed().as_secs_f64());
}
