//! MobileNet on candle: kernels, a static training plan, data, training and checkpoints.
//!
//! This crate knows nothing of Node and prints nothing. Dependencies run one way:
//! `config, error, device, rng <- kernels <- model, engine <- train`; `data` and `optim` know no model.

pub mod config;
pub mod data;
pub mod device;
pub mod engine;
pub mod error;
pub mod kernels;
pub mod model;
pub mod optim;
pub mod rng;
pub mod train;

pub use error::{Error, ErrorCode, Result};
