//! The config reference, generated from the schema's descriptions of the keys. To update it: `UPDATE=1 cargo test
//! --test reference`.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Write;

use consentry::config::{self, Overrides};
use serde_json::{Value, json};

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
    if let Some(values) = schema["enum"].as_array().filter(|values| values.len() < 10) {
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
        _ if schema["enum"].is_array() => ("string".to_owned(), None),
        _ => ("any".to_owned(), None),
    }
}

/// The description of a key, with its default and range.
fn about(schema: &Value, required: bool) -> String {
    let mut about = schema["description"].as_str().unwrap_or_default().to_owned();
    if required {
        about.push_str(" Required.");
    } else if let Some(default) = schema.get("default").filter(|default| !default.is_object()) {
        write!(about, " Default: `{}`.", value_in_toml(schema, default)).unwrap();
    }
    if let (Some(least), Some(most)) = (schema.get("minimum"), schema.get("maximum")) {
        write!(about, " Range: {least} to {most}.").unwrap();
    }
    if let Some(least) = schema["x-minimum"].as_str().filter(|least| *least != "0ms") {
        write!(about, " Minimum: `\"{least}\"`.").unwrap();
    }
    about
}

/// A value of a key in TOML.
fn value_in_toml(schema: &Value, value: &Value) -> String {
    match value {
        Value::String(date) if schema["format"] == "date" => date.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(Value::to_string).collect();
            format!("[{}]", items.join(", "))
        }
        value => value.to_string(),
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
        let required = table["required"].as_array().is_some_and(|keys| keys.contains(&json!(key)));
        let about = about(schema, required).replace('|', "\\|");
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
    let schema = config::schema();
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
    let schema = config::schema();
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
    let schema = config::schema();
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

/// A config with the tables and keys that others need to have an effect.
const BASE: &str = "catalogue = []
listen.reuse_port = true
receipts = {}
consent = { sources = ['generic'], generic = {} }
cookie = [{ name = 'a', category = 'analytics', requires = {} }]
beacon = [{ path = '/a', category = 'social' }]
site = [{ upstream = [{ url = 'http://127.0.0.1:1' }], health = {}, limits = {} }]
";
const ACME: &str = "listen.https = '127.0.0.1:1'
tls = { redirect = true, acme = { domains = ['shop.example'] } }
";

fn base() -> toml::Value {
    let acme = if cfg!(feature = "acme") { ACME } else { "" };
    let mut base: toml::Table = toml::from_str(&format!("{BASE}{acme}")).unwrap();
    for (key, schema) in config::schema()["properties"].as_object().unwrap() {
        if schema["$ref"].is_string() && schema.get("default").is_none() {
            base.entry(key).or_insert(toml::Table::new().into());
        }
    }
    base.into()
}

/// Collects the keys of a table that is present in the base, and those of its tables.
fn keys(
    schema: &Value,
    table: &Value,
    base: &toml::Value,
    path: &[String],
    found: &mut Vec<(Vec<String>, Value)>,
) {
    let base = base.get(0).unwrap_or(base);
    for (key, of) in table["properties"].as_object().into_iter().flatten() {
        let path = [path, std::slice::from_ref(key)].concat();
        let inner = kind(of, &schema["$defs"]).1;
        match inner.and_then(|name| Some((&schema["$defs"][name], base.get(key)?))) {
            Some((table, base)) => keys(schema, table, base, &path, found),
            None if inner.is_none() => found.push((path, of.clone())),
            None => {}
        }
    }
}

/// The settings of the base with another value of a key, as sorted parts: maps are printed in random order.
fn settings(path: &[String], value: Option<&str>) -> Result<Vec<String>, String> {
    let mut base = base();
    let (key, tables) = path.split_last().unwrap();
    let mut table = &mut base;
    for name in tables {
        table = table.as_table_mut().unwrap().entry(name).or_insert(toml::Table::new().into());
        if table.is_array() {
            table = &mut table[0];
        }
    }
    let table = table.as_table_mut().unwrap();
    match value {
        None => drop(table.remove(key)),
        Some(value) => {
            let value = toml::from_str::<toml::Table>(&format!("value = {value}")).unwrap();
            table.insert(key.clone(), value["value"].clone());
        }
    }
    let toml = toml::to_string(&base).unwrap();
    let mut config =
        config::parse(&toml, None, &Overrides::default()).map_err(|error| error.to_string())?;
    config.warnings.clear();
    let text = format!("{config:?}");
    let parts = text.split([',', '{', '}', '[', ']', '(', ')']);
    let mut parts: Vec<_> = parts.map(|part| part.trim().to_owned()).collect();
    parts.sort();
    Ok(parts)
}

fn schema_keys() -> Vec<(Vec<String>, Value)> {
    let (schema, mut found) = (config::schema(), Vec::new());
    keys(&schema, &schema, &base(), &[], &mut found);
    found
}

#[test]
fn the_default_of_each_key_in_the_schema_is_that_of_the_code() {
    let mut count = 0;
    for (path, schema) in schema_keys() {
        let Some(default) = schema.get("default") else { continue };
        let default = value_in_toml(&schema, default);
        let same = settings(&path, Some(&default)) == settings(&path, None);
        assert!(same, "the default of {path:?} is not {default}");
        count += 1;
    }
    assert!(count > 80, "{count}");
}

#[test]
fn each_number_and_duration_has_a_default_and_a_range_that_the_code_enforces() {
    let mut count = 0;
    for (path, schema) in schema_keys() {
        let described = schema["description"].as_str().unwrap().contains("Default: ");
        let duration = schema["x-minimum"].as_str().and_then(|least| least.strip_suffix("ms"));
        let least = duration.map(|least| least.parse().unwrap());
        let Some(least) = least.or(schema["minimum"].as_i64()) else { continue };
        let most = schema["maximum"].as_i64();
        let has_default = schema.get("default").is_some();
        assert!(has_default != described, "{path:?} has no default or two");
        let settings = |number: i64| match duration {
            Some(_) => settings(&path, Some(&format!("'{number}ms'"))),
            None => settings(&path, Some(&number.to_string())),
        };
        for number in [Some(least - 1), most.map(|most| most + 1)].into_iter().flatten() {
            assert!(settings(number).is_err(), "{path:?} = {number}");
        }
        let (smallest, larger) = (settings(least), settings(most.unwrap_or(least + 7)));
        assert!(smallest.is_ok() && larger.is_ok(), "{path:?}: a bound is rejected");
        assert!(smallest != larger, "{path:?} has no effect");
        count += 1;
    }
    assert!(count > 35, "{count}");
}
