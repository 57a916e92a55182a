//! `evaluation.json`: what the network answers on pictures that it did not learn from, class by class.

use crate::data::image::{self, encode_png};
use crate::data::{Pictures, Rgb, View};
use crate::engine::evaluate::Answers;
use crate::error::{Error, Result};
use crate::files::write_unflushed;
use crate::metrics::Metrics;
use crate::train::event::Split;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use std::path::Path;

/// How many of the pictures that it gets most wrong are kept.
const WORST: usize = 24;
/// How many classes are told of each.
const TOP: usize = 5;
/// Of larger pictures the middle is kept, this wide and high, in pixels.
const LARGEST: usize = 96;
/// Of more classes no confusion matrix is kept: it has their square of counts, 16 bytes of JSON and memory each.
const MOST_CONFUSED: usize = 2000;

/// What `evaluation.json` holds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// After which epoch, from 1.
    epoch: usize,
    /// Those for validation only where there are no test pictures.
    split: Split,
    /// Names of the classes, in the order of the logits.
    classes: Vec<String>,
    metrics: Metrics,
    /// Counts of pictures: a row for each right class, and in it a column for each answer. None of very many classes.
    confusion: Option<Vec<Vec<u64>>>,
    /// In the order of the classes.
    per_class: Vec<ClassFigures>,
    /// The wrong answers, the least probable right class first.
    most_wrong: Vec<WrongPicture>,
}

impl Evaluation {
    /// Writes the file. (The next epoch replaces it.)
    pub fn write(&self, path: &Path) -> Result<()> {
        write_unflushed(path, &serde_json::to_vec(self).map_err(Error::internal)?)
    }
}

/// How well one class is known.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ClassFigures {
    label: String,
    /// Pictures of this class.
    count: u64,
    /// Of the pictures that were said to be of this class, the share that is; none was, so nothing is known.
    precision: Option<f64>,
    /// Of the pictures of this class, the share that was said to be; there are none, so nothing is known.
    recall: Option<f64>,
}

/// A picture that was taken for another.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WrongPicture {
    /// In the data set's file order, from 0.
    index: u32,
    /// The right class.
    label: String,
    /// What its probability was, from 0 to 1.
    probability: f64,
    /// The most probable classes, the best first.
    answers: Vec<Answer>,
    /// A PNG file in base64.
    png: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    label: String,
    probability: f64,
}

/// Counts answers while a network is evaluated.
#[derive(Debug)]
pub struct Tally {
    classes: Vec<String>,
    /// `[right class][answer]`.
    confusion: Option<Vec<Vec<u64>>>,
    counts: Vec<Counts>,
    /// At most [`WORST`], the least probable right class first.
    worst: Vec<Wrong>,
}

/// Of a class.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    /// Its pictures.
    pictures: u64,
    /// Those that were said to be of it.
    answered: u64,
    /// Both.
    right: u64,
}

#[derive(Debug)]
struct Wrong {
    index: u32,
    label: usize,
    probabilities: Vec<f64>,
}

impl Wrong {
    fn probability(&self) -> f64 {
        self.probabilities[self.label]
    }
}

impl Tally {
    /// Of nothing yet.
    pub fn new(classes: &[String]) -> Self {
        let count = classes.len();
        Self {
            classes: classes.to_vec(),
            confusion: (count <= MOST_CONFUSED).then(|| vec![vec![0; count]; count]),
            counts: vec![Counts::default(); count],
            worst: Vec::new(),
        }
    }

    /// Counts the answers of one batch.
    pub fn add(&mut self, answers: &Answers) {
        let rows = answers.logits.chunks_exact(self.classes.len());
        for ((&index, &label), logits) in answers.indices.iter().zip(answers.labels).zip(rows) {
            let (label, answer) = (label as usize, largest(logits));
            if let Some(confusion) = &mut self.confusion {
                confusion[label][answer] += 1;
            }
            self.counts[label].pictures += 1;
            self.counts[answer].answered += 1;
            self.counts[label].right += u64::from(answer == label);
            if answer != label {
                self.add_wrong(Wrong { index, label, probabilities: softmax(logits) });
            }
        }
    }

    fn add_wrong(&mut self, wrong: Wrong) {
        let place = self.worst.partition_point(|other| other.probability() <= wrong.probability());
        if place < WORST {
            self.worst.insert(place, wrong);
            self.worst.truncate(WORST);
        }
    }

