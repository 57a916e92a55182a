use super::proto::{Graph, Model, Size};
use super::{ExportOptions, encode, folded};
use crate::config::{Layout, ModelOptions, Variant};
use crate::mobilenet::MobileNet;
use prost::Message;
use std::collections::HashSet;

fn exported(variant: Variant, layout: Layout, options: ExportOptions) -> Model {
    let network = ModelOptions {
        variant: Some(variant),
        layout: Some(layout),
        width: Some(0.25),
        ..Default::default()
    };
    let model = MobileNet::create(&network, 1).unwrap();
    let folded = folded::fold(model.network(), &model.tensors()).unwrap();
    Model::decode(&*encode(&model, &folded, None, options).unwrap()).unwrap()
}

fn count(graph: &Graph, op: &str) -> usize {
    graph.node.iter().filter(|node| node.op_type == op).count()
}

#[test]
fn every_value_is_there_before_it_is_read_and_has_one_name() {
    for variant in Variant::ALL {
        for layout in [Layout::Unpadded, Layout::Cifar, Layout::Imagenet] {
            if variant != Variant::V1 && layout == Layout::Unpadded {
                continue;
            }
            for options in [
                ExportOptions::default(),
                ExportOptions { softmax: true, preprocess: false },
                ExportOptions { softmax: false, preprocess: true },
            ] {
                let graph = exported(variant, layout, options).graph.unwrap();
                let inputs = graph.input.iter().map(|value| value.name.clone());
                let constants = graph.initializer.iter().map(|tensor| tensor.name.clone());
                let mut known: HashSet<String> = inputs.chain(constants).collect();
                assert_eq!(known.len(), graph.input.len() + graph.initializer.len());
                for node in &graph.node {
                    assert!(node.input.iter().all(|input| known.contains(input)), "{variant:?}: {node:?}");
                    assert!(known.insert(node.output[0].clone()), "{variant:?}: {node:?}");
                }
                assert!(known.contains(&graph.output[0].name));
            }
        }
    }
}

#[test]
fn it_is_the_papers_network() {
    let graph = exported(Variant::V2, Layout::Imagenet, ExportOptions::default()).graph.unwrap();
    // The stem, 17 blocks of which 16 have an expansion, the head; and a shortcut in 10 of them, at a quarter of the width in
    // the first, too, which then has as many channels as the stem.
    assert_eq!(count(&graph, "Conv"), 1 + 16 * 3 + 2 + 1);
    assert_eq!((count(&graph, "Add"), count(&graph, "Gemm")), (11, 1));
    assert_eq!(count(&graph, "BatchNormalization"), 0);
    let graph = exported(Variant::V3Small, Layout::Imagenet, ExportOptions::default()).graph.unwrap();
    assert_eq!((count(&graph, "HardSigmoid"), count(&graph, "Gemm")), (9, 2));
    let sizes = |value: &super::proto::ValueInfo| -> Vec<Size> {
        let shape = value.r#type.clone().unwrap().tensor_type.unwrap().shape.unwrap();
        shape.dim.into_iter().map(|dimension| dimension.value.unwrap()).collect()
    };
    let pictures = || Size::Param("N".into());
    assert_eq!(sizes(&graph.input[0]), [pictures(), Size::Value(3), Size::Value(224), Size::Value(224)]);
    assert_eq!(sizes(&graph.output[0]), [pictures(), Size::Value(1000)]);
}
