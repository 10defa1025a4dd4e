//! Context of the consent UI of one site.

use std::sync::Arc;

use http::header::HeaderMap;

use super::request_info::RequestInfo;
use super::shown_texts::TextVersions;
use crate::config::settings;
use crate::consent::sources::Native;
use crate::consent::{CategorySet, Consent, ConsentReader, Signals};
use crate::cookie::Cookies;
use crate::filter::Filter;
use crate::http::Fields;
use crate::receipts::Receipts;

/// Context of the consent UI of one site.
#[derive(Debug)]
pub(super) struct SiteContext {
    /// The name in logs, metrics and receipts.
    pub(super) name: String,
    pub(super) settings: settings::CentreSettings,
    /// Whether storage and third-party tags in pages are restricted to the granted categories.
    pub(super) guards_pages: bool,
    pub(super) filter: Arc<Filter>,
    /// The receipt writer, if receipts are enabled.
    pub(super) receipts: Option<Receipts>,
    /// The text versions of the UI, if receipts are enabled.
    pub(super) texts: TextVersions,
}

impl SiteContext {
    pub(super) fn reader(&self) -> &ConsentReader {
        &self.filter.settings().reader
    }

    /// The visitor's consent.
    pub(super) fn consent(&self, fields: &impl Fields, trusted: bool, now: i64) -> Consent {
        let reader = self.reader();
        let cookies = Cookies::of(fields);
        reader.read(&cookies, Signals::of(fields), reader.region_of(fields, trusted), now)
    }

    /// The consent of the visitor's next request, after the browser has stored this value of the
    /// native cookie and deleted every other copy.
    pub(super) fn consent_with(
        &self,
        value: &str,
        headers: &HeaderMap,
        signals: Signals,
        info: RequestInfo,
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
        let region = self.reader().region_of(headers, info.trusted);
        self.reader().read(&Cookies::new([&field[..]]), signals, region, info.now)
    }

    /// The categories that a choice in the consent UI can grant this visitor. A refusal in another
    /// tool can override the choice. Browser signals are ignored.
    pub(super) fn grantable(&self, headers: &HeaderMap, info: RequestInfo) -> CategorySet {
        let reader = self.reader();
        let everything = reader.new_cookie(reader.categories.all(), info.now);
        let everything = reader.cookie_value(&everything);
        self.consent_with(&everything, headers, Signals::default(), info).granted
    }
}
