//! The networks: tables of layers, their tensors, how they start, and what they cost.

pub mod build;
pub mod cost;
pub mod initial;
pub mod names;
pub mod network;
pub mod summary;
pub mod tensors;
pub mod timm;
pub mod v1;
pub mod v2;
pub mod v3;
pub mod width;

use crate::config::{ModelConfig, Variant};
use network::Network;

/// The network of a configuration.
pub fn network(config: &ModelConfig) -> Network {
    match config.variant {
        Variant::V1 => v1::network(config),
        Variant::V2 => v2::network(config),
        Variant::V3Large | Variant::V3Small => v3::network(config),
    }
}
