//! Jetpack's cookie banner: `personalized-ads-consent` after a click, and `eucookielaw` also after scrolling or a
//! timeout. The value is the end of the consent in milliseconds. There is no refusal.

use crate::consent::source::{ConsentSource, Implied, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes, decode};
use crate::cookie::Cookies;

const ADS: &str = "personalized-ads-consent";
/// This cookie does not show that the visitor has chosen.
const IMPLIED: &str = "eucookielaw";

/// Default categories of the cookies, whose names are the ids.
const DEFAULTS: &[(&str, Category)] =
    &[(ADS, Category::TARGETING), (IMPLIED, Category::FUNCTIONAL), (IMPLIED, Category::ANALYTICS)];

/// Reads Jetpack's cookies.
#[derive(Debug)]
pub(super) struct Jetpack {
    map: IdMap,
    implied: Implied,
}

impl Jetpack {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        let implied = settings.implied.unwrap_or(Implied::Ignore);
        Self { map: IdMap::new(DEFAULTS, &settings.map), implied }
    }

    fn read_one(&self, id: &str, value: &[u8]) -> Option<Reading> {
        let text = decode::text(value).filter(|text| text.len() == 13)?;
        let ends_at = text.parse::<u64>().ok().and_then(|end| i64::try_from(end / 1000).ok())?;
        let mut votes = Votes::default();
        votes.vote(self.map.categories(id), true);
        Some(Reading::decision(votes, &self.map, None).ending_at(Some(ends_at)))
    }
}

impl ConsentSource for Jetpack {
    fn name(&self) -> &'static str {
        "jetpack"
    }

    fn cookie_names(&self) -> Vec<String> {
        [ADS, IMPLIED].map(str::to_owned).to_vec()
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        let of = |id: &str| {
            Reading::of_copies(cookies.values(id.as_bytes()), |value| {
                self.read_one(id, value).unwrap_or(Reading::Malformed)
            })
        };
        match self.implied {
            Implied::Accept => of(ADS).and(of(IMPLIED)),
            Implied::Ignore => of(ADS),
        }
    }
}
