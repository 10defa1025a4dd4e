//! The default consent by region, as reported by a proxy in front.

use std::collections::HashSet;

use http::HeaderName;

/// Regions with opt-out law.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionPolicy {
    /// The header field with the region, such as `CF-IPCountry`. Honoured from trusted proxies
    /// only.
    pub header: HeaderName,
    /// Regions in upper case where everything is granted without a decision. In all other regions,
    /// known or unknown, nothing is.
    pub allow: HashSet<String>,
}

impl RegionPolicy {
    /// Whether everything is granted without a decision. `region` is the value of the field, if a
    /// trusted proxy sent one.
    pub fn allows(&self, region: Option<&[u8]>) -> bool {
        let name = region.and_then(|region| std::str::from_utf8(region.trim_ascii()).ok());
        name.is_some_and(|name| self.allow.contains(&name.to_ascii_uppercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_compared_without_case_and_anything_else_is_denied() {
        let policy = RegionPolicy {
            header: HeaderName::from_static("x-region"),
            allow: ["US".to_owned()].into(),
        };
        for region in ["US", "us", " Us "] {
            assert!(policy.allows(Some(region.as_bytes())), "{region}");
        }
        for region in ["DE", "", "US,DE", "USA"] {
            assert!(!policy.allows(Some(region.as_bytes())), "{region}");
        }
        assert!(!policy.allows(None) && !policy.allows(Some(b"\xff")));
    }
}
