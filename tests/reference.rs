//! The config reference, generated from the schema's descriptions of the keys. To update it: `UPDATE=1 cargo test
//! --test reference`.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");

const HEAD: &str = "# The config, key by key

<!-- Made by `UPDATE=1 cargo test --test reference` from what the code says. -->

One TOML file. Every key has a default, unknown keys are errors, and `consentry check --config FILE` says every
error with file, line and key. Paths start from the file's folder. `config/consentry.toml` is the same as an
annotated example; `consentry schema` prints the JSON Schema, with which editors complete and check:

```toml
#:schema ./consentry.schema.json
```

";

/// The type of a value in a word or two, and its table, if it has one.
fn kind<'a>(schema: &'a Value, defs: &'a Value) -> (String, Option<&'a str>) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.trim_start_matches("#/$defs/");
        let target = &defs[name];
        return match target["properties"].is_object() {
            true => ("table".to_owned(), Some(name)),
            false => (kind(target, defs).0, None),
        };
    }
    if let Some(values) = schema["enum"].as_array() {
        let words: Vec<String> = values.iter().map(|word| format!("`{word}`")).collect();
        return (words.join(", "), None);
    }
    if let Some(word) = schema["const"].as_str() {
        return (format!("`\"{word}\"`"), None);
    }
    if let Some(choices) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        let choices = choices.iter().filter(|choice| choice["type"] != "null");
        let mut found: (Vec<String>, Option<&str>) = (Vec::new(), None);
        for (word, table) in choices.map(|choice| kind(choice, defs)) {
            if !found.0.contains(&word) {
                found.0.push(word);
            }
            found.1 = found.1.or(table);
        }
        let comma = if schema["oneOf"].is_array() { ", " } else { " or " };
        return (found.0.join(comma), found.1);
    }
    let of_type = |word: &str| match word {
        "array" => {
            let (inner, table) = kind(&schema["items"], defs);
            (format!("list of {inner}"), table)
        }
        "object" => match schema["additionalProperties"].is_object() {
            true => (format!("table of {}", kind(&schema["additionalProperties"], defs).0), None),
            false => ("table".to_owned(), None),
        },
        "string" if schema["format"] == "date" => ("date".to_owned(), None),
        "integer" => ("number".to_owned(), None),
        "boolean" => ("`true`, `false`".to_owned(), None),
        other => (other.to_owned(), None),
    };
    match &schema["type"] {
        Value::String(word) => of_type(word),
        Value::Array(words) => {
            of_type(words.iter().filter_map(Value::as_str).find(|word| *word != "null").unwrap())
        }
        _ => ("any".to_owned(), None),
    }
}

/// A table of the config, and the tables in it that were not shown yet.
fn section(
    name: &str,
    path: &str,
    defs: &Value,
    shown: &mut BTreeMap<String, String>,
    out: &mut String,
) {
    let table = if name.is_empty() { defs } else { &defs["$defs"][name] };
    let all = &defs["$defs"];
    let properties = table["properties"].as_object().unwrap();
    let mut inner: Vec<(String, String)> = Vec::new();
    out.push_str("| key | value | |\n|---|---|---|\n");
    for (key, schema) in properties {
        let (word, of) = kind(schema, all);
        let about = schema["description"].as_str().unwrap_or_default().replace('|', "\\|");
        let list = word.starts_with("list of table") || word.ends_with("list of table");
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let head = if list { format!("[[{full}]]") } else { format!("[{full}]") };
        let mut word = word;
        if let Some(of) = of {
            match shown.get(of) {
                Some(before) => write!(word, ", as `{before}`").unwrap(),
                None => {
                    shown.insert(of.to_owned(), head.clone());
                    inner.push((of.to_owned(), full));
                    write!(word, ": `{head}`").unwrap();
                }
            }
        }
        writeln!(out, "| `{key}` | {word} | {about} |").unwrap();
    }
    for (of, full) in inner {
        let head = &shown[&of];
        let about = all[&of]["description"].as_str().unwrap_or_default();
        write!(out, "\n## `{head}`\n\n{about}\n\n").unwrap();
        section(&of, &full, defs, shown, out);
    }
}

fn reference() -> String {
    let schema = consentry::config::schema();
    let mut text = HEAD.to_owned();
    section("", "", &schema, &mut BTreeMap::new(), &mut text);
    text
}

#[test]
fn the_reference_matches_the_code() {
    let text = reference();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(FILE, &text).unwrap();
    }
    let written = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        written == text,
        "docs/configuration.md is stale: UPDATE=1 cargo test --test reference"
    );
}

#[test]
fn every_key_is_described() {
    let schema = consentry::config::schema();
    let tables = schema["$defs"].as_object().unwrap().iter();
    for (name, table) in tables.chain([(&String::new(), &schema)]) {
        for (key, value) in table["properties"].as_object().into_iter().flatten() {
            assert!(value["description"].is_string(), "{name}.{key} is not described");
        }
    }
}

#[test]
fn every_key_is_in_the_annotated_example() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config/consentry.toml");
    let example = std::fs::read_to_string(example).unwrap();
    let schema = consentry::config::schema();
    let root = schema["properties"].as_object().unwrap().iter();
    let tables = schema["$defs"].as_object().unwrap().iter();
    // Tools of `[consent]` are shown by examples, and the generic source elsewhere.
    let tables = tables.filter(|(name, _)| !matches!(name.as_str(), "Consent" | "Generic"));
    let keys = tables.flat_map(|(_, table)| table["properties"].as_object().into_iter().flatten());
    for (key, _) in root.chain(keys) {
        let shown = [format!("{key} = "), format!("[{key}]"), format!(".{key}]")];
        assert!(shown.iter().any(|form| example.contains(form)), "`{key}` is not in the example");
    }
}
