//! Change detection for the files of a config.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file or directory with its state just before it was read. Later modifications, even during the read, count as
/// changes.
///
/// Symbolic links are followed, because an update of a `ConfigMap` switches a link to another directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedFile {
    path: PathBuf,
    /// Device, inode, length and modification time. `None` for a missing file.
    state: Option<(u64, u64, u64, i64, i64)>,
}

impl WatchedFile {
    /// Records the state of a file. Call it before reading the file.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), state: state(path) }
    }

    /// Records the current state.
    pub(crate) fn update(&mut self) {
        self.state = state(&self.path);
    }

    /// Whether the file has changed since the recorded state.
    pub(crate) fn has_changed(&self) -> bool {
        state(&self.path) != self.state
    }
}

fn state(path: &Path) -> Option<(u64, u64, u64, i64, i64)> {
    let of = std::fs::metadata(path).ok()?;
    Some((of.dev(), of.ino(), of.len(), of.mtime(), of.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_after_the_snapshot_is_a_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.toml");
        let missing = WatchedFile::new(&path);
        std::fs::write(&path, "a").expect("written");
        let noted = WatchedFile::new(&path);
        assert!(missing.has_changed() && !noted.has_changed());
        std::fs::write(&path, "longer").expect("written");
        assert!(noted.has_changed());
    }
}
