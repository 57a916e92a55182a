//! Layers to nodes.

use super::ExportOptions;
use super::proto::{
    Attribute, AttributeType, DataType, Dimension, Graph, Node, Shape, Size, Tensor, TensorType, Type,
    ValueInfo,
};
use crate::config::{Activation, Normalization};
use crate::error::{Error, Result};
use crate::model::network::{Layer, Network, Operation};
use crate::model::tensors::NamedTensor;
use std::collections::HashMap;

/// The graph of a network with these weights.
pub(super) fn graph(
    network: &Network,
    tensors: &[NamedTensor],
    normalization: &Normalization,
    options: ExportOptions,
) -> Result<Graph> {
    let side = network.resolution as i64;
    let mut builder = Builder {
        tensors: tensors.iter().map(|tensor| (&*tensor.name, tensor)).collect(),
        eps: network.batch_norm_eps,
        graph: Graph { name: "mobilenet".into(), ..Default::default() },
    };
    let picture = if options.preprocess {
        builder.graph.input.push(value("pixels", DataType::Uint8, &[side, side, 3]));
        builder.preprocess(normalization)
    } else {
        builder.graph.input.push(value("input", DataType::Float, &[3, side, side]));
        "input".into()
    };
    // Of each layer the value that its activation gives.
    let mut outputs: Vec<String> = Vec::with_capacity(network.layers.len());
    for layer in &network.layers {
        let input = layer.input.map_or(picture.clone(), |index| outputs[index].clone());
        outputs.push(builder.layer(layer, input, &outputs)?);
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
    tensors: HashMap<&'a str, &'a NamedTensor>,
    eps: f64,
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
    fn layer(&mut self, layer: &Layer, input: String, before: &[String]) -> Result<String> {
        let name = &*layer.name;
        let input = match layer.excitation {
            None => input,
            Some(factor) => {
                self.push("Mul", &format!("{name}.excited"), vec![input, before[factor].clone()], vec![])
            }
        };
        let output = match layer.operation {
            Operation::Pool => self.push("GlobalAveragePool", name, vec![input], vec![]),
            Operation::Add { shortcut } => {
                self.push("Add", name, vec![input, before[shortcut].clone()], vec![])
            }
            Operation::Linear => {
                // From a map of one pixel, or from another linear layer: the same then.
                let flat = self.push("Flatten", &format!("{name}.flat"), vec![input], vec![int("axis", 1)]);
                let [weight, bias] = self.folded(layer)?;
                self.push("Gemm", name, vec![flat, weight, bias], vec![int("transB", 1)])
            }
            Operation::Stem | Operation::Depthwise | Operation::Pointwise => {
                let [weight, bias] = self.folded(layer)?;
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
        Ok(self.activation(layer, output))
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

    /// A layer's weight and bias with its batch norm in them, folded in float64 and rounded once; their names.
    fn folded(&mut self, layer: &Layer) -> Result<[String; 2]> {
        let read = |name: String| {
            let found = self.tensors.get(&*name).copied();
            found.ok_or_else(|| Error::internal(format!("the network has no tensor {name}")))
        };
        let weight = read(format!("{}.weight", layer.name))?;
        let per_output = weight.values.len() / layer.outputs;
        let (values, bias) = match &layer.norm {
            None => (weight.values.clone(), read(format!("{}.bias", layer.name))?.values.clone()),
            Some(norm) => {
                let [gamma, beta, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
                    .map(|part| read(format!("{norm}.{part}")).map(|tensor| &tensor.values));
                let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
                let scale = |output: usize| {
                    f64::from(gamma[output]) / (f64::from(variance[output]) + self.eps).sqrt()
                };
                let values = weight.values.iter().enumerate();
                let folded = |(i, value): (usize, &f32)| (f64::from(*value) * scale(i / per_output)) as f32;
                let bias = |output: usize| {
                    (f64::from(beta[output]) - f64::from(mean[output]) * scale(output)) as f32
                };
                (values.map(folded).collect(), (0..layer.outputs).map(bias).collect())
            }
        };
        let shape: Vec<i64> = weight.shape.iter().map(|size| *size as i64).collect();
        let outputs = [layer.outputs as i64];
        Ok([
            self.constant(&format!("{}.weight", layer.name), &shape, values),
            self.constant(&format!("{}.bias", layer.name), &outputs, bias),
        ])
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

    /// A constant; gives its name. One that is there already is used again.
    fn constant(&mut self, name: &str, dims: &[i64], values: Vec<f32>) -> String {
        if !self.graph.initializer.iter().any(|tensor| tensor.name == name) {
            self.graph.initializer.push(Tensor {
                dims: dims.into(),
                data_type: DataType::Float.into(),
                name: name.into(),
                raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
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
