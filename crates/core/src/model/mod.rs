//! The networks: tables of layers, their tensors, how they start, and what they cost.

pub mod initial;
pub mod names;
pub mod network;
pub mod summary;
pub mod tensors;
pub mod v1;
pub mod width;
