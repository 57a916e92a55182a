//! Bytes of chosen pictures to one batch of floats.

use super::augment::place::Placement;
use super::augment::{Augmenter, Canvas};
use super::drawn::Drawn;
use super::image::Evaluation;
use super::normalize::Lookup;
use super::{Pictures, View};
use crate::config::{Augmentation, Normalization};
use crate::error::Result;
use crate::kernels::loss::Mixture;
use crate::rng::{Purpose, stream};
use std::borrow::Cow;

/// Pictures ready for the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[count, resolution, resolution, 3]`, normalised.
    pub input: Vec<f32>,
    /// `[count]`.
    pub labels: Vec<u32>,
    /// What else is in the pictures, if they were mixed.
    pub mixture: Option<Mixture>,
    /// How many pictures.
    pub count: usize,
    /// What was drawn for the batch, for a device that keeps the pictures; `input` is empty then.
    pub drawn: Option<Drawn>,
}

/// Where in the run a batch is, which decides how its pictures are augmented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The run's seed.
    pub seed: u64,
    /// The epoch.
    pub epoch: u64,
    /// The place in the epoch (from 0) of the batch's first picture.
    pub position: u64,
}

/// Makes batches for one network.
#[derive(Debug, Clone)]
pub struct Preparer {
    lookup: Lookup,
    resolution: usize,
    augmenter: Augmenter,
}

impl Preparer {
    /// For a network that takes pictures of `resolution` x `resolution` pixels, normalised so, and augmented by these steps.
    pub fn new(normalization: &Normalization, resolution: usize, steps: &[Augmentation]) -> Self {
        Self { lookup: Lookup::new(normalization), resolution, augmenter: Augmenter::new(steps) }
    }

    /// The batch of the pictures with these indices; `place` says where in the run it is.
    ///
    /// Of pictures of any size, the network sees a part that a step draws, or the middle. Of ready-made ones, steps on bytes
    /// happen at the stored size, and another size than the network's is resized after them, and before all other steps.
    ///
    /// # Errors
    /// Those of resizing, which are defects.
    ///
    /// # Panics
    /// When there is no picture with one of the indices.
    pub fn batch(&self, pictures: &Pictures, indices: &[u32], place: Place) -> Result<Batch> {
        let length = self.resolution * self.resolution * 3;
        let mut input = vec![0.0f32; indices.len() * length];
        let mut canvas = Canvas::default();
        let outputs = input.chunks_exact_mut(length);
        for (position, (&index, output)) in (place.position..).zip(indices.iter().zip(outputs)) {
            let picture = pictures.picture(index as usize);
            if !self.augmenter.changes_pictures() {
                let (pixels, size) = self.middle(picture, pictures.resize())?;
                self.write(&pixels, size, Placement::NONE, output)?;
                continue;
            }
            let mut rng = stream(place.seed, Purpose::Augmentation, place.epoch, position);
            let (pixels, size) = match self.augmenter.part(picture, self.resolution, &mut rng) {
                Some(part) => (Cow::Owned(part), (self.resolution, self.resolution)),
                None => self.middle(picture, pictures.resize())?,
            };
            let (pixels, placement) = self.augmenter.change(&pixels, size, &mut rng, &mut canvas);
            self.write(pixels, size, placement, output)?;
            self.augmenter.cut(output, self.resolution, &mut rng);
        }
        let labels: Vec<u32> = indices.iter().map(|&index| pictures.labels[index as usize]).collect();
        let rng = || stream(place.seed, Purpose::Mixing, place.epoch, place.position);
        let mixture = self.augmenter.mix(&mut input, &labels, self.resolution, rng);
        Ok(Batch { input, labels, mixture, count: indices.len(), drawn: None })
    }

    /// Whether what is done to these pictures can be [drawn](Self::draw) and done elsewhere: they lie in memory as the network
    /// takes them, and are only placed, cut and mixed.
    pub fn can_draw(&self, pictures: &Pictures) -> bool {
        pictures.square_bytes(self.resolution).is_some() && self.augmenter.only_places()
    }

