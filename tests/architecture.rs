//! Architecture tests: modules depend downward only, files form no cycle, and the pure modules do no I/O, read no
//! clock and are not async. The docs are tested too: their terms, links and pictures.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the lowest module to the highest. Each may use only those before it.
const FLOORS: [&str; 20] = [
    "clock",
    "http",
    "cookie",
    "consent",
    "catalogue",
    "policy",
    "locale",
    "tls",
    "config",
    "filter",
    "telemetry",
    "receipts",
    "consent_ui",
    "html",
    "admin",
    "proxy",
    "ext_proc",
    "app",
    "cli",
    "main",
];

/// Modules that do no I/O, read no clock, and are not async.
const PURE: [&str; 6] = ["http", "cookie", "consent", "catalogue", "policy", "locale"];

/// Paths that only impure code may use.
const IMPURE: [&str; 16] = [
    "std::fs",
    "std::io",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time",
    "SystemTime",
    "Instant",
    "now_utc",
    "now_local",
    "tokio",
    "hyper",
    "async ",
    ".await",
    "println!",
];

#[derive(Default)]
struct File {
    source: String,
    /// Re-exported names, with their paths.
    handed_on: BTreeMap<String, Vec<String>>,
    /// Absolute paths used by the file's own code.
    used: BTreeSet<Vec<String>>,
}

type Files = BTreeMap<Vec<String>, File>;

