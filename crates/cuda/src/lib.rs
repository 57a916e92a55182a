//! MobileNet on NVIDIA cards.
//!
//! [`driver`] opens NVIDIA's driver at run time and keeps what is unsafe about it; above it stand the kernels and the plans.
//! No other library of NVIDIA's is needed, neither to build nor to run.

pub mod driver;
