//! What the filter changes in a field section: decided once, applied by whatever carries the message.
//!
//! Used by `request` and `response`. Next: a carrier, which is the raw head of HTTP/1.1, a header map or Envoy's header
//! mutations.

use std::fmt;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::http::{Change, FieldSection, Fields};

/// Changes in a field section, in the order in which they are applied.
#[derive(Default)]
pub(crate) struct Edits(Vec<(HeaderName, Edit)>);

/// A change of the lines with one name.
enum Edit {
    /// All of them go.
    Remove,
    /// One line with this value is left.
    Set(Bytes),
    /// One more line.
    Append(Bytes),
    /// What becomes of each line, in order.
    Each(Vec<Change>),
}

/// A message whose field section can be changed.
pub(crate) trait Carrier {
    fn remove(&mut self, name: &HeaderName);
    fn set(&mut self, name: &HeaderName, value: Bytes);
    fn append(&mut self, name: &HeaderName, value: Bytes);
    /// Changes each line with this name, in order.
    fn each(&mut self, name: &HeaderName, changes: Vec<Change>);
}

/// Without values: they can be secret.
impl fmt::Debug for Edits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Edits {
    pub(super) fn remove(&mut self, name: HeaderName) {
        self.0.push((name, Edit::Remove));
    }

    pub(super) fn set(&mut self, name: HeaderName, value: impl Into<Bytes>) {
        self.0.push((name, Edit::Set(value.into())));
    }

    pub(super) fn append(&mut self, name: HeaderName, value: impl Into<Bytes>) {
        self.0.push((name, Edit::Append(value.into())));
    }

    pub(super) fn each(&mut self, name: HeaderName, changes: Vec<Change>) {
        self.0.push((name, Edit::Each(changes)));
    }

    /// The values of a field after these edits, which set or remove it as a whole.
    pub(super) fn values<'a>(
        &'a self,
        fields: &'a impl Fields,
        name: &HeaderName,
    ) -> Vec<&'a [u8]> {
        match self.0.iter().rev().find(|(edited, _)| edited == name) {
            Some((_, Edit::Set(value) | Edit::Append(value))) => vec![value],
            Some((_, Edit::Remove)) => Vec::new(),
            Some((_, Edit::Each(_))) | None => fields.values(name).collect(),
        }
    }

    /// Changes a message.
    pub(crate) fn apply(self, carrier: &mut impl Carrier) {
        for (name, edit) in self.0 {
            match edit {
                Edit::Remove => carrier.remove(&name),
                Edit::Set(value) => carrier.set(&name, value),
                Edit::Append(value) => carrier.append(&name, value),
                Edit::Each(changes) => carrier.each(&name, changes),
            }
        }
    }
}

impl Carrier for FieldSection {
    fn remove(&mut self, name: &HeaderName) {
        FieldSection::remove(self, name);
    }

    fn set(&mut self, name: &HeaderName, value: Bytes) {
        self.insert(name, value);
    }

    fn append(&mut self, name: &HeaderName, value: Bytes) {
        FieldSection::append(self, name, value);
    }

    fn each(&mut self, name: &HeaderName, changes: Vec<Change>) {
        let mut changes = changes.into_iter();
        self.change(name, |_| changes.next().unwrap_or(Change::Remove));
    }
}

/// A value that the map cannot hold leaves no line.
impl Carrier for HeaderMap {
    fn remove(&mut self, name: &HeaderName) {
        HeaderMap::remove(self, name);
    }

    fn set(&mut self, name: &HeaderName, value: Bytes) {
        match HeaderValue::from_maybe_shared(value) {
            // In the place of the first line: no other one moves.
            Ok(value) => drop(self.insert(name, value)),
            Err(_) => Carrier::remove(self, name),
        }
    }

    fn append(&mut self, name: &HeaderName, value: Bytes) {
        if let Ok(value) = HeaderValue::from_maybe_shared(value) {
            HeaderMap::append(self, name, value);
        }
    }

    fn each(&mut self, name: &HeaderName, changes: Vec<Change>) {
        let lines: Vec<HeaderValue> = self.get_all(name).iter().cloned().collect();
        let kept = lines.into_iter().zip(changes).filter_map(|(line, change)| match change {
            Change::Keep => Some(line),
            Change::Remove => None,
            Change::Set(value) => HeaderValue::from_maybe_shared(value).ok(),
        });
        let mut kept = kept.collect::<Vec<_>>().into_iter();
        match kept.next() {
            Some(first) => drop(self.insert(name, first)),
            None => drop(HeaderMap::remove(self, name)),
        }
        for line in kept {
            HeaderMap::append(self, name, line);
        }
    }
}
