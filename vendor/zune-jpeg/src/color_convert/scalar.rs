/*
 * Copyright (c) 2023.
 *
 * This software is free software;
 *
 * You can redistribute it or modify it under terms of the MIT, Apache License or Zlib license
 */

use core::convert::TryInto;

// libjpeg's coefficients (`jdcolor.c`) with 16 bits of precision: 1.402, 0.34414, 0.71414 and 1.772.
pub(crate) const CR_R: i32 = 91_881;
pub(crate) const CB_G: i32 = -22_554;
pub(crate) const CR_G: i32 = -46_802;
pub(crate) const CB_B: i32 = 116_130;
pub(crate) const PRECISION: u32 = 16;
pub(crate) const ROUNDING: i32 = 1 << (PRECISION - 1);

/// Red, green and blue of one pixel, with libjpeg's rounding.
#[inline]
fn rgb(y: i16, cb: i16, cr: i16) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let rounded = |sum: i32| clamp(y + ((sum + ROUNDING) >> PRECISION));
    [rounded(CR_R * cr), rounded(CB_G * cb + CR_G * cr), rounded(CB_B * cb)]
}

/// Limit values to 0 and 255
#[inline]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, dead_code)]
fn clamp(a: i32) -> u8 {
    a.clamp(0, 255) as u8
}

/// YCbCr to RGBA color conversion

/// Convert YCbCr to RGB/BGR
///
/// Converts to RGB if const BGRA is false
///
/// Converts to BGR if const BGRA is true
pub fn ycbcr_to_rgba_inner_16_scalar<const BGRA: bool>(
    y: &[i16; 16], cb: &[i16; 16], cr: &[i16; 16], output: &mut [u8], pos: &mut usize
) {
    let (_, output_position) = output.split_at_mut(*pos);

    // Convert into a slice with 64 elements for Rust to see we won't go out of bounds.
    let opt: &mut [u8; 64] = output_position
        .get_mut(0..64)
        .expect("Slice to small cannot write")
        .try_into()
        .unwrap();
    for ((&y, (cb, cr)), out) in y
        .iter()
        .zip(cb.iter().zip(cr.iter()))
        .zip(opt.chunks_exact_mut(4))
    {
        let [r, g, b] = rgb(y, *cb, *cr);
        if BGRA {
            out[0] = b;
            out[1] = g;
            out[2] = r;
            out[3] = 255;
        } else {
            out[0] = r;
            out[1] = g;
            out[2] = b;
            out[3] = 255;
        }
    }
    *pos += 64;
}

/// Convert YCbCr to RGB/BGR
///
/// Converts to RGB if const BGRA is false
///
/// Converts to BGR if const BGRA is true
pub fn ycbcr_to_rgb_inner_16_scalar<const BGRA: bool>(
    y: &[i16; 16], cb: &[i16; 16], cr: &[i16; 16], output: &mut [u8], pos: &mut usize
) {
    let (_, output_position) = output.split_at_mut(*pos);

    // Convert into a slice with 48 elements
    let opt: &mut [u8; 48] = output_position
        .get_mut(0..48)
        .expect("Slice to small cannot write")
        .try_into()
        .unwrap();

    for ((&y, (cb, cr)), out) in y
        .iter()
        .zip(cb.iter().zip(cr.iter()))
        .zip(opt.chunks_exact_mut(3))
    {
        let [r, g, b] = rgb(y, *cb, *cr);
        if BGRA {
            out[0] = b;
            out[1] = g;
            out[2] = r;
        } else {
            out[0] = r;
            out[1] = g;
            out[2] = b;
        }
    }

    // Increment pos
    *pos += 48;
}

pub fn ycbcr_to_grayscale(y: &[i16], width: usize, padded_width: usize, output: &mut [u8]) {
    for (y_in, out) in y
        .chunks_exact(padded_width)
        .zip(output.chunks_exact_mut(width))
    {
        for (y, out) in y_in.iter().zip(out.iter_mut()) {
            *out = *y as u8;
        }
    }
}
