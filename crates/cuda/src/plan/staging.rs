//! What goes to the card each step, in one copy: the step's numbers, labels, dropout's choice, pictures.

use super::scalars::StepScalars;
use crate::driver::{DeviceBuffer, Slice, Stream, Upload};
use crate::kernels::batch::{CHOICE_BYTES, HOLE_BYTES};
use crate::kernels::loss::STEP_BYTES;
use mobilenet_core::Result;
use std::ops::Range;
use std::sync::Arc;

/// Batches that are on their way at most: one is filled while the one before is copied.
const SLOTS: usize = 2;
/// Where a part may begin: as the driver aligns arrays.
const ALIGNMENT: usize = 256;

/// Where each part lies, in bytes. Pictures come last, so that a smaller batch is a shorter copy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Places {
    labels: Range<usize>,
    second_labels: Range<usize>,
    kept_bits: Range<usize>,
    choices: Range<usize>,
    holes: Range<usize>,
    pictures: Range<usize>,
}

impl Places {
    fn new(room: Room) -> Self {
        let Room { capacity, dropout_values, holes_per_picture, picture_floats, draws } = room;
        let drawn = if draws { capacity } else { 0 };
        let mut end = STEP_BYTES;
        let mut part = |bytes: usize| {
            let start = end.next_multiple_of(ALIGNMENT);
            end = start + bytes;
            start..end
        };
        Self {
            labels: part(4 * capacity),
            second_labels: part(4 * capacity),
            kept_bits: part(4 * dropout_values.div_ceil(32)),
            choices: part(CHOICE_BYTES * drawn),
            holes: part(HOLE_BYTES * drawn * holes_per_picture),
            pictures: part(4 * capacity * picture_floats),
        }
    }
}

/// For how much there is room.
#[derive(Debug, Clone, Copy, Default)]
pub struct Room {
    /// Pictures of a batch.
    pub capacity: usize,
    /// Among so many values dropout chooses.
    pub dropout_values: usize,
    /// Holes that are cut into each picture.
    pub holes_per_picture: usize,
    /// Values of a picture.
    pub picture_floats: usize,
    /// Whether batches may come drawn.
    pub draws: bool,
}

/// The parts on the card, and the same in the machine's memory.
#[derive(Debug)]
pub struct Staging {
    places: Places,
    holes_per_picture: usize,
    device: DeviceBuffer<u8>,
    /// At first without room for pictures: most are larger than everything else, and where the card keeps them none is sent.
    slots: Vec<Upload<u8>>,
    stream: Arc<Stream>,
    next: usize,
}

/// What a step takes in.
#[derive(Debug)]
pub struct Parts<'a> {
    pub scalars: StepScalars,
    pub labels: &'a [u32],
    /// The labels themselves, where there is no mixture.
    pub second_labels: &'a [u32],
    pub kept_bits: &'a [u32],
    /// `PictureChoice`s, of a batch that was drawn.
    pub choices: &'a [i32],
    /// `Hole`s, of a batch that was drawn.
    pub holes: &'a [i32],
    /// Normalised; none of a batch that was drawn.
    pub pictures: &'a [f32],
}

impl Parts<'_> {
    /// The numbers alone.
    pub fn of(scalars: StepScalars) -> Self {
        Self {
            scalars,
            labels: &[],
            second_labels: &[],
            kept_bits: &[],
            choices: &[],
            holes: &[],
            pictures: &[],
        }
    }
}

impl Staging {
    /// An area with room for so much.
    pub fn new(stream: &Arc<Stream>, room: Room) -> Result<Self> {
        let places = Places::new(room);
        let numbers = places.pictures.start;
        Ok(Self {
            device: DeviceBuffer::zeros(stream, places.pictures.end)?,
            slots: (0..SLOTS).map(|_| Upload::new(stream, numbers)).collect::<Result<_>>()?,
            stream: stream.clone(),
            places,
            holes_per_picture: room.holes_per_picture,
            next: 0,
        })
    }

    /// Puts a batch's copy at the stream's end. Waits only where the card is that far behind.
    pub fn send(&mut self, parts: &Parts<'_>) -> Result<()> {
        let Self { places, device, slots, stream, next, .. } = self;
        let slot = &mut slots[*next];
        if !parts.pictures.is_empty() && slot.length() < places.pictures.end {
            *slot = Upload::new(stream, places.pictures.end)?;
        }
        *next = (*next + 1) % SLOTS;
        slot.send(device, |bytes| {
            bytes[..STEP_BYTES].copy_from_slice(&parts.scalars.bytes());
            fill(&mut bytes[places.labels.clone()], parts.labels, u32::to_ne_bytes);
            fill(&mut bytes[places.second_labels.clone()], parts.second_labels, u32::to_ne_bytes);
            fill(&mut bytes[places.kept_bits.clone()], parts.kept_bits, u32::to_ne_bytes);
            fill(&mut bytes[places.choices.clone()], parts.choices, i32::to_ne_bytes);
            fill(&mut bytes[places.holes.clone()], parts.holes, i32::to_ne_bytes);
            fill(&mut bytes[places.pictures.start..], parts.pictures, f32::to_ne_bytes);
            places.pictures.start + size_of_val(parts.pictures)
        })
    }

    /// The step's numbers, on the card.
    pub fn scalars(&self) -> Slice {
        self.device.slice(0..STEP_BYTES)
    }

    /// `[pictures]`.
    pub fn labels(&self) -> Slice {
        self.device.slice(self.places.labels.clone())
    }

    /// `[pictures]`.
    pub fn second_labels(&self) -> Slice {
        self.device.slice(self.places.second_labels.clone())
    }

    /// A bit a value.
    pub fn kept_bits(&self) -> Slice {
        self.device.slice(self.places.kept_bits.clone())
    }

    /// A `PictureChoice` a picture.
    pub fn choices(&self) -> Slice {
        self.device.slice(self.places.choices.clone())
    }

    /// `Hole`s, those of one picture together.
    pub fn holes(&self) -> Slice {
        self.device.slice(self.places.holes.clone())
    }

    /// How many of them a picture has.
    pub fn holes_per_picture(&self) -> usize {
        self.holes_per_picture
    }

    /// `[pictures, resolution, resolution, 3]`.
    pub fn pictures(&self) -> Slice {
        self.device.slice(self.places.pictures.clone())
    }

    /// Bytes on the card.
    pub fn bytes(&self) -> usize {
        self.device.bytes()
    }
}

fn fill<T: Copy>(to: &mut [u8], values: &[T], bytes: impl Fn(T) -> [u8; 4]) {
    for (to, value) in to.as_chunks_mut::<4>().0.iter_mut().zip(values) {
        *to = bytes(*value);
    }
}

#[cfg(test)]
mod tests {
    use super::{ALIGNMENT, Places, Room, STEP_BYTES};

    #[test]
    fn parts_are_aligned_and_lie_apart() {
        let room =
            Room { capacity: 7, dropout_values: 33, holes_per_picture: 2, picture_floats: 75, draws: true };
        let Places { labels, second_labels, kept_bits, choices, holes, pictures } = Places::new(room);
        let parts = [0..STEP_BYTES, labels, second_labels, kept_bits, choices, holes, pictures];
        for pair in parts.windows(2) {
            assert!(pair[0].end <= pair[1].start && pair[1].start % ALIGNMENT == 0, "{pair:?}");
        }
        assert_eq!(parts.map(|part| part.len()), [80, 28, 28, 8, 140, 224, 7 * 75 * 4]);
    }
}
