//! The passes over one part of a batch, forward and backward, at the shape of a layer.

use crate::record::{Record, Work};
use crate::{PICTURES, RELU, numbers, zeros};
use mobilenet_core::kernels::batch_norm::{Affine, Finish, Gradient};
use mobilenet_core::kernels::buffer::Scratch;
use mobilenet_core::kernels::crew::together;
use mobilenet_core::kernels::product::PackedWeight;
use mobilenet_core::kernels::product::bfloat16::Bfloat16;
use mobilenet_core::kernels::product::cpu::panel_width;
use mobilenet_core::kernels::product::forward::scratch;
use mobilenet_core::kernels::product::pack::pack;
use mobilenet_core::kernels::segments::{ROW_BLOCK, Sums};
use mobilenet_core::kernels::separable::{Separable, Source};
use mobilenet_core::kernels::simd::Isa;
use mobilenet_core::kernels::stem::{PATCH, PICTURE_CHANNELS};
use mobilenet_core::kernels::{depthwise, padded, pooling, product, stem};
use mobilenet_core::model::network::{Layer, Network, Operation};

/// In float32, and where the processor can, in bfloat16.
pub fn product(record: &mut Record, isa: Isa, layout: &str, layer: &Layer) {
    let (inputs, outputs) = (padded(layer.inputs), padded(layer.outputs));
    product_of(record, isa, layout, layer, PackedWeight::new(outputs, inputs, true));
    if let Some(bfloat16) = Bfloat16::of(isa) {
        let weight = PackedWeight::rounded(outputs, inputs, true, bfloat16);
        product_of(record, isa, &format!("bfloat16 {layout}"), layer, weight);
    }
}

fn product_of(record: &mut Record, isa: Isa, layout: &str, layer: &Layer, mut weight: PackedWeight) {
    let (inputs, outputs, side) = (weight.inputs, weight.outputs, layer.output_side());
    let count = PICTURES * side * side;
    weight.pack(isa, &numbers(outputs * inputs));
    let (input, gradient) = (numbers(count * inputs), numbers(count * outputs));
    let (input_affine, output_affine) = (Affine::identity(inputs, RELU), Affine::identity(outputs, RELU));
    let output_gradient = Gradient::new(outputs);
    let (mut output, mut input_gradient) = (zeros(count * outputs), zeros(count * inputs));
    let (mut block, mut gradient_block) = (zeros(scratch(inputs)), zeros(scratch(outputs)));
    let (mut panels, mut tiles) = (zeros(ROW_BLOCK * inputs), zeros(ROW_BLOCK * outputs));
    let mut weight_gradient = zeros(outputs * inputs);
    let mut sums = Sums::new(inputs.max(outputs));

    let flops = 2 * count * inputs * outputs;
    let shape = format!("{layout} {inputs} to {outputs} at {side}x{side}");
    let work = Work { flops, floats: count * (inputs + outputs) + inputs * outputs };
    record.measure(format!("product forward/{shape}"), work, || {
        isa.run(product::forward::Forward {
            rows: count,
            inputs,
            outputs,
            input: &input,
            affine: &input_affine,
            factors: None,
            weight: &weight.forward,
            bfloat16: weight.bfloat16,
            bias: None,
            output: &mut output,
            sums: Some(&mut sums),
            block: &mut block,
        });
    });
    let work = Work { flops: 2 * flops, floats: count * 2 * (inputs + outputs) + 2 * inputs * outputs };
    record.measure(format!("product backward/{shape}"), work, || {
        isa.run(product::backward::Backward {
            rows: count,
            inputs,
            outputs,
            input: &input,
            input_affine: &input_affine,
            output: &output,
            output_affine: &output_affine,
            output_gradient: &output_gradient,
            gradient: &gradient,
            weight: &weight.backward,
            bfloat16: weight.bfloat16,
            factors: None,
            factors_gradient: None,
            input_gradient: &mut input_gradient,
            accumulate: false,
            weight_gradient: Some(&mut weight_gradient),
            sums: &mut sums,
            gradient_block: &mut gradient_block,
            input_rows: &mut block,
            panels: &mut panels,
            tiles: &mut tiles,
        });
    });
}

