//! OneTrust: `OptanonConsent` contains the groups, and optionally the hosts and vendors within.
//! `OptanonAlertBoxClosed` records that and when the visitor decided.

use memchr::memmem::Finder;

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("C0001", Category::NECESSARY),
    ("C0002", Category::ANALYTICS),
    ("C0003", Category::FUNCTIONAL),
    ("C0004", Category::TARGETING),
    ("C0005", Category::SOCIAL),
    ("1", Category::NECESSARY),
    ("2", Category::ANALYTICS),
    ("3", Category::FUNCTIONAL),
    ("4", Category::TARGETING),
    ("STACK42", Category::TARGETING),
    ("V2STACK42", Category::TARGETING),
];

/// Reads OneTrust's cookie.
#[derive(Debug)]
pub(super) struct OneTrust {
    map: IdMap,
    groups: Finder<'static>,
    /// The lists of hosts and vendors within the groups.
    services: [Finder<'static>; 2],
    reconsent: Finder<'static>,
    require_alert_box_closed: bool,
}

impl OneTrust {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self {
            map: IdMap::new(DEFAULTS, &settings.map),
            groups: Finder::new("groups="),
            services: [Finder::new("hosts="), Finder::new("genVendors=")],
            reconsent: Finder::new("AwaitingReconsent="),
            require_alert_box_closed: settings.require_alert_box_closed,
        }
    }

    fn read_one(&self, value: &[u8], decided_at: Option<i64>) -> Reading {
        let Some(text) = decode::text(value) else { return Reading::Malformed };
        let groups =
            field(text, &self.groups).and_then(|groups| decode::percent(groups.as_bytes()));
        let Some(groups) = groups else { return Reading::Malformed };
        let mut votes = Votes::default();
        for group in groups.split(',').filter(|group| !group.is_empty()) {
            match group.rsplit_once(':') {
                Some((id, "1")) => votes.vote(self.map.categories(id), true),
                Some((id, "0")) => votes.vote(self.map.categories(id), false),
                _ => return Reading::Malformed,
            }
        }
        for services in self.services.iter().filter_map(|name| field(text, name)) {
            let Some(services) = decode::percent(services.as_bytes()) else {
                return Reading::Malformed;
            };
            for service in services.split(',').filter(|service| !service.is_empty()) {
                let (id, answer) = service.rsplit_once(':').unwrap_or((service, ""));
                votes.vote_service(&self.map, id, answer == "1");
            }
        }
        let asks_again = field(text, &self.reconsent) == Some("true");
        Reading::decision(votes, &self.map, decided_at).in_revision(!asks_again)
    }
}

/// The first field of this name, without decoding the other fields. The name ends with its `=`.
fn field<'a>(text: &'a str, name: &Finder<'_>) -> Option<&'a str> {
    let mut found = name.find_iter(text.as_bytes());
    let at = found.find(|at| *at == 0 || text.as_bytes().get(at - 1) == Some(&b'&'))?;
    text.get(at + name.needle().len()..)?.split('&').next()
}

impl ConsentSource for OneTrust {
    fn name(&self) -> &'static str {
        "onetrust"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec!["OptanonConsent".to_owned(), "OptanonAlertBoxClosed".to_owned()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        let mut groups = cookies.values(b"OptanonConsent").peekable();
        let mut closed = cookies.values(b"OptanonAlertBoxClosed").peekable();
        let answered = closed.peek().is_some() || !self.require_alert_box_closed;
        if groups.peek().is_none() || !answered {
            // Without the second cookie, the first contains the region's default instead of a
            // decision.
            return Reading::NoDecision;
        }
        let decided_at =
            closed.filter_map(decode::percent).filter_map(|at| decode::time_text(&at)).min();
        Reading::of_copies(groups, |value| self.read_one(value, decided_at))
    }
}
