//! Complianz: one cookie `cmplz_CATEGORY` per category with `allow` or `deny`, and
//! `cmplz_consented_services` for individual services.

use serde_json::Value;

use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes, common_formats, decode};
use crate::cookie::Cookies;

/// Prefix of the cookie names.
const PREFIX: &[u8] = b"cmplz_";

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("functional", Category::NECESSARY),
    ("preferences", Category::FUNCTIONAL),
    ("statistics", Category::ANALYTICS),
    ("marketing", Category::TARGETING),
];

/// Reads Complianz's cookie.
#[derive(Debug)]
pub(super) struct Complianz {
    map: IdMap,
    settings: SourceSettings,
}

impl Complianz {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { map: IdMap::new(DEFAULTS, &settings.map), settings: settings.clone() }
    }
}

impl Complianz {
    /// Individually refused services.
    fn refused_services(&self, cookies: &Cookies<'_>) -> Reading {
        let (mut votes, mut any) = (Votes::default(), false);
        for services in cookies.values(b"cmplz_consented_services").filter_map(decode::json) {
            let services = services.as_object().into_iter().flatten();
            for (id, _) in services.filter(|(_, answer)| **answer == Value::Bool(false)) {
                votes.vote_service(&self.map, id, false);
                any = true;
            }
        }
        if any { Reading::decision(votes, &self.map, None) } else { Reading::NoDecision }
    }
}

impl ConsentSource for Complianz {
    fn name(&self) -> &'static str {
        "complianz"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec![String::from_utf8_lossy(PREFIX).into_owned() + "*"]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        let in_force = common_formats::is_in_force(cookies, b"cmplz_policy_id", &self.settings);
        let categories =
            common_formats::cookie_for_each(cookies, PREFIX, [b"allow", b"deny"], &self.map);
        let reading = match categories {
            Reading::Decisions(_) => categories.and(self.refused_services(cookies)),
            _ => categories,
        };
        reading.in_revision(in_force)
    }
}
