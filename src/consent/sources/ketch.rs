//! Ketch: `_ketch_consent_v1_`, base64 JSON with the status of each purpose, and `_swb_consent_`, which lives for five
//! minutes and contains the legal bases.
//!
//! The tool writes the same record for the default of a region. A refusal counts always. A grant counts only with proof of
//! an opt-in: a legal basis of `consent_optin` in `_swb_consent_`.

use serde_json::Value;

use crate::consent::source::{ConsentSource, Implied, Reading, SourceSettings};
use crate::consent::{Categories, Category, CategorySet, IdMap, Votes, decode};
use crate::cookie::Cookies;

const STATUS: &str = "_ketch_consent_v1_";
const RECORD: &str = "_swb_consent_";

/// Default categories of the tool's canonical purposes.
const DEFAULTS: &[(&str, Category)] = &[
    ("essential_services", Category::NECESSARY),
    ("analytics", Category::ANALYTICS),
    ("prod_enhancement", Category::FUNCTIONAL),
    ("personalization", Category::FUNCTIONAL),
    ("functional", Category::FUNCTIONAL),
    ("behavioral_advertising", Category::TARGETING),
    ("data_broking", Category::TARGETING),
    ("email_mktg", Category::TARGETING),
    ("social_media", Category::SOCIAL),
];

/// Reads Ketch's cookies.
#[derive(Debug)]
pub(super) struct Ketch {
    map: IdMap,
    implied: Implied,
}

/// The answers in a cookie, by the categories of each purpose.
type Answers = Vec<(CategorySet, bool)>;

impl Ketch {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        let implied = settings.implied.unwrap_or(Implied::Ignore);
        Self { map: IdMap::new(DEFAULTS, &settings.map), implied }
    }

    /// The answers in `_swb_consent_`. Adds the purposes with an opt-in.
    fn read_record(&self, value: &[u8], opted_in: &mut Vec<String>) -> Option<Answers> {
        let (mut answers, mut granted) = (Answers::new(), Vec::new());
        for (purpose, answer) in decode::base64_object(value)?.get("purposes")?.as_object()? {
            let is_opt_in = answer.get("legalBasisCode")?.as_str()? == "consent_optin";
            match answer.get("allowed")?.as_str()? {
                "true" if is_opt_in => {
                    answers.push((self.map.categories(purpose), true));
                    granted.push(purpose.clone());
                }
                "true" => {}
                "false" => answers.push((self.map.categories(purpose), false)),
                _ => return None,
            }
        }
        opted_in.extend(granted);
        Some(answers)
    }

    /// The answers in `_ketch_consent_v1_`.
    fn read_status(&self, value: &[u8], opted_in: &[String]) -> Option<Answers> {
        let mut answers = Answers::new();
        for (purpose, answer) in &decode::base64_object(value)? {
            let is_proven = self.implied == Implied::Accept || opted_in.contains(purpose);
            let categories = self.categories(purpose, answer);
            match answer.get("status")?.as_str()? {
                "granted" if is_proven => answers.push((categories, true)),
                "granted" => {}
                "denied" => answers.push((categories, false)),
                _ => return None,
            }
        }
        Some(answers)
    }

    /// The categories of a purpose: from the config, or else of the tool's canonical purposes, or else of the name.
    fn categories(&self, purpose: &str, answer: &Value) -> CategorySet {
        let own = self.map.categories(purpose);
        let canonical = answer.get("canonicalPurposes").and_then(decode::texts);
        let canonical = canonical.into_iter().flatten();
        let canonical = canonical
            .fold(CategorySet::EMPTY, |all, purpose| all.union(self.map.categories(purpose)));
        match canonical {
            CategorySet::EMPTY => own,
            _ if self.map.is_configured(purpose) => own,
            canonical => canonical,
        }
    }
}

impl ConsentSource for Ketch {
    fn name(&self) -> &'static str {
        "ketch"
    }

    fn cookie_names(&self) -> Vec<String> {
        [STATUS, RECORD].map(str::to_owned).to_vec()
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        let (mut votes, mut is_malformed) = (Votes::default(), false);
        let mut opted_in = Vec::new();
        let records = cookies.values(RECORD.as_bytes());
        let records: Vec<_> = records.map(|value| self.read_record(value, &mut opted_in)).collect();
        let statuses = cookies.values(STATUS.as_bytes());
        let statuses = statuses.map(|value| self.read_status(value, &opted_in));
        for answers in records.into_iter().chain(statuses) {
            is_malformed |= answers.is_none();
            for (categories, granted) in answers.into_iter().flatten() {
                votes.vote(categories, granted);
            }
        }
        match (votes.has_answer(), is_malformed) {
            (true, _) => Reading::decision(votes, &self.map, None),
            (false, true) => Reading::Malformed,
            (false, false) => Reading::NoDecision,
        }
    }
}
