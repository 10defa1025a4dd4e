//! Request targets, and the forms valid for each method (RFC 9112 section 3.2, RFC 9113 section
//! 8.3.1).

use std::borrow::Cow;

use http::uri::PathAndQuery;
use http::{Method, Uri};
use thiserror::Error;

use super::host::Authority;

/// A valid request target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestTarget<'a> {
    /// Path and query (origin-form).
    Origin(&'a str),
    /// A complete URL (absolute-form).
    Absolute {
        /// Overrides the `Host` field (RFC 9112 section 3.2.2).
        authority: &'a str,
        /// Path and query. May be empty, or begin with `?`.
        path: &'a str,
    },
    /// The server as a whole (asterisk-form).
    Asterisk,
}

/// Why a request target is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum TargetError {
    /// A URL with `#`: a fragment is never sent (RFC 9110 section 7.1).
    #[error("the request target is a URL with a fragment")]
    Fragment,
    /// Neither `http` nor `https`.
    #[error("the scheme of the request target is not http or https")]
    Scheme,
    /// Missing, invalid, or with userinfo (RFC 9110 section 4.2.4).
    #[error("the request target has no valid host")]
    Authority,
    /// Not a form that the method allows: a path without its slash, a bare authority, or `*`
    /// without `OPTIONS`.
    #[error("the form of the request target is not valid for the method")]
    Form,
}

impl<'a> RequestTarget<'a> {
    /// Parses the target of a request line.
    pub(crate) fn parse(method: &Method, target: &'a str) -> Result<Self, TargetError> {
        if target.starts_with('/') {
            // A fragment after a path is dropped, as other servers do. The client meant the rest.
            let path = target.split('#').next().unwrap_or(target);
            return Self::of_parts(method, None, path);
        }
        if target.contains('#') {
            return Err(TargetError::Fragment);
        }
        let Some((scheme, rest)) = target.split_once("://") else {
            return Self::of_parts(method, None, target);
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).ok_or(TargetError::Authority)?;
        Self::of_parts(method, Some((scheme, authority)), path)
    }

    /// Validates the target of a parsed request. [`Uri`] drops fragments, so a fragment is detected
    /// only after an empty path.
    pub(crate) fn of(method: &Method, uri: &'a Uri) -> Result<Self, TargetError> {
        let path = uri.path_and_query();
        // `as_str` would show an empty path as `/`.
        let is_empty = |path: &&PathAndQuery| Uri::from((*path).clone()).path().is_empty();
        match (uri.scheme_str(), uri.authority(), path) {
            (None, None, Some(path)) => Self::of_parts(method, None, path.as_str()),
            (Some(_), _, path) if path.is_none_or(|path| is_empty(&path)) => {
                Err(TargetError::Fragment)
            }
            (Some(scheme), Some(authority), Some(path)) => {
                Self::of_parts(method, Some((scheme, authority.as_str())), path.as_str())
            }
            _ => Err(TargetError::Form),
        }
    }