    /// The same batch without its pixels. Only where [`Self::can_draw`] says so.
    ///
    /// # Panics
    /// When there is no picture with one of the indices.
    pub fn draw(&self, pictures: &Pictures, indices: &[u32], place: Place) -> Batch {
        let (mut placements, mut holes) = (Vec::with_capacity(indices.len()), Vec::new());
        for position in (place.position..).take(indices.len()) {
            let mut rng = stream(place.seed, Purpose::Augmentation, place.epoch, position);
            let (placement, cut) = self.augmenter.draw(self.resolution, &mut rng);
            placements.push(placement);
            holes.extend(cut);
        }
        let labels: Vec<u32> = indices.iter().map(|&index| pictures.labels[index as usize]).collect();
        let rng = || stream(place.seed, Purpose::Mixing, place.epoch, place.position);
        let mix = self.augmenter.draw_mix(self.resolution, rng);
        let mixture = mix.as_ref().map(|mix| mix.mixture(&labels, self.resolution));
        let drawn = Drawn { indices: indices.to_vec(), placements, holes, mix };
        Batch { input: Vec::new(), count: labels.len(), labels, mixture, drawn: Some(drawn) }
    }

    /// Puts a picture in its place, at the network's size, and normalises it.
    fn write(
        &self,
        pixels: &[u8],
        (height, width): (usize, usize),
        placement: Placement,
        output: &mut [f32],
    ) -> Result<()> {
        if (height, width) == (self.resolution, self.resolution) {
            placement.write(
                pixels,
                (height, width),
                |channel, byte| self.lookup.value(channel, byte),
                output,
            );
            return Ok(());
        }
        let mut placed = vec![0u8; pixels.len()];
        placement.write(pixels, (height, width), |_, byte| byte, &mut placed);
        let resized = Evaluation::whole(self.resolution).apply_to(&placed, width, height)?;
        self.lookup.apply(&resized, output);
        Ok(())
    }

    /// What the network sees of a picture when nothing is left to chance, and its height and width; ready-made ones as they
    /// are.
    fn middle<'a>(&self, picture: View<'a>, resize: Option<usize>) -> Result<Fitted<'a>> {
        let View { pixels, width, height } = picture;
        let Some(resize) = resize else { return Ok((Cow::Borrowed(pixels), (height, width))) };
        let fit = Evaluation { resize, crop: self.resolution };
        Ok((Cow::Owned(fit.apply_to(pixels, width, height)?), (self.resolution, self.resolution)))
    }
}

