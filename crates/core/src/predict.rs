//! What a network says of pictures from anywhere: decoded in parallel, fitted, and run in batches.

use crate::config::TestTimeAugmentation;
use crate::data::image::{Evaluation, Limits, Source};
use crate::data::normalize::Lookup;
use crate::engine::views;
use crate::error::{Error, ErrorCode, Result};
use crate::mobilenet::{MobileNet, in_batches};
use rayon::prelude::*;
use serde::Deserialize;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is asked of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Question {
    /// What it says before softmax, a value for each class.
    Logits,
    /// What its classifier reads: the last map's mean over the pixels.
    Features,
}

/// How pictures are read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// What the shorter side is resized to before the middle is cut out, in pixels; default [`MobileNet::resize`].
    pub resize: Option<usize>,
    /// The views over which logits are averaged; features are those of the picture as it is.
    pub tta: TestTimeAugmentation,
    /// What is refused.
    pub limits: Limits,
}

/// What the network says of several pictures.
#[derive(Debug, Clone)]
pub struct Answers {
    /// `[pictures, width]`; zeros for a picture that could not be read.
    pub values: Vec<f32>,
    /// Logits or features of a picture.
    pub width: usize,
    /// The pictures that could not be read, by their place, in order.
    pub failures: Vec<(usize, Error)>,
}

/// Asks the network about pictures. One that can't be read doesn't keep the others from being answered. `None` when
/// `cancelled` was set before the end.
///
/// # Errors
/// `INVALID_OPTION` when `resize` doesn't go with the network; `CHECKPOINT_CORRUPT` when its answer is no number; those of the
/// device.
pub fn predict(
    model: &MobileNet,
    sources: &[Source],
    question: Question,
    reading: &Reading,
    cancelled: &AtomicBool,
) -> Result<Option<Answers>> {
    let config = model.config();
    let resize = reading.resize.unwrap_or(model.resize());
    config.check_resize(resize)?;
    let evaluation = Evaluation { resize, crop: config.resolution };
    let normalization = model.normalization();
    let lookup = Lookup::new(&normalization);
    let network = model.network();
    let width = match question {
        Question::Logits => network.classes(),
        Question::Features => network.layers[network.features()].outputs,
    };
    let mut answers =
        Answers { values: Vec::with_capacity(sources.len() * width), width, failures: Vec::new() };
    let together = batch_size(model)?;
    for (batch, sources) in sources.chunks(together).enumerate() {
        if cancelled.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let fit = |source: &Source| evaluation.apply(&*source.read(&reading.limits)?);
        // A large picture takes half a second, so it isn't begun in vain.
        let unless_cancelled = |source: &Source| (!cancelled.load(Ordering::Relaxed)).then(|| fit(source));
        let fitted: Option<Vec<_>> = sources.par_iter().with_max_len(1).map(unless_cancelled).collect();
        let Some(fitted) = fitted else { return Ok(None) };
        let mut readable = Vec::with_capacity(sources.len());
        let mut bytes = Vec::with_capacity(sources.len());
        for (place, fitted) in fitted.into_iter().enumerate() {
            readable.push(fitted.is_ok());
            match fitted {
                Ok(fitted) => bytes.push(fitted),
                Err(error) => answers.failures.push((batch * together + place, error)),
            }
        }
        let mut input = vec![0.0; bytes.len() * network.picture_floats()];
        let pictures = input.par_chunks_exact_mut(network.picture_floats());
        pictures.zip(bytes).for_each(|(floats, bytes)| lookup.apply(&bytes, floats));
        let values = model.with_evaluator(|engine| {
            in_batches(engine, &input, |engine, batch, pictures| match question {
                Question::Logits => views::logits(engine, batch, pictures, reading.tta, &normalization),
                Question::Features => engine.features(batch, pictures),
            })
        })?;
        if values.iter().any(|value| !value.is_finite()) {
            // Pixels are numbers, so it is the weights.
            return Err(Error::new(
                ErrorCode::CheckpointCorrupt,
                "the network's answer is no number: its weights are damaged, or the run that they are from diverged; take \
                 other weights",
            ));
        }
        let mut rows = values.chunks_exact(width);
        for readable in readable {
            match readable.then(|| rows.next()).flatten() {
                Some(row) => answers.values.extend(row),
                None => answers.values.resize(answers.values.len() + width, 0.0),
            }
        }
    }
    Ok(Some(answers))
}

/// How many pictures are decoded before they are run: so many that the threads seldom wait for the one that has the last,
/// and that the network's batches are full.
fn batch_size(model: &MobileNet) -> Result<usize> {
    let capacity = model.with_evaluator(|engine| Ok(engine.capacity()))?;
    Ok(capacity.max(4 * rayon::current_num_threads()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{read, write};
    use crate::config::{Layout, ModelOptions};
    use crate::data::Rgb;

    #[test]
    fn weights_that_are_no_numbers_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let options = ModelOptions { layout: Some(Layout::Cifar), width: Some(0.25), ..Default::default() };
        MobileNet::create(&options, 1).unwrap().save(&path).unwrap();
        let ask = |question| {
            let model = MobileNet::load(&path).unwrap();
            let picture = Source::Pixels(Rgb { width: 32, height: 32, pixels: vec![100; 32 * 32 * 3] });
            predict(&model, &[picture], question, &Reading::default(), &AtomicBool::new(false))
        };
        let damage = |place: usize, value: f32| {
            let mut checkpoint = read(&path).unwrap();
            checkpoint.tensors[place].values[0] = value;
            write(&checkpoint, &path).unwrap();
        };
        assert!(ask(Question::Logits).is_ok());
        // The classifier's bias.
        damage(read(&path).unwrap().tensors.len() - 1, f32::INFINITY);
        assert!(ask(Question::Features).is_ok());
        assert_eq!(ask(Question::Logits).unwrap_err().code, ErrorCode::CheckpointCorrupt);
        damage(0, f32::NAN);
        let error = ask(Question::Features).unwrap_err();
        assert_eq!(error.code, ErrorCode::CheckpointCorrupt);
        assert!(error.message.contains("weights are damaged"), "{error}");
    }
}
