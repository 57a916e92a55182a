//! Puts a data set together from its files, whatever they come from and in whatever order.

use super::records::{self, CLASSES, RECORD};
use super::{corrupt, official, python};
use crate::data::{Dataset, Pictures, Splitting};
use crate::error::Result;
use std::path::Path;
use std::sync::Arc;

/// The two versions in which CIFAR-10 is published (the third is Matlab's).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Files of records, see [`records`].
    Records,
    /// Python's pickles, see [`python`].
    Pickles,
}

/// What a file is in a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Training pictures; the number orders the batches, a name without one comes last.
    Batch(u64),
    /// Test pictures.
    Test,
    /// The names of the classes.
    Names,
}

/// What the file of this name is, if it belongs to a data set.
pub fn role(name: &str) -> Option<(Form, Role)> {
    match name {
        "test_batch.bin" => return Some((Form::Records, Role::Test)),
        "batches.meta.txt" => return Some((Form::Records, Role::Names)),
        "test_batch" => return Some((Form::Pickles, Role::Test)),
        "batches.meta" => return Some((Form::Pickles, Role::Names)),
        _ => {}
    }
    let rest = name.strip_prefix("data_batch_")?;
    match rest.strip_suffix(".bin") {
        Some(middle) => Some((Form::Records, Role::Batch(middle.parse().unwrap_or(u64::MAX)))),
        None => Some((Form::Pickles, Role::Batch(rest.parse().ok()?))),
    }
}

/// What one file gives.
#[derive(Debug)]
pub enum Piece {
    /// The names of the classes.
    Names(Vec<String>),
    /// Pictures.
    Part(Role, Part),
}

/// One file's pictures.
#[derive(Debug)]
pub struct Part {
    number: u64,
    name: String,
    shown: String,
    pictures: Pictures,
    official: bool,
}

/// The parts found so far.
#[derive(Debug, Default)]
pub struct Collector {
    form: Option<Form>,
    batches: Vec<Part>,
    test: Option<Part>,
    classes: Option<Vec<String>>,
}

/// Makes of a file's bytes what it gives; `shown` is how errors name it.
pub fn piece(form: Form, role: Role, name: &str, shown: &str, bytes: Vec<u8>) -> Result<Piece> {
    let number = match role {
        Role::Names => {
            return Ok(Piece::Names(match form {
                Form::Records => records::class_names(&bytes, shown)?,
                Form::Pickles => python::class_names(&bytes, shown)?,
            }));
        }
        Role::Batch(number) => number,
        Role::Test => 0,
    };
    let bytes = match form {
        Form::Records => bytes,
        Form::Pickles => python::to_records(&bytes, shown)?,
    };
    let part = Part {
        number,
        name: name.into(),
        shown: shown.into(),
        pictures: records::decode(&bytes, shown)?,
        official: official::is_official(name, &bytes),
    };
    check_labels(&part)?;
    Ok(Piece::Part(role, part))
}

impl Collector {
    /// Whether files of this form belong to the set: only those of the first one's form do.
    pub fn takes(&mut self, form: Form) -> bool {
        *self.form.get_or_insert(form) == form
    }

    /// Takes what one file gives.
    pub fn add(&mut self, piece: Piece) -> Result<()> {
        match piece {
            Piece::Names(names) => self.classes = Some(names),
            Piece::Part(Role::Test, part) => self.test = Some(part),
            Piece::Part(_, part) if self.batches.iter().any(|other| other.name == part.name) => {
                return Err(corrupt(format!("{} is there twice; expected it once", part.shown)));
            }
            Piece::Part(_, part) => self.batches.push(part),
        }
        Ok(())
    }

