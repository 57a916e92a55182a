//! The static plan: a network compiled once, for a batch size, into fused passes over buffers that live across steps.
//!
//! Stored are only the maps before batch norm; whoever reads one normalises and activates it on the way (see
//! [`crate::kernels::batch_norm`]). A step is one forward pass a layer, the loss, and one backward pass a layer; candle
//! sees all of it as one operation in place ([`step`]).

pub mod backend;
mod backward;
pub mod evaluate;
mod fold;
mod forward;
pub mod head;
mod inference;
pub mod lifetimes;
pub mod parameters;
mod part;
pub mod plan;
pub mod processor;
mod stages;
pub mod step;
mod timings;
pub mod trace;
pub mod views;

pub use inference::InferencePlan;
pub use plan::TrainingPlan;
pub use timings::Timings;

/// The first `width` of every padded row: `[pictures, width]`.
fn unpadded(rows: &[f32], pictures: usize, width: usize) -> Vec<f32> {
    let stride = crate::kernels::padded(width);
    rows[..pictures * stride].chunks_exact(stride).flat_map(|row| &row[..width]).copied().collect()
}
