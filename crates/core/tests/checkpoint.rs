//! Checkpoints and imported weights: what comes back, and what is refused.

mod common;
mod reference;
mod uniform;

use common::fixture;
use mobilenet_core::ErrorCode;
use mobilenet_core::config::{Layout, ModelOptions};
use mobilenet_core::mobilenet::MobileNet;
use mobilenet_core::model::names::course_name;
use reference::filled;
use std::path::Path;

fn options() -> ModelOptions {
    ModelOptions { layout: Some(Layout::Cifar), width: Some(0.25), ..Default::default() }
}

#[test]
fn what_is_saved_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let model = MobileNet::create(&options(), 3).unwrap();
    model.save(&path).unwrap();
    let again = MobileNet::load(&path).unwrap();
    assert_eq!(again.tensors(), model.tensors());
    assert_eq!(again.config(), model.config());
    assert_eq!(again.class_names()[9], "truck");
    assert!(!again.can_resume());
    // Our own files come in by `import`, too, like any other program's.
    assert_eq!(MobileNet::import(&path, &options(), None).unwrap().tensors(), model.tensors());
}

/// Who has the old file open, or mapped, keeps it: it isn't written over, another takes its name.
#[test]
fn a_saved_file_takes_the_name_of_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let [path, kept] = ["model.safetensors", "kept"].map(|name| folder.path().join(name));
    MobileNet::create(&options(), 3).unwrap().save(&path).unwrap();
    let old = std::fs::read(&path).unwrap();
    std::fs::hard_link(&path, &kept).unwrap();
    MobileNet::create(&options(), 4).unwrap().save(&path).unwrap();
    assert!(std::fs::read(&path).unwrap() != old);
    assert!(std::fs::read(&kept).unwrap() == old);
    assert_eq!(folder.path().read_dir().unwrap().count(), 2);
}

#[test]
fn equal_networks_are_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    let model = MobileNet::create(&options(), 3).unwrap();
    // What a hash map holds comes in another order each time.
    let saved = |name: &str| {
        let path = folder.path().join(name);
        model.save(&path).unwrap();
        std::fs::read(path).unwrap()
    };
    let first = saved("0");
    assert!((1..8).all(|time| saved(&time.to_string()) == first));
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_opened() {
    // As a named pipe, which would be waited for.
    for path in ["/dev/null", "/"] {
        let error = MobileNet::load(Path::new(path)).unwrap_err();
        assert_eq!(
            (error.code, error.message.contains("it is not a file")),
            (ErrorCode::Io, true),
            "{error}"
        );
    }
}

#[test]
fn a_truncated_checkpoint_is_corrupt_at_any_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    MobileNet::create(&options(), 3).unwrap().save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for length in [0, 1, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = MobileNet::load(&path).unwrap_err();
        assert_eq!(error.code, ErrorCode::CheckpointCorrupt, "{length} bytes: {}", error.message);
    }
}

#[test]
fn other_files_are_no_checkpoints() {
    let code = |path: &Path| MobileNet::load(path).unwrap_err().code;
    assert_eq!(code(&fixture("images/cat-0.png")), ErrorCode::CheckpointCorrupt);
    assert_eq!(code(&fixture("no-such-file")), ErrorCode::Io);
    assert_eq!(code(&fixture("images")), ErrorCode::Io);
    let import = |path: &Path| MobileNet::import(path, &options(), None).unwrap_err().code;
    assert_eq!(import(&fixture("images/cat-0.png")), ErrorCode::CheckpointCorrupt);
    assert_eq!(import(&fixture("no-such-file.pth")), ErrorCode::Io);
    assert_eq!(import(&fixture("images")), ErrorCode::Io);
}

#[test]
fn weights_of_another_network_are_a_mismatch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    MobileNet::create(&options(), 3).unwrap().save(&path).unwrap();
    let refused = |options: ModelOptions, words: &str| {
        let error = MobileNet::import(&path, &options, None).unwrap_err();
        assert_eq!(error.code, ErrorCode::CheckpointMismatch);
        assert!(error.message.contains(words), "{}", error.message);
    };
    refused(ModelOptions { width: Some(0.5), ..options() }, "conv_stem.weight has shape [8, 3, 3, 3]");
    refused(ModelOptions { classes: Some(7), ..options() }, "classifier.weight has shape [10, 256]");
    refused(ModelOptions { layout: Some(Layout::Unpadded), ..options() }, "conv_stem.bias");
}

#[test]
fn a_new_network_is_initialised_like_pytorchs() {
    let model = MobileNet::create(&options(), 5).unwrap();
    for tensor in model.tensors().iter() {
        let fan_in: usize = tensor.shape[1..].iter().product();
        let bound = match tensor.name.as_str() {
            "classifier.bias" => 1.0 / 16.0,
            _ if tensor.shape.len() > 1 => 1.0 / (fan_in as f32).sqrt(),
            name if name.ends_with("weight") || name.ends_with("running_var") => {
                assert!(tensor.values.iter().all(|value| *value == 1.0), "{name}");
                continue;
            }
            name => {
                assert!(tensor.values.iter().all(|value| *value == 0.0), "{name}");
                continue;
            }
        };
        let largest = tensor.values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        assert!(largest <= bound && largest > 0.5 * bound, "{}: {largest}, bound {bound}", tensor.name);
    }
}

#[test]
fn a_state_dict_of_the_course_comes_in() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/course-8-channels.pth");
    // So small a width that every layer has the least channels there are, 8.
    let options = ModelOptions { width: Some(0.001), ..Default::default() };
    let model = MobileNet::import(&path, &options, None).unwrap();
    let network = model.network();
    for tensor in model.tensors().iter() {
        let name = course_name(network, &tensor.name).unwrap();
        assert_eq!(tensor.values, filled(&name, &tensor.shape), "{name}");
    }
    assert_eq!(model.config().classes, 10);
}
