//! Layered lookup: site settings over top-level settings.

use std::collections::BTreeMap;

/// A table that may be present in a site and at the top level. The site's value of a key takes precedence.
///
/// Nested tables and maps are merged the same way. A list is a value: the site's list replaces the top-level list.
pub(super) struct Layers<'a, T> {
    /// Each table with its path, the site's table first.
    tables: Vec<(String, &'a T)>,
    /// The path of the site's table.
    path: String,
}

impl<'a, T> Layers<'a, T> {
    /// The table `name` of a site over the top-level table. `site` is the path of the site, including the trailing
    /// dot.
    pub(super) fn new(name: &str, site: &str, own: &'a T, global: &'a T) -> Self {
        let path = format!("{site}{name}");
        Self { tables: vec![(path.clone(), own), (name.to_owned(), global)], path }
    }

    /// The value of a key, with its path.
    pub(super) fn get<V: 'a>(
        &self,
        key: &str,
        of: impl Fn(&'a T) -> Option<&'a V>,
    ) -> Option<(String, &'a V)> {
        self.tables.iter().find_map(|(path, table)| Some((format!("{path}.{key}"), of(table)?)))
    }

    /// A copy of the value of a key, with the path for problems.
    pub(super) fn cloned<V: Clone + 'a>(
        &self,
        key: &str,
        of: impl Fn(&'a T) -> Option<&'a V>,
    ) -> (String, Option<V>) {
        match self.get(key, of) {
            Some((path, value)) => (path, Some(value.clone())),
            None => (format!("{}.{key}", self.path), None),
        }
    }

    /// The value of a key that needs no validation.
    pub(super) fn copied<V: Copy>(&self, of: impl Fn(&'a T) -> Option<V>) -> Option<V> {
        self.tables.iter().find_map(|(_, table)| of(table))
    }

    /// A nested table.
    pub(super) fn table<U>(&self, key: &str, of: impl Fn(&'a T) -> Option<&'a U>) -> Layers<'a, U> {
        let found = |(path, table): &(String, &'a T)| Some((format!("{path}.{key}"), of(table)?));
        let tables = self.tables.iter().filter_map(found).collect();
        Layers { tables, path: format!("{}.{key}", self.path) }
    }

    /// The entries of a nested map, each with its path.
    pub(super) fn entries<V>(
        &self,
        key: &str,
        of: impl Fn(&'a T) -> &'a BTreeMap<String, V>,
    ) -> BTreeMap<&'a str, (String, &'a V)> {
        let mut merged = BTreeMap::new();
        for (path, table) in self.tables.iter().rev() {
            for (name, value) in of(table) {
                merged.insert(name.as_str(), (format!("{path}.{key}.{name}"), value));
            }
        }
        merged
    }

    /// Whether the site or the top level has the table.
    pub(super) fn exists(&self) -> bool {
        !self.tables.is_empty()
    }

    /// The tables with their paths, the site's table first.
    pub(super) fn tables(&self) -> impl Iterator<Item = (&str, &'a T)> {
        self.tables.iter().map(|(path, table)| (path.as_str(), *table))
    }
}
