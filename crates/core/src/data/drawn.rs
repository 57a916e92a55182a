//! A batch as what was drawn for it: for a device that keeps the pictures and places, cuts and mixes them by itself.

use super::augment::cutout::Hole;
use super::augment::mix::Mix;
use super::augment::place::Placement;

/// What is to be done to the pictures of a batch: a few bytes a picture in the stead of its pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// Which pictures.
    pub indices: Vec<u32>,
    /// Where each is put.
    pub placements: Vec<Placement>,
    /// Holes that are cut into each, all of one picture together; as many for each.
    pub holes: Vec<Hole>,
    /// How the batch is mixed, if it is.
    pub mix: Option<Mix>,
}
