//! Pooling, shortcuts, factors, and sums by themselves.

use crate::card::{Card, at, card, flat};
use crate::numbers::{Map, Storage, assert_sums, at_if, numbers, total};
use crate::reading::{Curve, Norm};
use mobilenet_cuda::driver::Arguments;

/// Pictures, pixels, channels.
const SIZES: [(usize, usize, usize); 4] = [(1, 1, 16), (3, 4, 48), (2, 9, 64), (5, 49, 80)];

fn cases() -> impl Iterator<Item = (Storage, (usize, usize, usize), Curve)> {
    let sizes = SIZES.into_iter().zip(Curve::ALL);
    Storage::BOTH
        .into_iter()
        .flat_map(move |storage| sizes.clone().map(move |(size, curve)| (storage, size, curve)))
}

#[test]
fn a_pool_is_the_mean_of_what_is_read() {
    let Some(card) = card() else { return };
    for (storage, (pictures, pixels, channels), curve) in cases() {
        let map = storage.rounded(numbers(1, pictures * pixels * channels));
        let norm = Norm::new(&card, 2, channels, curve);
        let mut expected = vec![0.0; pictures * channels];
        for (index, a) in norm.read_all(&map).into_iter().enumerate() {
            let picture = index / (pixels * channels);
            expected[picture * channels + index % channels] += f64::from(a) / pixels as f64;
        }
        let (map, features) = (Map::of(&card, storage, &map), card.room(pictures * channels));
        let arguments = Arguments::new()
            .with(map.at())
            .with(norm.reading())
            .with(at(&features))
            .int(pictures)
            .int(pixels)
            .int(channels);
        // Two blocks on each other at most, so that one goes on with the next picture.
        card.run_pairs(&format!("pool_forward_{}", storage.name()), channels, 9, |_| arguments.clone());
        assert_sums("features", &card.read(&features), &expected, pixels, 1.0, Storage::F32);
    }
}

#[test]
fn an_excitations_gradient_is_the_sum_over_the_pixels() {
    let Some(card) = card() else { return };
    for (storage, (pictures, pixels, channels), curve) in cases() {
        let map = storage.rounded(numbers(1, pictures * pixels * channels));
        let gradient = storage.rounded(numbers(2, pictures * pixels * channels));
        let norm = Norm::new(&card, 3, channels, curve);
        let mut expected = vec![0.0; pictures * channels];
        for (index, (a, g)) in norm.read_all(&map).iter().zip(&gradient).enumerate() {
            let picture = index / (pixels * channels);
            expected[picture * channels + index % channels] += f64::from(*a) * f64::from(*g);
        }
        let (map, gradient) = (Map::of(&card, storage, &map), Map::of(&card, storage, &gradient));
        let excitation = numbers(4, pictures * channels);
        let excitation_norm = Norm::new(&card, 5, channels, Curve::Cut(0.0, 1.0));
        let expected = excitation_norm.inner_gradient(&expected, &excitation);
        let (excitation, excitation_gradient) = (card.array(&excitation), card.room(pictures * channels));
        let arguments = Arguments::new()
            .with(gradient.at())
            .with(map.at())
            .with(norm.reading())
            .with(at(&excitation))
            .with(excitation_norm.reading())
            .with(at(&excitation_gradient))
            .int(pictures)
            .int(pixels)
            .int(channels);
        card.run_pairs(&format!("excitation_gradient_{}", storage.name()), channels, 9, |_| {
            arguments.clone()
        });
        assert_sums("excitation", &card.read(&excitation_gradient), &expected, pixels, 2.0, Storage::F32);
    }
}

