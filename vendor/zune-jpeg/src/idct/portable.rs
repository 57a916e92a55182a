//! libjpeg's accurate integer transform (`jidctint.c`: Loeffler, Ligtenberg and Moschytz 1989), whose rounding is what other
//! programs' pictures have. Eight columns at a time.

use super::scalar::idct_int_1x1;

/// Eight 32-bit integers; sums and products wrap.
pub(super) trait Lanes: Copy {
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, by: i32) -> Self;
    /// What is below `SHIFT` bits is rounded off.
    fn round<const SHIFT: i32>(self) -> Self;
}

impl Lanes for [i32; 8] {
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        core::array::from_fn(|i| self[i].wrapping_add(other[i]))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        core::array::from_fn(|i| self[i].wrapping_sub(other[i]))
    }

    #[inline(always)]
    fn mul(self, by: i32) -> Self {
        self.map(|value| value.wrapping_mul(by))
    }

    #[inline(always)]
    fn round<const SHIFT: i32>(self) -> Self {
        self.map(|value| value.wrapping_add(1 << (SHIFT - 1)) >> SHIFT)
    }
}

/// One dimension of the transform; what is `SHIFT` bits below the result's is rounded off.
#[inline(always)]
pub(super) fn transform<const SHIFT: i32, L: Lanes>(x: [L; 8]) -> [L; 8] {
    let z1 = x[2].add(x[6]).mul(4433);
    let t2 = z1.add(x[6].mul(-15137));
    let t3 = z1.add(x[2].mul(6270));
    let t0 = x[0].add(x[4]).mul(1 << 13);
    let t1 = x[0].sub(x[4]).mul(1 << 13);
    let even = [t0.add(t3), t1.add(t2), t1.sub(t2), t0.sub(t3)];

    let z3 = x[7].add(x[3]);
    let z4 = x[5].add(x[1]);
    let z5 = z3.add(z4).mul(9633);
    let z1 = x[7].add(x[1]).mul(-7373);
    let z2 = x[5].add(x[3]).mul(-20995);
    let z3 = z3.mul(-16069).add(z5);
    let z4 = z4.mul(-3196).add(z5);
    let odd = [
        x[1].mul(12299).add(z1.add(z4)),
        x[3].mul(25172).add(z2.add(z3)),
        x[5].mul(16819).add(z2.add(z4)),
        x[7].mul(2446).add(z1.add(z3)),
    ];
    // Written out: a closure would be compiled apart, without the instruction set of whoever calls this.
    [
        even[0].add(odd[0]).round::<SHIFT>(),
        even[1].add(odd[1]).round::<SHIFT>(),
        even[2].add(odd[2]).round::<SHIFT>(),
        even[3].add(odd[3]).round::<SHIFT>(),
        even[3].sub(odd[3]).round::<SHIFT>(),
        even[2].sub(odd[2]).round::<SHIFT>(),
        even[1].sub(odd[1]).round::<SHIFT>(),
        even[0].sub(odd[0]).round::<SHIFT>(),
    ]
}

fn transposed(x: [[i32; 8]; 8]) -> [[i32; 8]; 8] {
    core::array::from_fn(|row| core::array::from_fn(|column| x[column][row]))
}

pub fn idct(coefficients: &mut [i32; 64], output: &mut [i16], stride: usize) {
    if coefficients[1..].iter().all(|value| *value == 0) {
        return idct_int_1x1(coefficients, output, stride);
    }
    let rows = core::array::from_fn(|row| core::array::from_fn(|column| coefficients[8 * row + column]));
    let pixels = transposed(transform::<18, _>(transposed(transform::<11, _>(rows))));
    for (row, output) in pixels.iter().zip(output.chunks_mut(stride)) {
        for (value, output) in row.iter().zip(output) {
            *output = (value + 128).clamp(0, 255) as i16;
        }
    }
}
