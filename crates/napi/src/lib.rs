//! The border between the core and Node: converts, and hands over. What anything means is decided in the core,
//! and how it is offered to people in TypeScript.

mod augment;
mod benchmark;
mod comparison;
mod cost;
mod dataset;
mod device;
mod error;
mod event;
mod folder;
mod job;
mod model;
mod number;
mod optim;
mod options;
mod predict;
mod progress;
mod train;

// The engine reuses its buffers, but data, candle and the border allocate while it runs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
