//! From a tool's own category ids to ours: three answers for each category, granted, denied or not
//! said.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::category::{Category, CategorySet};

/// Which of our categories a tool's ids stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    ids: HashMap<Box<str>, CategorySet, RandomState>,
    /// Every category that some id stands for: asked for with each decision, settled once.
    reach: CategorySet,
    /// The ids that the config names: each of them is asked for, also where the tool leaves it out.
    configured: Vec<Box<str>>,
}

impl IdMap {
    /// A tool's default map, and what the config adds to it or changes.
    pub fn new(defaults: &[(&str, Category)], configured: &[(String, CategorySet)]) -> Self {
        let mut ids: HashMap<Box<str>, CategorySet, RandomState> = HashMap::default();
        for (id, category) in defaults {
            ids.insert((*id).into(), [*category].into_iter().collect());
        }
        ids.extend(configured.iter().map(|(id, categories)| (id.as_str().into(), *categories)));
        let reach = ids.values().fold(CategorySet::EMPTY, |reach, of_id| reach.union(*of_id));
        let configured = configured.iter().map(|(id, _)| id.as_str().into()).collect();
        Self { ids, reach, configured }
    }

    /// The categories of an id; none for one that the map does not know.
    pub fn categories(&self, id: &str) -> CategorySet {
        self.ids.get(id).copied().unwrap_or(CategorySet::EMPTY)
    }

    /// Every id that the map knows.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.keys().map(|id| &**id)
    }

    /// The ids that the config names.
    pub fn configured(&self) -> impl Iterator<Item = &str> {
        self.configured.iter().map(|id| &**id)
    }

    /// Whether the config names this id.
    pub fn is_configured(&self, id: &str) -> bool {
        self.configured().any(|configured| configured == id)
    }

    /// Every category that some id stands for.
    pub fn reach(&self) -> CategorySet {
        self.reach
    }
}

/// What the ids of one decision say of our categories.
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
    /// What a list says that names all that is granted: every other id is refused.
    pub fn of_list(map: &IdMap, is_listed: impl Fn(&str) -> bool) -> Self {
        let mut votes = Self::default();
        for id in map.ids() {
            votes.vote(map.categories(id), is_listed(id));
        }
        votes
    }

    /// Counts what one id says. Of several ids of one category all must be granted.
    pub fn vote(&mut self, categories: CategorySet, granted: bool) {
        if granted {
            self.granted = self.granted.union(categories);
        } else {
            self.denied = self.denied.union(categories);
        }
    }

    /// Counts the answer on one service within the tool's categories. A refused service without an entry in the
    /// map may belong to any of them.
    pub fn vote_service(&mut self, map: &IdMap, id: &str, granted: bool) {
        match map.categories(id) {
            CategorySet::EMPTY if !granted => self.vote(map.reach(), false),
            categories => self.vote(categories, granted),
        }
    }

    /// Counts each id that the config names, granted or not.
    pub fn vote_configured(&mut self, map: &IdMap, is_granted: impl Fn(&str) -> bool) {
        for id in map.configured() {
            self.vote(map.categories(id), is_granted(id));
        }
    }

    /// Denies, of these, what nothing was said of: for tools that only list what is granted.
    pub fn deny_rest(&mut self, of: CategorySet) {
        self.denied = self.denied.union(of.difference(self.granted));
    }

    /// What is granted and what is denied; necessary is neither asked for nor refused. Where the
    /// tool has no social category (`reach` has none), social follows targeting.
    pub fn result(mut self, reach: CategorySet) -> (CategorySet, CategorySet) {
        if !reach.contains(Category::SOCIAL) {
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
    fn of_several_ids_of_a_category_all_must_be_granted_and_social_follows_targeting() {
        let map = IdMap::new(&[("ads", Category::TARGETING), ("stats", Category::ANALYTICS)], &[]);
        let mut votes = Votes::default();
        votes.vote(map.categories("ads"), true);
        votes.vote(map.categories("stats"), true);
        votes.vote(map.categories("stats"), false);
        votes.vote(map.categories("unknown"), true);
        let (granted, denied) = votes.result(map.reach());
        assert!(granted.contains(Category::TARGETING) && granted.contains(Category::SOCIAL));
        assert!(!granted.contains(Category::ANALYTICS) && denied.contains(Category::ANALYTICS));
        assert!(!granted.contains(Category::FUNCTIONAL) && !denied.contains(Category::FUNCTIONAL));
    }
}
