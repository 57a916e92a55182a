//! The operations a MobileNet is made of, each with its backward beside its forward.
//!
//! One folder an operation: `mod.rs` says what it computes, `cpu.rs` is the fast version, `reference.rs` the plain
//! one in float64 that every test compares with. Everything is channels last, and a map's channel count is rounded
//! up to [`CHANNEL_BLOCK`] ([`padded`]); the surplus channels hold zeros, so that no kernel needs a tail.

pub mod batch_norm;
pub mod buffer;
pub mod crew;
pub mod depthwise;
pub mod loss;
pub mod pooling;
pub mod product;
pub mod segments;
pub mod separable;
pub mod shortcut;
pub mod simd;
pub mod stem;
#[cfg(test)]
pub mod testing;

/// Channels of a map in memory are a multiple of this: one AVX-512 register of float32, two of AVX2, four of NEON.
pub const CHANNEL_BLOCK: usize = 16;

/// `channels` rounded up to a multiple of [`CHANNEL_BLOCK`].
pub const fn padded(channels: usize) -> usize {
    channels.div_ceil(CHANNEL_BLOCK) * CHANNEL_BLOCK
}
