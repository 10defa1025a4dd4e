//! Tests of the limits on reported problems, and of the secrecy of secrets.

use std::fmt::Write;

use super::{Config, ConfigError, Overrides, parse};

const SITE: &str = "[[site]]\nupstream = 'http://127.0.0.1:1'\n";

fn read(folder: &tempfile::TempDir, toml: &str) -> Result<Config, ConfigError> {
    parse(toml, Some(&folder.path().join("consentry.toml")), &Overrides::default())
}

#[test]
fn at_most_100_errors_of_a_config_are_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut unknown = String::new();
    for number in 0..150 {
        let _ = writeln!(unknown, "unknown_{number} = 1");
    }
    let broken = "a = \n".repeat(150);
    for toml in [format!("{unknown}{SITE}"), broken] {
        let problems = read(&folder, &toml).expect_err("problems").problems;
        assert!((20..=101).contains(&problems.len()), "{}", problems.len());
    }
}

#[test]
fn twenty_catalogue_conflicts_are_listed_and_the_rest_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    for (file, category) in [("one.toml", "analytics"), ("two.toml", "social")] {
        let mut rules = String::new();
        for number in 0..25 {
            let _ = writeln!(rules, "[[cookie]]\nname = 'c{number}'\ncategory = '{category}'");
        }
        std::fs::write(folder.path().join(file), rules).expect("a file");
    }
    let config = read(&folder, &format!("catalogue = ['one.toml', 'two.toml']\n{SITE}"));
    let warnings = config.expect("a valid config").warnings;
    let said: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(said.iter().filter(|line| line.contains("the later file wins")).count(), 20);
    assert!(said.iter().any(|line| line.contains("and 5 more names")), "{said:?}");
}

#[test]
fn a_token_has_at_least_16_characters() {
    let folder = tempfile::tempdir().expect("a folder");
    for (length, is_valid) in [(15, false), (16, true)] {
        std::fs::write(folder.path().join("token"), "x".repeat(length)).expect("a file");
        let config = read(&folder, &format!("listen.admin_token_file = 'token'\n{SITE}"));
        assert_eq!(config.is_ok(), is_valid, "{length}");
    }
}
