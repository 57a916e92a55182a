//! MobileNet on NVIDIA cards.
//!
//! [`driver`] opens NVIDIA's driver at run time; [`images`] are the kernels as the driver takes them, `kernels` functions that launch
//! them; `plan` is a network on a card; [`backend`] makes core train and run by it; [`device`] chooses a card. No other library of NVIDIA's is
//! needed, neither to build nor to run.

pub mod backend;
pub mod device;
pub mod driver;
pub mod images;
mod kernels;
mod plan;
