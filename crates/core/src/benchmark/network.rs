//! What a network does on this machine, and how long a recipe's whole run would take.

use super::timetable::Timetable;
use super::turn::Samples;
use crate::config::{BenchmarkConfig, Precision, Subject, TrainConfig};
use crate::engine::backend::Backend;
use crate::error::Result;
use crate::model;
use crate::model::summary::layers;

/// CIFAR-10's, from which a run takes those to validate with.
const TRAINING_PICTURES: f64 = 50_000.0;
/// CIFAR-10's.
const TEST_PICTURES: f64 = 10_000.0;

/// What one network would do. Times are medians, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkReport {
    /// What options call it.
    pub name: &'static str,
    /// What its products multiply.
    pub precision: Precision,
    /// Multiplications with an addition for one picture, forward.
    pub multiply_adds: usize,
    /// Training, at the recipe's batch size.
    pub training: TrainingSpeed,
    /// Evaluation, in the batches that validation and test use.
    pub evaluation: EvaluationSpeed,
    /// One picture by itself.
    pub prediction: PredictionSpeed,
    /// Bytes that training works with at this batch size: parameters, gradients, the optimizer's state, and the
    /// plan's buffers. Pictures and the rest of the process are not counted.
    pub training_bytes: usize,
    /// Bytes that evaluation works with in these batches: the plan's buffers, which hold the weights.
    pub inference_bytes: usize,
    /// How long the recipe's run would take: all its epochs with validation and test. What prepares the pictures
    /// meanwhile is not counted.
    pub run_seconds: f64,
}

/// How fast a network trains.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSpeed {
    /// Pictures a step.
    pub batch_size: usize,
    /// Time of a step: forward, loss, backward and optimizer.
    pub step_seconds: f64,
    /// Pictures trained on in a second.
    pub images_per_second: f64,
    /// Multiply-adds a second as a share of the machine's peak, which is that of float32. A picture takes those of the forward pass three times:
    /// also for the gradients of the weights and of the maps. (The stem's map is the picture: no gradient, not counted.)
    pub share_of_peak: f64,
    /// Steps that were timed.
    pub repetitions: usize,
}

/// How fast a network evaluates.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationSpeed {
    /// Pictures a batch.
    pub batch_size: usize,
    /// Time of a batch: forward and loss.
    pub batch_seconds: f64,
    /// Pictures evaluated in a second.
    pub images_per_second: f64,
    /// Multiply-adds a second as a share of the machine's peak.
    pub share_of_peak: f64,
    /// Batches that were timed.
    pub repetitions: usize,
}

/// How fast a network answers.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictionSpeed {
    /// Time from one normalised picture to its logits.
    pub latency_seconds: f64,
    /// Multiply-adds a second as a share of the machine's peak.
    pub share_of_peak: f64,
    /// Pictures that were timed.
    pub repetitions: usize,
}

/// Measures the networks in turns against `peak` multiply-adds a second; `None` when the benchmark was cancelled.
pub(super) fn measure(
    config: &BenchmarkConfig,
    backend: &dyn Backend,
    peak: f64,
    timetable: &mut Timetable,
) -> Result<Option<Vec<NetworkReport>>> {
    let mut all: Vec<Samples> = config.subjects.iter().map(|_| Samples::default()).collect();
    for _ in 0..config.rounds {
        for (index, (subject, samples)) in config.subjects.iter().zip(&mut all).enumerate() {
            if !samples.take(index, backend, &model::network(&subject.model), &subject.train, timetable)? {
                return Ok(None);
            }
        }
    }
    Ok(Some(
        config.subjects.iter().zip(all).map(|(subject, samples)| report(subject, samples, peak)).collect(),
    ))
}