/// Bytes `[height, width, 3]`, and height and width.
type Fitted<'a> = (Cow<'a, [u8]>, (usize, usize));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::augment::place::Placing;

    const NOWHERE: Place = Place { seed: 0, epoch: 0, position: 0 };

    fn pictures(size: usize) -> Pictures {
        let pixels = (0..4 * size * size * 3).map(|i| (i * 7 % 251) as u8).collect();
        Pictures::of_one_size(pixels, vec![3, 1, 4, 1], (size, size))
    }

    /// Done elsewhere, what was drawn must give the batch: here by hand.
    #[test]
    fn what_is_drawn_is_what_a_batch_has() {
        let pictures = pictures(32);
        let mixes = [
            None,
            Some(Augmentation::Mixup { alpha: 1.0, probability: 1.0 }),
            Some(Augmentation::Cutmix { alpha: 1.0, probability: 1.0 }),
        ];
        for mix in mixes {
            let steps =
                [Augmentation::Crop { padding: 4 }, Augmentation::Flip, Augmentation::Cutout { size: 8 }];
            let steps: Vec<_> = steps.into_iter().chain(mix).collect();
            let preparer = Preparer::new(&Normalization::default(), 32, &steps);
            assert!(preparer.can_draw(&pictures));
            let (indices, place) = ([2, 0, 3], Place { seed: 5, epoch: 2, position: 7 });
            let batch = preparer.batch(&pictures, &indices, place).unwrap();
            let Batch { input, labels, mixture, count, drawn } = preparer.draw(&pictures, &indices, place);
            assert_eq!((input.len(), labels.clone(), mixture, count), (0, batch.labels, batch.mixture, 3));
            let Drawn { indices, placements, holes, mix } = drawn.unwrap();
            let lookup = Lookup::new(&Normalization::default());
            let mut pixels = vec![0.0; 3 * 3072];
            for (at, output) in pixels.chunks_exact_mut(3072).enumerate() {
                let picture = pictures.picture(indices[at] as usize).pixels;
                placements[at].write(picture, (32, 32), |channel, byte| lookup.value(channel, byte), output);
                holes[at].cut(output, 32);
            }
            if let Some(mix) = mix {
                mix.apply(&mut pixels, &labels, 32);
            }
            assert!(pixels == batch.input, "{steps:?}");
        }
        let others = [Augmentation::TrivialAugment, Augmentation::ResizedCrop { area: 0.5, ratio: 1.5 }];
        for step in others {
            assert!(!Preparer::new(&Normalization::default(), 32, &[step]).can_draw(&pictures), "{step:?}");
        }
        let resized = Preparer::new(&Normalization::default(), 48, &[Augmentation::Flip]);
        assert!(!resized.can_draw(&pictures), "they are resized after it");
    }

    #[test]
    fn without_augmentation_bytes_are_normalised_in_place() {
        let pictures = pictures(32);
        let preparer = Preparer::new(&Normalization::default(), 32, &[]);
        let batch = preparer.batch(&pictures, &[2, 0], NOWHERE).unwrap();
        assert_eq!(batch.mixture, None);
        assert_eq!((batch.count, &batch.labels[..]), (2, &[4, 3][..]));
        let mut expected = vec![0.0; 3072];
        Lookup::new(&Normalization::default()).apply(pictures.picture(2).pixels, &mut expected);
        assert_eq!(batch.input[..3072], expected);
    }

    #[test]
    fn other_resolutions_are_resized_after_the_crop() {
        let pictures = pictures(32);
        let preparer = Preparer::new(&Normalization::default(), 64, &Augmentation::course());
        let place = Place { seed: 5, epoch: 2, position: 0 };
        let batch = preparer.batch(&pictures, &[1], place).unwrap();
        assert_eq!(batch.input.len(), 64 * 64 * 3);
        let mut cropped = vec![0; 3072];
        let mut rng = stream(5, Purpose::Augmentation, 2, 0);
        let placement = Placing { padding: 4, flips: true }.draw(&mut rng);
        placement.write(pictures.picture(1).pixels, (32, 32), |_, byte| byte, &mut cropped);
        let resized = Evaluation::whole(64).apply_to(&cropped, 32, 32).unwrap();
        let mut expected = vec![0.0; 64 * 64 * 3];
        Lookup::new(&Normalization::default()).apply(&resized, &mut expected);
        assert_eq!(batch.input, expected);
    }

    #[test]
    fn a_pictures_augmentation_does_not_depend_on_its_batch() {
        let pictures = pictures(32);
        let steps = &Augmentation::ALL[..7];
        let preparer = Preparer::new(&Normalization::default(), 32, steps);
        let at = |position| Place { seed: 9, epoch: 3, position };
        let together = preparer.batch(&pictures, &[0, 1, 2, 3], at(10)).unwrap();
        let apart = preparer.batch(&pictures, &[2, 3], at(12)).unwrap();
        assert_eq!(together.input[2 * 3072..], apart.input);
        assert_ne!(together.input[..3072], together.input[3072..6144]);
    }

    #[test]
    fn a_batch_is_mixed_as_its_place_says() {
        let pictures = pictures(32);
        let steps = [Augmentation::Cutout { size: 8 }, Augmentation::Mixup { alpha: 1.0, probability: 1.0 }];
        let batch = |position, steps| {
            let preparer = Preparer::new(&Normalization::default(), 32, steps);
            preparer.batch(&pictures, &[0, 1, 2], Place { seed: 9, epoch: 3, position }).unwrap()
        };
        let mixed = batch(6, &steps);
        let mixture = mixed.mixture.clone().unwrap();
        assert_eq!((&mixed.labels[..], &mixture.labels[..]), (&[3, 1, 4][..], &[4, 3, 1][..]));
        assert_eq!(mixed, batch(6, &steps));
        assert_ne!(mixture.share, batch(9, &steps).mixture.unwrap().share);
        let plain = batch(6, &steps[..1]);
        let mean = plain.input[3072] * mixture.share as f32 + plain.input[0] * (1.0 - mixture.share) as f32;
        assert!((mixed.input[3072] - mean).abs() < 1e-6);
    }
}
