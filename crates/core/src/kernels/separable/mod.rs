//! A depthwise separable block in inference (MobileNet, section 3.1), in one pass: rows of the depthwise convolution's
//! output go through the pointwise product while they are in cache, and are never stored as a map. Or a product alone.
//!
//! Batch norm is folded into the weights and the biases by then.

#[cfg(test)]
mod tests;

use super::batch_norm::{Factors, Finish};
use super::buffer::Scratch;
use super::crew::{self, Crew, Written};
use super::depthwise::inference::output_row;
use super::product::bfloat16::Bfloat16;
use super::product::cpu::{multiply_into, panel_width};
use super::product::forward::block_stride;
use super::segments::ROW_BLOCK;
use super::simd::Isa;
use super::{depthwise, padded};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Rows of a tile at most, if a unit isn't more, where several threads have tiles of a picture: smaller than [`ROW_BLOCK`], so
/// that a thread that wakes late leaves some of its tiles to the others. The 196 pixels of a map of 14x14 become four tiles.
/// One picture of 224x224 takes 0.91 (V1) and 0.96 (V2) of the time that it takes in tiles of 96 rows and a rest.
const DIVIDED_ROWS: usize = 56;

/// Where the product's rows come from.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// They lie there.
    Rows {
        /// `[rows, inputs]`.
        rows: &'a [f32],
        /// What they are multiplied by.
        factors: Option<Factors<'a>>,
    },
    /// They are a depthwise convolution's output.
    Depthwise {
        /// The convolution.
        shape: depthwise::Shape,
        /// `[pictures, side, side, channels]`.
        input: &'a [f32],
        /// `[K, K, channels]`.
        weight: &'a [f32],
        /// Done to its output.
        finish: Finish<'a>,
    },
}

/// The block.
pub struct Separable<'a> {
    /// The product's rows in all: pictures times pixels.
    pub rows: usize,
    /// Padded.
    pub inputs: usize,
    /// Padded.
    pub outputs: usize,
    /// Its left operand.
    pub source: Source<'a>,
    /// [`super::product::PackedWeight::forward`].
    pub weight: &'a [f32],
    /// [`super::product::PackedWeight::bfloat16`].
    pub bfloat16: Option<Bfloat16>,
    /// Done to the product.
    pub finish: Finish<'a>,
    /// `[rows, outputs]`: added after that.
    pub shortcut: Option<&'a [f32]>,
}

impl Separable<'_> {
    /// Rows that belong together: a row of pixels, or one row of a matrix.
    fn unit(&self) -> usize {
        match self.source {
            Source::Rows { .. } => 1,
            Source::Depthwise { shape, .. } => shape.output_side(),
        }
    }

    /// The units of each tile of rows: as many tiles for each thread, if there are enough.
    fn tiles(&self, threads: usize) -> Vec<Range<usize>> {
        let units = self.rows / self.unit();
        // AMX multiplies 32 rows at a time: there, full tiles and a rest are faster than equal ones.
        let equal = self.bfloat16.is_none();
        let most = if equal && threads > 1 { DIVIDED_ROWS } else { ROW_BLOCK };
        let mut tiles = units.div_ceil((most / self.unit()).max(1));
        if tiles >= threads {
            tiles = tiles.next_multiple_of(threads).min(units);
        }
        if equal {
            return (0..tiles).map(|tile| units * tile / tiles..units * (tile + 1) / tiles).collect();
        }
        let full = units.div_ceil(tiles);
        (0..units).step_by(full).map(|first| first..units.min(first + full)).collect()
    }

    /// Floats of scratch that a thread needs for a block with these pixels in a row (1 for a product alone).
    pub fn scratch(unit: usize, inputs: usize) -> usize {
        ROW_BLOCK.max(unit) * block_stride(inputs)
    }

    /// Writes `output`, `[rows, outputs]`; the work is divided among `crew`. `scratch` covers its threads. Every value is one
    /// chain of additions in a fixed order, so that the bits don't depend on how the work is divided.
    pub fn run(&self, isa: Isa, output: &mut [f32], scratch: &Scratch, crew: Option<&Crew<'_>>) {
        assert!(self.rows * self.outputs <= output.len());
        assert!(self.shortcut.is_none_or(|shortcut| self.rows * self.outputs <= shortcut.len()));
        let threads = crew.map_or(1, Crew::threads);
        let tiles = self.tiles(threads);
        // Too few tiles for all threads: each is divided by columns. All of its columns need the same rows, which every
        // one of these tasks makes for itself; that is little beside their product.
        let width = panel_width(isa);
        let panels = self.outputs.div_ceil(width);
        let columns = panels.div_ceil(threads.div_ceil(tiles.len()).min(panels)) * width;
        let splits = self.outputs.div_ceil(columns);
        let output = Written(output.as_mut_ptr());
        let work = |task: usize| {
            let mut block = scratch.take();
            let (tile, first) = (task / splits, task % splits * columns);
            isa.run(Tile {
                block: self,
                units: tiles[tile].clone(),
                first_column: first,
                columns: columns.min(self.outputs - first),
                output: &output,
                rows: &mut block,
            });
        };
        crew::for_each_task(crew, tiles.len() * splits, work);
    }
}

