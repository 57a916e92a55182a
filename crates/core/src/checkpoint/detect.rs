//! Which network the tensors of a file are: found from their names and shapes, and compared with what was asked for.

use super::weights::Weights;
use crate::config::{Layout, ModelConfig, ModelOptions, Variant};
use crate::error::{Error, Result};
use crate::model;
use crate::model::names::Naming;
use crate::model::network::{Network, Operation};
use crate::model::tensors::{Role, TensorSpec, specs};
use crate::model::width::scaled;
use std::collections::HashSet;

/// How finely widths are tried, in steps a unit, the coarsest first: what is published are whole quarters and twentieths,
/// and of many widths that give the same channels the roundest is meant.
const STEPS: [usize; 5] = [1, 4, 20, 100, 1000];
/// The largest width there is.
const MOST: usize = 4;

/// A network, and what the file calls its tensors.
#[derive(Debug)]
pub struct Detected {
    /// The network.
    pub config: ModelConfig,
    /// Whose names.
    pub naming: Naming,
    /// The file's name of each tensor, in the order of the state dict.
    pub names: Vec<String>,
}

/// What a network's tensors can be told by.
struct Kind {
    variant: Variant,
    naming: Naming,
    /// Whether it is the course's network, with a stem that has a bias and no batch norm.
    unpadded: bool,
    /// Tensors that it has, and no kind further down.
    marks: &'static [&'static str],
    /// For people.
    what: &'static str,
}

const KINDS: [Kind; 9] = [
    Kind::new(Variant::V1, Naming::Course, "V1 with the course's names", &["fc.weight", "features.0.bias"])
        .unpadded(),
    Kind::new(
        Variant::V1,
        Naming::Ours,
        "V1 in layout unpadded",
        &["conv_stem.bias", "blocks.4.1.conv_pw.weight"],
    )
    .unpadded(),
    Kind::new(
        Variant::V3Large,
        Naming::Ours,
        "V3-large with torchvision's names",
        &["classifier.3.weight", "features.16.0.weight"],
    ),
    Kind::new(
        Variant::V3Small,
        Naming::Ours,
        "V3-small with torchvision's names",
        &["classifier.3.weight", "features.12.0.weight"],
    ),
    Kind::new(
        Variant::V2,
        Naming::Ours,
        "V2 with torchvision's names",
        &["classifier.1.weight", "features.18.0.weight"],
    ),
    Kind::new(
        Variant::V3Large,
        Naming::Timm,
        "V3-large with timm's names",
        &["conv_head.bias", "blocks.6.0.conv.weight"],
    ),
    Kind::new(
        Variant::V3Small,
        Naming::Timm,
        "V3-small with timm's names",
        &["conv_head.bias", "blocks.5.0.conv.weight"],
    ),
    Kind::new(
        Variant::V2,
        Naming::Timm,
        "V2 with timm's names",
        &["bn2.weight", "blocks.6.0.conv_pwl.weight"],
    ),
    Kind::new(
        Variant::V1,
        Naming::Ours,
        "V1 with timm's names",
        &["bn1.weight", "blocks.4.1.conv_pw.weight"],
    ),
];

impl Kind {
    const fn new(
        variant: Variant,
        naming: Naming,
        what: &'static str,
        marks: &'static [&'static str],
    ) -> Self {
        Self { variant, naming, unpadded: false, marks, what }
    }

    const fn unpadded(self) -> Self {
        Self { unpadded: true, ..self }
    }
}

/// Finds the network. What `options` say wins where weights show nothing (strides, activation, dropout), and must be right
/// where they show something. In a checkpoint of this library its configuration is the default, else layout `imagenet`.
///
/// # Errors
/// `CHECKPOINT_MISMATCH` when the tensors are of no network known here, or not of the one that `options` describe;
/// `INVALID_OPTION` when these contradict each other.
pub fn detect(weights: &Weights, options: &ModelOptions) -> Result<Detected> {
    let kind = KINDS
        .iter()
        .find(|kind| kind.marks.iter().all(|mark| weights.tensors.contains_key(*mark)))
        .ok_or_else(|| unknown(weights))?;
    if options.variant.is_some_and(|variant| variant != kind.variant) {
        return Err(weights.mismatch(format!("it holds {}, which is not the variant asked for", kind.what)));
    }
    check_layout(weights, kind, options)?;
    let written = weights.own.as_ref().map(|own| &own.config).filter(|config| config.variant == kind.variant);
    let usual = if kind.unpadded { Layout::Unpadded } else { Layout::Imagenet };
    let mut config = ModelOptions {
        variant: Some(kind.variant),
        layout: options.layout.or(written.map(|config| config.layout)).or(Some(usual)),
        activation: options.activation.or(written.map(|config| config.activation)),
        resolution: options.resolution.or(written.map(|config| config.resolution)),
        dropout: options.dropout.or(written.map(|config| config.dropout)),
        width: options.width,
        classes: Some(classes(weights, kind, options)?),
    }
    .resolve()?;
    config.width = width(weights, kind, &config, options.width, written.map(|config| config.width))?;
    let names = kind.naming.names(&config, &model::network(&config));
    let expected: HashSet<&str> = names.iter().map(String::as_str).collect();
    let surplus = |name: &&String| {
        !expected.contains(name.as_str())
            && !name.ends_with(".num_batches_tracked")
            && !name.starts_with("training.")
    };
    if let Some(name) = weights.tensors.keys().filter(surplus).min() {
        return Err(weights.mismatch(format!("tensor {name} belongs to no layer of {}", kind.what)));
    }
    Ok(Detected { config, naming: kind.naming, names })
}

