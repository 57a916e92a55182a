//! How parameters move, and how the learning rate does. Knows no model.

pub mod adam;
pub mod schedule;
