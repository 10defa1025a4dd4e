//! Tokens in the forms of the preference centre, for browsers that do not report which page sent a
//! form.
//!
//! The token proves that the preference centre was served to a browser like this one, a short time
//! ago. Other sites cannot read the token. The pages of the site itself contain no token, because
//! they may be cached or compressed: `preferences` sends such a visitor to the preference centre.

use std::sync::LazyLock;

use http::header::{HOST, HeaderMap, USER_AGENT};

use super::context::SiteContext;
use super::request_info::RequestInfo;
use crate::consent::CookieKeys;
use crate::http::{Fields, network};

/// A token is valid in the period of its creation and in the next one, in seconds: 12 to 24 hours.
const PERIOD: i64 = 12 * 60 * 60;

/// The key of this process, for sites without signing keys. `None` if the system provides no random
/// numbers: then no token is valid.
static PROCESS_KEY: LazyLock<Option<CookieKeys>> = LazyLock::new(|| CookieKeys::random().ok());

/// The token for a visitor.
pub(super) fn form_token(
    site: &SiteContext,
    headers: &HeaderMap,
    info: RequestInfo,
) -> Option<String> {
    keys(site)?.form_token(&claim(site, headers, info, period(info)))
}

/// Whether this proxy gave the token to such a visitor.
pub(super) fn is_form_token(
    token: &str,
    site: &SiteContext,
    headers: &HeaderMap,
    info: RequestInfo,
) -> bool {
    let Some(keys) = keys(site) else { return false };
    let current = period(info);
    [current, current.saturating_sub(1)]
        .into_iter()
        .any(|period| keys.is_form_token(&claim(site, headers, info, period), token))
}

fn keys(site: &SiteContext) -> Option<&CookieKeys> {
    site.reader().own.keys.as_deref().or(PROCESS_KEY.as_ref())
}

fn period(info: RequestInfo) -> i64 {
    info.now.div_euclid(PERIOD)
}

/// The signed message. The host is part of it, because pages of a host can read the token of its
/// preference centre. They must not use the token for another host of the same site.
fn claim(site: &SiteContext, headers: &HeaderMap, info: RequestInfo, period: i64) -> Vec<u8> {
    // Phones change their address between the page and the choice. Mobile networks then mostly assign one of the same
    // network. A visitor whose network has changed chooses once more.
    let network = info.address.map(network).map(|ip| ip.to_string()).unwrap_or_default();
    let host = headers.value(&HOST).unwrap_or_default().to_ascii_lowercase();
    let agent = headers.value(&USER_AGENT).unwrap_or_default();
    let period = period.to_string();
    // No part contains a zero byte: they are a config key and header field values.
    [site.name.as_bytes(), &host, network.as_bytes(), agent, period.as_bytes()].join(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_equal() {
        for (one, other, equal) in [
            ("192.0.2.1", "192.0.2.254", true),
            ("192.0.2.1", "::ffff:192.0.2.7", true),
            ("192.0.2.1", "192.0.3.1", false),
            ("2001:db8:1:2::1", "2001:db8:1:ffff::9", true),
            ("2001:db8:1::1", "2001:db8:2::1", false),
        ] {
            let of = |text: &str| network(text.parse().expect("an address"));
            assert_eq!(of(one) == of(other), equal, "{one} {other}");
        }
    }
}
