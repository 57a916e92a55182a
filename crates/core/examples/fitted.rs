//! What a network is shown of pictures: resized and cut as for evaluation, `[crop, crop, 3]` bytes for each file, one after
//! the other. `bench/pictures.py` compares them with torchvision's.
//!
//! ```sh
//! cargo run --release -p mobilenet-core --example fitted -- 256 224 out.bin photos/*.jpg
//! ```

use mobilenet_core::data::image::{Evaluation, Limits, decode_file};
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: fitted RESIZE CROP OUT FILE...");
    let evaluation = Evaluation { resize: next()?.parse()?, crop: next()?.parse()? };
    let mut out = BufWriter::new(File::create(next()?)?);
    for file in arguments {
        let picture = decode_file(Path::new(&file), &Limits::default()).map_err(|error| error.message)?;
        out.write_all(&evaluation.apply(&picture).map_err(|error| error.message)?)?;
    }
    Ok(out.flush()?)
}
