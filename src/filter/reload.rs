//! The current filter of a layer, and the handle that replaces its settings at run time.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::site_filter::Filter;
use crate::config::settings::FilterSettings;

/// The filter that a layer uses.
#[derive(Debug, Clone)]
pub(super) enum FilterSource {
    Fixed(Arc<Filter>),
    Reloadable(ReloadHandle),
}

impl FilterSource {
    /// The filter for a new request.
    pub(super) fn current(&self) -> Arc<Filter> {
        match self {
            Self::Fixed(filter) => Arc::clone(filter),
            Self::Reloadable(handle) => handle.filter(),
        }
    }
}

/// Replaces the settings of a [`ConsentLayer`](super::ConsentLayer) and its clones at run time.
#[derive(Debug, Clone)]
pub struct ReloadHandle(Arc<ArcSwap<Filter>>);

impl ReloadHandle {
    pub(super) fn new(filter: Filter) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(filter)))
    }

    /// Applies other settings to all new requests. Requests in flight keep the settings that they
    /// started with. The inventory and the learned cookie scopes are kept.
    pub fn reload(&self, settings: FilterSettings) {
        self.0.rcu(|filter| filter.with_settings(settings.clone()));
    }

    /// The current filter.
    pub fn filter(&self) -> Arc<Filter> {
        self.0.load_full()
    }
}
