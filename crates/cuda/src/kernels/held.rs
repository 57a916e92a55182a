//! Whether a multiprocessor holds as many blocks as the grids are made for: by the registers and the shared memory that the machine
//! code takes.

use super::grid::{self, Tile};
use super::sizes::{STEM_BLOCKS, backward_shape, forward_shape};
use super::{Product, Storage};
use crate::images::COMPILED;
use flate2::read::GzDecoder;
use object::{Object, ObjectSection, ObjectSymbol, SymbolIndex};
use std::collections::HashMap;
use std::io::Read;

/// A multiprocessor's registers, and a thread's are given in eights.
const REGISTERS: usize = 1 << 16;
/// Bytes of shared memory that it keeps for itself of each block.
const RESERVED: usize = 1 << 10;

/// What a kernel's block takes: registers of a thread, and bytes of shared memory that it declares.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    registers: usize,
    shared_bytes: usize,
}

impl Taken {
    /// How many blocks of so many threads a multiprocessor holds that has so much shared memory.
    fn held(self, threads: usize, shared_bytes: usize) -> usize {
        let registers = self.registers.next_multiple_of(8) * threads;
        (REGISTERS / registers).min(shared_bytes / (self.shared_bytes + RESERVED))
    }
}

/// What each kernel of some machine code takes.
fn kernels_of(code: &[u8]) -> HashMap<String, Taken> {
    // In `.nv.info` numbers of registers have this mark: a value with its own size, then what it is.
    const VALUE: u8 = 4;
    const REGISTERS_OF: u8 = 0x2f;
    let file = object::File::parse(code).unwrap();
    let mut told = file.section_by_name(".nv.info").unwrap().data().unwrap();
    let mut kernels = HashMap::new();
    while let [form, what, size @ ..] = told {
        let number = |at: usize, bytes: usize| {
            size[at..at + bytes].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
        };
        if *form == VALUE && *what == REGISTERS_OF {
            let symbol = file.symbol_by_index(SymbolIndex(number(2, 4))).unwrap();
            let name = symbol.name().unwrap().to_string();
            let shared = file.section_by_name(&format!(".nv.shared.{name}"));
            let shared_bytes = shared.map_or(0, |section| section.size() as usize);
            kernels.insert(name, Taken { registers: number(6, 4), shared_bytes });
        }
        told = &size[2 + if *form == VALUE { number(0, 2) } else { 0 }..];
    }
    kernels
}

type Capability = (i32, i32);

/// The cards that the machine code is for: their compute capability, that of the code, and a multiprocessor's shared memory.
const CARDS: [(Capability, Capability, usize); 4] = [
    ((8, 0), (8, 0), 164 << 10),
    ((8, 6), (8, 0), 100 << 10),
    ((9, 0), (9, 0), 228 << 10),
    ((12, 0), (12, 0), 100 << 10),
];

#[test]
fn a_multiprocessor_holds_the_blocks_that_grids_are_made_for() {
    for (card, built_for, shared_bytes) in CARDS {
        let image = COMPILED.iter().find(|code| code.capability == built_for).unwrap();
        let mut code = Vec::new();
        GzDecoder::new(image.bytes).read_to_end(&mut code).unwrap();
        let mut kernels = kernels_of(&code);
        // From Hopper on what is kept for each block is among what it declares.
        let kept = if built_for >= (9, 0) { RESERVED } else { 0 };
        kernels.values_mut().for_each(|taken| taken.shared_bytes = taken.shared_bytes.saturating_sub(kept));
        let check = |name: String, threads: usize, blocks: usize| {
            let taken = kernels.get(&name).unwrap_or_else(|| panic!("{name} is not there"));
            let held = taken.held(threads, shared_bytes);
            assert!(
                held >= blocks,
                "{card:?}: of {name} a multiprocessor holds {held} and not {blocks}: {taken:?}"
            );
        };
        for storage in [Storage::Float32, Storage::Bfloat16] {
            let name = storage.name();
            for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2)] {
                for (pass, shape) in
                    [("forward", forward_shape as fn(_, _, _) -> _), ("backward", backward_shape)]
                {
                    let (_, blocks): (usize, usize) = shape(kernel, stride, storage);
                    check(format!("depthwise_{pass}_k{kernel}s{stride}_{name}"), 256, blocks);
                }
            }
            check(format!("stem_forward_{name}"), 256, STEM_BLOCKS);
            check(format!("stem_weight_gradient_{name}"), 256, STEM_BLOCKS);
        }
        for product in [Product::Float32, Product::Tf32, Product::Bfloat16] {
            for (inputs, outputs) in [(32, 64), (64, 32), (64, 64), (128, 128)] {
                let of @ (tile, _) = grid::weight_tile(inputs, outputs);
                assert_eq!(tile, Tile { rows: outputs, columns: inputs });
                let threads = if inputs.min(outputs) == 32 { 128 } else { 256 };
                let blocks = grid::weight_blocks(product, of, shared_bytes);
                let name = format!("product_weight_gradient_{}_{}", product.name(), tile.name());
                check(name.clone(), threads, blocks);
                assert_eq!(grid::weight_shared_bytes(product, tile), kernels[&name].shared_bytes, "{name}");
            }
        }
    }
}
