//! Files that a config was read from, to notice when they change.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file or folder with its state just before it was read: what changes during or after the read is a change.
///
/// Links are followed, since a ConfigMap is changed by a link to another folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedFile {
    path: PathBuf,
    /// Device, inode, length and time of modification; `None` for a missing file.
    state: Option<(u64, u64, u64, i64, i64)>,
}

impl WatchedFile {
    /// Notes the state of a file. Call it before the file is read.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), state: state(path) }
    }

    /// Notes the state anew.
    pub(crate) fn update(&mut self) {
        self.state = state(&self.path);
    }

    /// Whether the file is not what it was.
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
    fn what_is_written_after_the_note_is_a_change_whatever_was_read() {
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
