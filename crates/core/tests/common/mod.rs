//! Where the fixtures are.

use std::path::PathBuf;

/// A file of the fixtures that the TypeScript tests use, too.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../__test__/fixtures").join(name)
}