/// Some columns of one tile of rows.
struct Tile<'a, 'b> {
    block: &'a Separable<'b>,
    units: Range<usize>,
    first_column: usize,
    columns: usize,
    /// Every tile writes rows and columns of its own.
    output: &'a Written,
    rows: &'a mut [f32],
}

impl WithSimd for Tile<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { block, units, first_column, columns, output, rows } = self;
        let Separable { inputs, outputs, source, weight, bfloat16, finish, .. } = *block;
        let (unit, stride) = (block.unit(), block_stride(inputs));
        let made = match (source, bfloat16) {
            (Source::Rows { rows: from, factors: None }, Some(rounds)) => {
                let from = &from[units.start * inputs..units.end * inputs];
                rounds.round(from, inputs, rows, Bfloat16::stride(inputs));
                0..0
            }
            _ => units.clone(),
        };
        for (index, at) in made.enumerate() {
            // What will be rounded is made at the end of the scratch, which stays in L1.
            let place = if bfloat16.is_some() { rows.len() - unit * stride } else { index * unit * stride };
            let to = &mut rows[place..];
            match source {
                Source::Rows { rows, factors } => {
                    let (from, to) = (&rows[at * inputs..][..inputs], &mut to[..inputs]);
                    match factors.map(|factors| factors.of_row(at, inputs)) {
                        None => to.copy_from_slice(from),
                        Some(factors) => multiply_values(from, factors, to),
                    }
                }
                Source::Depthwise { shape, input, weight, finish } => {
                    let picture = shape.input_side * shape.input_side * padded(shape.channels);
                    let input = &input[at / unit * picture..][..picture];
                    output_row(simd, shape, input, weight, finish, at % unit, to, stride);
                }
            }
            if let Some(rounds) = bfloat16 {
                rounds.round_within(rows, place, index * unit * Bfloat16::stride(inputs), unit, inputs);
            }
        }
        let finish = Finish { bias: &finish.bias[first_column..], ..finish };
        let count = units.len() * unit;
        let products = bfloat16.map(Bfloat16::begin);
        // SAFETY: `run` checked that the output holds all rows and columns; these are this task's alone.
        unsafe {
            let to = output.0.add(units.start * unit * outputs + first_column);
            let (weight_at, stride) = match bfloat16 {
                None => (first_column * inputs, stride),
                Some(_) => (first_column * inputs / 2, Bfloat16::stride(inputs)),
            };
            multiply_into(
                simd,
                products.as_ref(),
                count,
                columns,
                inputs,
                rows,
                stride,
                &weight[weight_at..],
                to,
                outputs,
                false,
                Some(finish),
            );
            if let Some(shortcut) = block.shortcut {
                // The product's rows are still in the cache.
                let shortcut = &shortcut[units.start * unit * outputs + first_column..];
                for row in 0..count {
                    let to = std::slice::from_raw_parts_mut(to.add(row * outputs), columns);
                    add_values(&shortcut[row * outputs..][..columns], to);
                }
            }
        }
    }
}

/// `to = a * b`. A function and no closure: a closure would be compiled apart, without the instruction set.
#[inline(always)]
fn multiply_values(a: &[f32], b: &[f32], to: &mut [f32]) {
    for ((to, a), b) in to.iter_mut().zip(a).zip(b) {
        *to = a * b;
    }
}

/// `to += from`.
#[inline(always)]
fn add_values(from: &[f32], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}