pub fn depthwise(record: &mut Record, isa: Isa, layout: &str, layer: &Layer) {
    let shape = depthwise::Shape {
        channels: layer.outputs,
        kernel: layer.kernel,
        stride: layer.stride,
        padding: layer.padding,
        input_side: layer.input_side,
    };
    let (channels, side, taps) = (padded(layer.outputs), layer.output_side(), layer.kernel * layer.kernel);
    let (ring_floats, gradient_ring_floats, zero_floats) = shape.scratch();
    let inputs = PICTURES * layer.input_side * layer.input_side * channels;
    let outputs = PICTURES * side * side * channels;
    let (input, gradient, weight) = (numbers(inputs), numbers(outputs), numbers(taps * channels));
    let (affine, output_gradient) = (Affine::identity(channels, RELU), Gradient::new(channels));
    let (mut output, mut input_gradient) = (zeros(outputs), zeros(inputs));
    let (mut ring, mut gradient_ring) = (zeros(ring_floats), zeros(gradient_ring_floats));
    let (zero, mut weight_gradient) = (zeros(zero_floats), zeros(taps * channels));
    let mut sums = Sums::new(channels);

    let flops = 2 * taps * outputs;
    let name = format!("{layout} {channels} at {}x{0} stride {}", layer.input_side, layer.stride);
    let work = Work { flops, floats: inputs + outputs + taps * channels };
    record.measure(format!("depthwise forward/{name}"), work, || {
        isa.run(depthwise::forward::Forward {
            shape,
            pictures: PICTURES,
            input: &input,
            affine: &affine,
            weight: &weight,
            output: &mut output,
            sums: Some(&mut sums),
            ring: &mut ring,
            zeros: &zero,
        });
    });
    let work = Work { flops: 2 * flops, floats: 2 * (inputs + outputs + taps * channels) };
    record.measure(format!("depthwise backward/{name}"), work, || {
        isa.run(depthwise::backward::Backward {
            shape,
            pictures: PICTURES,
            input: &input,
            input_affine: &affine,
            output: &output,
            output_affine: &affine,
            output_gradient: &output_gradient,
            gradient: &gradient,
            weight: &weight,
            input_gradient: &mut input_gradient,
            accumulate: false,
            weight_gradient: &mut weight_gradient,
            sums: &mut sums,
            ring: &mut ring,
            gradient_ring: &mut gradient_ring,
            zeros: &zero,
        });
    });
}

pub fn stem(record: &mut Record, isa: Isa, layout: &str, layer: &Layer) {
    let shape = stem::Shape {
        outputs: layer.outputs,
        stride: layer.stride,
        padding: layer.padding,
        input_side: layer.input_side,
    };
    let (channels, side) = (padded(layer.outputs), layer.output_side());
    let inputs = PICTURES * layer.input_side * layer.input_side * PICTURE_CHANNELS;
    let outputs = PICTURES * side * side * channels;
    let (input, gradient) = (numbers(inputs), numbers(outputs));
    let mut weight = zeros(PATCH * channels);
    pack(&numbers(PATCH * channels), PATCH, channels, panel_width(isa), &mut weight);
    let (affine, output_gradient) = (Affine::identity(channels, RELU), Gradient::new(channels));
    let (mut output, mut patches, mut tiles) = (zeros(outputs), zeros(PATCH * side), zeros(PATCH * side));
    let (mut gradient_row, mut panels) = (zeros(side * channels), zeros(side * channels));
    let (mut weight_gradient, mut sums) = (zeros(PATCH * channels), Sums::new(channels));

    let flops = 2 * PATCH * outputs;
    let name = format!("{layout} {channels} at {side}x{side}");
    record.measure(format!("stem forward/{name}"), Work { flops, floats: inputs + outputs }, || {
        isa.run(stem::forward::Forward {
            shape,
            rows: 0..PICTURES * side,
            input: &input,
            weight: &weight,
            finish: None,
            output: &mut output,
            sums: Some(&mut sums),
            patches: &mut patches,
        });
    });
    record.measure(format!("stem backward/{name}"), Work { flops, floats: inputs + 2 * outputs }, || {
        isa.run(stem::backward::Backward {
            shape,
            pictures: PICTURES,
            input: &input,
            output: &output,
            output_affine: &affine,
            output_gradient: &output_gradient,
            gradient: &gradient,
            weight_gradient: &mut weight_gradient,
            patches: &mut patches,
            gradient_row: &mut gradient_row,
            panels: &mut panels,
            tiles: &mut tiles,
        });
    });
}

