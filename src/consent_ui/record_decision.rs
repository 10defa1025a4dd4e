//! Recording of a decision from the consent UI: writes the receipt, then the cookie, and clears
//! data after a withdrawal.

use http::header::{HeaderMap, HeaderName, HeaderValue, SET_COOKIE, USER_AGENT};

use super::context::SiteContext;
use super::error::ConsentUiError;
use super::request_info::RequestInfo;
use crate::consent::{CategorySet, Consent, Signals};
use crate::cookie::Cookies;
use crate::filter::ClientInfo;
use crate::http::named_host;
use crate::receipts::{DecisionChannel, Receipt, ShownTexts, new_id};

/// W3C Clear Site Data section 3.1.
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// A visitor's decision.
pub(super) struct PostedDecision<'a> {
    pub(super) granted: CategorySet,
    /// Time of the decision, in Unix seconds.
    pub(super) decided_at: i64,
    pub(super) how: DecisionChannel,
    /// The language of the page that the visitor saw.
    pub(super) language: Option<&'a str>,
    /// The texts that the visitor saw.
    pub(super) texts: Option<ShownTexts>,
}

/// A recorded decision.
pub(super) struct Recorded {
    /// The consent of the visitor's next request.
    pub(super) consent: Consent,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Recorded {
    /// Adds the header fields to a response.
    pub(super) fn add_to(self, headers: &mut HeaderMap) {
        for (name, value) in self.fields {
            headers.append(name, value);
        }
    }
}

/// Records a decision. The receipt is written before the response is sent.
pub(super) async fn decide(
    site: &SiteContext,
    headers: &HeaderMap,
    decision: PostedDecision<'_>,
    info: RequestInfo,
) -> Result<Recorded, ConsentUiError> {
    let reader = site.reader();
    let signals = Signals::of(headers);
    let mut cookie = reader.new_cookie(decision.granted, decision.decided_at);
    if let Some(receipts) = &site.receipts {
        let id = new_id().ok_or(ConsentUiError::NoReceipt)?;
        // No identifier for a visitor who refused everything.
        if decision.granted != CategorySet::NECESSARY {
            cookie.receipt.clone_from(&id);
        }
        let names = |set| {
            let names = reader.categories.names_of(set);
            names.into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let receipt = Receipt {
            id,
            time: decision.decided_at,
            recorded_at: Some(info.now),
            site: site.name.clone(),
            notice_date: reader.notice_date.map(|date| date.to_string()),
            granted: names(decision.granted),
            refused: names(reader.categories.all().difference(decision.granted)),
            language: decision.language.map(str::to_owned),
            how: decision.how,
            gpc: signals.gpc,
            texts: decision.texts,
            ip: info.address.filter(|_| receipts.keeps_ip()).map(|ip| ip.to_string()),
            user_agent: user_agent(headers).filter(|_| receipts.keeps_user_agent()),
        };
        receipts.record(receipt).await.map_err(|_| ConsentUiError::NoReceipt)?;
    }
    let value = reader.cookie_value(&cookie);
    let host = named_host(headers).unwrap_or_default().to_ascii_lowercase();
    let sent = Cookies::of(headers);
    let lines = reader.set_cookies(&value, decision.granted, (&host, info.secure), &sent);
    let mut fields: Vec<_> = lines.into_iter().map(|line| (SET_COOKIE, line)).collect();
    let before = site.consent(headers, info.trusted, info.now);
    let after = site.consent_with(&value, headers, signals, info);
    if before.granted.difference(after.granted) != CategorySet::EMPTY {
        let on_withdrawal = site.settings.on_withdrawal;
        if on_withdrawal.cookies && !host.is_empty() {
            let peer = ClientInfo { secure: info.secure, trusted: info.trusted };
            // The parent path of the consent UI, where only consentry sets cookies.
            let prefix = site.settings.prefix.trim_end_matches('/');
            let path = prefix.rfind('/').and_then(|slash| prefix.get(..=slash)).unwrap_or("/");
            let scope = (host.as_str(), path);
            let lines = site.filter.deletions(&after, scope, headers, peer, info.now);
            fields.extend(lines.into_iter().map(|line| (SET_COOKIE, line)));
        }
        if on_withdrawal.storage {
            let storage = HeaderValue::from_static("\"storage\"");
            fields.push((CLEAR_SITE_DATA, storage));
        }
    }
    Ok(Recorded { consent: after, fields })
}

/// The `User-Agent`, truncated to 512 characters.
fn user_agent(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(USER_AGENT)?.to_str().ok()?;
    Some(name.chars().take(512).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_agents_are_truncated_to_512_characters() {
        let mut headers = HeaderMap::new();
        assert_eq!(user_agent(&headers), None);
        for (length, kept) in [(512, 512), (513, 512)] {
            let name = HeaderValue::from_str(&"x".repeat(length)).expect("a value");
            headers.insert(USER_AGENT, name);
            assert_eq!(user_agent(&headers).map(|name| name.len()), Some(kept));
        }
    }
}
