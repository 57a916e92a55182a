//! Pictures on the card, from which it makes its batches.

use super::staging::Staging;
use crate::driver::DeviceBuffer;
use crate::kernels::Kernels;
use crate::kernels::batch::{CHOICE_BYTES, Choices, HOLE_BYTES};
use mobilenet_core::config::Normalization;
use mobilenet_core::data::augment::cutout::Hole;
use mobilenet_core::data::augment::mix::Mix;
use mobilenet_core::data::augment::place::Placement;
use mobilenet_core::data::drawn::Drawn;
use mobilenet_core::data::normalize::Lookup;
use mobilenet_core::{Error, ErrorCode, Result};
use std::ops::Range;

/// All pictures' bytes and labels, and what bytes become.
#[derive(Debug)]
pub struct Kept {
    set: DeviceBuffer<u8>,
    labels: DeviceBuffer<u32>,
    lookup: DeviceBuffer<f32>,
    side: usize,
}

impl Kept {
    /// Takes over pictures, `[n, side, side, 3]`, and their labels; `None` where there is no room for them.
    pub fn new(
        kernels: &Kernels,
        bytes: &[u8],
        labels: &[u32],
        normalization: &Normalization,
        side: usize,
    ) -> Result<Option<Self>> {
        let lookup = Lookup::new(normalization);
        let table = (0..3).flat_map(|channel| (0..=u8::MAX).map(move |byte| (channel, byte)));
        let table: Vec<f32> = table.map(|(channel, byte)| lookup.value(channel, byte)).collect();
        let stream = kernels.stream();
        let set = match DeviceBuffer::of(stream, bytes) {
            Err(error) if error.code == ErrorCode::OutOfMemory => return Ok(None),
            set => set?,
        };
        let labels = DeviceBuffer::of(stream, labels)?;
        Ok(Some(Self { set, labels, lookup: DeviceBuffer::of(stream, &table)?, side }))
    }

    /// Makes the batch that was drawn: pictures and labels, where those that are sent would lie.
    pub fn make(&self, kernels: &Kernels, staging: &Staging, pictures: usize) -> Result<()> {
        let choices = Choices {
            set: self.set.all(),
            set_labels: self.labels.all(),
            choices: staging.choices(),
            holes: staging.holes(),
            holes_per_picture: staging.holes_per_picture(),
            lookup: self.lookup.all(),
            step: staging.scalars(),
        };
        let to = [staging.pictures(), staging.labels(), staging.second_labels()];
        kernels.prepare_batch(pictures, self.side, &choices, to)
    }

    /// How many pictures there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Bytes on the card.
    pub fn bytes(&self) -> usize {
        self.set.bytes() + self.labels.bytes() + self.lookup.bytes()
    }
}

/// The choice of these pictures as they are, as the kernel reads it.
pub fn as_they_are(which: Range<usize>) -> Result<Vec<i32>> {
    let mut choices = Vec::with_capacity(which.len() * CHOICE_BYTES / 4);
    for index in which {
        choices.extend(choice(index, Placement::NONE)?);
    }
    Ok(choices)
}

/// A `PictureChoice`.
fn choice(
    index: usize,
    Placement { padding, top, left, flip }: Placement,
) -> Result<[i32; CHOICE_BYTES / 4]> {
    Ok([word(index)?, word(padding)?, word(top)?, word(left)?, i32::from(flip)])
}

/// What was drawn, as the kernel reads it: choices, and holes in pictures of `side` pixels.
pub fn words(drawn: &Drawn, side: usize) -> Result<(Vec<i32>, Vec<i32>)> {
    let mut choices = Vec::with_capacity(drawn.indices.len() * CHOICE_BYTES / 4);
    for (index, placement) in drawn.indices.iter().zip(&drawn.placements) {
        choices.extend(choice(*index as usize, *placement)?);
    }
    let mut holes = Vec::with_capacity(drawn.holes.len() * HOLE_BYTES / 4);
    for Hole { y, x, size } in &drawn.holes {
        for centre in [*y, *x] {
            holes.push(word(centre.saturating_sub(size / 2))?);
            holes.push(word((centre + size / 2).min(side))?);
        }
    }
    Ok((choices, holes))
}

fn word(value: usize) -> Result<i32> {
    i32::try_from(value).map_err(Error::internal)
}

/// How a batch is mixed, as `StepScalars` has it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mixing {
    /// 0 not at all, 1 as a mean, 2 by a box.
    pub kind: i32,
    /// Of the mean: the picture's own weight, and the other's.
    pub weights: [f32; 2],
    /// Of the box: first row and the one behind the last, then columns.
    pub sides: [i32; 4],
}

impl Mixing {
    /// Of what was drawn.
    pub fn of(mix: Option<&Mix>) -> Result<Self> {
        Ok(match mix {
            None => Self::default(),
            Some(Mix::Average { share }) => {
                Self { kind: 1, weights: [*share as f32, (1.0 - share) as f32], ..Self::default() }
            }
            Some(Mix::Box { rows, columns }) => {
                let sides = [word(rows.start)?, word(rows.end)?, word(columns.start)?, word(columns.end)?];
                Self { kind: 2, sides, ..Self::default() }
            }
        })
    }
}
