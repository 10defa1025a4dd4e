//! Prose tests: banned words, sentence length, test names, and the form of messages.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex_lite::Regex;

/// Words and phrases that docs/glossary.md or a plain verb replaces.
const BANNED: [&str; 21] = [
    "octet",
    "octets",
    "heed",
    "heeds",
    "heeded",
    "seldom",
    "anew",
    "said",
    "told",
    "stands",
    "whoever",
    "under way",
    "hands are shaken",
    "the one before",
    "come again",
    "comes again",
    "our own",
    "rule knows",
    "speaks of",
    "takes away",
    "left alone",
];

/// Words that test names do not use for programs.
const BANNED_IN_TEST_NAMES: [&str; 17] = [
    "asked",
    "asks",
    "says",
    "tells",
    "takes",
    "taken",
    "stand",
    "ours",
    "nobody",
    "anybody",
    "everybody",
    "whatever",
    "however",
    "heard",
    "judged",
    "none",
    "alike",
];

/// First words of test names that are clauses instead of sentences.
const BANNED_STARTS: [&str; 6] = ["what", "who", "where", "whatever", "of", "neither"];

/// Maximum number of words in a sentence.
const MAX_WORDS: usize = 25;

/// Words with a capital letter that may start a message.
const PROPER_NAMES: [&str; 3] = ["Envoy", "PostgreSQL", "OpenTelemetry"];

