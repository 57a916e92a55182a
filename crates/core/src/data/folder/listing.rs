//! What lies in a folder of pictures, before any is decoded: torchvision's `ImageFolder`, one folder a class, sorted.

use super::{MOST_NAMED, corrupt, not_found};
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::UNIX_EPOCH;
use walkdir::{DirEntry, WalkDir};

/// A file is taken for a picture by the end of its name: those that can be decoded, and those that can't but are
/// pictures all the same, so that they are reported and not passed over.
const PICTURE_ENDS: [&str; 14] =
    ["jpg", "jpeg", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "heif", "ppm", "pgm"];
/// What subfolders of parts are called.
const PARTS: [(Part, &[&str]); 3] = [
    (Part::Train, &["train", "training"]),
    (Part::Validation, &["validation", "val", "valid"]),
    (Part::Test, &["test"]),
];

const NOT_UTF8: &str = "its name is not UTF-8; rename it";

/// What pictures are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// To learn from.
    Train,
    /// To validate with.
    Validation,
    /// To test on.
    Test,
}

/// The picture files of a folder. A million of them take about 30 MB.
#[derive(Debug, Default)]
pub struct Listing {
    /// Names of the classes, sorted.
    pub classes: Vec<String>,
    /// Which files are of which part; the folder has no parts when there is a single `Train`.
    pub parts: Vec<(Part, std::ops::Range<usize>)>,
    /// A file's class.
    pub labels: Vec<u32>,
    /// SHA-256 over every file's name, size and time of change, in order.
    pub key: [u8; 32],
    /// Files that are no pictures by their names: how many, and the first of them.
    pub others: (usize, Vec<String>),
    /// Class folders without a picture, which are no classes.
    pub empty: Vec<String>,
    /// What the file system didn't let us see: a path, and why.
    pub refused: Vec<(String, String)>,
    /// Paths from the folder, one after the other, with `/` between names.
    names: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Listing {
    /// Lists `folder`.
    ///
    /// # Errors
    /// `DATASET_NOT_FOUND` when there are no class folders with pictures; `DATASET_CORRUPT` when there is only one, or a
    /// part has a class that the training pictures haven't; `IO`.
    pub fn of(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(not_found(format!("there is no folder {}", folder.display())));
        }
        let mut listing = Self::default();
        let top = listing.subfolders(folder, Path::new(""))?;
        let part_of = |part: Part| {
            let (_, names) = PARTS.iter().find(|(other, _)| *other == part)?;
            names.iter().find(|name| top.iter().any(|folder| folder == *name)).copied()
        };
        let mut hash = Sha256::new();
        match part_of(Part::Train) {
            None => listing.add_part(folder, "", Part::Train, &mut hash)?,
            Some(train) => {
                listing.add_part(folder, train, Part::Train, &mut hash)?;
                for part in [Part::Validation, Part::Test] {
                    if let Some(name) = part_of(part) {
                        listing.add_part(folder, name, part, &mut hash)?;
                    }
                }
            }
        }
        listing.key = hash.finalize().into();
        Ok(listing)
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The path of file `index` from the folder.
    pub fn name(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.names[start..self.ends[index]]
    }

    /// Adds the class folders of a part, which lies in `folder/name`.
    fn add_part(&mut self, folder: &Path, name: &str, part: Part, hash: &mut Sha256) -> Result<()> {
        let first = self.len();
        let place = folder.join(name);
        for class in self.subfolders(folder, Path::new(name))? {
            let prefix = if name.is_empty() { class.clone() } else { format!("{name}/{class}") };
            let files = self.walk(folder, &prefix);
            if files.is_empty() {
                self.empty.push(prefix);
                continue;
            }
            let label = if part == Part::Train {
                // They come sorted, each once.
                self.classes.push(class);
                self.classes.len() - 1
            } else {
                self.classes.binary_search(&class).map_err(|_| {
                    corrupt(format!(
                        "{} has pictures of a class {class} that there are no training pictures of; the classes are \
                         the folders of the training pictures ({}), so rename or remove it",
                        place.display(),
                        shortened(&self.classes)
                    ))
                })?
            };
            for (directory, file, size, changed) in files {
                if !directory.is_empty() {
                    self.names.push_str(&directory);
                    self.names.push('/');
                }
                self.names.push_str(&file);
                self.ends.push(self.names.len());
                let name = self.name(self.len() - 1);
                hash.update((name.len() as u64).to_le_bytes());
                hash.update(name);
                hash.update(size.to_le_bytes());
                hash.update(changed.to_le_bytes());
            }
            self.labels.resize(self.len(), label as u32);
        }
        if part == Part::Train && self.classes.len() < 2 {
            return Err(match self.classes.first() {
                None => not_found(format!("no folders of pictures, one a class, in {}", place.display())),
                Some(class) => corrupt(format!(
                    "{} holds pictures of one class only ({class}); a classifier needs two classes at least, each a \
                     folder of pictures",
                    place.display()
                )),
            });
        }
        self.parts.push((part, first..self.len()));
        Ok(())
    }

    /// Names of the folders in `folder/inner`, sorted, hidden ones left out.
    fn subfolders(&mut self, folder: &Path, inner: &Path) -> Result<Vec<String>> {
        let place = folder.join(inner);
        let failed = |error| Error::io("read the folder", &place, error);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&place).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !entry.path().is_dir() {
                continue;
            }
            match entry.file_name().into_string() {
                Ok(name) if is_hidden(&name) => {}
                Ok(name) => names.push(name),
                Err(name) => self.refused.push((shown(&inner.join(name)), NOT_UTF8.into())),
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The picture files below `folder/prefix`, in torchvision's order: by their folder's path, then by their name.
    fn walk(&mut self, folder: &Path, prefix: &str) -> Vec<(String, String, u64, u128)> {
        let root = folder.join(prefix);
        let mut files = Vec::new();
        let walk = WalkDir::new(&root).follow_links(true).min_depth(1);
        for entry in walk.into_iter().filter_entry(|entry| !(entry.file_type().is_dir() && hidden(entry))) {
            let entry = match entry {
                Ok(entry) if entry.file_type().is_dir() => continue,
                Ok(entry) => entry,
                Err(error) => {
                    let path = error.path().unwrap_or(&root);
                    self.refused.push((shown(path.strip_prefix(folder).unwrap_or(path)), error.to_string()));
                    continue;
                }
            };
            let path = entry.path().strip_prefix(folder).unwrap_or(entry.path());
            if hidden(&entry) || !is_picture(path) {
                self.others.0 += 1;
                if self.others.1.len() < MOST_NAMED {
                    self.others.1.push(shown(path));
                }
                continue;
            }
            let described = entry.metadata().map_err(|error| error.to_string()).and_then(|data| {
                let (directory, file) = (path.parent().and_then(Path::to_str), path.file_name());
                let (Some(directory), Some(file)) = (directory, file.and_then(|name| name.to_str())) else {
                    return Err(NOT_UTF8.to_owned());
                };
                if !data.is_file() {
                    return Err("it is no regular file".to_owned());
                }
                let changed = data.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                let directory = shown(Path::new(directory));
                Ok((directory, file.to_owned(), data.len(), changed.map_or(0, |time| time.as_nanos())))
            });
            match described {
                Ok(file) => files.push(file),
                Err(why) => self.refused.push((shown(path), why)),
            }
        }
        files.sort_unstable();
        files
    }
}

/// A path in the folder, with `/` on every system, as pictures are named.
fn shown(path: &Path) -> String {
    path.display().to_string().replace(std::path::MAIN_SEPARATOR, "/")
}

fn hidden(entry: &DirEntry) -> bool {
    entry.depth() > 0 && entry.file_name().to_str().is_some_and(is_hidden)
}

/// Also what macOS adds to archives.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name == "__MACOSX"
}

fn is_picture(path: &Path) -> bool {
    let end = path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase);
    end.is_some_and(|end| PICTURE_ENDS.contains(&&*end))
}

