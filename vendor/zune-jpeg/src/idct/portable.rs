//! libjpeg's accurate integer transform (`jidctint.c`: Loeffler, Ligtenberg and Moschytz 1989), whose rounding is what other
//! programs' pictures have. Eight columns at a time, lane by lane, which compilers make vector code of.

use super::scalar::idct_int_1x1;

type Lanes = [i32; 8];

#[inline(always)]
fn lanes(value: impl Fn(usize) -> i32) -> Lanes {
    core::array::from_fn(value)
}

#[inline(always)]
fn add(a: Lanes, b: Lanes) -> Lanes {
    lanes(|i| a[i].wrapping_add(b[i]))
}

#[inline(always)]
fn sub(a: Lanes, b: Lanes) -> Lanes {
    lanes(|i| a[i].wrapping_sub(b[i]))
}

#[inline(always)]
fn mul(a: Lanes, by: i32) -> Lanes {
    lanes(|i| a[i].wrapping_mul(by))
}

/// One dimension of the transform; what is `SHIFT` bits below the result's is rounded off.
#[inline(always)]
fn transform<const SHIFT: i32>(x: [Lanes; 8]) -> [Lanes; 8] {
    let z1 = mul(add(x[2], x[6]), 4433);
    let t2 = add(z1, mul(x[6], -15137));
    let t3 = add(z1, mul(x[2], 6270));
    let t0 = mul(add(x[0], x[4]), 1 << 13);
    let t1 = mul(sub(x[0], x[4]), 1 << 13);
    let even = [add(t0, t3), add(t1, t2), sub(t1, t2), sub(t0, t3)];

    let z3 = add(x[7], x[3]);
    let z4 = add(x[5], x[1]);
    let z5 = mul(add(z3, z4), 9633);
    let z1 = mul(add(x[7], x[1]), -7373);
    let z2 = mul(add(x[5], x[3]), -20995);
    let z3 = add(mul(z3, -16069), z5);
    let z4 = add(mul(z4, -3196), z5);
    let odd = [
        add(mul(x[1], 12299), add(z1, z4)),
        add(mul(x[3], 25172), add(z2, z3)),
        add(mul(x[5], 16819), add(z2, z4)),
        add(mul(x[7], 2446), add(z1, z3)),
    ];
    let round = |a: Lanes| lanes(|i| a[i].wrapping_add(1 << (SHIFT - 1)) >> SHIFT);
    core::array::from_fn(|i| {
        if i < 4 { round(add(even[i], odd[i])) } else { round(sub(even[7 - i], odd[7 - i])) }
    })
}

#[inline(always)]
fn transposed(x: [Lanes; 8]) -> [Lanes; 8] {
    core::array::from_fn(|row| core::array::from_fn(|column| x[column][row]))
}

#[inline(always)]
fn idct_any(coefficients: &[i32; 64], output: &mut [i16], stride: usize) {
    let rows = core::array::from_fn(|row| core::array::from_fn(|column| coefficients[8 * row + column]));
    let pixels = transposed(transform::<18>(transposed(transform::<11>(rows))));
    for (row, output) in pixels.iter().zip(output.chunks_mut(stride)) {
        for (value, output) in row.iter().zip(output) {
            *output = (value + 128).clamp(0, 255) as i16;
        }
    }
}

pub fn idct(coefficients: &mut [i32; 64], output: &mut [i16], stride: usize) {
    if coefficients[1..].iter().all(|value| *value == 0) {
        return idct_int_1x1(coefficients, output, stride);
    }
    idct_any(coefficients, output, stride);
}

/// # Safety
/// The processor must have AVX2.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
#[cfg(feature = "x86")]
#[target_feature(enable = "avx2")]
pub unsafe fn idct_avx2(coefficients: &mut [i32; 64], output: &mut [i16], stride: usize) {
    idct_any(coefficients, output, stride);
}
