//! Which pictures are tested on where nobody has said so, and which are validated with: of every class the same share.

use crate::data::split::Split;
use crate::rng::{Purpose, shuffle, stream};
use sha2::{Digest, Sha256};
use std::cmp::Reverse;

/// How many of `count` pictures of a class are kept: the rounded share, but one at least stays.
fn kept(count: usize, share: f64) -> usize {
    ((share * count as f64).round() as usize).min(count.saturating_sub(1))
}

/// Whether each file is for testing. It follows from the seed and the files' names, so that pictures that are added later
/// move few of the others, and none between two folders of the same names.
pub fn test_files<'a>(labels: &[u32], name: impl Fn(usize) -> &'a str, share: f64, seed: u64) -> Vec<bool> {
    let mut chosen = vec![false; labels.len()];
    for mut class in by_class(labels) {
        class.sort_by_cached_key(|&file| {
            Reverse(
                Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name(file as usize)).finalize(),
            )
        });
        for &file in &class[..kept(class.len(), share)] {
            chosen[file as usize] = true;
        }
    }
    chosen
}

/// Splits pictures with these labels, each class by itself; both parts in a random order, so that a share of them is a
/// fair one, too.
pub fn split_by_class(labels: &[u32], validation_fraction: f64, seed: u64) -> Split {
    let mut split = Split { train: Vec::new(), validation: Vec::new() };
    for (class, mut pictures) in by_class(labels).into_iter().enumerate() {
        shuffle(&mut stream(seed, Purpose::Split, class as u64, 1), &mut pictures);
        let train = pictures.split_off(kept(pictures.len(), validation_fraction));
        split.validation.extend(pictures);
        split.train.extend(train);
    }
    shuffle(&mut stream(seed, Purpose::Split, 0, 2), &mut split.train);
    shuffle(&mut stream(seed, Purpose::Split, 0, 3), &mut split.validation);
    split
}

/// The pictures of each class, in order.
fn by_class(labels: &[u32]) -> Vec<Vec<u32>> {
    let classes = labels.iter().max().map_or(0, |most| *most as usize + 1);
    let mut pictures = vec![Vec::new(); classes];
    for (picture, label) in (0..).zip(labels) {
        pictures[*label as usize].push(picture);
    }
    pictures
}

#[cfg(test)]
mod tests {
    use super::{split_by_class, test_files};
    use proptest::prelude::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("class/{i:05}.png")).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_class_gives_its_share_and_keeps_one(
            labels in prop::collection::vec(0u32..5, 0..200),
            share in 0.0f64..0.9,
            seed in 0u64..4,
        ) {
            let names = names(labels.len());
            let test = test_files(&labels, |i| &names[i], share, seed);
            let split = split_by_class(&labels, share, seed);
            let mut all = [split.train.clone(), split.validation.clone()].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..labels.len() as u32).collect::<Vec<_>>());
            for class in 0..5 {
                let of = |picture: &u32| labels[*picture as usize] == class;
                let count = labels.iter().filter(|label| **label == class).count();
                let expected = ((share * count as f64).round() as usize).min(count.saturating_sub(1));
                prop_assert_eq!(split.validation.iter().filter(|p| of(p)).count(), expected);
                let tested = labels.iter().zip(&test).filter(|(label, test)| **label == class && **test);
                prop_assert_eq!(tested.count(), expected);
            }
        }
    }

    #[test]
    fn added_pictures_move_few_of_the_others() {
        let names = names(1100);
        let chosen = |count| test_files(&vec![0; count], |i| &names[i], 0.1, 1);
        let (before, after) = (chosen(1000), chosen(1100));
        let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count();
        assert!(moved <= 20, "{moved} of 1000");
        assert_eq!(before, chosen(1000));
        assert_ne!(before, test_files(&vec![0; 1000], |i| &names[i], 0.1, 2));
    }

    #[test]
    fn both_parts_mix_the_classes() {
        let labels: Vec<u32> = (0..4).flat_map(|class| [class; 100]).collect();
        let split = split_by_class(&labels, 0.5, 1);
        for part in [split.train, split.validation] {
            let mut seen: Vec<u32> = part[..40].iter().map(|picture| labels[*picture as usize]).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen, [0, 1, 2, 3]);
        }
    }
}
