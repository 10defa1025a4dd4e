//! Instruction counts: a part of a request that exceeds its count in `benches/instructions.txt` by more than 5 %
//! fails. `UPDATE=1` records the current counts.
//!
//! Valgrind counts the optimised static binary. Counts differ slightly between compilers and processors.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
/// In percent.
const MOST_GROWTH: u64 = 5;

/// Parses gungraun's output: the name of a part, and its count on the next line.
fn counts(output: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let mut name = None;
    for line in output.lines() {
        if let Some(part) = line.strip_prefix("instructions::") {
            let (part, case) = part.split_once(' ').expect("a part and its case");
            let function = part.rsplit("::").next().unwrap();
            name = Some(format!("{function} {}", case.split(':').next().unwrap()));
        } else if let Some(count) = line.trim().strip_prefix("Instructions:")
            && let Some(name) = name.take()
        {
            let count = count.trim().split('|').next().unwrap();
            counts.insert(name, count.trim().parse().expect("a count"));
        }
    }
    counts
}

fn parse_counts(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (name, count) = line.rsplit_once(' ').expect("a name and a count");
            (name.trim_end().to_owned(), count.parse().expect("a count"))
        })
        .collect()
}

fn regressions(recorded: &BTreeMap<String, u64>, counted: &BTreeMap<String, u64>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, count) in counted {
        match recorded.get(name) {
            None => wrong.push(format!("{name} is not recorded: it takes {count}")),
            Some(before) if *count * 100 > *before * (100 + MOST_GROWTH) => {
                wrong.push(format!("{name} takes {count} instructions, and {before} are recorded"));
            }
            Some(_) => {}
        }
    }
    let gone = recorded.keys().filter(|name| !counted.contains_key(*name));
    wrong.extend(gone.map(|name| format!("{name} is recorded, and not counted any more")));
    wrong
}

#[test]
fn no_benchmark_exceeds_its_recorded_instructions() {
    let mut cargo = Command::new(env!("CARGO"));
    // cargo sets these variables for tests. They would cause ring and its dependents to be recompiled.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&*name);
        }
    }
    let output = cargo
        .args(["bench", "--locked", "--target", "x86_64-unknown-linux-gnu", "--bench"])
        .args(["instructions", "--", "--nocapture"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{error}");
    let counted = counts(&printed);
    assert!(counted.len() > 40, "{printed}{error}");
    if std::env::var_os("UPDATE").is_some() {
        let mut text = String::from(
            "# Instructions of each part, by `UPDATE=1 cargo test --test instructions`.\n",
        );
        for (name, count) in &counted {
            writeln!(text, "{name} {count}").unwrap();
        }
        std::fs::write(RECORDED, text).unwrap();
    }
    let wrong = regressions(&parse_counts(&std::fs::read_to_string(RECORDED).unwrap()), &counted);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn growth_above_five_percent_is_reported() {
    let printed = "instructions::cookies::read_cookies eight:(COOKIE)\n  Instructions:          1051|N/A     (***)\n  L1 Hits:  7|N/A\n";
    let counted = counts(printed);
    assert_eq!(counted, BTreeMap::from([("read_cookies eight".to_owned(), 1051)]));
    assert_eq!(regressions(&parse_counts("# a\nread_cookies eight 1000\n"), &counted).len(), 1);
    assert_eq!(
        regressions(&parse_counts("read_cookies eight 1001\n"), &counted),
        Vec::<String>::new()
    );
    assert_eq!(
        regressions(&parse_counts("read_cookies eight 1001\nother x 1\n"), &counted).len(),
        1
    );
    assert_eq!(regressions(&BTreeMap::new(), &counted).len(), 1);
}
