//! What is found out about weights from their tensors alone, and what is refused.

mod common;

use common::fixture;
use mobilenet_core::checkpoint::{self, Checkpoint};
use mobilenet_core::config::{Activation, Layout, ModelConfig, ModelOptions, Variant};
use mobilenet_core::mobilenet::MobileNet;
use mobilenet_core::model::names::Naming;
use mobilenet_core::model::tensors::NamedTensor;
use mobilenet_core::{Error, ErrorCode};
use safetensors::tensor::{Dtype, TensorView};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Tensors as another program writes them: without our metadata.
fn write(path: &Path, tensors: &[(String, NamedTensor)]) {
    let bytes = |tensor: &NamedTensor| -> Vec<u8> {
        tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    };
    let data: Vec<_> = tensors.iter().map(|(_, tensor)| bytes(tensor)).collect();
    let views = tensors.iter().zip(&data).map(|((name, tensor), data)| {
        (name, TensorView::new(Dtype::F32, tensor.shape.clone(), data).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// A folder with a plain file in it, of a new network with other names.
struct Foreign {
    _folder: TempDir,
    path: PathBuf,
    model: MobileNet,
    tensors: Vec<(String, NamedTensor)>,
}

impl Foreign {
    fn new(options: &ModelOptions, naming: Naming) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        let model = MobileNet::create(options, 1).unwrap();
        let names = naming.names(&model.config(), model.network());
        let tensors: Vec<_> = names.into_iter().zip(model.tensors().iter().cloned()).collect();
        write(&path, &tensors);
        Self { _folder: folder, path, model, tensors }
    }

    fn import(&self, options: &ModelOptions) -> Result<ModelConfig, Error> {
        MobileNet::import(&self.path, options, None).map(|model| model.config())
    }

    fn refused(&self, options: &ModelOptions, words: &[&str]) {
        let error = self.import(options).unwrap_err();
        assert_eq!(error.code, ErrorCode::CheckpointMismatch, "{}", error.message);
        for words in words {
            assert!(error.message.contains(words), "{words}: {}", error.message);
        }
    }
}

fn options(variant: Variant, layout: Layout, width: f64) -> ModelOptions {
    ModelOptions {
        variant: Some(variant),
        layout: Some(layout),
        width: Some(width),
        classes: Some(7),
        ..Default::default()
    }
}

fn v2() -> Foreign {
    Foreign::new(&options(Variant::V2, Layout::Imagenet, 0.35), Naming::Ours)
}

#[test]
fn variant_width_and_classes_are_in_the_tensors() {
    use Variant::{V1, V2, V3Large, V3Small};
    for (variant, layout, naming, widths) in [
        (V1, Layout::Unpadded, Naming::Course, &[0.25][..]),
        (V1, Layout::Unpadded, Naming::Ours, &[0.25]),
        (V1, Layout::Imagenet, Naming::Ours, &[0.25, 0.3, 0.333]),
        (V2, Layout::Imagenet, Naming::Ours, &[0.1, 0.35, 1.4]),
        (V2, Layout::Imagenet, Naming::Timm, &[0.35]),
        (V3Large, Layout::Imagenet, Naming::Ours, &[0.35]),
        (V3Large, Layout::Imagenet, Naming::Timm, &[0.75]),
        (V3Small, Layout::Imagenet, Naming::Ours, &[0.35, 0.6]),
        (V3Small, Layout::Imagenet, Naming::Timm, &[0.75]),
    ] {
        for &width in widths {
            let foreign = Foreign::new(&options(variant, layout, width), naming);
            let found = foreign.import(&ModelOptions::default()).unwrap();
            assert_eq!(found, foreign.model.config(), "{naming:?}");
        }
    }
}

#[test]
fn our_own_checkpoints_say_what_weights_do_not_show() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let options = ModelOptions {
        layout: Some(Layout::Cifar),
        width: Some(0.2468),
        activation: Some(Activation::Relu6),
        dropout: Some(0.1),
        ..Default::default()
    };
    let model = MobileNet::create(&options, 3).unwrap();
    model.save(&path).unwrap();
    let again = MobileNet::import(&path, &ModelOptions::default(), None).unwrap();
    assert_eq!((again.config(), again.tensors()), (model.config(), model.tensors()));
    assert_eq!(again.class_names(), model.class_names());
    let wide = ModelOptions { layout: Some(Layout::Imagenet), resolution: Some(96), ..Default::default() };
    let config = MobileNet::import(&path, &wide, None).unwrap().config();
    assert_eq!((config.layout, config.resolution), (Layout::Imagenet, 96));
}

/// Without them a network of ten classes and 32x32 pictures would answer with CIFAR-10's.
#[test]
fn our_own_checkpoints_keep_their_class_names() {
    let folder = tempfile::tempdir().unwrap();
    let [path, changed] =
        ["model", "changed"].map(|name| folder.path().join(name).with_extension("safetensors"));
    let options = ModelOptions { layout: Some(Layout::Cifar), width: Some(0.25), ..Default::default() };
    MobileNet::create(&options, 3).unwrap().save(&path).unwrap();
    let sound = checkpoint::read(&path).unwrap();
    let import_with = |classes: Vec<String>| {
        checkpoint::write(&Checkpoint { classes, ..sound.clone() }, &changed).unwrap();
        MobileNet::import(&changed, &ModelOptions::default(), None).unwrap().class_names()
    };
    let things: Vec<String> = (0..10).map(|number| format!("thing-{number}")).collect();
    assert_eq!(import_with(things.clone()), things);
    assert_eq!(import_with(things[..9].to_vec()), sound.classes, "nine names are not those of ten classes");
}

#[test]
fn what_is_asked_for_must_be_there() {
    let v2 = v2();
    let asked = |change: ModelOptions| v2.refused(&change, &[]);
    asked(ModelOptions { variant: Some(Variant::V1), ..Default::default() });
    v2.refused(
        &ModelOptions { classes: Some(10), ..Default::default() },
        &["classifier.1.weight has shape [7, 1280]", "7 classes, not 10"],
    );
    v2.refused(
        &ModelOptions { width: Some(1.0), ..Default::default() },
        &[
            "features.0.0.weight has shape [16, 3, 3, 3], but must have [32, 3, 3, 3] at width 1",
            "width 0.35 fits",
        ],
    );
    let course = Foreign::new(&options(Variant::V1, Layout::Unpadded, 0.25), Naming::Course);
    course.refused(&ModelOptions { layout: Some(Layout::Cifar), ..Default::default() }, &["unpadded"]);
    let error =
        v2.import(&ModelOptions { layout: Some(Layout::Unpadded), ..Default::default() }).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidOption);
}

#[test]
fn other_networks_are_refused() {
    let foreign = v2();
    let refused = |tensors: &[(String, NamedTensor)], words: &[&str]| {
        write(&foreign.path, tensors);
        foreign.refused(&ModelOptions::default(), words);
    };
    let tensor = |shape: &[usize]| NamedTensor {
        name: String::new(),
        shape: shape.to_vec(),
        values: vec![0.0; shape.iter().product()],
    };
    refused(
        &[("layer1.0.conv1.weight".into(), tensor(&[4, 4, 3, 3])), ("fc.weight".into(), tensor(&[10, 4]))],
        &["its 2 tensors (fc.weight, layer1.0.conv1.weight, ...) are of no network known here"],
    );

    let mut tensors = foreign.tensors.clone();
    tensors.push(("features.19.0.weight".into(), tensor(&[2])));
    refused(&tensors, &["features.19.0.weight belongs to no layer of V2"]);

    let mut tensors = foreign.tensors.clone();
    tensors.retain(|(name, _)| name != "features.3.conv.1.1.bias");
    refused(&tensors, &["features.3.conv.1.1.bias is missing"]);

    // One that was pruned, or made wider in one place.
    let mut tensors = foreign.tensors.clone();
    let place = tensors.iter().position(|(name, _)| name == "features.18.0.weight").unwrap();
    tensors[place].1 = tensor(&[1288, 112, 1, 1]);
    refused(
        &tensors,
        &[
            "no width multiplier gives its shapes; at the nearest, 0.35, tensor features.18.0.weight has shape [1288",
        ],
    );
}

#[test]
fn state_dicts_from_before_pytorch_1_6_come_in() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let import = |path: &Path| MobileNet::import(path, &ModelOptions::default(), None);
    let today = import(&folder.join("course-8-channels.pth")).unwrap();
    let before = import(&folder.join("course-8-channels-legacy.pth")).unwrap();
    assert_eq!((before.config(), before.tensors()), (today.config(), today.tensors()));
}

#[test]
fn a_truncated_state_dict_is_corrupt_at_any_length() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("cut.pth");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for name in ["course-8-channels.pth", "course-8-channels-legacy.pth"] {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        for length in [0, 1, 14, 100, 1000, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let error = MobileNet::import(&path, &ModelOptions::default(), None).unwrap_err();
            assert_eq!(error.code, ErrorCode::CheckpointCorrupt, "{length} bytes: {}", error.message);
        }
    }
    let error = MobileNet::import(&fixture("images/cat-0.png"), &ModelOptions::default(), None).unwrap_err();
    assert_eq!(error.code, ErrorCode::CheckpointCorrupt);
}
