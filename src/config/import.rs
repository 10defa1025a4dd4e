//! Import of the Open Cookie Database's CSV as a catalogue.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use thiserror::Error;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table};

use super::toml_writer::{RuleToml, write_rule};
use crate::catalogue::Pattern;
use crate::consent::Categories;

/// The default map from the database's categories to consentry's.
pub const CATEGORIES: &[(&str, &str)] = &[
    ("Security", "necessary"),
    ("Functional", "functional"),
    ("Personalization", "functional"),
    ("Analytics", "analytics"),
    ("Marketing", "targeting"),
];

/// Why an import fails.
#[derive(Debug, Error)]
pub enum ImportError {
    /// A column is missing in the first line.
    #[error("line 1: missing column `{0}`")]
    NoColumn(&'static str),
    /// The text is not valid CSV.
    #[error("invalid CSV: {0}")]
    Csv(#[from] csv::Error),
}

/// The result of an import.
#[derive(Debug, Default)]
pub struct Imported {
    /// The rules, in the order of the file. Each name occurs once.
    pub rules: Vec<RuleToml>,
    /// Number of imported rows by category of the database.
    pub counts: BTreeMap<String, usize>,
    /// Skipped rows: the line and the reason.
    pub bad_rows: Vec<(u64, String)>,
}

/// The columns that are read.
const COLUMNS: [&str; 6] = [
    "Platform",
    "Category",
    "Cookie / Data Key name",
    "Description",
    "Retention period",
    "Wildcard match",
];

/// The position of each column.
fn columns(header: &csv::StringRecord) -> Result<[usize; 6], ImportError> {
    let mut found = [0; 6];
    for (at, name) in found.iter_mut().zip(COLUMNS) {
        let same =
            |column: &str| column.trim_start_matches('\u{feff}').trim().eq_ignore_ascii_case(name);
        *at = header.iter().position(same).ok_or(ImportError::NoColumn(name))?;
    }
    Ok(found)
}

/// Imports a CSV text. `map` maps the database's categories to consentry's.
///
/// # Errors
/// When the text is not the database's CSV. A row that cannot be imported is recorded and skipped.
pub fn import(text: impl Read, map: &BTreeMap<String, String>) -> Result<Imported, ImportError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text);
    let columns = columns(reader.headers()?)?;
    let mut imported = Imported::default();
    let mut lines: HashMap<String, (u64, String)> = HashMap::new();
    for row in reader.records() {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                imported.bad_rows.push((line, error.to_string()));
                continue;
            }
        };
        let line = row.position().map_or(0, csv::Position::line);
        match rule(&row, columns, map) {
            Err(reason) => imported.bad_rows.push((line, reason)),
            Ok((source_category, rule)) => match lines.get(&rule.name) {
                Some((_, category)) if *category == rule.category => {}
                Some((first, category)) => imported
                    .bad_rows
                    .push((line, format!("`{}` is already {category} in line {first}", rule.name))),
                None => {
                    *imported.counts.entry(source_category).or_default() += 1;
                    lines.insert(rule.name.clone(), (line, rule.category.clone()));
                    imported.rules.push(rule);
                }
            },
        }
    }
    Ok(imported)
}

/// The rule of a row, with the database's category.
fn rule(
    row: &csv::StringRecord,
    [platform, category, name, description, retention, wildcard]: [usize; 6],
    map: &BTreeMap<String, String>,
) -> Result<(String, RuleToml), String> {
    let field = |column: usize| row.get(column).map(str::trim).unwrap_or_default();
    let some = |column: usize| Some(field(column)).filter(|text| !text.is_empty());
    let source_category = field(category);
    let found = map.iter().find(|(known, _)| known.eq_ignore_ascii_case(source_category));
    let Some((source_category, category)) = found else {
        return Err(format!(
            "`{source_category}` is not a category of the table; add --map \"{source_category}=...\""
        ));
    };
    // Braces are placeholders in a pattern.
    let mut name = field(name).replace(['{', '}'], "*");
    match field(wildcard) {
        "0" | "" => {}
        "1" => name.push('*'),
        other => return Err(format!("invalid `Wildcard match` `{other}`: use 0 or 1")),
    }
    if name.bytes().any(|byte| byte.is_ascii_control() || matches!(byte, b';' | b'=')) {
        return Err("invalid character in the cookie name".to_owned());
    }
    Pattern::new(&name).map_err(|error| error.to_string())?;
    let rule = RuleToml {
        name,
        category: category.clone(),
        vendor: some(platform).map(str::to_owned),
        purpose: some(description).map(str::to_owned),
        lifetime: some(retention).map(str::to_owned),
        ..RuleToml::default()
    };
    Ok((source_category.clone(), rule))
}

