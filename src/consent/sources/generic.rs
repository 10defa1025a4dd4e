//! `generic`: a custom cookie with a configurable format.

use serde_json::Value;

use crate::consent::source::{ConsentSource, Format, GenericSettings, Reading, SourceSettings};
use crate::consent::tcf::TcStrings;
use crate::consent::{Categories, IdMap, Votes, decode};
use crate::cookie::Cookies;

/// Reads the configured cookie.
#[derive(Debug)]
pub(super) struct Generic {
    cookie: String,
    map: IdMap,
    tc_strings: TcStrings,
    settings: GenericSettings,
}

impl Generic {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self {
            cookie: settings.cookie_or("consent"),
            map: IdMap::new(&[], &settings.map),
            tc_strings: TcStrings::new(settings),
            settings: settings.generic.clone(),
        }
    }

    fn read_one(&self, value: &[u8], categories: &Categories) -> Option<Reading> {
        let mut text = decode::text(value)?.to_owned();
        if self.settings.percent_encoded {
            text = decode::percent(text.as_bytes())?.into_owned();
        }
        if self.settings.base64 {
            text = decode::base64_text(text.as_bytes())?;
        }
        let mut votes = Votes::default();
        let mut decided_at = None;
        match &self.settings.format {
            Format::Flag => votes.vote(categories.all(), self.is_true(&text)),
            Format::List => {
                let listed: Vec<&str> = self.split(&text).collect();
                votes = Votes::of_list(&self.map, |id| listed.contains(&id));
            }
            Format::Map => {
                for entry in self.split(&text) {
                    let (id, answer) = entry.split_once([':', '='])?;
                    self.vote(&mut votes, id.trim(), answer.trim());
                }
            }
            Format::Query => {
                for field in text.split('&').filter(|field| !field.is_empty()) {
                    let (id, answer) = field.split_once('=')?;
                    let answer = decode::percent(answer.as_bytes())?.into_owned();
                    self.vote(&mut votes, id, &answer);
                }
            }
            Format::Regex(pattern) => {
                let found = pattern.captures(&text)?;
                for id in pattern.capture_names().flatten() {
                    let answer = found.name(id).map(|answer| answer.as_str()).unwrap_or_default();
                    self.vote(&mut votes, id, answer);
                }
            }
            Format::Json => {
                let json = decode::parse_json(&text)?;
                decided_at =
                    self.settings.time.as_ref().and_then(|path| decode::time(at(&json, path)?));
                match at(&json, &self.settings.path)? {
                    Value::Object(entries) => {
                        for (id, answer) in entries {
                            self.vote(&mut votes, id, &scalar(answer_in(answer))?);
                        }
                    }
                    list @ Value::Array(_) => {
                        let listed = decode::texts(list)?;
                        // Google's `FCCDCF` contains a list with a TC string.
                        if let Some(reading) = listed.first().and_then(|text| self.tc_string(text))
                        {
                            return Some(reading);
                        }
                        votes = Votes::of_list(&self.map, |id| listed.contains(&id));
                    }
                    single => votes.vote(categories.all(), self.is_true(&scalar(single)?)),
                }
            }
        }
        Some(Reading::decision(votes, &self.map, decided_at))
    }

    /// Parses a text as a TC string. `None` if it is not one.
    fn tc_string(&self, text: &str) -> Option<Reading> {
        Some(self.tc_strings.read(text)).filter(|reading| *reading != Reading::Malformed)
    }

    fn split<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        text.split(self.settings.separator.as_str())
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
    }

    fn is_true(&self, answer: &str) -> bool {
        self.settings.truthy.iter().any(|truthy| truthy.eq_ignore_ascii_case(answer.trim()))
    }

    fn vote(&self, votes: &mut Votes, id: &str, answer: &str) {
        votes.vote(self.map.categories(id), self.is_true(answer));
    }
}

/// The value at a path of keys and list indexes joined by dots. The empty path is the whole value.
fn at<'a>(json: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|key| !key.is_empty()).try_fold(json, |json, key| match json {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => json.get(key),
    })
}

/// The answer of an object with a `status` (Piwik PRO) or a single member, else the value itself.
fn answer_in(value: &Value) -> &Value {
    let Value::Object(entries) = value else { return value };
    let only = entries.values().next().filter(|_| entries.len() == 1);
    entries.get("status").or(only).unwrap_or(value)
}

/// A string, number or boolean as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null => Some(String::new()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

impl ConsentSource for Generic {
    fn name(&self) -> &'static str {
        "generic"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec![self.cookie.clone()]
    }

    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading {
        Reading::of_copies(cookies.values(self.cookie.as_bytes()), |value| {
            self.read_one(value, categories).unwrap_or(Reading::Malformed)
        })
    }
}
