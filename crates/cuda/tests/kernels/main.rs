//! Every kernel, run by the emulation through the driver's layer, against its definition in float64.
//!
//! Operands are made in float32 by the kernels' own formulas, so that what is rounded to bfloat16 or TF32 is the same; what is
//! left are the sums' roundings and the storage's.

mod address;
mod artefact;
mod batch;
mod card;
mod depthwise;
mod loss;
mod maps;
mod numbers;
mod optimizer;
mod order;
mod pooled;
mod product;
mod product_case;
mod reading;
mod stem;
mod sums;

#[path = "../mock/mod.rs"]
mod mock;