/// A depthwise layer and the product behind it, in inference; one picture as well as a part of a batch.
pub fn separable(record: &mut Record, isa: Isa, layout: &str, depthwise: &Layer, pointwise: &Layer) {
    let (inputs, outputs) = (padded(pointwise.inputs), padded(pointwise.outputs));
    let (input_side, side) = (depthwise.input_side, pointwise.output_side());
    let mut packed = PackedWeight::new(outputs, inputs, false);
    packed.pack(isa, &numbers(outputs * inputs));
    let taps = depthwise.kernel * depthwise.kernel;
    let (weight, biases) = (numbers(taps * inputs), numbers(inputs.max(outputs)));
    let finish = Finish { bias: &biases, curve: RELU };
    let mut scratch = Scratch::new(Separable::scratch(side, inputs));
    scratch.cover_threads();
    for pictures in [PICTURES, 1] {
        let input = numbers(pictures * input_side * input_side * inputs);
        let mut output = zeros(pictures * side * side * outputs);
        let flops = 2 * pictures * side * side * inputs * (taps + outputs);
        let floats = input.len() + output.len() + inputs * outputs;
        let shape = depthwise::Shape {
            channels: depthwise.outputs,
            kernel: depthwise.kernel,
            stride: depthwise.stride,
            padding: depthwise.padding,
            input_side,
        };
        let block = Separable {
            rows: pictures * side * side,
            inputs,
            outputs,
            source: Source::Depthwise { shape, input: &input, weight: &weight, finish },
            weight: &packed.forward,
            bfloat16: packed.bfloat16,
            finish,
            shortcut: None,
        };
        let name = format!("{layout} {inputs} to {outputs} at {side}x{side}, {pictures} pictures");
        record.measure(format!("separable inference/{name}"), Work { flops, floats }, || {
            together(|crew| block.run(isa, &mut output, &scratch, Some(crew)));
        });
    }
}

pub fn pooling(record: &mut Record, isa: Isa, layout: &str, network: &Network) {
    let is_pool = |layer: &&Layer| layer.operation == Operation::Pool;
    let pool = network.layers.iter().find(is_pool).expect("every network has one");
    let (side, channels) = (pool.input_side, padded(pool.outputs));
    let pixels = side * side;
    let affine = Affine::identity(channels, RELU);
    let (map, mut features) = (numbers(PICTURES * pixels * channels), zeros(PICTURES * channels));
    let (mut gradient, mut sums) = (zeros(PICTURES * pixels * channels), Sums::new(channels));
    let name = format!("{layout} {channels} at {side}x{side}");
    let work = |maps: usize| Work { flops: 0, floats: PICTURES * channels * (maps * pixels + 1) };
    record.measure(format!("pooling forward/{name}"), work(1), || {
        together(|crew| {
            pooling::forward(isa, &map, &affine, pixels, channels, &mut features, Some(crew));
        });
    });
    record.measure(format!("pooling backward/{name}"), work(2), || {
        isa.run(pooling::Backward {
            pixels,
            channels,
            map: &map,
            affine: &affine,
            features_gradient: &features,
            factors: None,
            gradient: &mut gradient,
            sums: &mut sums,
        });
    });
}
