//! Normalisation of beacon paths as origins compare them: percent-decoded, with dot segments
//! resolved and ignored parts removed.

use std::borrow::Cow;

use percent_encoding::percent_decode;
use thiserror::Error;

use super::pattern::{Pattern, PatternError};

/// File extensions of scripts that servers run with path info (`PATH_INFO`, RFC 3875 section
/// 4.1.5).
const SCRIPTS: [&str; 13] = [
    "php", "php5", "php7", "php8", "phtml", "cgi", "fcgi", "pl", "py", "asp", "aspx", "ashx", "cfm",
];

/// Why a path in a beacon rule is invalid.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PathError {
    /// The path is not a valid pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The path starts with neither `/` nor `*`.
    #[error("a path starts with `/` (or with `*` for any folder)")]
    NotAPath,
    /// The path contains a query.
    #[error("a path ends before `?`: it would never match")]
    Query,
    /// The path contains a fragment, which browsers do not send.
    #[error("browsers do not send `#` and what follows it: it would never match")]
    Fragment,
    /// The path contains a dot segment. Dot segments are resolved before the comparison.
    #[error("the segments `.` and `..` are resolved in requests: it would never match")]
    DotSegment,
    /// The path contains an escaped `*`.
    #[error("`%2A` cannot be told from the wildcard `*`")]
    EscapedWildcard,
    /// The escapes are not valid UTF-8.
    #[error("its escapes are not UTF-8")]
    NotUtf8,
}

/// The path of a beacon rule, normalised like request paths.
///
/// # Errors
/// If no request could match the path.
pub fn rule_path(text: &str) -> Result<Pattern, PathError> {
    if !text.starts_with(['/', '*', '\\']) && !text.is_empty() {
        return Err(PathError::NotAPath);
    }
    if text.contains('?') {
        return Err(PathError::Query);
    }
    if text.contains('#') {
        return Err(PathError::Fragment);
    }
    if text.to_ascii_lowercase().contains("%2a") {
        return Err(PathError::EscapedWildcard);
    }
    let mut decoded = decode(text.as_bytes());
    if decoded.split(|byte| *byte == b'/').any(|segment| matches!(segment, b"." | b"..")) {
        return Err(PathError::DotSegment);
    }
    let mut last = None;
    decoded.retain(|byte| last.replace(*byte) != Some(b'/') || *byte != b'/');
    let path = String::from_utf8(decoded).map_err(|_| PathError::NotUtf8)?;
    Ok(Pattern::new(&path)?)
}

/// The lookup key of a rule. Spellings that an origin may treat as equal have the same key.
pub(super) fn key(path: &Pattern) -> Pattern {
    let lower = path.as_str().to_ascii_lowercase();
    // The key is in lower case, so that no upper-case letter is left to match.
    let lower = lower.replace("{upper", "{alnum");
    let trimmed = lower.strip_suffix('/').filter(|rest| !rest.is_empty() && !rest.ends_with('*'));
    Pattern::new(trimmed.unwrap_or(&lower)).unwrap_or_else(|_| path.clone())
}

/// A path that an origin may derive from a request path.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathInterpretation<'a> {
    pub(super) path: &'a [u8],
    /// The path info after the script was removed.
    pub(super) cut: bool,
    /// The rank among the interpretations, the most likely first.
    pub(super) order: u8,
}

/// Calls `look` with each interpretation of a path, the most likely first.
pub(super) fn each_reading(path: &str, mut look: impl FnMut(PathInterpretation<'_>)) {
    let mut order = 0;
    let mut look_at = |path: &[u8], cut| {
        look(PathInterpretation { path, cut, order });
        order += 1;
    };
    let mut read = |path: &[u8]| {
        look_at(path, false);
        if let Some(script) = without_path_info(path) {
            look_at(script, true);
        }
    };
    // Fast path: most paths contain none of these bytes.
    if memchr::memchr3(b'%', b'\\', b';', path.as_bytes()).is_none() {
        return read(&normalised(path));
    }
    read(&resolve(&decode(path.as_bytes())));
    if let Some(bare) = without_parameters(path.as_bytes()) {
        read(&resolve(&decode(&bare)));
    }
}

/// The path in lower case, as in the lookup keys.
pub(super) fn lower(path: &[u8]) -> Cow<'_, [u8]> {
    if path.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(path.to_ascii_lowercase())
    } else {
        Cow::Borrowed(path)
    }
}

/// The path without trailing characters that some servers ignore: slashes (Express), dots and
/// spaces (Windows). `None` if there are none.
pub(super) fn trimmed(path: &[u8]) -> Option<&[u8]> {
    let ignored = |byte: &u8| matches!(byte, b'/' | b'.' | b' ');
    let end = path.iter().rposition(|byte| !ignored(byte))?;
    path.get(..=end).filter(|trimmed| trimmed.len() < path.len())
}

