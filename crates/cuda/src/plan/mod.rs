//! A network on a card: all buffers allocated once, all work on one stream, a step recorded as a graph.

mod backward;
mod forward;
mod graphs;
mod inference;
mod kept;
mod losses;
mod optimizer;
mod scalars;
mod side;
mod staging;
mod training;
mod weights;

pub use inference::Inference;
pub use training::Training;
