//! Rules as TOML, for people to go on editing.

use std::fmt::Write;

use toml::Value;

/// A rule to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrittenRule {
    /// Whether it is a beacon's; else a cookie's.
    pub beacon: bool,
    /// The name of a cookie or the path of a beacon, or a pattern.
    pub name: String,
    /// The category's name.
    pub category: String,
    /// Who uses it.
    pub vendor: Option<String>,
    /// What it is for.
    pub purpose: Option<String>,
    /// How long it lives, in words.
    pub lifetime: Option<String>,
    /// Whether it requires `HttpOnly`; of cookies only.
    pub http_only: bool,
    /// What stands above it, a line each.
    pub comment: Vec<String>,
}

/// The rule as a TOML table with a blank line before it.
pub fn write_rule(rule: &WrittenRule) -> String {
    let mut out = String::from("\n");
    for line in &rule.comment {
        // A comment ends with its line, whatever is in it.
        let line: String =
            line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        let _ = writeln!(out, "# {line}");
    }
    let (table, key) = if rule.beacon { ("beacon", "path") } else { ("cookie", "name") };
    let _ = writeln!(out, "[[{table}]]");
    let texts = [
        (key, Some(&rule.name)),
        ("category", Some(&rule.category)),
        ("vendor", rule.vendor.as_ref()),
        ("purpose", rule.purpose.as_ref()),
        ("lifetime", rule.lifetime.as_ref().filter(|_| !rule.beacon)),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            let _ = writeln!(out, "{key} = {}", Value::String(text.clone()));
        }
    }
    if rule.http_only && !rule.beacon {
        out.push_str("requires = { http_only = true }\n");
    }
    out
}
