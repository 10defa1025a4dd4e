//! Edits of a field section, and of the query of a request. The filter computes the edits once; each
//! carrier applies them to its own message.
//!
//! Used by `request` and `response`. A carrier is the raw HTTP/1.1 head, a header map, or Envoy's
//! header mutations.

use std::fmt;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::client_info::ClientUri;
use crate::http::{Change, FieldSection, Fields, QueryEdit, Request};

/// Edits of a field section, in the order of application.
#[derive(Default)]
pub(crate) struct Edits(Vec<(HeaderName, Edit)>);

/// An edit of all field lines with one name.
enum Edit {
    /// Removes all lines.
    Remove,
    /// Replaces all lines with a single one.
    Set(Bytes),
    /// Appends a line.
    Append(Bytes),
    /// One change per line, in order.
    Each(Vec<Change>),
}

/// Edits of a request: of its fields, and of the query of its target.
#[derive(Debug, Default)]
pub(crate) struct RequestEdits {
    pub(super) fields: Edits,
    pub(super) query: Option<QueryEdit>,
}

impl RequestEdits {
    /// Applies the edits to a request.
    pub(crate) fn apply(self, carrier: &mut impl RequestCarrier) {
        self.fields.apply(carrier.fields());
        if let Some(edit) = self.query {
            carrier.edit_query(&edit);
        }
    }
}

/// A request with an editable field section and target.
pub(crate) trait RequestCarrier {
    /// The field section.
    fn fields(&mut self) -> &mut impl Carrier;
    /// Removes parameters from the query of the target.
    fn edit_query(&mut self, edit: &QueryEdit);
}

/// A message with an editable field section.
pub(crate) trait Carrier {
    fn remove(&mut self, name: &HeaderName);
    fn set(&mut self, name: &HeaderName, value: Bytes);
    fn append(&mut self, name: &HeaderName, value: Bytes);
    /// Changes each line with this name, in order.
    fn each(&mut self, name: &HeaderName, changes: Vec<Change>);
}

/// Omits the values, which can be secret.
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

    /// The values of a field after these edits. Only edits that set or remove the whole field are
    /// considered.
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

    /// Applies the edits to a message.
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

impl<B> RequestCarrier for Request<B> {
    fn fields(&mut self) -> &mut impl Carrier {
        &mut self.fields
    }

    fn edit_query(&mut self, edit: &QueryEdit) {
        Self::edit_query(self, edit);
    }
}

impl<B> RequestCarrier for http::Request<B> {
    fn fields(&mut self) -> &mut impl Carrier {
        self.headers_mut()
    }

    fn edit_query(&mut self, edit: &QueryEdit) {
        *self.uri_mut() = edit.uri(self.uri());
        ClientUri::edit_query(self.extensions_mut(), edit);
    }
}

/// A value that is invalid in a `HeaderMap` removes the line.
impl Carrier for HeaderMap {
    fn remove(&mut self, name: &HeaderName) {
        HeaderMap::remove(self, name);
    }

    fn set(&mut self, name: &HeaderName, value: Bytes) {
        match HeaderValue::from_maybe_shared(value) {
            // `insert` reuses the position of the first line, so that no other field moves.
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
