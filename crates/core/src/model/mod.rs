//! The networks: tables of layers, their tensors, and a network with its weights.

pub mod names;
pub mod network;
pub mod tensors;
pub mod v1;
pub mod width;
