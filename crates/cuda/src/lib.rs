//! MobileNet on NVIDIA cards.
//!
//! [`driver`] opens NVIDIA's driver at run time; `kernels` are its functions for what a network is made of; `plan` is a network
//! on a card; [`backend`] makes core train and run by it; [`device`] chooses a card. No other library of NVIDIA's is
//! needed, neither to build nor to run.

pub mod backend;
pub mod device;
pub mod driver;
mod kernels;
mod plan;
