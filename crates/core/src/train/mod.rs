//! Training.
pub mod event;
