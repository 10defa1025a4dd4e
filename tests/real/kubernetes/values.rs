//! The values of the chart and their JSON Schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::run::check_config;
use super::{CHART, documents, file, render};

/// The comment above each key of values.yaml, by its path.
fn comments(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let (mut path, mut comment): (Vec<&str>, Vec<&str>) = Default::default();
    for line in text.lines() {
        let trimmed = line.trim_start();
        let depth = (line.len() - trimmed.len()) / 2;
        if let Some(words) = trimmed.strip_prefix("# ") {
            comment.push(words);
            continue;
        }
        if let Some((key, _)) = trimmed
            .split_once(':')
            .filter(|(key, _)| key.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        {
            path.truncate(depth);
            path.push(key);
            if !comment.is_empty() {
                found.insert(path.join("."), comment.join(" "));
            }
        }
        comment.clear();
    }
    found
}

/// Collects the keys of a schema: path, description, default.
fn described(schema: &Value, path: &str, found: &mut BTreeMap<String, (String, Option<Value>)>) {
    for (key, schema) in schema["properties"].as_object().unwrap() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let description = schema["description"].as_str().unwrap_or_default().to_owned();
        found.insert(path.clone(), (description, schema.get("default").cloned()));
        if schema["properties"].is_object() {
            assert_eq!(schema["additionalProperties"], false, "{path} accepts unknown keys");
            described(schema, &path, found);
        }
    }
}

#[test]
fn the_schema_describes_every_value_as_values_yaml_does() {
    let text = file("deploy/helm/consentry/values.yaml");
    let schema: Value =
        serde_json::from_str(&file("deploy/helm/consentry/values.schema.json")).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    let (comments, mut schemas) = (comments(&text), BTreeMap::new());
    described(&schema, "", &mut schemas);
    // Keys added by Helm.
    for key in ["global", "enabled"] {
        assert!(schemas.remove(key).is_some());
    }
    let values = documents(&text).remove(0);
    for (path, (description, default)) in &schemas {
        assert!(description.ends_with('.'), "{path}: no description");
        assert_eq!(comments.get(path), Some(description), "{path}");
        let value = values.pointer(&format!("/{}", path.replace('.', "/")));
        let value = value.unwrap_or_else(|| panic!("{path} is not in values.yaml"));
        assert!(default.is_none() || default.as_ref() == Some(value), "{path}");
    }
    assert!(schemas.len() > 100);
    // values.yaml has no key that the schema omits: helm would reject its own defaults.
    let top: Map<String, Value> = values.as_object().unwrap().clone();
    assert!(top.keys().all(|key| schemas.contains_key(key)));
}

#[test]
fn the_chart_installs_the_version_that_it_is_shipped_with() {
    let chart = documents(&file("deploy/helm/consentry/Chart.yaml")).remove(0);
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    let example = documents(&file("deploy/helm/examples/sidecar/Chart.yaml")).remove(0);
    assert_eq!(example["dependencies"][0]["version"], chart["version"]);
    assert!(std::path::Path::new(CHART).join("values.schema.json").exists());
}

#[test]
fn every_documented_values_file_renders() {
    let text = file("docs/kubernetes.md");
    let blocks = text.split("```yaml\n").skip(1).map(|rest| {
        let block = rest.split("```").next().unwrap();
        // A block in a list is indented.
        let indent = block.len() - block.trim_start().len();
        let lines = block.lines().map(|line| line.get(indent..).unwrap_or_default());
        lines.collect::<Vec<_>>().join("\n")
    });
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    for block in blocks {
        let path = folder.path().join("values.yaml");
        std::fs::write(&path, &block).unwrap();
        let manifests = render(&["--values", path.to_str().unwrap()]);
        check_config(manifests);
        count += 1;
    }
    assert!(count >= 8);
}