/// The first of some names.
pub fn shortened(names: &[String]) -> String {
    let rest = names.len().saturating_sub(MOST_NAMED);
    let first = names[..names.len() - rest].join(", ");
    if rest == 0 { first } else { format!("{first} and {rest} more") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::fixture;

    /// A folder with these empty files.
    fn tree<'a>(files: impl IntoIterator<Item = &'a str>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    fn names(listing: &Listing) -> Vec<&str> {
        (0..listing.len()).map(|file| listing.name(file)).collect()
    }

    #[test]
    fn order_and_labels_are_torchvisions() {
        let fixture = &fixture()["files"];
        let strings = |key: &str| serde_json::from_value::<Vec<String>>(fixture[key].clone()).unwrap();
        let files = strings("tree");
        let folder = tree(files.iter().map(String::as_str));
        if std::fs::read_dir(folder.path()).unwrap().count() < strings("classes").len() {
            eprintln!("skipped: this file system takes folders b and B for one");
            return;
        }
        let listing = Listing::of(folder.path()).unwrap();
        assert_eq!(listing.classes, strings("classes"));
        let samples: Vec<(String, u32)> = serde_json::from_value(fixture["samples"].clone()).unwrap();
        assert!(samples.len() > 10);
        assert_eq!(names(&listing), samples.iter().map(|(name, _)| name).collect::<Vec<_>>());
        assert_eq!(listing.labels, samples.iter().map(|(_, label)| *label).collect::<Vec<_>>());
        assert_eq!(listing.others, (1, vec!["b/notes.txt".into()]));
    }

    #[test]
    fn parts_are_found_by_their_names() {
        let folder = tree(["train/a/1.png", "train/b/1.png", "val/a/2.png", "test/b/3.png", "more/c/4.png"]);
        let listing = Listing::of(folder.path()).unwrap();
        assert_eq!(listing.parts, [(Part::Train, 0..2), (Part::Validation, 2..3), (Part::Test, 3..4)]);
        assert_eq!((listing.classes.join(" "), &listing.labels[..]), ("a b".into(), &[0, 1, 0, 1][..]));
        assert_eq!(names(&listing)[2..], ["val/a/2.png", "test/b/3.png"]);
        // Without training pictures beside them they are classes like others.
        let folder = tree(["val/1.png", "test/1.png"]);
        assert_eq!(Listing::of(folder.path()).unwrap().classes, ["test", "val"]);
    }

    #[test]
    fn hidden_files_and_folders_without_pictures_are_no_pictures() {
        let folder = tree([
            "a/1.png",
            "a/._1.png",
            "a/.git/x.png",
            "b/2.png",
            ".c/3.png",
            "__MACOSX/4.png",
            "d/e.txt",
        ]);
        let listing = Listing::of(folder.path()).unwrap();
        assert_eq!(
            (names(&listing), &listing.empty[..]),
            (vec!["a/1.png", "b/2.png"], &["d".to_string()][..])
        );
        assert_eq!(listing.others, (2, vec!["a/._1.png".into(), "d/e.txt".into()]));
    }

    #[test]
    fn what_is_no_data_set_is_told() {
        use crate::ErrorCode::{DatasetCorrupt, DatasetNotFound};
        for (files, code, words) in [
            (vec!["1.png"], DatasetNotFound, "no folders of pictures, one a class"),
            (vec!["a/1.txt"], DatasetNotFound, "no folders of pictures"),
            (vec!["a/1.png"], DatasetCorrupt, "pictures of one class only (a)"),
            (
                vec!["train/a/1.png", "train/b/1.png", "test/c/1.png"],
                DatasetCorrupt,
                "a class c that there are no training pictures of",
            ),
        ] {
            let error = Listing::of(tree(files).path()).unwrap_err();
            assert_eq!(error.code, code, "{}", error.message);
            assert!(error.message.contains(words), "{}", error.message);
        }
        let error = Listing::of(Path::new("/no/such/folder")).unwrap_err();
        assert!(error.message.contains("there is no folder /no/such/folder"), "{}", error.message);
    }

    #[test]
    fn the_key_follows_from_names_sizes_and_times() {
        let folder = tree(["a/1.png", "b/2.png"]);
        let key = || Listing::of(folder.path()).unwrap().key;
        let first = key();
        assert_eq!(first, key());
        std::fs::write(folder.path().join("a/1.png"), "longer").unwrap();
        let longer = key();
        assert_ne!(first, longer);
        let file = std::fs::File::options().write(true).open(folder.path().join("a/1.png")).unwrap();
        file.set_modified(UNIX_EPOCH + std::time::Duration::from_secs(1)).unwrap();
        let earlier = key();
        assert_ne!(longer, earlier);
        std::fs::rename(folder.path().join("a/1.png"), folder.path().join("a/3.png")).unwrap();
        assert_ne!(earlier, key());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_circles_left() {
        let folder = tree(["a/1.png", "b/2.png", "elsewhere/in/3.png"]);
        let link =
            |to: &str, at: &str| std::os::unix::fs::symlink(folder.path().join(to), folder.path().join(at));
        link("elsewhere", "b/more").unwrap();
        link("b", "b/circle").unwrap();
        link("nowhere", "b/gone.png").unwrap();
        let listing = Listing::of(folder.path()).unwrap();
        assert_eq!(names(&listing), ["a/1.png", "b/2.png", "b/more/in/3.png", "elsewhere/in/3.png"]);
        let refused: Vec<&str> = listing.refused.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(refused.len(), 2, "{refused:?}");
        assert!(
            refused.iter().any(|path| path.contains("circle"))
                && refused.iter().any(|path| path.contains("gone"))
        );
    }
}