fn module(path: &Path) -> Vec<String> {
    path.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The code of a file, without comments, string literals and tests.
fn code(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        if line.trim() == "#[cfg(test)]" {
            break;
        }
        let mut rest = line.trim_start();
        if rest.starts_with("//") {
            continue;
        }
        let mut quoted = false;
        while let Some(at) = rest.find('"') {
            if !quoted {
                code.push_str(&rest[..at]);
            }
            quoted = !quoted;
            rest = &rest[at + 1..];
        }
        if !quoted {
            code.push_str(rest.split(" //").next().unwrap());
        }
        code.push('\n');
    }
    // Visibility is not a use.
    code.replace("pub(in crate::config)", "pub")
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`.
fn expand(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let name = tree.split(" as ").next().unwrap();
        return vec![
            name.split("::")
                .map(|part| part.trim().to_owned())
                .filter(|part| !part.is_empty())
                .collect(),
        ];
    };
    let start: Vec<String> = tree[..open]
        .split("::")
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    let inner = &tree[open + 1..tree.rfind('}').expect("braces are paired")];
    let mut depth = 0;
    let mut branches = vec![String::new()];
    for letter in inner.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                branches.push(String::new());
                continue;
            }
            _ => {}
        }
        branches.last_mut().unwrap().push(letter);
    }
    let ends = branches
        .iter()
        .filter(|branch| !branch.trim().is_empty())
        .flat_map(|branch| expand(branch));
    ends.map(|end| start.iter().cloned().chain(end).collect()).collect()
}

/// The absolute path of a path in the file `of`. `None` for other crates.
fn absolute(of: &[String], path: &[String]) -> Option<Vec<String>> {
    let (first, mut rest) = path.split_first()?;
    let mut base = match first.as_str() {
        "crate" | "consentry" => Vec::new(),
        "self" => of.to_vec(),
        "super" => of[..of.len() - 1].to_vec(),
        _ => return None,
    };
    while let Some((next, after)) = rest.split_first() {
        if next != "super" {
            break;
        }
        base.pop();
        rest = after;
    }
    base.extend(rest.iter().filter(|part| *part != "self").cloned());
    Some(base)
}

fn read() -> Files {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    let mut files = Files::new();
    for path in paths {
        let of = module(path.strip_prefix(&root).unwrap());
        let source = code(&fs::read_to_string(&path).unwrap());
        files.insert(
            if of == ["lib"] { Vec::new() } else { of },
            File { source, ..File::default() },
        );
    }
    let children: Vec<Vec<String>> = files.keys().cloned().collect();
    for (of, file) in &mut files {
        let mut rest = file.source.as_str();
        let mut own = String::new();
        while let Some(at) = rest.find("use ") {
            let word = at == 0
                || !(rest.as_bytes()[at - 1].is_ascii_alphanumeric()
                    || rest.as_bytes()[at - 1] == b'_');
            let Some(end) = rest[at..].find(';').filter(|_| word) else {
                own.push_str(&rest[..at + 4]);
                rest = &rest[at + 4..];
                continue;
            };
            let line_start = rest[..at].rfind('\n').map_or(0, |newline| newline + 1);
            let handed_on = rest[line_start..at].trim().starts_with("pub");
            for path in expand(&rest[at + 4..at + end]) {
                let from_child =
                    path.len() > 1 && children.contains(&[&of[..], &path[..1]].concat());
                if handed_on && from_child {
                    let full = [&of[..], &path].concat();
                    file.handed_on.insert(path.last().unwrap().clone(), full);
                } else if from_child {
                    file.used.insert([&of[..], &path].concat());
                } else if let Some(path) = absolute(of, &path) {
                    file.used.insert(path);
                }
            }
            own.push_str(&rest[..at]);
            rest = &rest[at + end..];
        }
        own.push_str(rest);
        // Re-exported names that the file also uses itself, and child modules named within code.
        let words: BTreeSet<&str> =
            own.split(|letter: char| !letter.is_alphanumeric() && letter != '_').collect();
        for (name, full) in &file.handed_on {
            if words.contains(name.as_str()) {
                file.used.insert(full.clone());
            }
        }
        for child in
            children.iter().filter(|child| child.len() == of.len() + 1 && child.starts_with(of))
        {
            let start = format!("{}::", child.last().unwrap());
            let named = own.match_indices(&start).any(|(at, _)| {
                at == 0 || !matches!(own.as_bytes()[at - 1], b':' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9')
            });
            if named && !of.is_empty() {
                file.used.insert(child.clone());
            }
        }
        // Paths within code.
        for start in ["crate::", "super::", "self::", "consentry::"] {
            for (at, _) in own.match_indices(start) {
                if at > 0
                    && (own.as_bytes()[at - 1] == b':'
                        || own.as_bytes()[at - 1].is_ascii_alphanumeric()
                        || own.as_bytes()[at - 1] == b'_')
                {
                    continue;
                }
                let end = own[at..].find(|letter: char| {
                    !letter.is_alphanumeric() && letter != '_' && letter != ':'
                });
                let path = expand(&own[at..end.map_or(own.len(), |end| at + end)]).remove(0);
                file.used.extend(absolute(of, &path));
            }
        }
    }
    files
}

/// The file that a path leads to, through all re-exports.
fn resolve(files: &Files, path: &[String]) -> Vec<String> {
    let mut at: Vec<String> = Vec::new();
    for (index, part) in path.iter().enumerate() {
        let deeper = [&at[..], std::slice::from_ref(part)].concat();
        if files.contains_key(&deeper) {
            at = deeper;
        } else if let Some(full) = files.get(&at).and_then(|file| file.handed_on.get(part)) {
            return resolve(files, &[&full[..], &path[index + 1..]].concat());
        } else {
            break;
        }
    }
    at
}

fn edges(files: &Files) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    files
        .iter()
        .map(|(of, file)| {
            let targets = file.used.iter().map(|path| resolve(files, path));
            (of.clone(), targets.filter(|target| target != of && !target.is_empty()).collect())
        })
        .collect()
}

#[test]
fn modules_use_only_those_below_them() {
    let files = read();
    let floor = |module: &str| {
        FLOORS
            .iter()
            .position(|name| *name == module)
            .unwrap_or_else(|| panic!("`{module}` is missing in FLOORS"))
    };
    let mut wrong = Vec::new();
    for (of, targets) in edges(&files) {
        let Some(own) = of.first() else { continue };
        for target in targets {
            if target[0] != *own && floor(&target[0]) >= floor(own) {
                wrong.push(format!("{} uses {}", of.join("::"), target.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "upward: {wrong:#?}");
}

#[test]
fn files_have_no_dependency_cycle() {
    let edges = edges(&read());
    let mut done = BTreeSet::new();
    for start in edges.keys() {
        visit(start, &edges, &mut Vec::new(), &mut done);
    }
}

fn visit(
    at: &Vec<String>,
    edges: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
    way: &mut Vec<String>,
    done: &mut BTreeSet<Vec<String>>,
) {
    let name = at.join("::");
    assert!(!way.contains(&name), "a cycle: {} -> {name}", way.join(" -> "));
    if done.contains(at) {
        return;
    }
    way.push(name);
    for target in &edges[at] {
        visit(target, edges, way, done);
    }
    way.pop();
    done.insert(at.clone());
}

#[test]
fn pure_modules_have_no_io_no_clock_and_no_async() {
    let mut wrong = Vec::new();
    for (of, file) in read() {
        if !of.first().is_some_and(|module| PURE.contains(&module.as_str())) {
            continue;
        }
        for word in IMPURE.iter().filter(|word| file.source.contains(*word)) {
            wrong.push(format!("{} has `{word}`", of.join("::")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_config_uses_toml() {
    for (of, file) in read() {
        let config = of.first().is_some_and(|module| module == "config");
        assert!(config || !file.source.contains("toml::"), "{} uses toml", of.join("::"));
    }
}

#[test]
fn files_stay_below_500_lines_of_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    for path in paths {
        let lines = code(&fs::read_to_string(&path).unwrap())
            .lines()
            .filter(|line| !line.trim().is_empty())
            .count();
        assert!(lines <= 500, "{} has {lines} lines of code: split the file", path.display());
    }
}

/// Words of this length in backticks in docs/pitfalls.md are test names.
#[test]
fn every_test_named_in_the_pitfalls_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join("src"), &mut paths);
    collect(&root.join("tests"), &mut paths);
    let sources: String = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let list = fs::read_to_string(root.join("docs/pitfalls.md")).unwrap();
    let names: Vec<&str> =
        list.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 3).collect();
    assert!(names.len() > 30);
    for name in names {
        assert!(sources.contains(&format!("fn {name}(")), "no test {name}");
    }
}

/// Tests the source parser above.
#[test]
fn the_source_parser_finds_imports() {
    assert_eq!(expand("a::{b, c::{d, self}}").len(), 3);
    let files = read();
    let edges = edges(&files);
    let of = |name: &str| &edges[&name.split("::").map(str::to_owned).collect::<Vec<_>>()];
    let has = |from: &str, to: &str| of(from).iter().any(|target| target.join("::") == to);
    assert!(has("proxy::request::handler", "proxy::request::forward"));
    assert!(
        has("proxy::request::handler", "filter::exchange"),
        "through the re-exports of `filter`"
    );
    assert!(has("filter::cookie_rewrite", "cookie"));
    assert!(has("cli::run", "app"));
    assert!(files.len() > 50);
}

/// The lines of a Markdown file outside code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_block = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_block ^= fence;
        !fence && !in_block
    })
}

/// The anchors that GitHub makes from the headings of a Markdown file.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let headings = prose(text).filter_map(|line| {
        line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ').map(str::trim)
    });
    let mut found = BTreeSet::new();
    for heading in headings {
        let anchor: String = heading
            .to_lowercase()
            .chars()
            .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'))
            .map(|letter| if letter == ' ' { '-' } else { letter })
            .collect();
        let count = counts.entry(anchor.clone()).or_default();
        found.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
        *count += 1;
    }
    found
}

/// The targets of the links and images in a Markdown file, in Markdown or HTML.
fn link_targets(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        // Without code spans.
        let line: String = line.split('`').step_by(2).collect();
        for (start, end) in [("](", ')'), (" src=\"", '"'), (" srcset=\"", '"'), (" href=\"", '"')]
        {
            for target in line.split(start).skip(1) {
                found.push(target.split(end).next().unwrap().to_owned());
            }
        }
    }
    found
}

