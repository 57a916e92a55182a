//! MobileNet on candle: kernels, a static training plan, data, training and checkpoints.
//!
//! This crate knows nothing of Node and prints nothing. Dependencies run one way:
//! `error, config, metrics, rng <- kernels <- device, model <- engine <- checkpoint <- mobilenet <- train, benchmark`;
//! `data` and `optim` know no model.

pub mod benchmark;
pub mod checkpoint;
pub mod config;
pub mod data;
pub mod device;
pub mod engine;
pub mod error;
pub mod kernels;
pub mod metrics;
pub mod mobilenet;
pub mod model;
pub mod optim;
pub mod rng;
pub mod train;

pub use error::{Error, ErrorCode, Result};
