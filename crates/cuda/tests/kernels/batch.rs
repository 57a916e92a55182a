//! Batches, against core's own steps on pictures, to the bit.

use crate::card::{Card, NULL, at, card, flat};
use crate::loss::StepScalars;
use mobilenet_core::config::Normalization;
use mobilenet_core::data::augment::cutout::Hole;
use mobilenet_core::data::augment::mix::Mix;
use mobilenet_core::data::augment::place::Placement;
use mobilenet_core::data::normalize::Lookup;
use mobilenet_cuda::driver::{Arguments, Element};

#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct PictureChoice {
    index: u32,
    padding: i32,
    top: i32,
    left: i32,
    flip: i32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct HoleRange {
    rows: [i32; 2],
    columns: [i32; 2],
}

// SAFETY: 20 bytes of numbers without padding.
unsafe impl Element for PictureChoice {}
// SAFETY: 16 bytes of numbers without padding.
unsafe impl Element for HoleRange {}

const SIDE: usize = 9;
const SET: usize = 6;

fn placement(at: usize) -> Placement {
    Placement {
        padding: at % 3 + 1,
        top: at * 5 % (2 * (at % 3) + 3),
        left: at * 3 % (2 * (at % 3) + 3),
        flip: at % 2 == 1,
    }
}

fn holes(at: usize, count: usize) -> Vec<Hole> {
    (0..count)
        .map(|hole| Hole { y: (at * 4 + hole) % SIDE, x: (at * 7 + 3 * hole) % SIDE, size: 3 + hole })
        .collect()
}

fn check(card: &Card, indices: &[u32], holes_per_picture: usize, mix: Option<&Mix>) {
    let bytes: Vec<u8> = (0..SET * SIDE * SIDE * 3).map(|at| (at * 7 % 251) as u8).collect();
    let set_labels: Vec<u32> = (0..SET as u32).map(|label| label * label).collect();
    let lookup = Lookup::new(&Normalization::default());
    let length = SIDE * SIDE * 3;
    let mut expected = vec![0.0; indices.len() * length];
    for (at, (output, index)) in expected.chunks_exact_mut(length).zip(indices).enumerate() {
        let picture = &bytes[*index as usize * length..][..length];
        placement(at).write(picture, (SIDE, SIDE), |channel, byte| lookup.value(channel, byte), output);
        holes(at, holes_per_picture).into_iter().for_each(|hole| hole.cut(output, SIDE));
    }
    let labels: Vec<u32> = indices.iter().map(|index| set_labels[*index as usize]).collect();
    let mixture = mix.map(|mix| mix.apply(&mut expected, &labels, SIDE));

    let choice = |(at, index): (usize, &u32)| {
        let Placement { padding, top, left, flip } = placement(at);
        let [padding, top, left] = [padding, top, left].map(|value| value as i32);
        PictureChoice { index: *index, padding, top, left, flip: flip.into() }
    };
    let choices: Vec<PictureChoice> = indices.iter().enumerate().map(choice).collect();
    let range = |centre: usize, size: usize| {
        [centre.saturating_sub(size / 2) as i32, (centre + size / 2).min(SIDE) as i32]
    };
    let cut: Vec<HoleRange> = (0..indices.len())
        .flat_map(|at| holes(at, holes_per_picture))
        .map(|hole| HoleRange { rows: range(hole.y, hole.size), columns: range(hole.x, hole.size) })
        .collect();
    let table: Vec<f32> = (0..3 * 256).map(|at| lookup.value(at / 256, (at % 256) as u8)).collect();
    let mut step = StepScalars::default();
    match mix {
        None => {}
        Some(Mix::Average { share }) => {
            (step.mix_kind, step.mix_weight, step.mix_rest) = (1, *share as f32, (1.0 - share) as f32);
        }
        Some(Mix::Box { rows, columns }) => {
            step.mix_kind = 2;
            step.mix_rows = [rows.start as i32, rows.end as i32];
            step.mix_columns = [columns.start as i32, columns.end as i32];
        }
    }
    let (set, set_labels) = (card.array(&bytes), card.array(&set_labels));
    let (choices, table, step) = (card.array(&choices), card.array(&table), card.array(&[step]));
    let cut = (!cut.is_empty()).then(|| card.array(&cut));
    let input = card.room(expected.len());
    let (own, second) =
        (card.array(&vec![u32::MAX; indices.len()]), card.array(&vec![u32::MAX; indices.len()]));
    let arguments = Arguments::new()
        .with(at(&set))
        .with(at(&set_labels))
        .with(at(&choices))
        .with(cut.as_ref().map_or(NULL, at))
        .int(holes_per_picture)
        .with(at(&table))
        .with(if mix.is_some() { at(&step) } else { NULL })
        .with(at(&input))
        .with(at(&own))
        .with(if mix.is_some() { at(&second) } else { NULL })
        .int(indices.len())
        .int(SIDE);
    card.run("prepare_batch", flat(indices.len() * SIDE * SIDE), arguments);
    assert_eq!(card.read(&input), expected);
    assert_eq!(card.read(&own), labels);
    if let Some(mixture) = mixture {
        assert_eq!(card.read(&second), mixture.labels);
    }
}

#[test]
pub fn batches_are_cores() {
    let Some(card) = card() else { return };
    check(&card, &[4], 0, None);
    check(&card, &[5, 0, 3, 3, 1], 0, None);
    check(&card, &[5, 0, 3, 3, 1], 2, None);
    check(&card, &[2, 4, 0], 1, Some(&Mix::Average { share: 0.3 }));
    check(&card, &[2, 4, 0], 1, Some(&Mix::Box { rows: 2..7, columns: 0..4 }));
    check(&card, &[2], 0, Some(&Mix::Average { share: 0.75 }));
}
