//! Human-readable explanation of a consent, for `consentry consent` and for debugging.

use std::fmt::Write;

use time::OffsetDateTime;

use super::sources::GrantLifetime;
use super::{CategorySet, Consent, ConsentReader, Reason, Signals};

impl ConsentReader {
    /// Explains a visitor's consent in a sentence. Contains names only, no cookie values.
    pub fn explain(&self, consent: &Consent, signals: Signals) -> String {
        let mut words = self.cause(consent);
        if !consent.is_decided() {
            let default = self.categories.names_of(consent.granted).join(", ");
            let by = if self.region.is_some() { "the region's default" } else { "the default" };
            let _ = write!(words, ": {by} applies and grants {default}");
        }
        let refused_here = self.categories.names_of(consent.refused_here).join(", ");
        if !refused_here.is_empty() {
            let _ = write!(words, "; refused on consentry's pages: {refused_here}");
        }
        for (name, sent, denies) in [
            ("Sec-GPC", signals.gpc, self.signals.gpc_denies),
            ("DNT", signals.dnt, self.signals.dnt_denies),
        ] {
            let denies = denies.difference(CategorySet::NECESSARY);
            if sent && denies != CategorySet::EMPTY {
                let taken = self.categories.names_of(denies).join(", ");
                let _ = write!(words, "; {name} denies {taken}");
            }
        }
        words
    }

    fn cause(&self, consent: &Consent) -> String {
        let found = consent.found.and_then(|index| self.sources.get(index));
        let source = found.map_or("a source", |source| source.name());
        let source = match consent.tool {
            Some(tool) => format!("{source}: {tool}"),
            None => source.to_owned(),
        };
        let at = consent.decided_at.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
        let of_date = at.map_or_else(String::new, |at| format!(" of {}", at.date()));
        match consent.reason {
            Reason::Decided => match at {
                Some(at) => format!("the visitor decided on {} ({source})", at.date()),
                None => format!("the visitor decided ({source}, no date in the cookie)"),
            },
            Reason::NoDecision => {
                let names: Vec<&str> = self.sources.iter().map(|source| source.name()).collect();
                format!("the visitor has not decided (sources: {})", names.join(", "))
            }
            Reason::Malformed => format!("the cookie of {source} is malformed"),
            Reason::Expired => {
                let tool = consent.tool.or_else(|| found.map(|source| source.name()));
                match self.lifetime_of(tool.unwrap_or_default()) {
                    GrantLifetime::Days(days) => {
                        format!("the decision{of_date} ({source}) is older than {days} days")
                    }
                    GrantLifetime::Written | GrantLifetime::Cookie => {
                        format!("the decision{of_date} ({source}) has expired")
                    }
                }
            }
            Reason::AskAgain => {
                let days = self.ask_again_days;
                format!(
                    "the refusal{of_date} ({source}) is still valid; the banner returns after {days} days"
                )
            }
            Reason::OldNotice => {
                let notice =
                    self.notice_date.map_or_else(String::new, |date| format!(" of {date}"));
                format!("the decision{of_date} ({source}) was made before the notice{notice}")
            }
            Reason::Unsigned => format!("the cookie of {source} has no valid signature"),
            Reason::FromTheFuture => {
                format!("the decision{of_date} ({source}) is dated in the future")
            }
        }
    }
}