    /// What was found, with the pictures themselves.
    ///
    /// # Errors
    /// Those of resizing and encoding pictures, which are defects.
    pub fn evaluation(
        self,
        epoch: usize,
        split: Split,
        metrics: Metrics,
        pictures: &Pictures,
    ) -> Result<Evaluation> {
        let most_wrong =
            self.worst.iter().map(|wrong| self.picture(wrong, pictures)).collect::<Result<_>>()?;
        Ok(Evaluation {
            epoch,
            split,
            metrics,
            per_class: self.per_class(),
            most_wrong,
            classes: self.classes,
            confusion: self.confusion,
        })
    }

    fn per_class(&self) -> Vec<ClassFigures> {
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let figures = |(label, &Counts { pictures, answered, right }): (&String, &Counts)| ClassFigures {
            label: label.clone(),
            count: pictures,
            precision: share(right, answered),
            recall: share(right, pictures),
        };
        self.classes.iter().zip(&self.counts).map(figures).collect()
    }

    fn picture(&self, wrong: &Wrong, pictures: &Pictures) -> Result<WrongPicture> {
        let View { pixels, width, height } = pictures.picture(wrong.index as usize);
        let side = width.min(height).min(LARGEST);
        let shown = image::Evaluation::whole(side).apply_to(pixels, width, height)?;
        let shown = Rgb { pixels: shown, width: side, height: side };
        let mut answers: Vec<Answer> = self
            .classes
            .iter()
            .zip(&wrong.probabilities)
            .map(|(label, &probability)| Answer { label: label.clone(), probability })
            .collect();
        answers.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        answers.truncate(TOP);
        Ok(WrongPicture {
            index: wrong.index,
            label: self.classes[wrong.label].clone(),
            probability: wrong.probability(),
            answers,
            png: STANDARD.encode(encode_png(&shown)?),
        })
    }
}

/// The first of the largest, as the loss counts.
fn largest(logits: &[f32]) -> usize {
    (0..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best })
}

