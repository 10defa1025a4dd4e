//! `generic`: a custom cookie with a configurable format.

use serde_json::Value;

use super::gpp::Gpp;
use crate::consent::source::{
    ConsentSource, Encoding, Format, GenericSettings, Reading, SourceSettings,
};
use crate::consent::{Categories, IdMap, Votes, decode};
use crate::cookie::Cookies;

/// Reads the configured cookie.
#[derive(Debug)]
pub(super) struct Generic {
    /// The name, or the parts before and after its `*`.
    cookie: (String, Option<String>),
    map: IdMap,
    gpp: Gpp,
    settings: GenericSettings,
}

impl Generic {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        let cookie = settings.cookie_or("consent");
        Self {
            cookie: match cookie.split_once('*') {
                Some((start, end)) => (start.to_owned(), Some(end.to_owned())),
                None => (cookie, None),
            },
            map: IdMap::new(&[], &settings.map),
            gpp: Gpp::new(settings),
            settings: settings.generic.clone(),
        }
    }

    fn read_one(&self, value: &[u8], categories: &Categories) -> Option<Reading> {
        let mut text = decode::text(value)?.to_owned();
        for encoding in &self.settings.encodings {
            text = match encoding {
                Encoding::Percent => decode::percent(text.as_bytes())?.into_owned(),
                Encoding::Base64 => decode::base64_text(text.as_bytes())?,
            };
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
                            self.vote_entry(&mut votes, id, answer)?;
                        }
                    }
                    Value::Array(entries) if self.settings.id.is_some() => {
                        self.vote_list(&mut votes, entries)?;
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
            Format::Tcf => return Some(self.gpp.read_tc_string(&self.string_in(text)?)),
            Format::Gpp => return self.gpp.read_string(&self.string_in(text)?),
        }
        Some(Reading::decision(votes, &self.map, decided_at))
    }

    /// Parses a text as a TC string. `None` if it is not one.
    fn tc_string(&self, text: &str) -> Option<Reading> {
        Some(self.gpp.read_tc_string(text)).filter(|reading| *reading != Reading::Malformed)
    }

    /// The string at the configured path of JSON. Without a path, the text itself.
    fn string_in(&self, text: String) -> Option<String> {
        match self.settings.path.as_str() {
            "" => Some(text),
            path => at(&decode::parse_json(&text)?, path)?.as_str().map(str::to_owned),
        }
    }

    /// Records the answers of a list of objects. Without a path of the answer, the listed ids are granted.
    fn vote_list(&self, votes: &mut Votes, entries: &[Value]) -> Option<()> {
        let id_path = self.settings.id.as_deref()?;
        let mut listed = Vec::new();
        for entry in entries {
            let id = scalar(at(entry, id_path)?)?;
            match &self.settings.answer {
                Some(path) => self.vote(votes, &id, &scalar(at(entry, path)?)?),
                None => listed.push(id),
            }
        }
        if self.settings.answer.is_none() {
            *votes = Votes::of_list(&self.map, |id| listed.iter().any(|it| it == id));
        }
        Some(())
    }

    /// Records the answer of an entry. The answers within an object have ids joined by dots.
    fn vote_entry(&self, votes: &mut Votes, id: &str, entry: &Value) -> Option<()> {
        if let Some(path) = &self.settings.answer {
            self.vote(votes, id, &scalar(at(entry, path)?)?);
            return Some(());
        }
        let Value::Object(entries) = entry else {
            self.vote(votes, id, &scalar(entry)?);
            return Some(());
        };
        // Piwik PRO: the other members are not answers.
        if let Some(status) = entries.get("status") {
            self.vote(votes, id, &scalar(status)?);
            return Some(());
        }
        let only = entries.values().next().filter(|_| entries.len() == 1);
        if let Some(answer) = only.and_then(scalar) {
            self.vote(votes, id, &answer);
        }
        for (inner, entry) in entries {
            self.vote_entry(votes, &format!("{id}.{inner}"), entry)?;
        }
        (!entries.is_empty()).then_some(())
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
        let (start, end) = &self.cookie;
        vec![end.as_ref().map_or_else(|| start.clone(), |end| format!("{start}*{end}"))]
    }

    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading {
        let (start, end) = &self.cookie;
        let is_rest = |rest: &[u8]| match end {
            Some(end) => rest.ends_with(end.as_bytes()),
            None => rest.is_empty(),
        };
        let named = cookies.beginning_with(start.as_bytes()).filter(|(rest, _)| is_rest(rest));
        Reading::of_copies(named.map(|(_, value)| value), |value| {
            self.read_one(value, categories).unwrap_or(Reading::Malformed)
        })
    }
}
