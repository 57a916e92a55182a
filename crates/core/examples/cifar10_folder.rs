//! CIFAR-10 as a folder of PNGs, one folder a class: `train` and `test` with so many pictures of each class.
//!
//! `cargo run --release -p mobilenet-core --example cifar10_folder -- CIFAR-10 FOLDER 200 100 [CLASS...]`

use image::{ExtendedColorType, ImageFormat};
use mobilenet_core::data::{Pictures, cifar10};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, train, test, only @ ..] = args.as_slice() else {
        return Err(
            "give CIFAR-10's folder, the folder to make, pictures of a class to train with and to test on"
                .into(),
        );
    };
    let data = cifar10::open(Path::new(from))?;
    let wanted = |class: &String| only.is_empty() || only.contains(class);
    for (part, pictures, most) in [("train", &data.train, train), ("test", &data.test, test)] {
        let most: usize = most.parse()?;
        for (label, class) in data.classes.iter().enumerate().filter(|(_, class)| wanted(class)) {
            write(pictures, label as u32, most, &Path::new(to).join(part).join(class))?;
        }
    }
    Ok(())
}

/// The first pictures with this label.
fn write(
    pictures: &Pictures,
    label: u32,
    most: usize,
    folder: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(folder)?;
    let of_class = (0..pictures.len()).filter(|index| pictures.labels[*index] == label);
    for index in of_class.take(most) {
        let view = pictures.picture(index);
        let (width, height) = (view.width as u32, view.height as u32);
        let path = folder.join(format!("{index:05}.png"));
        image::save_buffer_with_format(
            path,
            view.pixels,
            width,
            height,
            ExtendedColorType::Rgb8,
            ImageFormat::Png,
        )?;
    }
    Ok(())
}
