//! The default consent by region, as reported by a proxy in front.

use std::collections::HashMap;

use http::HeaderName;

use super::CategorySet;

/// The default consent of each region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionPolicy {
    /// The header field with the region, such as `CF-IPCountry`. Honoured from trusted proxies
    /// only.
    pub header: HeaderName,
    /// The categories granted without a decision, by region in upper case. In all other regions, known or unknown,
    /// nothing but the necessary category is.
    pub granted: HashMap<String, CategorySet>,
}

impl RegionPolicy {
    /// The categories granted without a decision. `region` is the value of the field, if a trusted proxy sent one.
    pub fn granted(&self, region: Option<&[u8]>) -> CategorySet {
        let name = region.and_then(|region| std::str::from_utf8(region.trim_ascii()).ok());
        let known = name.and_then(|name| self.granted.get(&name.to_ascii_uppercase()));
        known.copied().unwrap_or(CategorySet::NECESSARY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::Category;

    #[test]
    fn regions_are_compared_without_case_and_anything_else_is_denied() {
        let granted = [Category::NECESSARY, Category::ANALYTICS].into_iter().collect();
        let policy = RegionPolicy {
            header: HeaderName::from_static("x-region"),
            granted: [("GB".to_owned(), granted)].into(),
        };
        for region in ["GB", "gb", " Gb "] {
            assert_eq!(policy.granted(Some(region.as_bytes())), granted, "{region}");
        }
        for region in ["DE", "", "GB,DE", "GBR"] {
            let denied = policy.granted(Some(region.as_bytes()));
            assert_eq!(denied, CategorySet::NECESSARY, "{region}");
        }
        for region in [None, Some(&b"\xff"[..])] {
            assert_eq!(policy.granted(region), CategorySet::NECESSARY);
        }
    }
}
