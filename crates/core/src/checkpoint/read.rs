//! Reading, with a clear word for whatever is wrong.

use super::{Checkpoint, FORMAT, Progress, RAW, TRAINING, TrainingState, VERSION};
use crate::config::{ModelConfig, Normalization};
use crate::error::{Error, ErrorCode, Result};
use crate::files::read_whole;
use crate::model;
use crate::model::tensors::{NamedTensor, TensorSpec, specs};
use crate::optim::buffers;
use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::path::Path;

/// Reads a checkpoint.
///
/// # Errors
/// `IO` when the file can't be read; `CHECKPOINT_CORRUPT` when it is no checkpoint of ours, or not whole;
/// `CHECKPOINT_MISMATCH` when its tensors are not those of its configuration.
pub fn read(path: &Path) -> Result<Checkpoint> {
    let bytes = read_whole("read the checkpoint", path)?;
    let file = File::new(&bytes, path)?;
    let config: ModelConfig = file.json("config")?;
    config.check().map_err(|error| file.corrupt(error))?;
    let network = model::network(&config);
    let specs = specs(&network);
    let tensors = specs.iter().map(|spec| file.tensor("", spec)).collect::<Result<_>>()?;
    let batches_tracked = specs
        .iter()
        .find_map(|spec| spec.name.strip_suffix(".running_var"))
        .and_then(|norm| file.tensors.tensor(&format!("{norm}.num_batches_tracked")).ok())
        .and_then(|view| view.data().try_into().ok())
        .map_or(0, i64::from_le_bytes);
    let classes: Vec<String> = file.json("classes")?;
    if classes.len() != config.classes {
        return Err(file.corrupt(format!("{} class names for {} classes", classes.len(), config.classes)));
    }
    let normalization: Normalization = file.json("normalization")?;
    normalization.check().map_err(|error| file.corrupt(error))?;
    // Files of before 0.2 haven't it.
    let resize = match file.metadata.contains_key("resize") {
        true => file.json("resize")?,
        false => config.resolution,
    };
    config.check_resize(resize).map_err(|error| file.corrupt(error))?;
    let trained_on = match file.metadata.contains_key("trainedOn") {
        true => Some(file.json("trainedOn")?),
        false => None,
    };
    let training = match file.metadata.contains_key("training") {
        false => None,
        true => {
            let progress: Progress = file.json("training")?;
            progress.check().map_err(|why| file.corrupt(format!("its metadata's `training`: {why}")))?;
            let optimizer = buffers(progress.config.optimizer.rule).iter().map(|(name, _)| {
                let prefix = format!("{TRAINING}{name}.");
                let parameters = specs.iter().filter(|spec| spec.role.is_parameter());
                parameters.map(|spec| file.tensor(&prefix, spec)).collect()
            });
            let optimizer = optimizer.collect::<Result<_>>()?;
            let raw = progress.config.ema.map(|_| {
                let prefix = format!("{TRAINING}{RAW}");
                specs.iter().map(|spec| file.tensor(&prefix, spec)).collect()
            });
            Some(TrainingState { raw: raw.transpose()?, progress, optimizer })
        }
    };
    Ok(Checkpoint {
        config,
        classes,
        normalization,
        resize,
        trained_on,
        tensors,
        batches_tracked: batches_tracked as u64,
        training,
    })
}

struct File<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
    metadata: HashMap<String, String>,
}

