//! What several tests of this folder need.

use serde_json::Value;
use std::path::Path;

/// What torchvision and PyTorch say: see `make_folders.py` beside the file.
pub fn fixture() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../__test__/fixtures/folders/folders.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Curves of all slopes, which wrap from 255 to 0: `picture` in `make_folders.py`.
pub fn made_up(width: usize, height: usize) -> Vec<u8> {
    let byte =
        |x: usize, y: usize, c: usize| ((x * x * 3 + y * y * 5 + x * y * 7 + c * 400) / 11 % 256) as u8;
    let row = |y: usize| (0..width).flat_map(move |x| [0, 1, 2].map(|c| byte(x, y, c)));
    (0..height).flat_map(row).collect()
}