/// An existing catalogue file with imported rules merged into it.
#[derive(Debug, Default)]
pub struct MergedCatalogue {
    /// The new text of the file. Comments, order and rules of the existing file are kept.
    pub text: String,
    /// Names of added rules.
    pub added: Vec<String>,
    /// Changed texts of existing rules: name, key, and the new text.
    pub updated: Vec<(String, &'static str, String)>,
    /// Rules whose category differs: name, the category that the file keeps, and the imported one.
    pub kept: Vec<(String, String, String)>,
}

/// Merges rules into a catalogue file. A category in the file is never changed: the owner of the file may have
/// corrected it.
///
/// # Errors
/// When the text is not TOML, or its `cookie` is not an array of tables.
pub fn merge(existing: &str, rules: &[RuleToml]) -> Result<MergedCatalogue, String> {
    let mut document: DocumentMut =
        existing.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    let mut merged = MergedCatalogue::default();
    let mut additions = String::new();
    let cookies = document.entry("cookie").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    let cookies =
        cookies.as_array_of_tables_mut().ok_or("`cookie` is not an array of tables: [[cookie]]")?;
    let text = |table: &Table, key: &str| table.get(key).and_then(Item::as_str).map(str::to_owned);
    let positions: HashMap<String, usize> = cookies
        .iter()
        .enumerate()
        .filter_map(|(position, table)| Some((text(table, "name")?, position)))
        .collect();
    for rule in rules {
        let Some(table) = positions.get(&rule.name).and_then(|at| cookies.get_mut(*at)) else {
            merged.added.push(rule.name.clone());
            additions.push_str(&write_rule(rule));
            continue;
        };
        let category = text(table, "category").unwrap_or_default();
        if category != rule.category {
            merged.kept.push((rule.name.clone(), category, rule.category.clone()));
        }
        for (key, value) in rule.texts() {
            let Some(value) = value.filter(|value| text(table, key).as_deref() != Some(*value))
            else {
                continue;
            };
            table.insert(key, toml_edit::value(value));
            merged.updated.push((rule.name.clone(), key, value.to_owned()));
        }
    }
    merged.text = document.to_string() + &additions;
    Ok(merged)
}

/// The category map with the user's changes, each `SOURCE=CATEGORY`.
///
/// # Errors
/// When a change has another form, or names an unknown category.
pub fn category_table(changes: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut table: BTreeMap<String, String> = CATEGORIES
        .iter()
        .map(|(source_category, category)| ((*source_category).to_owned(), (*category).to_owned()))
        .collect();
    let known = Categories::default();
    for change in changes {
        let Some((source_category, category)) = change.split_once('=') else {
            return Err(format!("`{change}` is not of the form SOURCE=CATEGORY"));
        };
        if known.find(category).is_none() {
            let names = known.names_of(known.all()).join(", ");
            return Err(format!("`{category}` is not a category; the categories are {names}"));
        }
        table.retain(|known, _| !known.eq_ignore_ascii_case(source_category));
        table.insert(source_category.to_owned(), category.to_owned());
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_adds_and_updates_rules_and_keeps_categories_and_comments() {
        let existing = "# Ours.\n[[cookie]]\nname = \"_a\" # checked\ncategory = \"necessary\"\nlifetime = \"1 year\"\n";
        let rule = |name: &str, lifetime: &str| RuleToml {
            name: name.to_owned(),
            category: "analytics".to_owned(),
            lifetime: Some(lifetime.to_owned()),
            ..RuleToml::default()
        };
        let merged =
            merge(existing, &[rule("_a", "2 years"), rule("_b", "session")]).expect("TOML");
        assert_eq!(merged.added, ["_b"]);
        assert_eq!(merged.updated, [("_a".to_owned(), "lifetime", "2 years".to_owned())]);
        assert_eq!(merged.kept, [("_a".into(), "necessary".into(), "analytics".into())]);
        assert_eq!(
            merged.text,
            "# Ours.\n[[cookie]]\nname = \"_a\" # checked\ncategory = \"necessary\"\nlifetime = \"2 years\"\n\
             \n[[cookie]]\nname = \"_b\"\ncategory = \"analytics\"\nlifetime = \"session\"\n"
        );
        let again =
            merge(&merged.text, &[rule("_a", "2 years"), rule("_b", "session")]).expect("TOML");
        assert_eq!((again.added.len(), again.updated.len(), again.text), (0, 0, merged.text));
        assert!(merge("cookie = 1", &[]).is_err());
        assert!(merge("[[cookie", &[]).is_err());
    }

    const HEADER: &str = "ID,Platform,Category,Cookie / Data Key name,Domain,Description,Retention period,Data Controller,User Privacy & GDPR Rights Portals,Wildcard match\n";

    fn imported(rows: &str) -> Imported {
        import(format!("{HEADER}{rows}").as_bytes(), &category_table(&[]).expect("the default"))
            .expect("CSV")
    }

    #[test]
    fn rows_become_rules_and_invalid_rows_are_reported_with_their_line() {
        let rows = "1,Google,Analytics,_ga,x,\"Tells visitors, apart\",2 years,G,u,0\n\
            2,Google,Analytics,_ga_,x,\"two\nlines\",2 years,G,u,1\n\
            3,X,Sorcery,x,,,,,,0\n\
            4,X,Marketing,,,,,,,1\n\
            5,X,marketing,ad=1,,,,,,0\n\
            6,X,Security,guard,,,,,,maybe\n\
            7,Y,Marketing,_ga,,,,,,0\n\
            8,Y,Analytics,_ga,,,,,,0\n\
            9,Y,Security,shield\n";
        let imported = imported(rows);
        let names: Vec<(&str, &str)> = imported
            .rules
            .iter()
            .map(|rule| (rule.name.as_str(), rule.category.as_str()))
            .collect();
        assert_eq!(names, [("_ga", "analytics"), ("_ga_*", "analytics"), ("shield", "necessary")]);
        let lines: Vec<u64> = imported.bad_rows.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [5, 6, 7, 8, 9], "{:?}", imported.bad_rows);
        assert_eq!(imported.counts["Analytics"], 2);
    }

    #[test]
    fn csv_with_other_columns_is_rejected_and_the_category_map_is_configurable() {
        let table = category_table(&["functional=necessary".to_owned()]).expect("valid");
        assert_eq!(table.get("functional").map(String::as_str), Some("necessary"));
        assert_eq!(table.len(), 5);
        assert!(category_table(&["Functional=needed".to_owned()]).is_err());
        assert!(category_table(&["Functional".to_owned()]).is_err());
        assert!(import(&b"a,b\n1,2\n"[..], &table).is_err());
    }
}
