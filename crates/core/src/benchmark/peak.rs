//! What the processor could do: multiply-adds that need no memory.

use crate::kernels::simd::{Isa, lanes, multiply_add};
use pulp::{Simd, WithSimd};
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// How long a thread computes at a time: long against its start, and short enough to fall between the interruptions by
/// whatever else runs.
const TIME: Duration = Duration::from_millis(4);

/// Times, of which the best counts.
const TIMES: usize = 5;

/// Steps of each chain between two looks at the clock: some 10 microseconds.
const STEPS: usize = 4096;

/// What one thread did at one time.
struct Spell {
    from: Instant,
    to: Instant,
    multiply_adds: usize,
}

/// Multiply-adds a second of all threads of the current pool together.
pub(super) fn rate(isa: Isa) -> f64 {
    let together = Barrier::new(rayon::current_num_threads());
    let threads: Vec<[Spell; TIMES]> = rayon::broadcast(|_| {
        std::array::from_fn(|_| {
            together.wait();
            let (from, mut multiply_adds) = (Instant::now(), 0);
            while from.elapsed() < TIME {
                multiply_adds += isa.run(Chains);
            }
            Spell { from, to: Instant::now(), multiply_adds }
        })
    });
    let rates = (0..TIMES).filter_map(|time| {
        let spells = || threads.iter().map(|thread| &thread[time]);
        let multiply_adds: usize = spells().map(|spell| spell.multiply_adds).sum();
        // From the first to the last: threads that had to take turns on a core did not compute together.
        let from = spells().map(|spell| spell.from).min()?;
        let to = spells().map(|spell| spell.to).max()?;
        Some(multiply_adds as f64 / (to - from).as_secs_f64())
    });
    rates.fold(0.0, f64::max)
}

/// Chains of multiply-adds, each of which waits for the one before it in its chain alone. Gives how many there were.
struct Chains;

impl WithSimd for Chains {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        // A processor begins up to four a cycle, and each takes four or five: that takes up to 16 chains. Where there
        // are only 16 registers, it begins two, and 12 leave room for the constants.
        let few_registers = cfg!(target_arch = "x86_64") && S::F32_LANES <= 8;
        if few_registers { chains::<S, 12>(simd) } else { chains::<S, 16>(simd) }
    }
}

#[inline(always)]
fn chains<S: Simd, const CHAINS: usize>(simd: S) -> usize {
    // The values go to 1: they stay normal numbers. The compiler must not know that.
    let (factor, addend) = (simd.splat_f32s(black_box(0.75)), simd.splat_f32s(black_box(0.25)));
    let mut values = [simd.splat_f32s(0.0); CHAINS];
    for (index, value) in values.iter_mut().enumerate() {
        *value = simd.splat_f32s(black_box(index as f32));
    }
    for _ in 0..STEPS {
        for value in &mut values {
            *value = multiply_add(simd, *value, factor, addend);
        }
    }
    let sum = values.into_iter().fold(simd.splat_f32s(0.0), |sum, value| simd.add_f32s(sum, value));
    black_box(simd.reduce_sum_f32s(sum));
    STEPS * CHAINS * lanes::<S>()
}
