//! What the machine can do at most on one thread: a copy of a large buffer, and a large product by this crate's
//! micro-kernel and by candle.

use crate::record::{COPY, PRODUCTS, Record, Work};
use crate::{numbers, zeros};
use candle_core::{Device, Tensor};
use mobilenet_core::kernels::product;
use mobilenet_core::kernels::product::cpu::{multiply, panel_width};
use mobilenet_core::kernels::product::forward::block_stride;
use mobilenet_core::kernels::segments::ROW_BLOCK;
use mobilenet_core::kernels::simd::Isa;
use pulp::{Simd, WithSimd};
use std::hint::black_box;

/// A product of two matrices as the micro-kernel does it, without anything on the way.
struct Multiply<'a> {
    size: usize,
    left: &'a [f32],
    right: &'a [f32],
    to: &'a mut [f32],
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (size, stride) = (self.size, block_stride(self.size));
        for start in (0..size).step_by(ROW_BLOCK) {
            let (count, to) = (ROW_BLOCK.min(size - start), &mut self.to[start * size..]);
            multiply(
                simd,
                None,
                count,
                size,
                size,
                &self.left[start * stride..],
                stride,
                self.right,
                to,
                size,
                false,
                None,
            );
        }
    }
}

pub fn peaks(record: &mut Record, isa: Isa) {
    // 64 MiB: larger than most caches; read once and written once.
    const FLOATS: usize = 16 << 20;
    let (from, mut to) = (numbers(FLOATS), zeros(FLOATS));
    record.measure(COPY.into(), Work { flops: 0, floats: 2 * FLOATS }, || {
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
    });

    // About a millisecond: a longer call is not seen undisturbed where others use the machine.
    let size = 384;
    let work = Work { flops: 2 * size * size * size, floats: 3 * size * size };
    let (left, right) = (numbers(size * block_stride(size)), numbers(size * size));
    let (mut packed, mut to) = (zeros(size * size), zeros(size * size));
    product::pack::pack(&right, size, size, panel_width(isa), &mut packed);
    record.measure(PRODUCTS[0].into(), work, || {
        isa.run(Multiply { size, left: &left, right: &packed, to: &mut to });
    });
    let matrix =
        |values: &[f32]| Tensor::from_slice(&values[..size * size], (size, size), &Device::Cpu).unwrap();
    let (left, right) = (matrix(&left), matrix(&right));
    record.measure(PRODUCTS[1].into(), work, || {
        black_box(left.matmul(&right).unwrap());
    });
}
