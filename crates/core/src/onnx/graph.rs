//! Layers to nodes.

use super::ExportOptions;
use super::folded::FoldedNetwork;
use super::proto::{
    Attribute, AttributeType, DataType, Dimension, Graph, Node, Shape, Size, Tensor, TensorType, Type,
    ValueInfo,
};
use super::quantize::{Quantized, QuantizedLayer};
use crate::config::{Activation, Normalization};
use crate::engine::trace::{Value, is_step};
use crate::error::{Error, Result};
use crate::model::network::{Layer, Operation};
use crate::model::tensors::NamedTensor;

/// The graph of a network; with `quantized`, in whole numbers of 8 bits where it says so.
pub(super) fn graph(
    folded: &FoldedNetwork,
    quantized: Option<&Quantized>,
    normalization: &Normalization,
    options: ExportOptions,
) -> Result<Graph> {
    let network = &folded.network;
    let side = network.resolution as i64;
    let graph = Graph { name: "mobilenet".into(), ..Default::default() };
    let mut builder = Builder { folded, quantized, graph };
    let picture = if options.preprocess {
        builder.graph.input.push(value("pixels", DataType::Uint8, &[side, side, 3]));
        builder.preprocess(normalization)
    } else {
        builder.graph.input.push(value("input", DataType::Float, &[3, side, side]));
        "input".into()
    };
    let picture = builder.rounded(Value::Picture, picture);
    // Of each layer the value that its activation gives.
    let mut outputs: Vec<String> = Vec::with_capacity(network.layers.len());
    for (index, layer) in network.layers.iter().enumerate() {
        let input = layer.input.map_or(picture.clone(), |index| outputs[index].clone());
        outputs.push(builder.layer(index, layer, input, &outputs)?);
    }
    // The last node gives the graph's output, whose name doesn't depend on the network.
    let output = if options.softmax {
        builder.push("Softmax", "softmax", vec![outputs[outputs.len() - 1].clone()], vec![int("axis", 1)]);
        "probabilities"
    } else {
        "logits"
    };
    let last = builder.graph.node.last_mut().ok_or_else(|| Error::internal("a network without layers"))?;
    last.output = vec![output.into()];
    builder.graph.output.push(value(output, DataType::Float, &[network.classes() as i64]));
    Ok(builder.graph)
}

struct Builder<'a> {
    folded: &'a FoldedNetwork,
    quantized: Option<&'a Quantized>,
    graph: Graph,
}

