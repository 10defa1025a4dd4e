//! Statistics of catalogue files: coverage by category, completeness, and the date of the last review.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::diagnostic::ConfigError;
use super::document;
use super::raw::{Day, RawCatalogue};
use crate::catalogue::builtin;

/// Statistics of one catalogue file, or of several.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct CatalogueStats {
    /// Name of the file. `total` for the sum.
    pub file: String,
    /// Number of cookie rules.
    pub cookies: usize,
    /// Number of beacon rules.
    pub beacons: usize,
    /// Number of host rules.
    pub hosts: usize,
    /// Cookie rules by category.
    pub categories: BTreeMap<String, usize>,
    /// Cookie rules with a provider.
    pub with_vendor: usize,
    /// Cookie rules with a purpose: a kind or words.
    pub with_purpose: usize,
    /// Cookie rules with a lifetime.
    pub with_lifetime: usize,
    /// Cookie rules whose provider has a source: documentation or code.
    pub with_source: usize,
    /// Date of the last review (RFC 3339). For the sum: the earliest date.
    pub reviewed: Option<String>,
}

impl CatalogueStats {
    fn add(&mut self, other: &Self) {
        self.cookies += other.cookies;
        self.beacons += other.beacons;
        self.hosts += other.hosts;
        for (category, count) in &other.categories {
            *self.categories.entry(category.clone()).or_default() += count;
        }
        self.with_vendor += other.with_vendor;
        self.with_purpose += other.with_purpose;
        self.with_lifetime += other.with_lifetime;
        self.with_source += other.with_source;
        let dates = self.reviewed.take().into_iter().chain(other.reviewed.clone());
        self.reviewed = dates.min();
    }
}

/// The built-in files: name and text.
pub fn built_in() -> Vec<(String, String)> {
    builtin::FILES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// Statistics of each file, and their sum. A file without rules, which only names providers, is omitted.
///
/// # Errors
/// When a file is not a catalogue, with file, line and key of each problem.
pub fn stats(
    files: &[(String, String)],
) -> Result<(Vec<CatalogueStats>, CatalogueStats), ConfigError> {
    let mut problems = Vec::new();
    let mut read = Vec::new();
    for (name, text) in files {
        let (mut document, raw) = document::read::<RawCatalogue>(name, text);
        read.push((name, raw));
        problems.append(&mut document.problems);
    }
    if !problems.is_empty() {
        return Err(ConfigError { problems, files: Vec::new() });
    }
    let sources: HashSet<&str> = read
        .iter()
        .flat_map(|(_, raw)| &raw.vendor)
        .filter(|vendor| !vendor.source.is_empty())
        .map(|vendor| vendor.name.as_str())
        .collect();
    let mut total = CatalogueStats { file: "total".to_owned(), ..CatalogueStats::default() };
    let mut all = Vec::new();
    for (name, raw) in &read {
        let mut stats = CatalogueStats {
            file: (*name).clone(),
            cookies: raw.cookie.len(),
            beacons: raw.beacon.len(),
            hosts: raw.host.len(),
            reviewed: raw.reviewed.map(|Day(date)| date.to_string()),
            ..CatalogueStats::default()
        };
        for cookie in raw.cookie.iter().map(|cookie| cookie.get_ref()) {
            let category = cookie.category.as_ref().map(|name| name.get_ref().clone());
            *stats.categories.entry(category.unwrap_or_default()).or_default() += 1;
            let vendor = cookie.vendor.as_deref();
            stats.with_vendor += usize::from(vendor.is_some());
            stats.with_purpose += usize::from(cookie.kind.is_some() || cookie.purpose.is_some());
            stats.with_lifetime += usize::from(cookie.lifetime.is_some());
            stats.with_source += usize::from(vendor.is_some_and(|name| sources.contains(name)));
        }
        if stats.cookies + stats.beacons + stats.hosts > 0 {
            total.add(&stats);
            all.push(stats);
        }
    }
    Ok((all, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_every_built_in_cookie_has_a_provider_a_purpose_and_a_lifetime() {
        let (files, total) = stats(&built_in()).expect("valid files");
        assert!(total.cookies > 6_000 && files.len() > 10, "{total:#?}");
        assert_eq!(total.categories.values().sum::<usize>(), total.cookies);
        for (what, count) in [
            ("provider", total.with_vendor),
            ("purpose", total.with_purpose),
            ("lifetime", total.with_lifetime),
        ] {
            assert!(count * 100 >= total.cookies * 99, "{what}: {count} of {}", total.cookies);
        }
        assert!(files.iter().all(|file| file.reviewed.is_some()));
    }

    #[test]
    fn a_file_is_counted_by_category_and_completeness() {
        let text = "reviewed = 2026-01-02\n[[vendor]]\nname = 'V'\nsource = 'https://v.example/'\n\
                    [[cookie]]\nname = 'a'\ncategory = 'analytics'\nvendor = 'V'\nkind = 'visit'\nlifetime = '1 day'\n\
                    [[cookie]]\nname = 'b'\ncategory = 'analytics'\nvendor = 'W'\npurpose = { de = 'D' }\n";
        let (_, total) = stats(&[("f.toml".to_owned(), text.to_owned())]).expect("valid");
        let counts =
            (total.with_vendor, total.with_purpose, total.with_lifetime, total.with_source);
        assert_eq!((total.cookies, counts), (2, (2, 2, 1, 1)));
        assert_eq!(total.categories, BTreeMap::from([("analytics".to_owned(), 2)]));
        assert_eq!(total.reviewed.as_deref(), Some("2026-01-02"));
        let wrong = stats(&[("f.toml".to_owned(), "[[cookie]]\nkind = 'magic'".to_owned())]);
        assert!(wrong.is_err_and(|error| error.to_string().contains("f.toml:2")));
    }
}
