//! Tensors that follow from their names, as in make_parity.py.

use crate::uniform::uniform;

/// The values of the tensor of this name: see `fill` in make_parity.py.
pub fn filled(name: &str, shape: &[usize]) -> Vec<f32> {
    let values = uniform(name, shape.iter().product());
    let fan_in: usize = shape[1..].iter().product();
    let value = |u: f64| {
        if shape.len() >= 2 {
            (2.0 * u - 1.0) * (6.0 / fan_in as f64).sqrt()
        } else if name.ends_with("bias") || name.ends_with("running_mean") {
            0.2 * (u - 0.5)
        } else {
            0.5 + u
        }
    };
    values.into_iter().map(|u| value(u) as f32).collect()
}