impl<'a> File<'a> {
    fn new(bytes: &'a [u8], path: &'a Path) -> Result<Self> {
        let corrupt = |why: String| {
            Error::new(
                ErrorCode::CheckpointCorrupt,
                format!("{} is not a whole checkpoint: {why}", path.display()),
            )
        };
        let (_, header) = SafeTensors::read_metadata(bytes)
            .map_err(|error| corrupt(format!("not in the safetensors format ({error})")))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| corrupt(error.to_string()))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let get = |key: &str| metadata.get(key).map_or("", String::as_str);
        if get("format") != FORMAT {
            return Err(corrupt(format!(
                "it holds tensors, but not the metadata that `{FORMAT}` writes; weights of other programs come in by `import`"
            )));
        }
        if get("version") != VERSION {
            return Err(corrupt(format!(
                "it has version {}, and this program reads version {VERSION}",
                get("version")
            )));
        }
        Ok(Self { path, tensors, metadata })
    }

    fn corrupt(&self, why: impl std::fmt::Display) -> Error {
        Error::new(ErrorCode::CheckpointCorrupt, format!("{} is damaged: {why}", self.path.display()))
    }

    fn json<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        let text =
            self.metadata.get(key).ok_or_else(|| self.corrupt(format!("its metadata has no `{key}`")))?;
        serde_json::from_str(text).map_err(|error| self.corrupt(format!("its metadata's `{key}`: {error}")))
    }

    fn tensor(&self, prefix: &str, spec: &TensorSpec) -> Result<NamedTensor> {
        let name = format!("{prefix}{}", spec.name);
        let view =
            self.tensors.tensor(&name).map_err(|_| self.corrupt(format!("tensor {name} is missing")))?;
        if view.dtype() != Dtype::F32 {
            return Err(self.corrupt(format!("tensor {name} is {:?}, not F32", view.dtype())));
        }
        if view.shape() != spec.shape {
            return Err(Error::new(
                ErrorCode::CheckpointMismatch,
                format!(
                    "{}: tensor {name} has shape {:?}, but its configuration asks for {:?}",
                    self.path.display(),
                    view.shape(),
                    spec.shape
                ),
            ));
        }
        let values = view
            .data()
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        Ok(NamedTensor { name: spec.name.clone(), shape: spec.shape.clone(), values: values.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::write;
    use crate::config::{ModelOptions, OptimizerConfig, OptimizerKind, TrainConfig};
    use crate::metrics::{Metrics, PictureCounts};
    use crate::mobilenet::MobileNet;

    /// A checkpoint in the middle of a run.
    fn checkpoint() -> Checkpoint {
        let options = ModelOptions { width: Some(0.001), ..Default::default() };
        let pictures = PictureCounts { total: 100, train: 100, validation: 0, test: 10 };
        let config = TrainConfig {
            batch_size: 10,
            optimizer: OptimizerConfig::of(OptimizerKind::Sgd),
            ..Default::default()
        };
        let mut progress = Progress::new(config, pictures, None);
        (progress.epoch, progress.step, progress.steps) = (2, 3, 23);
        (progress.correct, progress.count, progress.best) = (7, 30, Some((1, 0.5)));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        MobileNet::create(&options, 1).unwrap().save(&path).unwrap();
        let training = Some(TrainingState { progress, raw: None, optimizer: Vec::new() });
        Checkpoint { training, ..read(&path).unwrap() }
    }

    /// Versions before this one saved a run whose evaluation was no number.
    #[test]
    fn a_loss_that_is_no_number_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let mut diverged = checkpoint();
        let last = &mut diverged.training.as_mut().unwrap().progress.last;
        *last = [Metrics::of(20.0, 1, 10), None, Metrics::of(f64::NAN, 1, 10)];
        write(&diverged, &path).unwrap();
        let [train, validation, test] = read(&path).unwrap().training.unwrap().progress.last;
        assert_eq!((train.unwrap().loss, validation), (2.0, None));
        assert!(test.unwrap().loss.is_nan());
    }

    #[test]
    fn metadata_that_makes_no_sense_is_corrupt() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let sound = checkpoint();
        write(&sound, &path).unwrap();
        assert_eq!(read(&path).unwrap(), sound);

        let refused = |change: &dyn Fn(&mut Checkpoint), words: &str| {
            let mut changed = sound.clone();
            change(&mut changed);
            write(&changed, &path).unwrap();
            let error = read(&path).unwrap_err();
            assert_eq!(error.code, ErrorCode::CheckpointCorrupt, "{}", error.message);
            assert!(error.message.contains(words), "{}", error.message);
        };
        refused(&|it| drop(it.classes.pop()), "9 class names for 10 classes");
        refused(&|it| it.classes.push("owl".into()), "11 class names for 10 classes");
        refused(&|it| drop(it.tensors.pop()), "is missing");
        refused(&|it| it.normalization.std[1] = 0.0, "standard deviations above 0");
        refused(&|it| it.normalization.std[0] = -1.0, "standard deviations above 0");
        let training = |change: &dyn Fn(&mut Progress), words: &str| {
            refused(&|it| change(&mut it.training.as_mut().unwrap().progress), words);
        };
        training(&|it| it.best = Some((3, 0.5)), "the best epoch is 3, with accuracy 0.5, and 2 are done");
        training(&|it| it.best = Some((0, 0.5)), "the best epoch is 0,");
        training(&|it| it.epoch = 51, "epoch 51 of 50");
        training(&|it| it.step = 11, "step 11 of 10");
        training(&|it| it.steps = 2, "2 steps in all");
        training(&|it| it.steps = usize::MAX, "steps in all");
        training(&|it| it.averaged = 24, "24 averaged steps of 23");
        training(&|it| it.correct = 31, "31 right answers of 30");
        training(&|it| it.config.batch_size = 0, "batches have no pictures");
    }

    #[test]
    fn another_version_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        write(&checkpoint(), &path).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let entry = format!("\"version\":\"{VERSION}");
        let place = bytes.windows(entry.len()).position(|window| window == entry.as_bytes()).unwrap();
        bytes[place + entry.len() - 1] = b'9';
        std::fs::write(&path, bytes).unwrap();
        let error = read(&path).unwrap_err();
        assert_eq!(error.code, ErrorCode::CheckpointCorrupt, "{}", error.message);
        let words = format!("9, and this program reads version {VERSION}");
        assert!(error.message.contains(&words), "{}", error.message);
    }

    /// The file is whole, so it isn't damaged: two things in it contradict each other.
    #[test]
    fn tensors_of_another_configuration_are_a_mismatch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let mut changed = checkpoint();
        changed.config.classes = 11;
        changed.classes.push("owl".into());
        write(&changed, &path).unwrap();
        let error = read(&path).unwrap_err();
        assert_eq!(error.code, ErrorCode::CheckpointMismatch, "{}", error.message);
        assert!(error.message.contains("has shape [10, "), "{}", error.message);
        assert!(error.message.contains("its configuration asks for [11, "), "{}", error.message);
    }
}
