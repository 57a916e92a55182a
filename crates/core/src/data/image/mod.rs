//! Picture files, and pictures of other sizes than the network's.

mod decode;
mod encode;
mod evaluation;
mod jpeg;
mod resample;
mod source;
#[cfg(test)]
mod tests;
mod tiff;

pub use decode::{Limits, decode, decode_file, read_file};
pub use encode::encode_png;
pub use evaluation::Evaluation;
pub use resample::{Region, Resample};
pub use source::Source;
