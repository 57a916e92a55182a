//! Batch norm's row kernels, the loss and Adam: what mostly moves memory.

use crate::record::{Record, Work};
use crate::{BATCH, RELU, numbers, zeros};
use candle_core::{Device, Tensor, Var};
use mobilenet_core::config::{OptimizerConfig, OptimizerKind};
use mobilenet_core::kernels::batch_norm::cpu::{self as rows, Rows};
use mobilenet_core::kernels::batch_norm::{Affine, Gradient};
use mobilenet_core::kernels::loss::cross_entropy;
use mobilenet_core::kernels::padded;
use mobilenet_core::kernels::product::forward::{block_stride, scratch};
use mobilenet_core::kernels::product::tile::width;
use mobilenet_core::kernels::segments::{ROW_BLOCK, Sums};
use mobilenet_core::kernels::simd::Isa;
use mobilenet_core::optim::{Optimizer, State};
use pulp::{Simd, WithSimd};
use std::hint::black_box;

/// One of batch norm's row kernels over one block of rows, as the other kernels call them.
struct RowKernel<'a> {
    name: &'static str,
    g: &'a [f32],
    y: &'a [f32],
    to: &'a mut [f32],
    affine: &'a Affine,
    gradient: &'a Gradient,
    sums: &'a mut Sums,
}

const CHANNELS: usize = 512;

impl WithSimd for RowKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (g, y) = (Rows::dense(self.g, CHANNELS), Rows::dense(self.y, CHANNELS));
        let (count, affine, to, sums) = (ROW_BLOCK, self.affine, self.to, self.sums);
        let (first, second) = (&mut sums.first[..], &mut sums.second[..]);
        let (stride, width) = (block_stride(CHANNELS), width::<S>());
        match self.name {
            "normalize_rows" => rows::normalize_rows(simd, y, to, stride, count, CHANNELS, affine, None),
            "normalize_panels" => rows::normalize_panels(simd, y, to, width, count, CHANNELS, affine, None),
            "gradient_rows" => {
                rows::gradient_rows(simd, g, y, to, stride, count, CHANNELS, affine, self.gradient);
            }
            "sum_rows" => rows::sum_rows(simd, y, count, CHANNELS, first, second),
            "sum_gradient_rows" => {
                rows::sum_gradient_rows(simd, g, y, count, CHANNELS, affine, first, second);
            }
            name => unreachable!("{name}"),
        }
    }
}

pub fn batch_norm(record: &mut Record, isa: Isa) {
    let count = ROW_BLOCK * CHANNELS;
    let (g, y, mut to) = (numbers(count), numbers(count), zeros(scratch(CHANNELS)));
    let (affine, gradient) = (Affine::identity(CHANNELS, RELU), Gradient::new(CHANNELS));
    // How many maps each reads and writes.
    let kernels = [
        ("normalize_rows", 2),
        ("normalize_panels", 2),
        ("gradient_rows", 3),
        ("sum_rows", 1),
        ("sum_gradient_rows", 2),
    ];
    for (name, maps) in kernels {
        let mut sums = Sums::new(CHANNELS);
        let work = Work { flops: 0, floats: maps * count };
        record.measure(format!("batch norm/{name} {ROW_BLOCK} x {CHANNELS}"), work, || {
            let (affine, gradient) = (&affine, &gradient);
            isa.run(RowKernel { name, g: &g, y: &y, to: &mut to, affine, gradient, sums: &mut sums });
            // The sums would go on growing.
            sums.clear(CHANNELS);
        });
    }
}

pub fn loss_and_adam(record: &mut Record) {
    let (classes, stride) = (10, padded(10));
    let (logits, mut gradient) = (numbers(BATCH * stride), zeros(BATCH * stride));
    let labels: Vec<u32> = (0..BATCH as u32).map(|index| index % classes as u32).collect();
    let work = Work { flops: 0, floats: 2 * BATCH * stride };
    record.measure(format!("loss/{BATCH} pictures"), work, || {
        black_box(cross_entropy(&logits, stride, classes, &labels, Some(&mut gradient)));
    });

    let floats = 3_217_226;
    let parameters = Var::from_vec(numbers(floats).to_vec(), floats, &Device::Cpu).unwrap();
    let gradients = Tensor::from_vec(numbers(floats).to_vec(), floats, &Device::Cpu).unwrap();
    let config = OptimizerConfig::of(OptimizerKind::Adam);
    let adam = Optimizer::new(config, &[], floats, State::new(config.rule, floats));
    // Reads parameters, gradients and both moments; writes all but the gradients.
    record.measure(format!("adam/{floats} parameters"), Work { flops: 0, floats: 7 * floats }, || {
        adam.step(&parameters, &gradients, 1e-3).unwrap();
    });
}
