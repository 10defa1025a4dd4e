//! Benchmark inputs: a header of cookies from a shop, and the same with the cookie of each consent tool.

use std::fmt::Write;

use consentry::config::{self, Overrides, settings::FilterSettings};
use consentry::consent::ConsentReader;
use std::sync::Arc;

/// Eight cookies.
pub const COOKIE: &str = "session=8f14e45fceea167a5a36dedd4bea2543; _ga=GA1.2.1234567890.1700000000; _gid=GA1.2.987654321.1700000000; \
    _fbp=fb.1.1700000000000.1234567890; NEXT_LOCALE=en; lang=en; csrftoken=abcdef0123456789; IDE=AHWqTUkYt0";

const SAMPLES: &str = concat!(
    include_str!("../../tests/data/consent-samples.jsonl"),
    include_str!("../../tests/data/more-consent-samples.jsonl")
);

/// Six `Set-Cookie` lines.
pub const SET_COOKIES: [&str; 6] = [
    "session=8f14e45fceea167a5a36dedd4bea2543; Path=/; HttpOnly; Secure; SameSite=Lax",
    "lang=en; Path=/; Max-Age=31536000",
    "_ga=GA1.2.1234567890.1700000000; Path=/; Domain=.example.com; Expires=Wed, 24 Nov 2032 09:00:00 GMT",
    "_gid=GA1.2.987654321.1700000000; Path=/; Domain=.example.com; Max-Age=86400",
    "_fbp=fb.1.1700000000000.1234567890; Path=/; Domain=.example.com; Max-Age=7776000",
    "IDE=AHWqTUkYt0; Path=/; Secure; SameSite=None; Max-Age=33696000",
];

/// A catalogue of this many rules, half of them with a `*`.
pub fn rules(count: usize) -> String {
    let mut toml = String::from("catalogue = []\n");
    for number in 0..count / 2 {
        writeln!(toml, "[[cookie]]\nname = 'name_{number}'\ncategory = 'analytics'").unwrap();
        writeln!(toml, "[[cookie]]\nname = 'start_{number}_*'\ncategory = 'analytics'").unwrap();
    }
    toml
}

/// The settings of a site with this TOML.
pub fn settings(toml: &str) -> FilterSettings {
    let toml = format!("{toml}\n[[site]]\nupstream = 'http://127.0.0.1:1'");
    config::parse(&toml, None, &Overrides::default()).unwrap().sites[0].filter.clone()
}

/// Each tool with a two-kilobyte header that contains its first sample.
pub fn headers() -> impl Iterator<Item = (String, String)> {
    let mut seen = Vec::new();
    SAMPLES.lines().filter_map(move |line| {
        let sample: serde_json::Value = serde_json::from_str(line).unwrap();
        let tool = sample["cmp"].as_str().unwrap().to_owned();
        let header = sample["cookie_header"].as_str().unwrap();
        if seen.contains(&tool) || header.is_empty() || sample["expect"].is_null() {
            return None;
        }
        seen.push(tool.clone());
        let mut header = format!("{COOKIE}; {header}");
        while header.len() < 2048 {
            write!(header, "; {COOKIE}").unwrap();
        }
        Some((tool, header))
    })
}

/// The reader of a tool's cookie.
pub fn reader(tool: &str) -> Arc<ConsentReader> {
    settings(&format!("[consent]\nsources = ['{tool}']\nmax_age_days = 36500")).reader
}
