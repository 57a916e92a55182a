//! Which instruction set runs the kernels, chosen once at run time; and loads and stores.
//!
//! Kernels are generic over [`pulp::Simd`]; a pass implements [`pulp::WithSimd`] and is run by [`Isa::run`], so that
//! all of its kernels are inlined into one function compiled for that instruction set.

use pulp::{Simd, WithSimd};
use std::sync::OnceLock;

/// An instruction set that this machine has.
#[derive(Debug, Clone, Copy)]
pub enum Isa {
    /// 16 floats at a time.
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    /// 8 floats at a time, with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    /// 4 floats at a time, with fused multiply-add.
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
    /// What every processor has: 4 floats at a time where the compiler sees how.
    Plain,
}

impl Isa {
    /// Every instruction set that this machine has, the fastest first.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(pulp::x86::V4::try_new().map(Self::Avx512));
            all.extend(pulp::x86::V3::try_new().map(Self::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        all.extend(pulp::aarch64::Neon::try_new().map(Self::Neon));
        all.push(Self::Plain);
        all
    }

    /// The one that `MOBILENET_NATIVE_SIMD` names: nothing faster is to be used.
    pub fn limit() -> Option<String> {
        std::env::var("MOBILENET_NATIVE_SIMD").ok()
    }

    /// The fastest that this machine has, or [`Self::limit`] if the machine has it.
    pub fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| {
            let (all, limit) = (Self::all(), Self::limit().unwrap_or_default());
            all.iter().find(|isa| isa.name() == limit).copied().unwrap_or(all[0])
        })
    }

    /// `avx512`, `avx2`, `neon` or `plain`.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => "neon",
            Self::Plain => "plain",
        }
    }

    /// Runs `pass` compiled for this instruction set.
    #[inline]
    pub fn run<P: WithSimd>(self, pass: P) -> P::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => Simd::vectorize(simd, pass),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => Simd::vectorize(simd, pass),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(simd) => Simd::vectorize(simd, pass),
            Self::Plain => Simd::vectorize(pulp::Scalar128b, pass),
        }
    }
}

/// Floats in one register of `S`.
pub const fn lanes<S: Simd>() -> usize {
    S::F32_LANES
}

/// `a * b + c`: fused where the processor can, two roundings where a fused one would be a call into a library.
#[inline(always)]
pub fn multiply_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    if cfg!(target_arch = "x86_64") && S::F32_LANES == 4 {
        simd.add_f32s(simd.mul_f32s(a, b), c)
    } else {
        simd.mul_add_f32s(a, b, c)
    }
}

/// Loads one register.
///
/// # Safety
/// `from` must be readable for [`lanes`] floats; any alignment of a float will do.
#[inline(always)]
pub unsafe fn load<S: Simd>(from: *const f32) -> S::f32s {
    // SAFETY: the caller's promise; a register type of pulp is plain data.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

/// Asks for a value's cache line ahead of its use; does nothing where the compiler has no such instruction.
#[inline(always)]
pub fn prefetch(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which every x86-64 has; it never faults, wherever it points.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// [`prefetch`] of a line that will be written: nobody else has it then, so that the write needn't wait until they have let
/// it go.
#[inline(always)]
pub fn prefetch_to_write(at: *mut f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which never faults, wherever it points; where a processor doesn't know it, it does nothing.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) at, options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Stores one register.
///
/// # Safety
/// `to` must be writable for [`lanes`] floats; any alignment of a float will do.
#[inline(always)]
pub unsafe fn store<S: Simd>(to: *mut f32, value: S::f32s) {
    // SAFETY: the caller's promise.
    unsafe { to.cast::<S::f32s>().write_unaligned(value) }
}
