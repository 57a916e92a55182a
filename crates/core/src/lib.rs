//! MobileNet on candle: kernels, a static training plan, data, training and checkpoints.
//!
//! This crate knows nothing of Node and prints nothing. Dependencies run one way:
//! `error, config, files, floats, metrics, pickle, rng <- kernels <- device, model <- engine <- checkpoint <- mobilenet <- train, predict, onnx, benchmark`;
//! `data` and `optim` know no model.

pub mod benchmark;
pub mod checkpoint;
pub mod config;
pub mod data;
pub mod device;
pub mod engine;
pub mod error;
mod files;
mod floats;
pub mod kernels;
pub mod metrics;
pub mod mobilenet;
pub mod model;
pub mod onnx;
pub mod optim;
mod pickle;
pub mod predict;
pub mod rng;
pub mod train;
mod transfer;

pub use error::{Error, ErrorCode, Result};