fn check_pool_backward(
    card: &Card,
    storage: Storage,
    size: (usize, usize, usize),
    curve: Curve,
    excited: bool,
) {
    let (pictures, pixels, channels) = size;
    let count = pictures * pixels * channels;
    let map = storage.rounded(numbers(1, count));
    let multiplied = storage.rounded(numbers(2, count));
    let (features, factors) = (numbers(3, pictures * channels), numbers(4, pictures * channels));
    let norm = Norm::new(card, 5, channels, curve);
    let expected: Vec<f64> = (0..count)
        .map(|index| {
            let one = index / (pixels * channels) * channels + index % channels;
            let spread = f64::from(features[one]) / pixels as f64;
            if excited { f64::from(multiplied[index]) * f64::from(factors[one]) + spread } else { spread }
        })
        .collect();
    let expected_sums = norm.gradient_sums(&expected, &map);
    let expected = norm.inner_gradient(&expected, &map);
    let map = Map::of(card, storage, &map);
    let gradient =
        if excited { Map::of(card, storage, &multiplied) } else { Map::room(card, storage, count) };
    let features = card.array(&features);
    let factors = excited.then(|| card.array(&factors));
    let partials = card.room(card.pair_grid(channels, pictures * pixels).1 * 2 * channels);
    card.run_pairs(&format!("pool_backward_{}", storage.name()), channels, pictures * pixels, |_| {
        Arguments::new()
            .with(map.at())
            .with(norm.sum_reading())
            .with(at(&features))
            .with(at_if(&factors))
            .with(gradient.at())
            .with(at(&partials))
            .int(pictures)
            .int(pixels)
            .int(channels)
    });
    assert_sums("gradient", &gradient.read(card), &expected, 2, 1.0, storage);
    let sums = total(&card.read(&partials), channels);
    assert_sums("sums", &sums, &expected_sums, pictures * pixels, 2.0, Storage::F32);
}

#[test]
pub fn a_pools_gradient_is_spread_evenly_and_joins_the_multiplied_maps() {
    let Some(card) = card() else { return };
    for (storage, size, curve) in cases() {
        check_pool_backward(&card, storage, size, curve, false);
        check_pool_backward(&card, storage, size, curve, true);
    }
}

#[test]
pub fn sums_are_those_of_the_gradient() {
    let Some(card) = card() else { return };
    for (storage, (pictures, pixels, channels), curve) in cases() {
        let rows = pictures * pixels;
        let (map, gradient) =
            (storage.rounded(numbers(1, rows * channels)), storage.rounded(numbers(2, rows * channels)));
        let norm = Norm::new(&card, 3, channels, curve);
        let exact: Vec<f64> = gradient.iter().copied().map(f64::from).collect();
        let expected = norm.gradient_sums(&exact, &map);
        let (map, gradient) = (Map::of(&card, storage, &map), Map::of(&card, storage, &gradient));
        let partials = card.room(card.pair_grid(channels, rows).1 * 2 * channels);
        card.run_pairs(&format!("sum_gradient_{}", storage.name()), channels, rows, |_| {
            Arguments::new()
                .with(gradient.at())
                .with(map.at())
                .with(norm.sum_reading())
                .with(at(&partials))
                .int(rows)
                .int(channels)
        });
        let sums = total(&card.read(&partials), channels);
        assert_sums("sums", &sums, &expected, rows, 2.0, Storage::F32);
    }
}

#[test]
fn a_shortcut_adds_what_is_read_of_both() {
    let Some(card) = card() else { return };
    for (storage, (pictures, pixels, channels), curve) in cases() {
        let rows = pictures * pixels;
        let (a, b) =
            (storage.rounded(numbers(1, rows * channels)), storage.rounded(numbers(2, rows * channels)));
        let norms = [Norm::new(&card, 3, channels, curve), Norm::new(&card, 4, channels, Curve::ALL[0])];
        let sums = norms[0].read_all(&a).into_iter().zip(norms[1].read_all(&b));
        let expected: Vec<f64> = sums.map(|(a, b)| f64::from(a) + f64::from(b)).collect();
        let (a, b) = (Map::of(&card, storage, &a), Map::of(&card, storage, &b));
        let output = Map::room(&card, storage, rows * channels);
        let arguments = Arguments::new()
            .with(a.at())
            .with(norms[0].reading())
            .with(b.at())
            .with(norms[1].reading())
            .with(output.at())
            .int(rows)
            .int(channels);
        card.run(&format!("add_forward_{}", storage.name()), flat(rows * channels / 2), arguments);
        assert_sums("sum", &output.read(&card), &expected, 1, 1.0, storage);
    }
}

#[test]
fn factors_are_what_dropout_keeps() {
    let Some(card) = card() else { return };
    let (pictures, channels) = (3, 80);
    let factors = card.room(pictures * channels);
    let bits: Vec<u32> = (1u32..=8).map(|word| word.wrapping_mul(0x9e37_79b9)).collect();
    let kept = card.array(&bits);
    let arguments =
        Arguments::new().with(at(&kept)).with(1.25f32).with(at(&factors)).int(pictures * channels);
    card.run("dropout_factors", flat(pictures * channels), arguments);
    let expected =
        (0..pictures * channels).map(|at| if bits[at / 32] >> (at % 32) & 1 == 1 { 1.25 } else { 0.0 });
    assert_eq!(card.read(&factors), expected.collect::<Vec<f32>>());
}
