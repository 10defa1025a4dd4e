//! Writes rules as TOML, for further editing.

use std::fmt::Write;

use toml::Value;

/// A rule to write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleToml {
    /// Whether the rule matches beacons. Otherwise it matches cookies.
    pub beacon: bool,
    /// The name of a cookie or the path of a beacon, or a pattern.
    pub name: String,
    /// The conditions besides the name, as keys and texts. For beacons only.
    pub conditions: Vec<(&'static str, String)>,
    /// The category's name.
    pub category: String,
    /// The vendor.
    pub vendor: Option<String>,
    /// The purpose.
    pub purpose: Option<String>,
    /// The lifetime, in words.
    pub lifetime: Option<String>,
    /// Whether the cookie must be `HttpOnly`. For cookies only.
    pub http_only: bool,
    /// Comment lines above the rule.
    pub comment: Vec<String>,
}

impl RuleToml {
    /// The keys that describe the cookie or beacon, with their texts.
    pub(super) fn texts(&self) -> [(&'static str, Option<&str>); 3] {
        [
            ("vendor", self.vendor.as_deref()),
            ("purpose", self.purpose.as_deref()),
            ("lifetime", self.lifetime.as_deref().filter(|_| !self.beacon)),
        ]
    }
}

/// Formats the rule as a TOML table, after a blank line.
pub fn write_rule(rule: &RuleToml) -> String {
    let mut out = String::from("\n");
    for line in &rule.comment {
        // Control characters would end the comment line.
        let line: String =
            line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        let _ = writeln!(out, "# {line}");
    }
    let (table, key) = if rule.beacon { ("beacon", "path") } else { ("cookie", "name") };
    let _ = writeln!(out, "[[{table}]]");
    let name = (key, Some(rule.name.as_str()));
    let conditions = rule.conditions.iter().filter(|_| rule.beacon);
    let conditions = conditions.map(|(key, text)| (*key, Some(text.as_str())));
    let category = ("category", Some(rule.category.as_str()));
    let keys = std::iter::once(name).chain(conditions).chain([category]).chain(rule.texts());
    for (key, text) in keys {
        if let Some(text) = text {
            let _ = writeln!(out, "{key} = {}", Value::String(text.to_owned()));
        }
    }
    if rule.http_only && !rule.beacon {
        out.push_str("requires = { http_only = true }\n");
    }
    out
}
