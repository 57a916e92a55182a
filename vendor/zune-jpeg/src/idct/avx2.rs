//! The same transform as the portable one, to the bit, in AVX2's registers.

#![cfg(any(target_arch = "x86", target_arch = "x86_64"))]
#![cfg(feature = "x86")]

#[cfg(target_arch = "x86")]
use core::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::*;

use super::portable::{transform, Lanes};
use super::scalar::idct_int_1x1;

/// Only made in [`idct`], whose caller has checked that the processor has AVX2.
#[derive(Clone, Copy)]
struct Register(__m256i);

impl Lanes for Register {
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: a register is made where there is AVX2.
        Self(unsafe { _mm256_add_epi32(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_sub_epi32(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, by: i32) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_mullo_epi32(self.0, _mm256_set1_epi32(by)) })
    }

    #[inline(always)]
    fn round<const SHIFT: i32>(self) -> Self {
        // SAFETY: as above.
        unsafe {
            let half = _mm256_set1_epi32(1 << (SHIFT - 1));
            Self(_mm256_srai_epi32::<SHIFT>(_mm256_add_epi32(self.0, half)))
        }
    }
}

#[target_feature(enable = "avx2")]
fn transposed(x: [Register; 8]) -> [Register; 8] {
    let [a, b, c, d, e, f, g, h] = x.map(|register| register.0);
    let (ab_lo, ab_hi) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    let (cd_lo, cd_hi) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    let (ef_lo, ef_hi) = (_mm256_unpacklo_epi32(e, f), _mm256_unpackhi_epi32(e, f));
    let (gh_lo, gh_hi) = (_mm256_unpacklo_epi32(g, h), _mm256_unpackhi_epi32(g, h));
    let (a, b) = (_mm256_unpacklo_epi64(ab_lo, cd_lo), _mm256_unpackhi_epi64(ab_lo, cd_lo));
    let (c, d) = (_mm256_unpacklo_epi64(ab_hi, cd_hi), _mm256_unpackhi_epi64(ab_hi, cd_hi));
    let (e, f) = (_mm256_unpacklo_epi64(ef_lo, gh_lo), _mm256_unpackhi_epi64(ef_lo, gh_lo));
    let (g, h) = (_mm256_unpacklo_epi64(ef_hi, gh_hi), _mm256_unpackhi_epi64(ef_hi, gh_hi));
    // The lower halves of two registers together, and the upper ones.
    const LOWER: i32 = 0x20;
    const UPPER: i32 = 0x31;
    [
        Register(_mm256_permute2x128_si256::<LOWER>(a, e)),
        Register(_mm256_permute2x128_si256::<LOWER>(b, f)),
        Register(_mm256_permute2x128_si256::<LOWER>(c, g)),
        Register(_mm256_permute2x128_si256::<LOWER>(d, h)),
        Register(_mm256_permute2x128_si256::<UPPER>(a, e)),
        Register(_mm256_permute2x128_si256::<UPPER>(b, f)),
        Register(_mm256_permute2x128_si256::<UPPER>(c, g)),
        Register(_mm256_permute2x128_si256::<UPPER>(d, h)),
    ]
}

/// # Safety
/// The processor must have AVX2.
#[target_feature(enable = "avx2")]
pub unsafe fn idct(coefficients: &mut [i32; 64], output: &mut [i16], stride: usize) {
    assert!(output.len() >= 7 * stride + 8);
    let from = coefficients.as_ptr();
    let mut rows = [Register(_mm256_setzero_si256()); 8];
    for (row, register) in rows.iter_mut().enumerate() {
        // SAFETY: eight coefficients of the 64.
        *register = Register(unsafe { _mm256_loadu_si256(from.add(8 * row).cast()) });
    }
    let mut others = _mm256_andnot_si256(_mm256_setr_epi32(-1, 0, 0, 0, 0, 0, 0, 0), rows[0].0);
    for register in &rows[1..] {
        others = _mm256_or_si256(others, register.0);
    }
    if _mm256_testz_si256(others, others) == 1 {
        return idct_int_1x1(coefficients, output, stride);
    }
    let pixels = transposed(transform::<18, _>(transposed(transform::<11, _>(rows))));
    let (zero, offset, most) = (_mm_setzero_si128(), _mm256_set1_epi32(128), _mm_set1_epi16(255));
    for (row, register) in pixels.into_iter().enumerate() {
        let value = _mm256_add_epi32(register.0, offset);
        let value = _mm_packs_epi32(_mm256_castsi256_si128(value), _mm256_extracti128_si256::<1>(value));
        let value = _mm_min_epi16(_mm_max_epi16(value, zero), most);
        // SAFETY: checked above.
        unsafe { _mm_storeu_si128(output.as_mut_ptr().add(row * stride).cast(), value) };
    }
}

#[cfg(test)]
mod tests {
    use super::idct;
    use crate::idct::portable;

    #[test]
    fn every_pixel_is_that_of_the_portable_transform() {
        if !std::is_x86_feature_detected!("avx2") {
            return;
        }
        let mut state = 1_u32;
        for round in 0..20_000 {
            // From a few small coefficients to many large ones.
            let (every, most) = (1 + round % 13, 1 << (1 + round % 15));
            let mut coefficients = core::array::from_fn(|place| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if place as u32 % every == 0 { (state >> 8) as i32 % most - most / 2 } else { 0 }
            });
            let (mut found, mut expected) = ([-1; 8 * 11], [-1; 8 * 11]);
            portable::idct(&mut coefficients, &mut expected, 11);
            unsafe { idct(&mut coefficients, &mut found, 11) };
            assert_eq!(found, expected);
        }
    }
}
