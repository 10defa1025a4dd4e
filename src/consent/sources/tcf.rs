//! IAB TCF v2: `euconsent-v2`, or OneTrust's `eupubconsent-v2`.

use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::tcf::TcStrings;
use crate::consent::{Categories, decode};
use crate::cookie::Cookies;

/// Reads TC strings.
#[derive(Debug)]
pub(super) struct Tcf {
    cookies: Vec<String>,
    strings: TcStrings,
}

impl Tcf {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        let cookies = match &settings.cookie {
            Some(cookie) => vec![cookie.clone()],
            None => ["euconsent-v2", "eupubconsent-v2"].map(str::to_owned).to_vec(),
        };
        Self { cookies, strings: TcStrings::new(settings) }
    }
}

impl ConsentSource for Tcf {
    fn name(&self) -> &'static str {
        "tcf"
    }

    fn cookie_names(&self) -> Vec<String> {
        self.cookies.clone()
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        let copies = self.cookies.iter().flat_map(|name| cookies.values(name.as_bytes()));
        Reading::of_copies(copies, |value| match decode::text(value) {
            Some(text) => self.strings.read(text),
            None => Reading::Malformed,
        })
    }
}