fn unknown(weights: &Weights) -> Error {
    let mut names: Vec<&str> = weights.tensors.keys().map(String::as_str).collect();
    names.sort_unstable();
    let (count, some) = (names.len(), names[..names.len().min(3)].join(", "));
    weights.mismatch(format!(
        "its {count} tensors ({some}, ...) are of no network known here; known are V1 with the course's or timm's names, \
         V2 and V3 with torchvision's or timm's"
    ))
}

fn check_layout(weights: &Weights, kind: &Kind, options: &ModelOptions) -> Result<()> {
    let (has, not) =
        if kind.unpadded { ("a bias", "batch norm") } else { ("batch norm", "a bias (conv_stem.bias)") };
    let differs = options.layout.is_some_and(|layout| (layout == Layout::Unpadded) != kind.unpadded);
    // Only V1 has both; of another variant it is the options that contradict each other.
    if !differs || kind.variant != Variant::V1 {
        return Ok(());
    }
    let right = if kind.unpadded { "unpadded" } else { "cifar or imagenet" };
    Err(weights.mismatch(format!(
        "behind its first convolution is {has} and not {not}, so its layout is {right}, not the one asked for"
    )))
}

/// The rows of the classifier.
fn classes(weights: &Weights, kind: &Kind, options: &ModelOptions) -> Result<usize> {
    let config = ModelOptions { variant: Some(kind.variant), ..Default::default() }.resolve()?;
    let network = model::network(&config);
    let names = kind.naming.names(&config, &network);
    // Behind the weight of the last layer stands its bias.
    let name = &names[names.len() - 2];
    let Some(shape @ [classes, ..]) = weights.shape(name) else {
        return Err(weights.mismatch(format!("tensor {name} is missing, or has no dimensions")));
    };
    match options.classes {
        Some(asked) if asked != *classes => Err(weights.mismatch(format!(
            "tensor {name} has shape {shape:?}: there are {classes} classes, not {asked}"
        ))),
        _ => Ok(*classes),
    }
}

/// The width at which all shapes are those of the file; the one asked for must be such a width.
fn width(
    weights: &Weights,
    kind: &Kind,
    config: &ModelConfig,
    asked: Option<f64>,
    written: Option<f64>,
) -> Result<f64> {
    let at = |width: f64| Attempt::new(weights, kind, &ModelConfig { width, ..config.clone() });
    if let Some(asked) = asked {
        return match at(asked).first {
            None => Ok(asked),
            Some(why) => {
                let hint = search(weights, kind, written, &at)
                    .map_or(String::new(), |fits| format!("; width {fits} fits"));
                Err(weights.mismatch(format!("{why} at width {asked}{hint}")))
            }
        };
    }
    search(weights, kind, written, &at).ok_or_else(|| {
        let nearest = grid(20).map(|width| (width, at(width))).min_by_key(|(_, attempt)| attempt.wrong);
        let (nearest, attempt) = nearest.unwrap_or_else(|| (1.0, at(1.0)));
        weights.mismatch(format!(
            "it looks like {}, but no width multiplier gives its shapes; at the nearest, {nearest}, {}",
            kind.what,
            attempt.first.unwrap_or_default()
        ))
    })
}

fn grid(steps: usize) -> impl Iterator<Item = f64> {
    (1..=MOST * steps).map(move |step| step as f64 / steps as f64)
}

fn search(weights: &Weights, kind: &Kind, written: Option<f64>, at: &impl Fn(f64) -> Attempt) -> Option<f64> {
    let whole = ModelOptions { variant: Some(kind.variant), ..Default::default() }.resolve().ok()?;
    let stem = model::network(&whole).layers[0].outputs;
    let found = weights.shape(&kind.naming.names(&whole, &model::network(&whole))[0])?.first()?;
    // Most widths are out by the stem's channels alone.
    let near = |width: &f64| scaled(stem, *width) == *found;
    let widths = written.into_iter().chain(STEPS.into_iter().flat_map(grid)).filter(near);
    widths.into_iter().find(|width| at(*width).first.is_none())
}

/// How the tensors of a file differ from those of a network.
struct Attempt {
    /// How many do.
    wrong: usize,
    /// What is wrong with the first.
    first: Option<String>,
}

impl Attempt {
    fn new(weights: &Weights, kind: &Kind, config: &ModelConfig) -> Self {
        let network: Network = model::network(config);
        let names = kind.naming.names(config, &network);
        let mut differences = specs(&network).into_iter().zip(&names).filter_map(|(spec, name)| {
            let Some(shape) = weights.shape(name) else { return Some(format!("tensor {name} is missing")) };
            let differs = !same(&spec, shape);
            differs.then(|| format!("tensor {name} has shape {shape:?}, but must have {:?}", spec.shape))
        });
        let first = differences.next();
        Self { wrong: differences.count() + usize::from(first.is_some()), first }
    }
}

/// A matrix may be a 1x1 convolution.
fn same(spec: &TensorSpec, shape: &[usize]) -> bool {
    let matrix = spec.role == Role::Weight(Operation::Linear);
    shape == spec.shape || (matrix && shape.strip_suffix(&[1, 1]) == Some(&spec.shape[..]))
}