/// The relative links and images of a Markdown file that lead to no file, or to no heading.
fn broken_links(file: &Path, text: &str) -> Vec<String> {
    let is_broken = |target: &String| {
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let other = file.parent().unwrap().join(path);
        if path.is_empty() {
            return !anchors(text).contains(anchor);
        }
        !other.exists()
            || !anchor.is_empty() && !anchors(&fs::read_to_string(other).unwrap()).contains(anchor)
    };
    let relative = |target: &String| !target.contains("://") && !target.starts_with("mailto:");
    link_targets(text).into_iter().filter(relative).filter(is_broken).collect()
}

fn markdown_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let of = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_markdown = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "md");
    of(root).chain(of(&root.join("docs"))).filter(is_markdown).collect()
}

#[test]
fn every_link_and_image_of_the_docs_has_a_target() {
    let mut found = Vec::new();
    let (mut links, mut images) = (0, 0);
    for file in markdown_files() {
        let text = fs::read_to_string(&file).unwrap();
        let broken = broken_links(&file, &text);
        found.extend(broken.iter().map(|target| format!("{}: {target}", file.display())));
        links += link_targets(&text).len();
        for tag in prose(&text).filter(|line| line.contains("<img ")) {
            images += 1;
            let described = [" alt=\"", " width=\""].iter().all(|word| tag.contains(word));
            assert!(described, "{}: no alt or width: {tag}", file.display());
        }
    }
    assert_eq!(found, Vec::<String>::new());
    assert!(links > 100 && images >= 8, "{links} links, {images} images");
}

#[test]
fn pictures_in_the_docs_are_small_and_all_are_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let texts: String =
        markdown_files().iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    for entry in fs::read_dir(root.join("docs/images")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(texts.contains(&format!("images/{name}\"")), "{name} is used nowhere");
        let bytes = fs::metadata(&path).unwrap().len();
        assert!(bytes <= 120_000, "{name} has {bytes} bytes");
    }
}

/// Tests the link checker above.
#[test]
fn the_link_checker_finds_what_is_missing() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = "# A `b_c` (d)!\n## Twice\n## Twice\n```\n# not a heading, [x](none.md)\n```\n\
        `[x](none.md)` [a](#a-b_c-d) [b](#twice-1) [c](docs/limits.md#what-no-proxy-can-do)\n\
        [d](https://none.example/) [e](#not-a-heading-x) [f](#twice-2) [g](docs/none.md)\n\
        [h](docs/limits.md#none) <img src=\"docs/images/none.png\">";
    let broken = broken_links(&file, text);
    let expected = [
        "#not-a-heading-x",
        "#twice-2",
        "docs/none.md",
        "docs/limits.md#none",
        "docs/images/none.png",
    ];
    assert_eq!(broken, expected);
}
