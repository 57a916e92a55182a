//! Bytes of chosen pictures to one batch of floats.

use super::Pictures;
use super::augment::Augmentation;
use super::image::Evaluation;
use super::normalize::Lookup;
use crate::config::Normalization;
use crate::error::Result;

/// Pictures ready for the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[count, resolution, resolution, 3]`, normalised.
    pub input: Vec<f32>,
    /// `[count]`.
    pub labels: Vec<u32>,
    /// How many pictures.
    pub count: usize,
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
}

impl Preparer {
    /// For a network that takes pictures of `resolution` x `resolution` pixels, normalised so.
    pub fn new(normalization: &Normalization, resolution: usize) -> Self {
        Self { lookup: Lookup::new(normalization), resolution }
    }

    /// The batch of the pictures with these indices, augmented when `augment` says where in the run they are.
    ///
    /// Crop and flip happen at the stored size; pictures of another size than the network's are resized after that.
    ///
    /// # Errors
    /// Those of resizing, which are defects.
    ///
    /// # Panics
    /// When there is no picture with one of the indices.
    pub fn batch(&self, pictures: &Pictures, indices: &[u32], augment: Option<Place>) -> Result<Batch> {
        let size = (pictures.height, pictures.width);
        let fits = size == (self.resolution, self.resolution);
        let length = self.resolution * self.resolution * 3;
        let mut input = vec![0.0f32; indices.len() * length];
        let mut cropped = vec![0u8; if fits { 0 } else { pictures.stride() }];
        let outputs = input.chunks_exact_mut(length);
        for (place, (&index, output)) in (0u64..).zip(indices.iter().zip(outputs)) {
            let picture = pictures.picture(index as usize);
            let augmentation = augment
                .map_or(Augmentation::NONE, |at| Augmentation::draw(at.seed, at.epoch, at.position + place));
            if fits {
                augmentation.write(picture, size, |channel, byte| self.lookup.value(channel, byte), output);
            } else {
                augmentation.write(picture, size, |_, byte| byte, &mut cropped);
                let fit = Evaluation::whole(self.resolution);
                let resized = fit.apply_to(&cropped, pictures.width, pictures.height)?;
                self.lookup.apply(&resized, output);
            }
        }
        let labels = indices.iter().map(|&index| pictures.labels[index as usize]).collect();
        Ok(Batch { input, labels, count: indices.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pictures(size: usize) -> Pictures {
        let pixels = (0..4 * size * size * 3).map(|i| (i * 7 % 251) as u8).collect();
        Pictures { pixels, labels: vec![3, 1, 4, 1], height: size, width: size }
    }

    #[test]
    fn without_augmentation_bytes_are_normalised_in_place() {
        let pictures = pictures(32);
        let preparer = Preparer::new(&Normalization::default(), 32);
        let batch = preparer.batch(&pictures, &[2, 0], None).unwrap();
        assert_eq!((batch.count, &batch.labels[..]), (2, &[4, 3][..]));
        let mut expected = vec![0.0; 3072];
        Lookup::new(&Normalization::default()).apply(pictures.picture(2), &mut expected);
        assert_eq!(batch.input[..3072], expected);
    }

    #[test]
    fn other_resolutions_are_resized_after_the_crop() {
        let pictures = pictures(32);
        let preparer = Preparer::new(&Normalization::default(), 64);
        let place = Place { seed: 5, epoch: 2, position: 0 };
        let batch = preparer.batch(&pictures, &[1], Some(place)).unwrap();
        assert_eq!(batch.input.len(), 64 * 64 * 3);
        let mut cropped = vec![0; 3072];
        Augmentation::draw(5, 2, 0).write(pictures.picture(1), (32, 32), |_, byte| byte, &mut cropped);
        let resized = Evaluation::whole(64).apply_to(&cropped, 32, 32).unwrap();
        let mut expected = vec![0.0; 64 * 64 * 3];
        Lookup::new(&Normalization::default()).apply(&resized, &mut expected);
        assert_eq!(batch.input, expected);
    }

    #[test]
    fn a_pictures_augmentation_does_not_depend_on_its_batch() {
        let pictures = pictures(32);
        let preparer = Preparer::new(&Normalization::default(), 32);
        let at = |position| Some(Place { seed: 9, epoch: 3, position });
        let together = preparer.batch(&pictures, &[0, 1, 2, 3], at(10)).unwrap();
        let apart = preparer.batch(&pictures, &[2, 3], at(12)).unwrap();
        assert_eq!(together.input[2 * 3072..], apart.input);
    }
}
