//! What the pages of one site are made from.

use std::sync::Arc;

use http::header::HeaderMap;

use super::shown_texts::TextVersions;
use super::visitor::Visitor;
use crate::config::settings;
use crate::consent::sources::Native;
use crate::consent::{CategorySet, Consent, ConsentReader, Signals};
use crate::cookie::Cookies;
use crate::filter::Filter;
use crate::http::Fields;
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
    /// The texts of these pages, where receipts are kept.
    pub(super) texts: TextVersions,
}

impl Site {
    pub(super) fn reader(&self) -> &ConsentReader {
        &self.filter.settings().reader
    }

    /// What the visitor of a request allowed.
    pub(super) fn consent(&self, fields: &impl Fields, trusted: bool, now: i64) -> Consent {
        let reader = self.reader();
        let cookies = Cookies::of(fields);
        reader.read(&cookies, Signals::of(fields), reader.region_of(fields, trusted), now)
    }

    /// The consent that the visitor's next request will have, once the browser has stored this value of the
    /// native cookie and deleted every other copy.
    pub(super) fn consent_with(
        &self,
        value: &str,
        headers: &HeaderMap,
        signals: Signals,
        visitor: Visitor,
    ) -> Consent {
        let mut field = format!("{}={value}", Native::COOKIE).into_bytes();
        let sent = Cookies::of(headers);
        for pair in sent.pairs().filter(|pair| pair.name != Native::COOKIE.as_bytes()) {
            field.extend_from_slice(b"; ");
            if !pair.name.is_empty() {
                field.extend_from_slice(pair.name);
                field.push(b'=');
            }
            field.extend_from_slice(pair.value);
        }
        let region = self.reader().region_of(headers, visitor.trusted);
        self.reader().read(&Cookies::new([&field[..]]), signals, region, visitor.now)
    }

    /// The categories that a choice on consentry's pages can grant this visitor. Another tool's refusal can
    /// overrule the choice. Browser signals are ignored.
    pub(super) fn grantable(&self, headers: &HeaderMap, visitor: Visitor) -> CategorySet {
        let reader = self.reader();
        let everything = reader.new_cookie(reader.categories.all(), visitor.now);
        let everything = reader.cookie_value(&everything);
        self.consent_with(&everything, headers, Signals::default(), visitor).granted
    }
}
