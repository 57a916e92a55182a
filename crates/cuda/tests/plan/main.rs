//! Networks on a card: what it trains and answers, against the processor's plan; and what happens when the driver fails.
//!
//! The card is the mock of `emulation/`, in which the kernels themselves run on the processor.

mod agreement;
mod failures;
mod loading;
mod networks;
mod order;
mod runs;
mod setup;
mod speed;

#[path = "../mock/mod.rs"]
mod mock;
