//! A map from names to values that only grows, up to a bound; reading it takes no lock.
//!
//! It is written a few times after the start and read for every request: a writer replaces the
//! whole map, readers load the current one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;

/// Names longer than this, in octets, are not kept.
const MAX_NAME_OCTETS: usize = 256;

type Names<V> = HashMap<Box<[u8]>, V, RandomState>;

#[derive(Debug)]
pub(super) struct Bounded<V> {
    names: ArcSwap<Names<V>>,
    writer: Mutex<()>,
    most: usize,
}

impl<V: Clone> Bounded<V> {
    pub(super) fn new(most: usize) -> Self {
        Self { names: ArcSwap::from_pointee(Names::default()), writer: Mutex::new(()), most }
    }

    /// Shows the value of a name, if there is one.
    pub(super) fn with<R>(&self, name: &[u8], show: impl FnOnce(&V) -> R) -> Option<R> {
        self.names.load().get(name).map(show)
    }

    /// Every name.
    pub(super) fn names(&self) -> Vec<Box<[u8]>> {
        self.names.load().keys().cloned().collect()
    }

    /// Changes the value of a name, or adds one. `change` gets `None` for a new name and returns
    /// `None` to leave everything as it is. Does nothing once the bound is reached.
    pub(super) fn update(&self, name: &[u8], change: impl FnOnce(Option<&V>) -> Option<V>) {
        if name.len() > MAX_NAME_OCTETS {
            return;
        }
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.names.load();
        let known = current.get(name);
        if known.is_none() && current.len() >= self.most {
            return;
        }
        if let Some(value) = change(known) {
            let mut next = Names::clone(&current);
            next.insert(name.into(), value);
            self.names.store(Arc::new(next));
        }
    }
}