fn report(subject: &Subject, samples: Samples, peak: f64) -> NetworkReport {
    let Subject { name, model, train } = subject;
    let network = model::network(model);
    let multiply_adds: usize = layers(&network).iter().map(|layer| layer.multiply_adds).sum();
    let training_multiply_adds = 3 * multiply_adds - network.layers[0].multiply_adds();
    let share_of_peak = |multiply_adds: usize, pictures: f64| multiply_adds as f64 * pictures / peak;

    let repetitions = samples.training.len();
    let step_seconds = median(samples.training);
    let images_per_second = train.batch_size as f64 / step_seconds;
    let training = TrainingSpeed {
        batch_size: train.batch_size,
        step_seconds,
        images_per_second,
        share_of_peak: share_of_peak(training_multiply_adds, images_per_second),
        repetitions,
    };

    let repetitions = samples.evaluation.len();
    let batch_seconds = median(samples.evaluation);
    let images_per_second = samples.evaluation_batch as f64 / batch_seconds;
    let evaluation = EvaluationSpeed {
        batch_size: samples.evaluation_batch,
        batch_seconds,
        images_per_second,
        share_of_peak: share_of_peak(multiply_adds, images_per_second),
        repetitions,
    };

    let repetitions = samples.prediction.len();
    let latency_seconds = median(samples.prediction);
    let prediction = PredictionSpeed {
        latency_seconds,
        share_of_peak: share_of_peak(multiply_adds, 1.0 / latency_seconds),
        repetitions,
    };

    NetworkReport {
        name,
        precision: train.precision,
        multiply_adds,
        run_seconds: run_seconds(train, &training, &evaluation),
        training,
        evaluation,
        prediction,
        training_bytes: samples.training_bytes,
        inference_bytes: samples.inference_bytes,
    }
}

/// How long a run over CIFAR-10 would take.
fn run_seconds(train: &TrainConfig, training: &TrainingSpeed, evaluation: &EvaluationSpeed) -> f64 {
    let limited = |pictures: f64| train.limit.map_or(pictures, |limit| pictures.min(limit as f64));
    let validated = TRAINING_PICTURES * train.validation_fraction;
    let trained = TRAINING_PICTURES - validated;
    let epoch = limited(trained) / training.images_per_second
        + (limited(validated) + limited(TEST_PICTURES)) / evaluation.images_per_second;
    train.epochs as f64 * epoch
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BenchmarkOptions, Preset};

    fn near(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-12, "{found} and {expected}");
    }

    #[test]
    fn figures_follow_from_the_times_and_the_peak() {
        let presets = Some(vec![Preset::Quick]);
        let options = BenchmarkOptions { presets, precision: None, seconds: None, threads: None };
        let subject = &options.resolve().unwrap().subjects[0];
        let samples = Samples {
            training: vec![4.0, 0.25, 0.5],
            evaluation: vec![0.5, 0.125, 9.0, 0.25],
            prediction: vec![0.004, 0.001, 0.002],
            evaluation_batch: 64,
            ..Default::default()
        };
        let NetworkReport { training, evaluation, prediction, multiply_adds, .. } =
            report(subject, samples, 1e9);

        let batch = subject.train.batch_size as f64;
        assert_eq!((training.step_seconds, training.repetitions), (0.5, 3));
        near(training.images_per_second, batch / 0.5);
        assert_eq!((evaluation.batch_seconds, evaluation.batch_size, evaluation.repetitions), (0.375, 64, 4));
        near(evaluation.images_per_second, 64.0 / 0.375);
        assert_eq!((prediction.latency_seconds, prediction.repetitions), (0.002, 3));

        let layers = layers(&model::network(&subject.model));
        let forward: f64 = layers.iter().map(|layer| layer.multiply_adds as f64).sum();
        let stem = layers[0].multiply_adds as f64;
        assert_eq!(multiply_adds as f64, forward);
        // Backward, the gradients of the weights and of the maps each take as much as the way forward; the stem reads the
        // picture, which has no gradient.
        near(training.share_of_peak, (3.0 * forward - stem) * batch / 0.5 / 1e9);
        near(evaluation.share_of_peak, forward * 64.0 / 0.375 / 1e9);
        near(prediction.share_of_peak, forward / 0.002 / 1e9);
    }
}
