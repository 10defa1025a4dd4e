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
