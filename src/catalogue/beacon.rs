//! Beacons: requests that only tell a tracker something, known by path and conditions.

use std::borrow::Cow;

use http::Method;

use super::{Entry, Pattern, Tier};

/// A rule for beacons. Every condition that is set must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeaconRule {
    /// The path, without query.
    pub path: Pattern,
    /// Only this method.
    pub method: Option<Method>,
    /// Only with this query parameter: `key`, or `key=value`, as sent.
    pub query: Option<String>,
    /// Only with this `Sec-Fetch-Dest`.
    pub fetch_dest: Option<String>,
    /// Only with this media type as `Content-Type`, parameters aside.
    pub content_type: Option<String>,
    /// It is the picture in an e-mail that tells of its being opened: mail clients send no consent
    /// cookie, so the site decides on these by themselves.
    pub email_open: bool,
    /// Where the rule comes from.
    pub tier: Tier,
    /// Its place among the rules of its catalogue, which gives it.
    pub number: usize,
    /// What it says.
    pub entry: Entry,
}

/// What a beacon rule looks at in a request.
#[derive(Debug, Clone, Copy)]
pub struct BeaconProbe<'a> {
    /// The method.
    pub method: &'a Method,
    /// The host that was asked, without port.
    pub host: Option<&'a str>,
    /// The path, as sent.
    pub path: &'a str,
    /// The query without `?`, as sent.
    pub query: Option<&'a str>,
    /// The value of `Sec-Fetch-Dest`.
    pub fetch_dest: Option<&'a [u8]>,
    /// The value of `Content-Type`.
    pub content_type: Option<&'a [u8]>,
}

impl BeaconRule {
    /// Whether the conditions besides the path hold.
    pub(super) fn holds(&self, probe: &BeaconProbe<'_>) -> bool {
        // HEAD asks for what GET would do, and OPTIONS asks leave for what is to follow.
        let method = match &self.method {
            None => true,
            Some(method) => {
                method == probe.method
                    || probe.method == Method::OPTIONS
                    || (probe.method == Method::HEAD && method == Method::GET)
            }
        };
        let query = self.query.as_deref().is_none_or(|wanted| {
            probe.query.unwrap_or_default().split('&').any(|parameter| {
                parameter == wanted
                    || parameter.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('='))
            })
        });
        let fetch_dest = self
            .fetch_dest
            .as_deref()
            .is_none_or(|wanted| probe.fetch_dest.is_some_and(|dest| dest == wanted.as_bytes()));
        let content_type = self.content_type.as_deref().is_none_or(|wanted| {
            probe
                .content_type
                .and_then(|value| value.split(|byte| *byte == b';').next())
                .is_some_and(|media_type| {
                    media_type.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes())
                })
        });
        method && query && fetch_dest && content_type
    }

    /// How many conditions there are besides the path: more is more specific.
    pub(super) fn conditions(&self) -> usize {
        let Self { method, query, fetch_dest, content_type, .. } = self;
        usize::from(method.is_some())
            + usize::from(query.is_some())
            + usize::from(fetch_dest.is_some())
            + usize::from(content_type.is_some())
    }
}

/// The path as the origin will understand it: percent-encoding undone, `.` and `..` resolved,
/// empty segments left out, so that `//x/../%6datomo.php` is `/matomo.php`.
pub(crate) fn normalised(path: &str) -> Cow<'_, [u8]> {
    let bytes = path.as_bytes();
    let plain = !bytes.contains(&b'%')
        && memchr::memmem::find(bytes, b"//").is_none()
        && memchr::memmem::find(bytes, b"/.").is_none();
    if plain {
        return Cow::Borrowed(bytes);
    }
    let decoded = percent_decode(bytes);
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut parts = decoded.split(|byte| *byte == b'/').peekable();
    while let Some(part) = parts.next() {
        match part {
            b"." => {}
            b".." => {
                segments.pop();
            }
            b"" if parts.peek().is_some() => {}
            other => segments.push(other),
        }
    }
    let mut path = vec![b'/'];
    path.extend(segments.join(&b'/'));
    Cow::Owned(path)
}

fn percent_decode(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        let octet = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        decoded.push(octet.unwrap_or(*first));
        rest = if octet.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    decoded
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;
    use crate::consent::Category;

    fn rule(path: &str) -> BeaconRule {
        BeaconRule {
            path: Pattern::new(path).expect("a valid pattern"),
            method: None,
            query: None,
            fetch_dest: None,
            content_type: None,
            email_open: false,
            tier: Tier::Catalogue(0),
            number: 0,
            entry: Entry {
                category: Category::ANALYTICS,
                vendor: None,
                tcf_vendor: None,
                purpose: None,
                lifetime: None,
            },
        }
    }

    fn probe(path: &str) -> BeaconProbe<'_> {
        let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
        BeaconProbe {
            method: &Method::GET,
            host: None,
            path,
            query,
            fetch_dest: None,
            content_type: None,
        }
    }

    #[test]
    fn a_path_is_seen_through_its_spellings() {
        let catalogue = Catalogue::compile([], [rule("/matomo.php"), rule("/b/ss/*")]);
        for path in [
            "/matomo.php",
            "/matomo.php?rec=1",
            "//matomo.php",
            "/x/../matomo.php",
            "/./matomo.php",
            "/%6Datomo%2Ephp",
            "/b/ss/x/1",
            "/b//ss/x",
        ] {
            assert!(catalogue.beacon(&probe(path)).is_some(), "{path}");
        }
        for path in ["/", "/matomo.php/x", "/xmatomo.php", "/b/ss", "/MATOMO.php", "/matomo.php%"] {
            assert!(catalogue.beacon(&probe(path)).is_none(), "{path}");
        }
    }

    #[test]
    fn every_condition_must_hold_and_the_rule_with_more_of_them_goes_first() {
        let mut strict = rule("/collect");
        strict.method = Some(Method::POST);
        strict.query = Some("v=2".to_owned());
        strict.entry.category = Category::TARGETING;
        let catalogue = Catalogue::compile([], [rule("/collect"), strict]);
        let category = |method: &Method, path: &str| {
            let probe = BeaconProbe { method, ..probe(path) };
            catalogue.beacon(&probe).map(|rule| rule.entry.category)
        };
        assert_eq!(category(&Method::POST, "/collect?a&v=2"), Some(Category::TARGETING));
        assert_eq!(category(&Method::OPTIONS, "/collect?v=2"), Some(Category::TARGETING));
        assert_eq!(category(&Method::POST, "/collect?v=22"), Some(Category::ANALYTICS));
        assert_eq!(category(&Method::GET, "/collect?v=2"), Some(Category::ANALYTICS));
    }

    #[test]
    fn a_ping_is_known_by_its_media_type() {
        let mut ping = rule("/*");
        ping.content_type = Some("text/ping".to_owned());
        let catalogue = Catalogue::compile([], [ping]);
        let with = |content_type| BeaconProbe { content_type, ..probe("/anything") };
        assert!(catalogue.beacon(&with(Some(b"Text/Ping; charset=x"))).is_some());
        assert!(catalogue.beacon(&with(Some(b"text/plain"))).is_none());
        assert!(catalogue.beacon(&with(None)).is_none());
    }
}
