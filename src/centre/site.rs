//! What the pages of one site are made from.

use std::sync::Arc;

use http::header::HeaderMap;

use crate::config::settings;
use crate::consent::{Consent, ConsentReader, Signals};
use crate::cookie::Cookies;
use crate::filter::Filter;
use crate::receipts::Receipts;

/// What the pages of one site are made from.
#[derive(Debug)]
pub(super) struct Site {
    /// The name in logs, metrics and receipts.
    pub(super) name: String,
    pub(super) settings: settings::Centre,
    pub(super) filter: Arc<Filter>,
    /// Where receipts go, where they are kept.
    pub(super) receipts: Option<Receipts>,
}

impl Site {
    pub(super) fn reader(&self) -> &ConsentReader {
        &self.filter.settings().reader
    }

    /// What the visitor of a request allowed.
    pub(super) fn consent(&self, headers: &HeaderMap, trusted: bool, now: i64) -> Consent {
        let reader = self.reader();
        let cookies = Cookies::of(headers);
        reader.read(&cookies, Signals::of(headers), reader.region_of(headers, trusted), now)
    }
}