    /// The data set of all files taken.
    pub fn finish(mut self, source: &Path) -> Result<Dataset> {
        let ending = if self.form == Some(Form::Pickles) { "" } else { ".bin" };
        let missing = |name: &str| {
            corrupt(format!(
                "{} holds no {name}{ending}; expected data_batch_1{ending} and so on, and test_batch{ending}: the data \
                 set is incomplete, so fetch it again",
                source.display()
            ))
        };
        if self.batches.is_empty() {
            return Err(missing("data_batch_1"));
        }
        let Some(test) = self.test else { return Err(missing("test_batch")) };
        self.batches.sort_by(|a, b| (a.number, &a.name).cmp(&(b.number, &b.name)));

        let official = test.official
            && self.batches.len() == official::TRAINING_FILES
            && self.batches.iter().all(|batch| batch.official);
        // Where most files are the published ones, the others are more likely damaged than meant.
        let (published, others): (Vec<&Part>, Vec<&Part>) =
            self.batches.iter().chain([&test]).partition(|part| part.official);
        let others: Vec<&str> = others.into_iter().map(|part| part.name.as_str()).collect();
        let doubt = match others.len() {
            1.. if others.len() < published.len() => {
                format!(" ({} not as published; damaged?)", others.join(", "))
            }
            _ => String::new(),
        };
        let train = concatenate(self.batches);
        let note = (!official).then(|| {
            format!(
                "not the official CIFAR-10{doubt}: {} training and {} test pictures from {}, taken as they are",
                train.len(),
                test.pictures.len(),
                source.display()
            )
        });
        Ok(Dataset {
            train: Arc::new(train),
            validation: None,
            test: Arc::new(test.pictures),
            splitting: Splitting::Course,
            folder: None,
            digest: None,
            resolution: None,
            skipped: Vec::new(),
            classes: self.classes.unwrap_or_else(|| CLASSES.map(String::from).into()),
            source: source.display().to_string(),
            official,
            note,
        })
    }
}

fn check_labels(part: &Part) -> Result<()> {
    let most = CLASSES.len() as u32 - 1;
    match part.pictures.labels.iter().position(|&label| label > most) {
        Some(place) => Err(corrupt(format!(
            "{}: record {place} (byte {} of the records) has label {}; expected 0 to {most}: the file is damaged or \
             not CIFAR-10",
            part.shown,
            place * RECORD,
            part.pictures.labels[place]
        ))),
        None => Ok(()),
    }
}

/// All pictures one after the other.
fn concatenate(parts: Vec<Part>) -> Pictures {
    let pictures = || parts.iter().map(|part| &part.pictures);
    let bytes: Vec<&[u8]> = pictures().filter_map(Pictures::bytes).map(|(bytes, _)| bytes).collect();
    let labels = pictures().flat_map(|pictures| &pictures.labels).copied().collect();
    Pictures::of_one_size(bytes.concat(), labels, (records::SIDE, records::SIDE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_names_the_files_that_are_likely_damaged() {
        let note = |published: [bool; 3]| {
            let mut parts = published
                .into_iter()
                .zip(["data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"])
                .map(|(official, name)| {
                    let pictures = records::decode(&[0; RECORD], name).unwrap();
                    Part { number: 0, name: name.into(), shown: name.into(), pictures, official }
                });
            let batches = parts.by_ref().take(2).collect();
            let set = Collector { form: Some(Form::Records), batches, test: parts.next(), classes: None };
            set.finish(Path::new("set")).unwrap().note.unwrap()
        };
        let damaged = note([true, false, true]);
        assert!(damaged.contains("(data_batch_2.bin not as published; damaged?)"), "{damaged}");
        // A set of one's own, also with the published test pictures, and one of which files are left out.
        for own in [[false, false, false], [false, false, true], [true, true, true]] {
            assert!(!note(own).contains("damaged"), "{own:?}");
        }
    }

    #[test]
    fn names_have_roles() {
        assert_eq!(role("data_batch_1.bin"), Some((Form::Records, Role::Batch(1))));
        assert_eq!(role("data_batch_10.bin"), Some((Form::Records, Role::Batch(10))));
        assert_eq!(role("data_batch_mine.bin"), Some((Form::Records, Role::Batch(u64::MAX))));
        assert_eq!(role("data_batch_3"), Some((Form::Pickles, Role::Batch(3))));
        assert_eq!(role("batches.meta"), Some((Form::Pickles, Role::Names)));
        for other in ["data_batch_1.bin.part", "data_batch_1.mat", "readme.html", "._data_batch_1.bin", ""] {
            assert_eq!(role(other), None, "{other}");
        }
    }
}