/// Generated code and data, and word lists of cookie names.
const SKIPPED: [&str; 6] = [
    "tests/data",
    "tests/prose.rs",
    "src/catalogue/lexicon.rs",
    "src/catalogue/names.rs",
    "node_modules",
    "package-lock.json",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The path of a file relative to the repository.
fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// All files with one of these extensions below the folders, or the files themselves.
fn files(paths: &[&str], extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending: Vec<PathBuf> = paths.iter().map(|path| root().join(path)).collect();
    while let Some(path) = pending.pop() {
        if SKIPPED.iter().any(|skipped| name(&path).contains(skipped)) {
            continue;
        }
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| extensions.iter().any(|e| ending == *e)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn documents() -> Vec<PathBuf> {
    let more =
        ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs"];
    files(&more, &["md"])
}

fn sources() -> Vec<PathBuf> {
    files(&["src", "tests", "examples", "benches", "fuzz/fuzz_targets"], &["rs"])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Text,
}

/// The length of the comment or literal at the start of a source, and its kind.
fn literal(source: &str) -> Option<(usize, Kind)> {
    let end_of = |end: &str, start: usize| {
        source[start..].find(end).map_or(source.len(), |at| start + at + end.len())
    };
    if source.starts_with("//") {
        return Some((source.find('\n').unwrap_or(source.len()), Kind::Comment));
    }
    if source.starts_with("/*") {
        return Some((end_of("*/", 2), Kind::Comment));
    }
    let raw = source.strip_prefix('b').unwrap_or(source).strip_prefix('r');
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let start = source.len() - raw.len() + hashes + 1;
        let end = format!("\"{}", "#".repeat(hashes));
        return raw[hashes..].starts_with('"').then(|| (end_of(&end, start), Kind::Text));
    }
    let quote = source.chars().next().filter(|letter| matches!(letter, '"' | '\''))?;
    let mut escaped = false;
    let end = source[1..].char_indices().find(|(_, letter)| {
        let ends = *letter == quote && !escaped;
        escaped = *letter == '\\' && !escaped;
        ends
    });
    let (end, _) = end?;
    // A lifetime has no second quote nearby.
    let is_letter = source[1..=end].chars().count() == 1 || source[1..].starts_with('\\');
    (quote == '"' || is_letter).then_some((end + 2, Kind::Text))
}

/// The code, comments and literals of a Rust source, each with its line.
fn tokens(source: &str) -> Vec<(usize, Kind, &str)> {
    let mut tokens = Vec::new();
    let (mut start, mut line, mut at) = (0, 1, 0);
    let mut in_word = false;
    while at < source.len() {
        let found = if in_word { None } else { literal(&source[at..]) };
        if let Some((length, kind)) = found {
            tokens.push((line, Kind::Code, &source[start..at]));
            line += source[start..at].matches('\n').count();
            tokens.push((line, kind, &source[at..at + length]));
            line += source[at..at + length].matches('\n').count();
            at += length;
            start = at;
            in_word = false;
            continue;
        }
        let letter = source[at..].chars().next().unwrap();
        in_word = letter.is_alphanumeric() || letter == '_';
        at += letter.len_utf8();
    }
    tokens.push((line, Kind::Code, &source[start..]));
    tokens
}

/// The banned words and phrases in a text.
fn banned(text: &str) -> Vec<&'static str> {
    let text = text.replace(".octets()", "").replace("octet-stream", "").to_lowercase();
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
    let text = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let text = format!(" {text} ");
    BANNED.into_iter().filter(|phrase| text.contains(&format!(" {phrase} "))).collect()
}

#[test]
fn prose_uses_the_terms_of_the_glossary() {
    let mut found = Vec::new();
    let mut check = |path: &Path, line: usize, text: &str| {
        for phrase in banned(text) {
            found.push(format!("{}:{line}: {phrase}", name(path)));
        }
    };
    for path in sources() {
        let source = fs::read_to_string(&path).unwrap();
        for (line, kind, text) in tokens(&source) {
            if kind != Kind::Code || path.starts_with(root().join("src")) {
                check(&path, line, text);
            }
        }
    }
    let others = ["deploy", "config/consentry.toml", "clippy.toml", "deny.toml", "Cargo.toml"];
    let endings = ["yml", "yaml", "tpl", "toml", "json", "service", "socket", "txt"];
    for path in documents().into_iter().chain(files(&others, &endings)) {
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            check(&path, number + 1, line);
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// The start of a list item.
static ITEM: LazyLock<Regex> = LazyLock::new(|| regex(r"^(?:[-*+]|\d+\.)\s+"));
/// Inline code.
static CODE: LazyLock<Regex> = LazyLock::new(|| regex("`[^`]*`"));
/// A list of inline code, after its replacement.
static LIST: LazyLock<Regex> = LazyLock::new(|| regex(r"\{\}(?:,? (?:and |or )?\{\})+"));
static LINK: LazyLock<Regex> = LazyLock::new(|| regex(r"!?\[([^\]]*)\]\([^)]*\)"));
/// The end of a sentence.
static END: LazyLock<Regex> = LazyLock::new(|| regex(r"[.!?]\)?\**\s+"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

/// Sentences of a Markdown text with the line of their paragraph. Code is one word, and so is a list
/// of code. Headings, HTML and code blocks are skipped. Cells of a table consist of parts between `;`.
fn sentences(text: &str) -> Vec<(usize, String)> {
    let mut parts: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    let mut in_code = false;
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim().trim_start_matches("> ");
        if trimmed.starts_with("```") {
            in_code = !in_code;
        }
        let skipped = in_code
            || trimmed.starts_with("```")
            || trimmed.starts_with('#')
            || trimmed.starts_with('<')
            || !open && line.starts_with("    ");
        if trimmed.is_empty() || skipped {
            open = false;
        } else if trimmed.starts_with('|') {
            let cells = trimmed.split('|').flat_map(|cell| cell.split("; "));
            parts.extend(cells.map(|cell| (number + 1, cell.to_owned())));
            open = false;
        } else if open && !ITEM.is_match(trimmed) {
            let (_, paragraph) = parts.last_mut().unwrap();
            paragraph.push(' ');
            paragraph.push_str(trimmed);
        } else {
            parts.push((number + 1, ITEM.replace(trimmed, "").into_owned()));
            open = true;
        }
    }
    let mut all = Vec::new();
    for (number, part) in parts {
        let part = CODE.replace_all(&part, "{}");
        let part = LIST.replace_all(&part, "{}");
        let part = LINK.replace_all(&part, "$1");
        all.extend(END.split(&part).map(|sentence| (number, sentence.trim().to_owned())));
    }
    all
}

fn words(sentence: &str) -> usize {
    let is_word =
        |word: &&str| word.contains(|letter: char| letter.is_alphanumeric() || letter == '{');
    sentence.split_whitespace().filter(is_word).count()
}

/// The comments of a source as Markdown texts, each with its first line.
fn comments(source: &str) -> Vec<(usize, String)> {
    let mut all: Vec<(usize, String, usize)> = Vec::new();
    for (number, line) in source.lines().enumerate() {
        let Some(comment) = line.trim_start().strip_prefix("//") else { continue };
        let comment = comment.trim_start_matches(['/', '!']);
        let comment = comment.strip_prefix(' ').unwrap_or(comment);
        match all.last_mut() {
            Some((_, text, last)) if *last + 1 == number => {
                text.push('\n');
                text.push_str(comment);
                *last = number;
            }
            _ => all.push((number, comment.to_owned(), number)),
        }
    }
    all.into_iter().map(|(start, text, _)| (start, text)).collect()
}

#[test]
fn sentences_have_at_most_25_words() {
    let mut found = Vec::new();
    let mut check = |path: &Path, before: usize, text: &str| {
        for (line, sentence) in sentences(text) {
            let count = words(&sentence);
            if count > MAX_WORDS {
                found.push(format!("{}:{}: {count} words: {sentence}", name(path), before + line));
            }
        }
    };
    for path in documents() {
        check(&path, 0, &fs::read_to_string(&path).unwrap());
    }
    for path in sources() {
        for (start, text) in comments(&fs::read_to_string(&path).unwrap()) {
            check(&path, start, &text);
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// The names of the test functions in a source.
fn test_names(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut in_test = false;
    for line in source.lines().map(str::trim_start) {
        in_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if let Some(function) = function.filter(|_| std::mem::take(&mut in_test)) {
            names.push(function.split('(').next().unwrap().to_owned());
        }
    }
    names
}

/// Whether a test name is a sentence in the field's terms.
fn is_plain(test: &str) -> bool {
    let words: Vec<&str> = test.split('_').collect();
    banned(test).is_empty()
        && !BANNED_STARTS.contains(&words[0])
        && !words.iter().any(|word| BANNED_IN_TEST_NAMES.contains(word))
}

#[test]
fn test_names_are_plain_sentences() {
    let all: Vec<String> =
        sources().iter().flat_map(|path| test_names(&fs::read_to_string(path).unwrap())).collect();
    assert!(all.len() > 900, "{}", all.len());
    let found: Vec<&String> = all.iter().filter(|test| !is_plain(test)).collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// Code in front of a message, or of the fields in front of a message.
const MESSAGE_STARTS: [&str; 10] = [
    "#[error(",
    "tracing::error!(",
    "tracing::warn!(",
    "tracing::info!(",
    "tracing::debug!(",
    "tracing::trace!(",
    "anyhow!(",
    "bail!(",
    ".context(",
    "with_context(|| format!(",
];

/// The messages of errors and log lines in a source, without the values of fields.
fn messages(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    // The number of open brackets since the start of a message.
    let mut depth = 0_usize;
    let mut is_value = false;
    for (line, kind, text) in tokens(source) {
        match kind {
            Kind::Comment => {}
            Kind::Code => {
                let mut code = text;
                loop {
                    if depth == 0 {
                        let starts = MESSAGE_STARTS.iter();
                        let ends = starts.filter_map(|start| Some(code.find(start)? + start.len()));
                        let Some(end) = ends.min() else { break };
                        code = &code[end..];
                        depth = 1;
                    }
                    let end = code.char_indices().find(|(_, letter)| {
                        match letter {
                            '(' | '[' | '{' => depth += 1,
                            ')' | ']' | '}' => depth -= 1,
                            _ => {}
                        }
                        depth == 0
                    });
                    let Some((end, _)) = end else { break };
                    code = &code[end..];
                }
                is_value = code.trim_end().ends_with('=');
            }
            Kind::Text if depth == 1 && !is_value => {
                let lines = text.trim_matches('"').split("\\\n").map(str::trim_start);
                found.push((line, lines.collect()));
            }
            Kind::Text => {}
        }
    }
    found
}

/// Whether a message starts in lower case, or with a proper name or an acronym, and has no full stop.
fn is_message(text: &str) -> bool {
    let mut letters = text.chars();
    let capital = letters.next().is_some_and(char::is_uppercase)
        && letters.next().is_some_and(char::is_lowercase);
    let proper = PROPER_NAMES.iter().any(|name| text.starts_with(name));
    (!capital || proper) && (!text.ends_with('.') || text.ends_with("..."))
}

/// The test names in backticks in a document.
fn named_tests(text: &str) -> Vec<&str> {
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_name = |word: &&str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        word.bytes().all(plain) && word.matches('_').count() >= 3
    };
    quoted.filter(is_name).collect()
}

#[test]
fn the_tests_named_in_the_proofs_of_the_notice_exist() {
    let tests: Vec<String> =
        sources().iter().flat_map(|file| test_names(&fs::read_to_string(file).unwrap())).collect();
    let document = fs::read_to_string(root().join("docs/notice.md")).unwrap();
    let rows = document.lines().filter(|line| line.starts_with("| `")).count();
    let named = named_tests(&document);
    let missing: Vec<_> =
        named.iter().filter(|name| !tests.iter().any(|test| test == *name)).collect();
    assert!(missing.is_empty(), "docs/notice.md names unknown tests: {missing:?}");
    assert!(named.len() >= rows && rows >= 25, "{rows} rows, {} tests", named.len());
    assert_eq!(named_tests("| `a_b` | `that_one_is_known`, `[x] y` |"), ["that_one_is_known"]);
}

#[test]
fn messages_are_in_lower_case_without_full_stop() {
    let mut found = Vec::new();
    let mut count = 0;
    for path in files(&["src"], &["rs"]) {
        let source = fs::read_to_string(&path).unwrap();
        let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
        for (line, message) in messages(source) {
            count += 1;
            if !is_message(&message) {
                found.push(format!("{}:{line}: {message}", name(&path)));
            }
        }
    }
    assert!(count > 150, "{count}");
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_checks_find_bad_samples() {
    assert_eq!(
        banned("A request under\n// way heeds what is said."),
        ["heeds", "said", "under way"]
    );
    assert_eq!(banned("no_octets_come_again"), ["octets", "come again"]);
    assert_eq!(banned("application/octet-stream, address.octets(), unsaid"), [""; 0]);

    let source = "// a \"comment\"\nlet a = \"text // \\\" text\"; // end\nlet b = '\"';";
    let kinds: Vec<_> = tokens(source).into_iter().filter(|(.., text)| !text.is_empty()).collect();
    assert_eq!(kinds[0], (1, Kind::Comment, "// a \"comment\""));
    assert_eq!(kinds[2], (2, Kind::Text, "\"text // \\\" text\""));
    assert_eq!(kinds[4], (2, Kind::Comment, "// end"));

    let long = "word ".repeat(26);
    let text =
        format!("# {long}\n\n- one `a b`, `c` and [two](x.md) of it. {long}\n\n| a | {long}|\n");
    let counts: Vec<usize> = sentences(&text).iter().map(|(_, text)| words(text)).collect();
    assert_eq!(counts, [6, 26, 0, 1, 26, 0]);
    assert_eq!(
        sentences("one\ntwo three.\n```\nfour\n```\n\n5. six"),
        [(1, "one two three.".to_owned()), (7, "six".to_owned())]
    );
    assert_eq!(
        comments("/// one\n/// two\nfn x() {}\n    // three"),
        [(0, "one\ntwo".to_owned()), (3, "three".to_owned())]
    );

    let tests =
        "#[test]\nfn a_b() {}\n#[tokio::test]\n/// A test.\nasync fn what_is_none() {}\nfn c() {}";
    assert_eq!(test_names(tests), ["a_b", "what_is_none"]);
    assert!(is_plain("requests_over_the_limit_queue_then_get_503"));
    for test in ["what_is_sent_passes", "a_reply_is_none", "a_reload_is_told", "of_two_one_wins"] {
        assert!(!is_plain(test), "{test}");
    }

    let source = "#[error(\"one\")] x; tracing::warn!(a = \"no\", %b, c = d(\"no\"), \"Two.\"); bail!(\"three \\\n  x\");\
                  f(\"no\"); y.context(\"Four\")?; z.with_context(|| format!(\"five {x}\"));";
    let found: Vec<String> = messages(source).into_iter().map(|(_, message)| message).collect();
    assert_eq!(found, ["one", "Two.", "three x", "Four", "five {x}"]);
    assert!(is_message("cannot bind {0}") && is_message("TLS handshake failed"));
    assert!(!is_message("Cannot bind") && !is_message("cannot bind."));
}
