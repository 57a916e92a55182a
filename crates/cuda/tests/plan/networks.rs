//! Networks that are small enough for an emulated card.

use mobilenet_core::config::{Activation, Layout, ModelOptions, Precision, TrainConfig, Variant};
use mobilenet_core::data::prepare::Batch;
use mobilenet_core::engine::backend::{Backend, EngineState, Recipe, TrainingEngine};
use mobilenet_core::engine::parameters::Parameters;
use mobilenet_core::model::build::Builder;
use mobilenet_core::model::network::{Initialization, Network};
use mobilenet_core::model::{initial, network};
use mobilenet_core::optim::State;
use mobilenet_core::optim::average::Average;

/// Every kind of layer once, on pictures of 8x8: the quickest network that a plan can go wrong with.
pub fn every_layer() -> Network {
    let mut builder = Builder::new(8);
    builder.stem("stem", Some("norm"), 16, 1, 1, Activation::HardSwish);
    let shortcut = builder.last();
    builder.depthwise("depthwise", "depthwise.norm", 3, 1, 1, Activation::Relu);
    builder.squeeze_and_excite("excitation", 8);
    builder.pointwise("pointwise", "pointwise.norm", 16, Activation::Identity);
    builder.add("sum", shortcut);
    builder.depthwise("strided", "strided.norm", 5, 2, 2, Activation::Relu6);
    builder.pool("pool");
    builder.linear("hidden", 24, Activation::HardSwish);
    builder.linear("classifier", 5, Activation::Identity);
    Network {
        layers: builder.finish(),
        resolution: 8,
        batch_norm_eps: 1e-3,
        batch_norm_momentum: 0.1,
        dropout: 0.25,
        initialization: Initialization::Normal,
    }
}

/// A product with 256 inputs and as many outputs, on maps of 8x8.
pub fn wide() -> Network {
    let mut builder = Builder::new(8);
    builder.stem("stem", Some("norm"), 16, 1, 1, Activation::Relu);
    builder.pointwise("narrow", "narrow.norm", 256, Activation::Relu);
    builder.pointwise("wide", "wide.norm", 256, Activation::Identity);
    builder.pool("pool");
    builder.linear("classifier", 5, Activation::Identity);
    Network { layers: builder.finish(), dropout: 0.0, ..every_layer() }
}

/// A variant at a quarter of its width.
pub fn narrow(variant: Variant, layout: Layout) -> Network {
    let options = ModelOptions {
        variant: Some(variant),
        layout: Some(layout),
        width: Some(0.25),
        dropout: Some(0.25),
        ..Default::default()
    };
    network(&options.resolve().expect("such a network exists"))
}

/// Made-up pictures.
pub fn batch(network: &Network, count: usize) -> Batch {
    let floats = count * network.picture_floats();
    Batch {
        input: (0..floats).map(|index| ((index * 7919 % 1009) as f32 / 504.5) - 1.0).collect(),
        labels: (0..count).map(|index| (index * 3 % network.classes()) as u32).collect(),
        mixture: None,
        drawn: None,
        count,
    }
}

/// A network at its beginning.
pub fn beginning(network: &Network, config: &TrainConfig) -> EngineState {
    let layout = Parameters::new(network);
    let (parameters, statistics) = layout.gather(&initial::tensors(network, 1));
    EngineState {
        optimizer: State::new(config.optimizer.rule, parameters.len()),
        average: config.ema.map(|ema| Average::new(ema, parameters.clone(), statistics.clone(), 0)),
        parameters,
        statistics,
    }
}

/// An engine on a device.
pub fn engine(
    backend: &dyn Backend,
    network: &Network,
    config: &TrainConfig,
    state: EngineState,
) -> mobilenet_core::Result<Box<dyn TrainingEngine>> {
    let recipe = Recipe { network, config, class_weights: None, capacity: 6, frozen_steps: 0 };
    backend.training(recipe, state)
}

/// The course's recipe with another precision.
pub fn in_precision(precision: Precision) -> TrainConfig {
    TrainConfig { precision, ..Default::default() }
}
