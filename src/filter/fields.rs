//! Classification of header fields other than cookies: the tracking technology of a field, or the
//! way it routes browsers past this proxy. `docs/fields.md` lists every field with its verdict and
//! reason.

use crate::config::settings::Technology;

/// The kind of a field that can require consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// Part of a tracking technology.
    Of(Technology),
    /// Routes the next request to another server, regardless of consent.
    Route,
    /// A cookie of RFC 2965. Browsers do not implement RFC 2965, but some clients do.
    OldCookie,
}

/// Client hints that browsers send by default (WICG User-Agent Client Hints, section 3), and
/// `Save-Data`, a user preference.
const LOW_ENTROPY: [&str; 4] = ["save-data", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform"];

/// Whether a client hint has low entropy.
pub(super) fn is_low_entropy(hint: &[u8]) -> bool {
    LOW_ENTROPY.iter().any(|low| hint.eq_ignore_ascii_case(low.as_bytes()))
}

/// Classifies a response field by its lower-case name.
pub(super) fn in_response(name: &str) -> Option<Field> {
    // Fast path: most responses have none of these fields, and the first letter excludes nearly
    // every name.
    let technology = match name.as_bytes().first()? {
        b'a' => match name {
            "alt-svc" | "alternate-protocol" => return Some(Field::Route),
            "accept-ch" | "accept-ch-lifetime" => Technology::ClientHints,
            "allow-cross-origin-event-reporting" | "allow-fenced-frame-automatic-beacons" => {
                Technology::AdAuctions
            }
            _ if name.starts_with("ad-auction-") => Technology::AdAuctions,
            _ if name.starts_with("attribution-reporting-") => Technology::AttributionReporting,
            _ => return None,
        },
        b'c' if name == "critical-ch" => Technology::ClientHints,
        b'i' => match name {
            // An earlier name of `Set-Login`.
            "idp-signin-status" => Technology::LoginStatus,
            "include-referred-token-binding-id" => Technology::DeviceBoundSessions,
            _ => return None,
        },
        b'n' if name == "nel" => Technology::Nel,
        b'o' => match name {
            "onion-location" => return Some(Field::Route),
            "observe-browsing-topics" => Technology::Topics,
            _ => return None,
        },
        b'r' if matches!(name, "report-to" | "reporting-endpoints") => Technology::Reporting,
        b's' => match name {
            "set-cookie2" => return Some(Field::OldCookie),
            "set-login" => Technology::LoginStatus,
            _ if name.starts_with("shared-storage-") => Technology::SharedStorage,
            _ => return in_both(name).map(Field::Of),
        },
        b'u' if name == "use-as-dictionary" => Technology::Dictionaries,
        b'p' | b'x' => return in_both(name).map(Field::Of),
        _ => return None,
    };
    Some(Field::Of(technology))
}

/// Classifies a request field by its lower-case name.
pub(super) fn in_request(name: &str) -> Option<Field> {
    let technology = match name.as_bytes().first()? {
        b'a' => match name {
            "alt-used" => return Some(Field::Route),
            "available-dictionary" => Technology::Dictionaries,
            _ if name.starts_with("attribution-reporting-") => Technology::AttributionReporting,
            _ => return None,
        },
        b'c' => match name {
            "cookie2" => return Some(Field::OldCookie),
            _ if name.starts_with("cmcd-") => Technology::MediaMetrics,
            _ => return None,
        },
        b'd' => match name {
            "dictionary-id" => Technology::Dictionaries,
            // Client hints with names older than the `Sec-CH-` prefix.
            "device-memory" | "downlink" | "dpr" => Technology::ClientHints,
            _ => return None,
        },
        b'e' if name == "ect" => Technology::ClientHints,
        b'm' if name == "msisdn" => Technology::SubscriberIds,
        b'r' if name == "rtt" => Technology::ClientHints,
        b's' => match name {
            "sec-browsing-topics" => Technology::Topics,
            "sec-token-binding" => Technology::DeviceBoundSessions,
            "service-worker-navigation-preload" => Technology::NavigationPreload,
            _ if name.starts_with("sec-ch-") => {
                if is_low_entropy(name.as_bytes()) {
                    return None;
                }
                Technology::ClientHints
            }
            _ if name.starts_with("sec-fetch-") => return None,
            _ if name.starts_with("sec-ad-auction-") => Technology::AdAuctions,
            _ if name.starts_with("sec-shared-storage-") => Technology::SharedStorage,
            _ => return in_both(name).map(Field::Of),
        },
        b't' if name == "tm_user-id" => Technology::SubscriberIds,
        b'v' if name == "viewport-width" => Technology::ClientHints,
        b'w' if name == "width" => Technology::ClientHints,
        b'x' if is_subscriber_id(name) => Technology::SubscriberIds,
        b'p' | b'x' => return in_both(name).map(Field::Of),
        _ => return None,
    };
    Some(Field::Of(technology))
}

/// Classifies fields with the same name in both directions.
fn in_both(name: &str) -> Option<Technology> {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    if starts(&["private-state-token", "sec-private-state-token"]) {
        return Some(Technology::PrivateStateTokens);
    }
    // Earlier names, and Chromium's tokens for proxied addresses.
    let trust_tokens = ["sec-trust-token", "sec-redemption-record", "sec-signed-redemption-record"];
    if starts(&trust_tokens) || starts(&["sec-probabilistic-reveal-token"]) {
        return Some(Technology::PrivateStateTokens);
    }
    if starts(&["secure-session-", "sec-secure-session-", "sec-session-"]) {
        return Some(Technology::DeviceBoundSessions);
    }
    starts(&["x-fledge-", "x-allow-fledge", "x-protected-audience-"])
        .then_some(Technology::AdAuctions)
}

/// Whether mobile networks identify subscribers with this field.
fn is_subscriber_id(name: &str) -> bool {
    matches!(
        name,
        "x-acr"
            | "x-vf-acr"
            | "x-uidh"
            | "x-imsi"
            | "x-up-calling-line-id"
            | "x-up-subno"
            | "x-up-subscriber-id"
            | "x-amobee-1"
            | "x-amobee-2"
            | "x-msp-clid"
            | "x-msp-wap-client-id"
            | "x-piper-id"
            | "x-access-subym"
    ) || name.ends_with("-msisdn")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracking_fields_are_matched_by_class_and_similar_names_are_not() {
        for (name, request, response) in [
            ("sec-ch-ua-model", Some(Technology::ClientHints), None),
            ("sec-ch-a-hint-of-tomorrow", Some(Technology::ClientHints), None),
            ("sec-ch-ua", None, None),
            ("sec-ch-ua-mobile", None, None),
            ("sec-ch-ua-platform", None, None),
            ("save-data", None, None),
            ("rtt", Some(Technology::ClientHints), None),
            ("critical-ch", None, Some(Technology::ClientHints)),
            ("sec-fetch-storage-access", None, None),
            ("sec-websocket-key", None, None),
            ("sec-gpc", None, None),
            (
                "sec-private-state-token-lifetime",
                Some(Technology::PrivateStateTokens),
                Some(Technology::PrivateStateTokens),
            ),
            (
                "sec-secure-session-id",
                Some(Technology::DeviceBoundSessions),
                Some(Technology::DeviceBoundSessions),
            ),
            (
                "attribution-reporting-eligible",
                Some(Technology::AttributionReporting),
                Some(Technology::AttributionReporting),
            ),
            ("shared-storage-write", None, Some(Technology::SharedStorage)),
            ("sec-shared-storage-writable", Some(Technology::SharedStorage), None),
            ("x-h3g-msisdn", Some(Technology::SubscriberIds), None),
            ("x-request-id", None, None),
            ("cmcd-session", Some(Technology::MediaMetrics), None),
            ("cmsd-static", None, None),
            ("dpop", None, None),
            ("", None, None),
        ] {
            assert_eq!(in_request(name), request.map(Field::Of), "request {name}");
            assert_eq!(in_response(name), response.map(Field::Of), "response {name}");
        }
        assert_eq!(in_response("alt-svc"), Some(Field::Route));
        assert_eq!(in_request("alt-used"), Some(Field::Route));
        assert_eq!(in_request("cookie2"), Some(Field::OldCookie));
    }
}
