/*
 * Copyright (c) 2023.
 *
 * This software is free software;
 *
 * You can redistribute it or modify it under terms of the MIT, Apache License or Zlib license
 */

#[inline(always)]
pub fn upsample_horizontal(
    input: &[i16], _ref: &[i16], _in_near: &[i16], _scratch: &mut [i16], output: &mut [i16]
) {
    assert_eq!(
        input.len() * 2,
        output.len(),
        "Input length is not half the size of the output length"
    );
    assert!(
        output.len() > 4 && input.len() > 2,
        "Too Short of a vector, cannot upsample"
    );

    let last = input.len() - 1;
    output[0] = input[0];
    output[1] = (input[0] * 3 + input[1] + 2) >> 2;
    for (output, input) in output[2..].chunks_exact_mut(2).zip(input.windows(3)) {
        output[0] = (3 * input[1] + input[0] + 1) >> 2;
        output[1] = (3 * input[1] + input[2] + 2) >> 2;
    }
    output[2 * last] = (3 * input[last] + input[last - 1] + 1) >> 2;
    output[2 * last + 1] = input[last];
}
#[inline(always)]
fn hv_row(sums: &[i16], output: &mut [i16]) {
    let last = sums.len() - 1;
    output[0] = (sums[0] * 4 + 8) >> 4;
    output[1] = (sums[0] * 3 + sums[1] + 7) >> 4;
    for (output, sums) in output[2..].chunks_exact_mut(2).zip(sums.windows(3)) {
        output[0] = (3 * sums[1] + sums[0] + 8) >> 4;
        output[1] = (3 * sums[1] + sums[2] + 7) >> 4;
    }
    output[2 * last] = (3 * sums[last] + sums[last - 1] + 8) >> 4;
    output[2 * last + 1] = (sums[last] * 4 + 7) >> 4;
}
#[inline(always)]
pub fn upsample_vertical(
    input: &[i16], in_near: &[i16], in_far: &[i16], _scratch_space: &mut [i16], output: &mut [i16]
) {
    assert_eq!(input.len() * 2, output.len());
    assert_eq!(in_near.len(), input.len());
    assert_eq!(in_far.len(), input.len());

    let middle = output.len() / 2;

    let (out_top, out_bottom) = output.split_at_mut(middle);

    // for the first row, closest row is in_near
    for ((near, far), x) in input.iter().zip(in_near.iter()).zip(out_top) {
        *x = (((3 * near) + 1) + far) >> 2;
    }
    // for the second row, the closest row to input is in_far
    for ((near, far), x) in input.iter().zip(in_far.iter()).zip(out_bottom) {
        *x = (((3 * near) + 2) + far) >> 2;
    }
}

#[inline(always)]
pub fn upsample_hv(
    input: &[i16], in_near: &[i16], in_far: &[i16], scratch_space: &mut [i16], output: &mut [i16]
) {

    assert_eq!(input.len() * 4, output.len());

    assert!(input.len() * 2 <= scratch_space.len());
    let scratch_space = &mut scratch_space[..input.len() * 2];


    let (top, bottom) = scratch_space.split_at_mut(input.len());
    for (sums, beside) in [(&mut *top, in_near), (&mut *bottom, in_far)] {
        for ((sum, near), far) in sums.iter_mut().zip(input).zip(beside) {
            *sum = 3 * near + far;
        }
    }
    let half = output.len() / 2;
    let (first, second) = output.split_at_mut(half);
    hv_row(top, first);
    hv_row(bottom, second);
}

pub fn upsample_generic(
    input: &[i16], _in_near: &[i16], _in_far: &[i16], _scratch_space: &mut [i16],
    output: &mut [i16]
) {
    // use nearest sample
    let difference = output.len() / input.len();
    if difference > 0 {
        // nearest neighbour
        for (input, chunk_output) in input.iter().zip(output.chunks_exact_mut(difference)) {
            chunk_output.iter_mut().for_each(|x| *x = *input);
        }
    }
}