impl Builder<'_> {
    /// Bytes of pixels to what the network reads; gives that value's name.
    fn preprocess(&mut self, normalization: &Normalization) -> String {
        let Normalization { mean, std } = normalization;
        let each = |value: fn(f64, f64) -> f64| [0, 1, 2].map(|c| value(mean[c], std[c]) as f32).to_vec();
        let scale = self.constant("normalization.scale", &[3, 1, 1], each(|_, std| 1.0 / (255.0 * std)));
        let shift = self.constant("normalization.shift", &[3, 1, 1], each(|mean, std| -mean / std));
        let float = int("to", DataType::Float as i64);
        let pixels = self.push("Cast", "pixels.float", vec!["pixels".into()], vec![float]);
        let planes = self.push("Transpose", "pixels.planes", vec![pixels], vec![ints("perm", &[0, 3, 1, 2])]);
        let scaled = self.push("Mul", "normalization.scaled", vec![planes, scale], vec![]);
        self.push("Add", "normalization", vec![scaled, shift], vec![])
    }

    /// The nodes of a layer; gives the name of its output. `before` are the outputs of the layers before it.
    fn layer(&mut self, index: usize, layer: &Layer, input: String, before: &[String]) -> Result<String> {
        let name = &*layer.name;
        let input = match layer.excitation {
            None => input,
            Some(factor) => {
                let factors = before[factor].clone();
                let excited = self.push("Mul", &format!("{name}.excited"), vec![input, factors], vec![]);
                self.rounded(Value::Excited(index), excited)
            }
        };
        let mut output = match layer.operation {
            Operation::Pool => self.push("GlobalAveragePool", name, vec![input], vec![]),
            Operation::Add { shortcut } => {
                self.push("Add", name, vec![input, before[shortcut].clone()], vec![])
            }
            Operation::Linear => {
                // From a map of one pixel, or from another linear layer: the same then.
                let flat = self.push("Flatten", &format!("{name}.flat"), vec![input], vec![int("axis", 1)]);
                // On both sides of what only moves values: so that a product is seen to be one of whole numbers.
                let flat = layer.input.map_or(flat.clone(), |from| self.rounded(Value::Output(from), flat));
                let [weight, bias] = self.weights(index)?;
                self.push("Gemm", name, vec![flat, weight, bias], vec![int("transB", 1)])
            }
            Operation::Stem | Operation::Depthwise | Operation::Pointwise => {
                let [weight, bias] = self.weights(index)?;
                let (kernel, stride) = (layer.kernel as i64, layer.stride as i64);
                let group = if layer.operation == Operation::Depthwise { layer.outputs as i64 } else { 1 };
                let attributes = vec![
                    ints("kernel_shape", &[kernel; 2]),
                    ints("strides", &[stride; 2]),
                    ints("pads", &[layer.padding as i64; 4]),
                    int("group", group),
                ];
                self.push("Conv", name, vec![input, weight, bias], attributes)
            }
        };
        if is_step(layer.activation) {
            output = self.rounded(Value::Sum(index), output);
        }
        let output = self.activation(layer, output);
        Ok(self.rounded(Value::Output(index), output))
    }

    fn activation(&mut self, layer: &Layer, input: String) -> String {
        let name = format!("{}.activation", layer.name);
        let sixth = || vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)];
        match layer.activation {
            Activation::Identity => input,
            Activation::Relu => self.push("Relu", &name, vec![input], vec![]),
            Activation::Relu6 => {
                let [zero, six] =
                    [("zero", 0.0), ("six", 6.0)].map(|(name, value)| self.constant(name, &[], vec![value]));
                self.push("Clip", &name, vec![input, zero, six], vec![])
            }
            Activation::HardSwish => self.push("HardSwish", &name, vec![input], vec![]),
            Activation::HardSigmoid => self.push("HardSigmoid", &name, vec![input], sixth()),
        }
    }

    /// The names of a layer's weight and bias.
    fn weights(&mut self, index: usize) -> Result<[String; 2]> {
        let [weight, bias] = self.folded.tensors_of(index)?;
        let shape =
            |tensor: &NamedTensor| -> Vec<i64> { tensor.shape.iter().map(|size| *size as i64).collect() };
        let Some(quantized) = self.quantized else {
            return Ok([weight, bias]
                .map(|tensor| self.constant(&tensor.name, &shape(tensor), tensor.values.clone())));
        };
        let layer = quantized.layers.get(&index);
        let QuantizedLayer { weight: values, scales, bias: biases, bias_scales } =
            layer.ok_or_else(|| Error::internal(format!("layer {index} was not quantized")))?;
        let values = values.iter().map(|value| *value as u8).collect();
        let biases = biases.iter().flat_map(|value| value.to_le_bytes()).collect();
        let weight =
            self.float_again(&weight.name, (DataType::Int8, 1), &shape(weight), values, scales.clone());
        let bias =
            self.float_again(&bias.name, (DataType::Int32, 4), &shape(bias), biases, bias_scales.clone());
        Ok([weight, bias])
    }

    /// A tensor in whole numbers, each of so many bytes, and the node that makes floats of it; each of the first dimension has
    /// a scale of its own. Gives the name of the floats.
    fn float_again(
        &mut self,
        name: &str,
        (elements, bytes): (DataType, usize),
        shape: &[i64],
        values: Vec<u8>,
        scales: Vec<f32>,
    ) -> String {
        let outputs = [scales.len() as i64];
        let whole = self.tensor(name, elements, shape, values);
        let zeros = vec![0; bytes * scales.len()];
        let scale = self.constant(&format!("{name}.scale"), &outputs, scales);
        let zero = self.tensor(&format!("{name}.zero"), elements, &outputs, zeros);
        let axis = vec![int("axis", 0)];
        self.push("DequantizeLinear", &format!("{name}.float"), vec![whole, scale, zero], axis)
    }

    /// A value by way of the levels that it has, if it has any; gives the name of what is to be read.
    fn rounded(&mut self, value: Value, name: String) -> String {
        let Some(levels) = self.quantized.and_then(|quantized| quantized.levels.get(&value)) else {
            return name;
        };
        let scale = self.constant(&format!("{name}.scale"), &[], vec![levels.scale]);
        let zero = self.tensor(&format!("{name}.zero"), DataType::Uint8, &[], vec![levels.zero]);
        let whole = self.push(
            "QuantizeLinear",
            &format!("{name}.levels"),
            vec![name.clone(), scale.clone(), zero.clone()],
            vec![],
        );
        self.push("DequantizeLinear", &format!("{name}.float"), vec![whole, scale, zero], vec![])
    }

    /// A node with one output, which has its name; gives that.
    fn push(&mut self, op: &str, name: &str, input: Vec<String>, attribute: Vec<Attribute>) -> String {
        self.graph.node.push(Node {
            input,
            output: vec![name.into()],
            name: name.into(),
            op_type: op.into(),
            attribute,
        });
        name.into()
    }

    /// A constant of floats; gives its name.
    fn constant(&mut self, name: &str, dims: &[i64], values: Vec<f32>) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor(name, DataType::Float, dims, bytes)
    }

    /// A constant; gives its name. One that is there already is used again.
    fn tensor(&mut self, name: &str, elements: DataType, dims: &[i64], raw_data: Vec<u8>) -> String {
        if !self.graph.initializer.iter().any(|tensor| tensor.name == name) {
            self.graph.initializer.push(Tensor {
                dims: dims.into(),
                data_type: elements.into(),
                name: name.into(),
                raw_data,
            });
        }
        name.into()
    }
}

fn int(name: &str, value: i64) -> Attribute {
    Attribute { name: name.into(), i: Some(value), r#type: AttributeType::Int.into(), ..Default::default() }
}

fn ints(name: &str, values: &[i64]) -> Attribute {
    Attribute {
        name: name.into(),
        ints: values.into(),
        r#type: AttributeType::Ints.into(),
        ..Default::default()
    }
}

fn float(name: &str, value: f32) -> Attribute {
    Attribute { name: name.into(), f: Some(value), r#type: AttributeType::Float.into(), ..Default::default() }
}

/// An input or output of any number of pictures.
fn value(name: &str, elements: DataType, shape: &[i64]) -> ValueInfo {
    let pictures = Size::Param("N".into());
    let sizes = std::iter::once(pictures).chain(shape.iter().map(|size| Size::Value(*size)));
    let dim = sizes.map(|size| Dimension { value: Some(size) }).collect();
    let tensor = TensorType { elem_type: elements.into(), shape: Some(Shape { dim }) };
    ValueInfo { name: name.into(), r#type: Some(Type { tensor_type: Some(tensor) }) }
}