/// The script of a path with path info.
fn without_path_info(path: &[u8]) -> Option<&[u8]> {
    let dot = memchr::memchr(b'.', path)?;
    let mut from = dot;
    while let Some(slash) = memchr::memchr(b'/', path.get(from..)?) {
        let end = from + slash;
        let script = path.get(..end)?;
        let extension = script.get(memchr::memrchr(b'.', script)? + 1..)?;
        if SCRIPTS.iter().any(|known| extension.eq_ignore_ascii_case(known.as_bytes())) {
            return Some(script);
        }
        from = end + 1;
    }
    None
}

/// A path without parameters in its segments (RFC 3986 section 3.3), which servlet containers
/// ignore. `None` if there are none.
fn without_parameters(path: &[u8]) -> Option<Vec<u8>> {
    let parameter = |segment: &[u8]| {
        let plain = memchr::memchr(b';', segment);
        let escaped = memchr::memmem::find(segment, b"%3B");
        let lower = memchr::memmem::find(segment, b"%3b");
        [plain, escaped, lower].into_iter().flatten().min()
    };
    parameter(path)?;
    let segments = path.split(|byte| *byte == b'/');
    let bare: Vec<&[u8]> = segments
        .map(|segment| segment.get(..parameter(segment).unwrap_or(segment.len())))
        .map(Option::unwrap_or_default)
        .collect();
    Some(bare.join(&b'/'))
}

/// The path as an origin interprets it: percent-decoded, with `.` and `..` resolved and empty
/// segments removed. `//x/../%6datomo.php` becomes `/matomo.php`.
pub(crate) fn normalised(path: &str) -> Cow<'_, [u8]> {
    let bytes = path.as_bytes();
    let plain = !bytes.contains(&b'%')
        && memchr::memmem::find(bytes, b"//").is_none()
        && memchr::memmem::find(bytes, b"/.").is_none();
    if plain {
        Cow::Borrowed(bytes)
    } else {
        Cow::Owned(resolve(&Cow::from(percent_decode(bytes))))
    }
}

/// Percent-decodes a path and replaces backslashes with slashes, like servers on Windows.
fn decode(path: &[u8]) -> Vec<u8> {
    let mut decoded = Cow::from(percent_decode(path)).into_owned();
    for byte in &mut decoded {
        if *byte == b'\\' {
            *byte = b'/';
        }
    }
    decoded
}

fn resolve(path: &[u8]) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut parts = path.split(|byte| *byte == b'/').peekable();
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
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(path: &str) -> Vec<String> {
        let mut all = Vec::new();
        each_reading(path, |reading| {
            all.push(String::from_utf8_lossy(reading.path).into_owned());
        });
        all
    }

    #[test]
    fn a_path_is_parsed_in_every_way_that_script_servers_do() {
        for (path, expected) in [
            ("/page", &["/page"][..]),
            ("/app.js/x", &["/app.js/x"]),
            ("/matomo.php", &["/matomo.php"]),
            ("/matomo.php/", &["/matomo.php/", "/matomo.php"]),
            ("/v1.2/matomo.PHP/x/y", &["/v1.2/matomo.PHP/x/y", "/v1.2/matomo.PHP"]),
            ("/a;b/c;d", &["/a;b/c;d", "/a/c"]),
            ("/a;x=%2F/c%3Bd", &["/a;x=/c;d", "/a/c"]),
            ("/x/..;/collect", &["/x/..;/collect", "/collect"]),
            ("/t.php;a/b", &["/t.php;a/b", "/t.php/b", "/t.php"]),
            ("/%5Cx\\collect", &["/x/collect"]),
            ("//x/../%6datomo%2Ephp", &["/matomo.php"]),
            ("/a%", &["/a%"]),
            ("*", &["*"]),
        ] {
            assert_eq!(readings(path), expected, "{path}");
        }
    }

    #[test]
    fn rule_paths_are_normalised_like_request_paths_or_rejected() {
        for (text, expected) in [
            ("/a%20b", Ok("/a b")),
            ("/p%C3%ADxel", Ok("/p\u{ed}xel")),
            ("/p%c3%adxel", Ok("/p\u{ed}xel")),
            ("/a//b/*", Ok("/a/b/*")),
            ("//*//c", Ok("/*/c")),
            ("*/Track.GIF", Ok("*/Track.GIF")),
            ("/a?b", Err(PathError::Query)),
            ("/a#b", Err(PathError::Fragment)),
            ("/a/../b", Err(PathError::DotSegment)),
            ("/%2e/b", Err(PathError::DotSegment)),
            ("/a%2Ab", Err(PathError::EscapedWildcard)),
            ("/%ff", Err(PathError::NotUtf8)),
            ("a", Err(PathError::NotAPath)),
            ("", Err(PathError::Pattern(PatternError::Empty))),
        ] {
            let path = rule_path(text);
            assert_eq!(path.as_ref().map(Pattern::as_str), expected.as_ref().copied(), "{text}");
        }
    }

    #[test]
    fn only_suffixes_that_servers_ignore_are_trimmed() {
        assert_eq!(trimmed(b"/collect/"), Some(&b"/collect"[..]));
        assert_eq!(trimmed(b"/m.php. "), Some(&b"/m.php"[..]));
        assert_eq!(trimmed(b"/collect"), None);
        assert_eq!(trimmed(b"/"), None);
    }
}
