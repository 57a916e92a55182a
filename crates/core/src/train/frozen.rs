//! Epochs in which only the classifier learns. What the network before it makes of the pictures stays the same, so of
//! pictures that don't change from epoch to epoch it is computed once.

use super::parts::Part;
use crate::config::Normalization;
use crate::data::loader::{Feed, Loader};
use crate::data::prepare::Batch;
use crate::engine::backend::InferenceEngine;
use crate::engine::evaluate::Answers;
use crate::engine::head::Head;
use crate::error::Result;
use crate::kernels::loss::cross_entropy;
use crate::metrics::Metrics;
use crate::mobilenet::in_batches;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Features of more bytes than this are computed again in each epoch.
const MOST_BYTES: usize = 1 << 30;

/// The network before the classifier, which stays as it is, and what it gave.
#[derive(Debug)]
pub(super) struct Frozen {
    backbone: Box<dyn InferenceEngine>,
    pub head: Head,
    /// Of pictures that are not augmented, in the order of their indices: `[n, features]`; those to train on, to validate
    /// with and to test on.
    features: [Option<Arc<Vec<f32>>>; 3],
}

impl Frozen {
    /// Of a prepared engine of the network without its classifier.
    pub fn new(backbone: Box<dyn InferenceEngine>, head: Head) -> Self {
        Self { backbone, head, features: Default::default() }
    }

    /// The features of normalised pictures.
    pub fn features_of(&mut self, input: &[f32]) -> Result<Vec<f32>> {
        in_batches(&mut *self.backbone, input, |backbone, batch, count| backbone.logits(batch, count))
    }

    /// The features of a part's pictures, the `place`-th of the three, computed if they aren't there yet; `None` when they are
    /// too many to keep, or when `cancelled` was set.
    pub fn of_part(
        &mut self,
        place: usize,
        part: &Part,
        normalization: Normalization,
        cancelled: &AtomicBool,
    ) -> Result<Option<Arc<Vec<f32>>>> {
        let Part { pictures, indices, .. } = part;
        if indices.len() * self.head.features * size_of::<f32>() > MOST_BYTES {
            return Ok(None);
        }
        if self.features[place].is_none() {
            let loader = Loader::start(Feed {
                pictures: pictures.clone(),
                order: indices.as_slice().into(),
                batch_size: self.backbone.capacity(),
                augment: Vec::new(),
                seed: 0,
                epoch: 0,
                resolution: self.backbone.network().resolution,
                normalization,
                first_batch: 0,
                drawn: false,
            })?;
            let mut features = Vec::with_capacity(indices.len() * self.head.features);
            for batch in loader {
                if cancelled.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                features.extend(self.features_of(&batch?.input)?);
            }
            self.features[place] = Some(Arc::new(features));
        }
        Ok(self.features[place].clone())
    }

    /// Loss and accuracy of a part whose features are there; `on_answers` hears what is answered.
    pub fn evaluate(
        &mut self,
        features: &[f32],
        indices: &[u32],
        labels: &[u32],
        head: &[f32],
        on_answers: &mut dyn FnMut(&Answers),
    ) -> Option<Metrics> {
        if labels.is_empty() {
            return None;
        }
        let logits = self.head.logits(features, head);
        let classes = logits.len() / labels.len();
        let loss = cross_entropy(&logits, classes, classes, labels, None);
        on_answers(&Answers { indices, labels, logits: &logits });
        Metrics::of(loss.sum, loss.correct, labels.len())
    }
}

/// The batches of an epoch: `order` are places among the features, `first` batches are left out.
pub(super) fn batches(
    features: Arc<Vec<f32>>,
    width: usize,
    labels: Vec<u32>,
    order: Vec<u32>,
    batch_size: usize,
    first: usize,
) -> impl Iterator<Item = Result<Batch>> {
    let count = order.len().div_ceil(batch_size);
    (first..count).map(move |number| {
        let places = order[number * batch_size..].iter().take(batch_size).map(|place| *place as usize);
        let input: Vec<f32> =
            places.clone().flat_map(|place| &features[place * width..(place + 1) * width]).copied().collect();
        let labels: Vec<u32> = places.map(|place| labels[place]).collect();
        Ok(Batch { input, count: labels.len(), labels, mixture: None, drawn: None })
    })
}
