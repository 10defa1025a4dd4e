//! Mapping of a tool's ids to categories. Each category is granted, denied, or not mentioned.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::category::{Category, CategorySet};

/// The categories of a tool's ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    ids: HashMap<Box<str>, CategorySet, RandomState>,
    /// All categories with at least one id. Every decision covers them.
    coverage: CategorySet,
    /// The ids in the config. Every decision covers them, even if the tool omits them.
    configured: Vec<Box<str>>,
}

impl IdMap {
    /// A tool's default map, extended and overridden by the config. An id can occur several times.
    pub fn new(defaults: &[(&str, Category)], configured: &[(String, CategorySet)]) -> Self {
        let mut ids: HashMap<Box<str>, CategorySet, RandomState> = HashMap::default();
        for (id, category) in defaults {
            ids.entry((*id).into()).or_insert(CategorySet::EMPTY).insert(*category);
        }
        ids.extend(configured.iter().map(|(id, categories)| (id.as_str().into(), *categories)));
        let coverage =
            ids.values().fold(CategorySet::EMPTY, |coverage, of_id| coverage.union(*of_id));
        let configured = configured.iter().map(|(id, _)| id.as_str().into()).collect();
        Self { ids, coverage, configured }
    }

    /// The categories of an id. Empty for an unknown id.
    pub fn categories(&self, id: &str) -> CategorySet {
        self.ids.get(id).copied().unwrap_or(CategorySet::EMPTY)
    }

    /// Every id in the map.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.keys().map(|id| &**id)
    }

    /// The ids in the config.
    pub fn configured(&self) -> impl Iterator<Item = &str> {
        self.configured.iter().map(|id| &**id)
    }

    /// Whether the id is in the config.
    pub fn is_configured(&self, id: &str) -> bool {
        self.configured().any(|configured| configured == id)
    }

    /// All categories with at least one id.
    pub fn coverage(&self) -> CategorySet {
        self.coverage
    }
}

/// The answers of one decision, by category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Votes {
    granted: CategorySet,
    denied: CategorySet,
}

impl Default for Votes {
    fn default() -> Self {
        Self { granted: CategorySet::EMPTY, denied: CategorySet::EMPTY }
    }
}

impl Votes {
    /// The votes of a list of granted ids. Every other id is refused.
    pub fn of_list(map: &IdMap, is_listed: impl Fn(&str) -> bool) -> Self {
        let mut votes = Self::default();
        for id in map.ids() {
            votes.vote(map.categories(id), is_listed(id));
        }
        votes
    }

    /// Records the answer for one id. If a category has several ids, all of them must be granted.
    pub fn vote(&mut self, categories: CategorySet, granted: bool) {
        if granted {
            self.granted = self.granted.union(categories);
        } else {
            self.denied = self.denied.union(categories);
        }
    }

    /// Whether a category that can be refused has an answer.
    pub fn has_answer(&self) -> bool {
        self.granted.union(self.denied).difference(CategorySet::NECESSARY) != CategorySet::EMPTY
    }

    /// Records the answer for one service within the tool's categories. A refused service that is
    /// not in the map may belong to any category.
    pub fn vote_service(&mut self, map: &IdMap, id: &str, granted: bool) {
        match map.categories(id) {
            CategorySet::EMPTY if !granted => self.vote(map.coverage(), false),
            categories => self.vote(categories, granted),
        }
    }

    /// Records an answer for each id in the config.
    pub fn vote_configured(&mut self, map: &IdMap, is_granted: impl Fn(&str) -> bool) {
        for id in map.configured() {
            self.vote(map.categories(id), is_granted(id));
        }
    }

    /// Denies the categories in `of` that are not granted, for tools that only list grants.
    pub fn deny_rest(&mut self, of: CategorySet) {
        self.denied = self.denied.union(of.difference(self.granted));
    }

    /// The granted and denied categories. Necessary is always granted. If the tool has no social
    /// category (none in `coverage`), social follows targeting.
    pub fn result(mut self, coverage: CategorySet) -> (CategorySet, CategorySet) {
        if !coverage.contains(Category::SOCIAL) {
            let social: CategorySet = [Category::SOCIAL].into_iter().collect();
            if self.granted.contains(Category::TARGETING) {
                self.vote(social, true);
            }
            if self.denied.contains(Category::TARGETING) {
                self.vote(social, false);
            }
        }
        let denied = self.denied.difference(CategorySet::NECESSARY);
        (self.granted.difference(denied).union(CategorySet::NECESSARY), denied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_needs_all_its_ids_granted_and_social_follows_targeting() {
        let map = IdMap::new(&[("ads", Category::TARGETING), ("stats", Category::ANALYTICS)], &[]);
        let mut votes = Votes::default();
        votes.vote(map.categories("ads"), true);
        votes.vote(map.categories("stats"), true);
        votes.vote(map.categories("stats"), false);
        votes.vote(map.categories("unknown"), true);
        let (granted, denied) = votes.result(map.coverage());
        assert!(granted.contains(Category::TARGETING) && granted.contains(Category::SOCIAL));
        assert!(!granted.contains(Category::ANALYTICS) && denied.contains(Category::ANALYTICS));
        assert!(!granted.contains(Category::FUNCTIONAL) && !denied.contains(Category::FUNCTIONAL));
    }
}
