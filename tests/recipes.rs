//! The configs in the recipes are valid.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use consentry::config::{Overrides, parse};

const RECIPES: &str = include_str!("../docs/recipes.md");

/// The code blocks of one language.
fn blocks(language: &str) -> Vec<&'static str> {
    let parts = RECIPES.split("```").skip(1).step_by(2);
    parts.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

#[test]
fn every_config_of_the_recipes_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["api.example".to_owned()]).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("site.pem", &made.cert.pem());
    write("site.key", &made.signing_key.serialize_pem());
    write("token", "a-token-of-many-letters\n");
    let blocks = blocks("toml");
    assert!(blocks.len() >= 7);
    for toml in blocks {
        let toml = toml.replace("/etc/consentry-token/token", "token");
        let file = folder.path().join("consentry.toml");
        let parsed = parse(&toml, Some(&file), &Overrides::default());
        let config = parsed.unwrap_or_else(|error| panic!("{:?}\n{toml}", error.problems));
        assert!(config.warnings.is_empty(), "{:?}\n{toml}", config.warnings);
    }
}