    /// The authority, which overrides `Host`.
    pub(crate) fn authority(self) -> Option<&'a str> {
        match self {
            Self::Absolute { authority, .. } => Some(authority),
            Self::Origin(_) | Self::Asterisk => None,
        }
    }

    /// The target to forward, without scheme and host (RFC 9112 sections 3.2.1 and 3.2.4).
    pub(crate) fn to_origin_form(self, method: &Method) -> Cow<'a, str> {
        match self {
            Self::Origin(path) => path.into(),
            Self::Asterisk => "*".into(),
            Self::Absolute { path: "", .. } if method == Method::OPTIONS => "*".into(),
            Self::Absolute { path: "", .. } => "/".into(),
            Self::Absolute { path, .. } if path.starts_with('?') => format!("/{path}").into(),
            Self::Absolute { path, .. } => path.into(),
        }
    }

    /// Validates a target made of an optional scheme and authority, and path and query.
    fn of_parts(
        method: &Method,
        absolute: Option<(&str, &'a str)>,
        path: &'a str,
    ) -> Result<Self, TargetError> {
        if path == "*" && method == Method::OPTIONS {
            return match absolute {
                None => Ok(Self::Asterisk),
                // HTTP/2 sends an asterisk-form target together with `:authority`.
                Some((_, authority)) => Ok(Self::Absolute { authority, path }),
            };
        }
        let Some((scheme, authority)) = absolute else {
            return if path.starts_with('/') {
                Ok(Self::Origin(path))
            } else {
                Err(TargetError::Form)
            };
        };
        if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(TargetError::Scheme);
        }
        Authority::parse(authority.as_bytes()).ok_or(TargetError::Authority)?;
        if !(path.is_empty() || path.starts_with(['/', '?'])) {
            return Err(TargetError::Form);
        }
        Ok(Self::Absolute { authority, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_form_is_valid_only_for_its_methods() {
        let absolute = |authority, path| Ok(RequestTarget::Absolute { authority, path });
        for (method, target, expected) in [
            (Method::GET, "/", Ok(RequestTarget::Origin("/"))),
            (
                Method::GET,
                "//evil.example/a?b=http://c",
                Ok(RequestTarget::Origin("//evil.example/a?b=http://c")),
            ),
            (Method::OPTIONS, "*", Ok(RequestTarget::Asterisk)),
            (Method::GET, "*", Err(TargetError::Form)),
            (Method::POST, "*", Err(TargetError::Form)),
            (Method::OPTIONS, "**", Err(TargetError::Form)),
            (Method::GET, "http://shop.example", absolute("shop.example", "")),
            (Method::GET, "HTTP://shop.example:80/a?b", absolute("shop.example:80", "/a?b")),
            (Method::GET, "https://shop.example?b/c", absolute("shop.example", "?b/c")),
            (Method::GET, "http://[::1]:8080/", absolute("[::1]:8080", "/")),
            (Method::GET, "http://h#x", Err(TargetError::Fragment)),
            (Method::GET, "http://h/#x", Err(TargetError::Fragment)),
            (Method::GET, "/a?b#c", Ok(RequestTarget::Origin("/a?b"))),
            (Method::GET, "/#http://h/", Ok(RequestTarget::Origin("/"))),
            (Method::GET, "#x", Err(TargetError::Fragment)),
            (Method::GET, "http://user@h/", Err(TargetError::Authority)),
            (Method::GET, "http://user:secret@h/", Err(TargetError::Authority)),
            (Method::GET, "http://@h/", Err(TargetError::Authority)),
            (Method::GET, "http://", Err(TargetError::Authority)),
            (Method::GET, "http:///x", Err(TargetError::Authority)),
            (Method::GET, "http://a;b/", Err(TargetError::Authority)),
            (Method::GET, "http://h:99999/", Err(TargetError::Authority)),
            (Method::GET, "ftp://h/x", Err(TargetError::Scheme)),
            (Method::GET, "http:/x", Err(TargetError::Form)),
            (Method::GET, "h", Err(TargetError::Form)),
            (Method::GET, "h:80", Err(TargetError::Form)),
            (Method::GET, "?x", Err(TargetError::Form)),
            (Method::GET, "", Err(TargetError::Form)),
        ] {
            assert_eq!(RequestTarget::parse(&method, target), expected, "{method} {target}");
        }
    }

    #[test]
    fn the_forwarded_target_has_neither_scheme_nor_host() {
        for (method, target, expected) in [
            (Method::GET, "/a?b", "/a?b"),
            (Method::OPTIONS, "*", "*"),
            (Method::OPTIONS, "http://h", "*"),
            (Method::OPTIONS, "http://h/", "/"),
            (Method::OPTIONS, "http://h?a", "/?a"),
            (Method::GET, "http://h", "/"),
            (Method::GET, "http://h?a/b", "/?a/b"),
            (Method::GET, "http://h//a", "//a"),
        ] {
            let target = RequestTarget::parse(&method, target).expect("valid");
            assert_eq!(target.to_origin_form(&method), expected);
        }
    }

    #[test]
    fn a_parsed_target_is_validated_like_its_text() {
        for (target, expected) in [
            ("/a?b", Ok(RequestTarget::Origin("/a?b"))),
            ("http://h:80/a", Ok(RequestTarget::Absolute { authority: "h:80", path: "/a" })),
            ("http://h?a", Ok(RequestTarget::Absolute { authority: "h", path: "?a" })),
            ("http://h#x", Err(TargetError::Fragment)),
            ("http://u@h/", Err(TargetError::Authority)),
            ("ftp://h/", Err(TargetError::Scheme)),
            ("h:80", Err(TargetError::Form)),
            ("h", Err(TargetError::Form)),
            ("*", Err(TargetError::Form)),
        ] {
            let uri: Uri = target.parse().expect("a URI");
            assert_eq!(RequestTarget::of(&Method::GET, &uri), expected, "{target}");
        }
    }
}
