//! Where a step's time goes: seconds a layer and pass, for profiles (`examples/profile.rs`).

use std::time::Instant;

/// Seconds since the last [`Timings::clear`].
#[derive(Debug, Clone, Default)]
pub struct Timings {
    /// Packing of weights and setting of factors.
    pub prepare: f64,
    /// A layer's forward pass.
    pub forward: Vec<f64>,
    /// A layer's backward pass.
    pub backward: Vec<f64>,
}

impl Timings {
    pub(super) fn new(layers: usize) -> Self {
        Self { prepare: 0.0, forward: vec![0.0; layers], backward: vec![0.0; layers] }
    }

    /// Begins again.
    pub fn clear(&mut self) {
        *self = Self::new(self.forward.len());
    }
}

/// Adds the time since `from` to `to`, and begins the next stretch.
pub(super) fn lap(from: &mut Instant, to: &mut f64) {
    let now = Instant::now();
    *to += (now - *from).as_secs_f64();
    *from = now;
}
