//! The reference numbers that PyTorch computed, and the tensors they were computed from.

use crate::common::fixture;
use serde_json::Value;

/// One case of parity.json in one precision.
pub fn parity_case(name: &str, precision: &str) -> Value {
    let text = std::fs::read_to_string(fixture("parity/parity.json")).unwrap();
    let mut all: Value = serde_json::from_str(&text).unwrap();
    all["cases"][name][precision].take()
}

/// Distances of PyTorch's float32 from its float64 in several runs of a case; null where there was but one.
pub fn spread(name: &str) -> Value {
    let text = std::fs::read_to_string(fixture("parity/spread.json")).unwrap();
    let mut all: Value = serde_json::from_str(&text).unwrap();
    all["cases"][name].take()
}

/// All numbers within a value, in order.
pub fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Number(number) => vec![number.as_f64().unwrap()],
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        _ => panic!("not a list of numbers: {value}"),
    }
}

/// The first `count` pictures of a sample file, normalised with ImageNet's mean and deviation, `[n, 32, 32, 3]`, and
/// their labels.
pub fn pictures(file: &str, count: usize) -> (Vec<f32>, Vec<u32>) {
    const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
    const STD: [f64; 3] = [0.229, 0.224, 0.225];
    let bytes = std::fs::read(fixture("cifar-10-sample").join(file)).unwrap();
    let (mut input, mut labels) = (Vec::new(), Vec::new());
    for record in bytes.chunks_exact(3073).take(count) {
        labels.push(u32::from(record[0]));
        for pixel in 0..1024 {
            for channel in 0..3 {
                let value = f64::from(record[1 + channel * 1024 + pixel]) / 255.0;
                input.push(((value - MEAN[channel]) / STD[channel]) as f32);
            }
        }
    }
    (input, labels)
}

/// `[n, 3, side, side]` to `[n, side, side, 3]`.
pub fn channels_last(input: &[f32], side: usize) -> Vec<f32> {
    let pixels = side * side;
    let mut output = Vec::with_capacity(input.len());
    for picture in input.chunks_exact(3 * pixels) {
        for pixel in 0..pixels {
            output.extend((0..3).map(|channel| picture[channel * pixels + pixel]));
        }
    }
    output
}
