//! Picture files, and pictures of other sizes than the network's.

mod decode;
mod evaluation;
mod jpeg;
mod resample;
#[cfg(test)]
mod tests;
mod tiff;

pub use decode::{Limits, decode, decode_file};
pub use evaluation::Evaluation;
pub use resample::{Region, Resample};