fn softmax(logits: &[f32]) -> Vec<f64> {
    let most = f64::from(logits[largest(logits)]);
    let exponentials: Vec<f64> = logits.iter().map(|logit| (f64::from(*logit) - most).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.iter().map(|exponential| exponential / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::image::{Limits, decode};

    fn names() -> Vec<String> {
        ["cat", "dog", "owl"].map(String::from).to_vec()
    }

    fn pictures(count: usize, side: usize) -> Pictures {
        let pixels = (0..count * side * side * 3).map(|index| (index * 31 % 256) as u8).collect();
        Pictures::of_one_size(pixels, vec![0; count], (side, side))
    }

    #[test]
    fn figures_are_those_of_the_confusion_matrix() {
        let mut tally = Tally::new(&names());
        // Cats: two right, one taken for a dog. A dog taken for a cat. No owl, and nothing taken for one.
        let logits = [2.0, 0.0, 0.0, 3.0, 3.0, 0.0, 0.0, 1.0, 0.0, 4.0, 0.0, 0.0];
        tally.add(&Answers { indices: &[4, 5], labels: &[0, 0], logits: &logits[..6] });
        tally.add(&Answers { indices: &[6, 7], labels: &[0, 1], logits: &logits[6..] });
        let metrics = Metrics::of(1.0, 2, 4).unwrap();
        let found = tally.evaluation(3, Split::Test, metrics, &pictures(8, 2)).unwrap();
        assert_eq!(found.confusion.as_deref(), Some(&[vec![2, 1, 0], vec![1, 0, 0], vec![0, 0, 0]][..]));
        let figures: Vec<_> =
            found.per_class.iter().map(|class| (class.count, class.precision, class.recall)).collect();
        assert_eq!(
            figures,
            [(3, Some(2.0 / 3.0), Some(2.0 / 3.0)), (1, Some(0.0), Some(0.0)), (0, None, None)]
        );
        // exp(-4) / (1 + 2 exp(-4)), and 1 / (2 + e).
        let wrong: Vec<_> =
            found.most_wrong.iter().map(|wrong| (wrong.index, &wrong.label[..], wrong.probability)).collect();
        assert_eq!(
            wrong.iter().map(|(index, label, _)| (*index, *label)).collect::<Vec<_>>(),
            [(7, "dog"), (6, "cat")]
        );
        assert!((wrong[0].2 - 0.017_668_422_014_048_05).abs() < 1e-12, "{wrong:?}");
        assert!((wrong[1].2 - 0.211_941_557_617_085_48).abs() < 1e-12, "{wrong:?}");
        assert_eq!(found.most_wrong[0].answers[0].label, "cat");
        let text = serde_json::to_value(&found).unwrap();
        assert_eq!(text["perClass"][2]["precision"], serde_json::Value::Null);
        assert_eq!((&text["epoch"], &text["split"]), (&3.into(), &"test".into()));
    }

    #[test]
    fn the_matrix_has_a_row_for_each_right_class() {
        let mut tally = Tally::new(&names());
        // Three cats are taken for dogs, and a dog for an owl; nothing is taken for a cat.
        let logits = [0.0, 1.0, 0.0].repeat(3).into_iter().chain([0.0, 0.0, 1.0]).collect::<Vec<f32>>();
        tally.add(&Answers { indices: &[0, 1, 2, 3], labels: &[0, 0, 0, 1], logits: &logits });
        let metrics = Metrics::of(1.0, 0, 4).unwrap();
        let found = tally.evaluation(1, Split::Test, metrics, &pictures(4, 2)).unwrap();
        assert_eq!(found.confusion.as_deref(), Some(&[vec![0, 3, 0], vec![0, 0, 1], vec![0, 0, 0]][..]));
        let figures: Vec<_> =
            found.per_class.iter().map(|class| (class.count, class.precision, class.recall)).collect();
        assert_eq!(figures, [(3, None, Some(0.0)), (1, Some(0.0), Some(0.0)), (0, Some(0.0), None)]);
    }

    #[test]
    fn of_very_many_classes_there_is_no_matrix_but_figures_of_each() {
        let count = MOST_CONFUSED + 1;
        let classes: Vec<String> = (0..count).map(|class| class.to_string()).collect();
        let mut tally = Tally::new(&classes);
        let mut logits = vec![0.0; 2 * count];
        (logits[7], logits[count + 2000]) = (1.0, 1.0);
        tally.add(&Answers { indices: &[0, 1], labels: &[7, 7], logits: &logits });
        let metrics = Metrics::of(1.0, 1, 2).unwrap();
        let found = tally.evaluation(1, Split::Test, metrics, &pictures(2, 2)).unwrap();
        assert_eq!(found.confusion, None);
        let figures = |class: usize| {
            let ClassFigures { count, precision, recall, .. } = &found.per_class[class];
            (*count, *precision, *recall)
        };
        assert_eq!([figures(7), figures(2000)], [(2, Some(1.0), Some(0.5)), (0, Some(0.0), None)]);
    }

    #[test]
    fn only_the_most_wrong_pictures_are_kept_as_they_are() {
        let mut tally = Tally::new(&names());
        let count = 100;
        // Picture 0 is a little wrong, picture 99 very.
        let logits: Vec<f32> = (0..count).flat_map(|index| [0.0, 0.1 + index as f32 / 10.0, 0.0]).collect();
        let indices: Vec<u32> = (0..count).collect();
        tally.add(&Answers { indices: &indices, labels: &[0; 100], logits: &logits });
        let pictures = pictures(100, 5);
        let metrics = Metrics::of(1.0, 0, 100).unwrap();
        let found = tally.evaluation(1, Split::Validation, metrics, &pictures).unwrap();
        let kept: Vec<u32> = found.most_wrong.iter().map(|wrong| wrong.index).collect();
        assert_eq!(kept, (76..100).rev().collect::<Vec<_>>());
        let shown =
            decode(&STANDARD.decode(&found.most_wrong[1].png).unwrap(), "picture", &Limits::default())
                .unwrap();
        assert_eq!(shown.pixels, pictures.picture(98).pixels);
    }

    #[test]
    fn large_pictures_are_kept_smaller() {
        let mut tally = Tally::new(&names());
        tally.add(&Answers { indices: &[0], labels: &[0], logits: &[0.0, 1.0, 0.0] });
        let found =
            tally.evaluation(1, Split::Test, Metrics::of(1.0, 0, 1).unwrap(), &pictures(1, 224)).unwrap();
        let shown =
            decode(&STANDARD.decode(&found.most_wrong[0].png).unwrap(), "picture", &Limits::default())
                .unwrap();
        assert_eq!((shown.width, shown.height), (96, 96));
    }
}
