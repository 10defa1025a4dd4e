//! Cookie deletions in a real Chromium, with and without consentry. Without consent no value of a line may be
//! stored. Cookies deleted by the origin itself must also be deleted behind consentry.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use consentry::cookie::pairs;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::browser::open;
use crate::site::element_text;
use crate::support::{Origin, Proxy};

/// An existing cookie, and a line that may store or delete it.
#[derive(Debug, Clone)]
struct Case {
    /// The name with its `=`. `#` is replaced by the number of the case.
    name: &'static str,
    /// `Domain`, `Path` and flags.
    place: String,
    /// `Max-Age` and `Expires`.
    lifetime: String,
    /// The `Date` of the response.
    date: Option<&'static str>,
    /// Whether the lifetime precedes the scope.
    first: bool,
}

impl Case {
    fn new(lifetime: &str) -> Self {
        let place = "; Path=/".to_owned();
        Self { name: "_ga_#=", place, lifetime: format!("; {lifetime}"), date: None, first: false }
    }

    /// A line that sets the cookie to a value, with the same scope.
    fn line(&self, number: usize, value: &str, lifetime: &str) -> String {
        let name = self.name.replace('#', &number.to_string());
        let place = self.place.replace('#', &number.to_string());
        match self.first {
            true => format!("{name}{value}{lifetime}{place}"),
            false => format!("{name}{value}{place}{lifetime}"),
        }
    }
}

/// Deletion attributes as written by frameworks, languages and people.
const REAL: [&str; 62] = [
    "Max-Age=0",
    "max-age=0",
    "MAX-AGE=0",
    "Max-Age=-1",
    "Max-Age=-99999999",
    "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0",
    "Max-Age=0; Expires=Wed, 24 Nov 2032 09:00:00 GMT",
    "Max-Age=-1; Expires=Wed, 24 Nov 2032 09:00:00 GMT",
    "expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0",
    "Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    "Expires=Thu, 01 Jan 1970 00:00:01 GMT",
    "Expires=Thu, 01-Jan-1970 00:00:00 GMT",
    "Expires=Thu, 01-Jan-1970 00:00:10 GMT",
    "expires=Thu, 01-Jan-70 00:00:01 GMT",
    "Expires=Thu, 1-Jan-1970 00:00:00 GMT",
    "Expires=Thu, 1 Jan 1970 00:00:00 GMT",
    "Expires=Thu, 1 Jan 1970 0:0:0 GMT",
    "Expires=Thu, 01 Jan 1970 00:00:00 UTC",
    "Expires=Thu, 01 Jan 1970 00:00:00 +0000",
    "Expires=Thu, 01 Jan 1970 00:00:00 -0000",
    "Expires=Thu, 01 Jan 1970 00:00:00",
    "Expires=Thu, 01 Jan 1970 00:00:00 GMT+0000",
    "Expires=Thursday, 01-Jan-70 00:00:00 GMT",
    "Expires=Thursday, 01-Jan-1970 00:00:00 GMT",
    "Expires=Thu Jan 1 00:00:00 1970",
    "Expires=Thu Jan 01 1970 00:00:00 GMT",
    "Expires=Thu Jan 01 1970 01:00:00 GMT+0100 (CET)",
    "Expires=Thu, Jan 01 1970 00:00:00 UTC",
    "Expires=01 Jan 1970 00:00:00 GMT",
    "Expires=1 January 1970 00:00:00 GMT",
    "Expires=Wed, 31 Dec 1969 23:59:59 GMT",
    "Expires=Wed, 31-Dec-1969 23:59:59 GMT",
    "Expires=Fri, 31 Dec 1999 23:59:59 GMT",
    "Expires=Fri, 31-Dec-99 23:59:59 GMT",
    "Expires=Sat, 01 Jan 2000 00:00:00 GMT",
    "Expires=Sat, 01-Jan-2000 00:00:00 GMT",
    "Expires=Mon, 01 Jan 1990 00:00:00 GMT",
    "Expires=Tue, 31 Mar 1981 12:00:00 GMT",
    "Expires=Tue, 01 Jan 1980 00:00:00 GMT",
    "Expires=Mon, 01 Jan 1900 00:00:00 GMT",
    "Expires=Mon, 01-Jan-0001 00:00:00 GMT",
    "Expires=Mon, 01-Jan-1601 00:00:00 GMT",
    "Expires=Mon, 26 Jul 1997 05:00:00 GMT",
    "Expires=Fri, 02 Jan 1970 00:00:00 GMT",
    "Expires=Tue, 12 Oct 1999 00:00:00 GMT",
    "Expires=Sun, 06 Nov 1994 08:49:37 GMT",
    "Expires=Sunday, 06-Nov-94 08:49:37 GMT",
    "Expires=Sun Nov  6 08:49:37 1994",
    "expires=Thu, 01 jan 1970 00:00:00 gmt",
    "expires=THU, 01 JAN 1970 00:00:00 GMT",
    "expires=\"Thu, 01 Jan 1970 00:00:00 GMT\"",
    "expires = Thu, 01 Jan 1970 00:00:00 GMT ",
    "Expires=Wrong, 01 Jan 1970 00:00:00 GMT",
    "Expires=Sat, 24-Nov-2018 09:00:00 GMT",
    "Expires=Wed, 24 Nov 2021 09:00:00 GMT",
    "Expires=24 Nov 2021 09:00 09:00:00",
    "Expires=Mon, 23 Nov 2020 21:47:38 GMT; Max-Age=-31536000",
    "Max-Age=0; Max-Age=0",
    "Max-Age=60; Max-Age=0",
    "Expires=Wed, 24 Nov 2032 09:00:00 GMT; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    "Max-Age=00",
];

/// Attributes that resemble a deletion, or are a deletion in some interpretations.
const ODD: [&str; 22] = [
    "Max-Age=0; Max-Age=x",
    "Max-Age=0; Max-Age",
    "Max-Age=0; Max-Age=",
    "Max-Age=0; Max-Age=+60",
    "Max-Age=0; Max-Age=31536000.5",
    "Max-Age=0; Max-Age=\" 31536000\"",
    "Max-Age=0; Max-Age=1e9; Expires=Wed, 24 Nov 2032 09:00:00 GMT",
    "Max-Age=0x",
    "Max-Age=0.5",
    "Max-Age=- 1",
    "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Expires=x",
    "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Expires",
    "Expires=1x Jan 1970 00:00:00",
    "Expires=1 janx 1970x 00:00:00x",
    "Expires=12:34:56x 1 Jan 1970",
    "Expires=1 Jan 1970 00:00:00am",
    "Expires=Thu, 19/Apr\\2007 16:00:00 GMT",
    "Expires=Thu, 01 Jan 1970xx 2037 00:00:00 GMT",
    "Expires=0",
    "Expires=-1",
    "Expires=1970-01-01T00:00:00Z",
    "Max-Age=99999999999999999999",
];

const DATES: [Option<&str>; 6] = [
    None,
    None,
    Some("Fri, 01 Jan 2021 00:00:00 GMT"),
    Some("Sat, 01 Jan 2033 00:00:00 GMT"),
    Some("Friday, 01-Jan-21 00:00:00 GMT"),
    Some("now"),
];

fn attribute() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        select(vec![
            "0",
            "-1",
            "60",
            "+60",
            "0x",
            "",
            " 0",
            "00",
            "-",
            "1e9",
            "-0",
            "0-",
            "9999999999999999999999"
        ])
        .prop_map(str::to_owned),
        "[-+0-9x. ]{0,4}",
    ];
    let spelt = |names: Vec<&'static str>| select(names);
    let age = (spelt(vec!["Max-Age", "max-age", "MAX-AGE", "Max-Age "]), number)
        .prop_map(|(name, value)| format!("; {name}={value}"));
    let year = select(vec![
        "1970", "70", "69", "99", "2021", "2032", "2037", "1600", "1601", "02032", "1970xx",
        "2032x", "1",
    ]);
    let day = select(vec!["01", "1", "31", "1x", "001", "32"]);
    let month = select(vec!["Jan", "jan", "January", "JANx", "Feb", "Nov", "13"]);
    let clock =
        select(vec!["00:00:00", "0:0:0", "23:59:59", "24:00:00", "12:34", "09:00:00x", "9:0:0am"]);
    let between = select(vec![" ", "-", "  ", "/", ", ", "\\"]);
    let date = (
        select(vec!["", "Thu, ", "Sunday, ", "x "]),
        day,
        month,
        year,
        clock,
        between,
        0..4_u8,
        any::<bool>(),
    );
    let date = date.prop_map(|(weekday, day, month, year, clock, between, order, zone)| {
        let zone = if zone { " GMT" } else { "" };
        let parts = match order {
            0 => [day, month, year, clock],
            1 => [month, day, clock, year],
            2 => [clock, day, month, year],
            _ => [year, month, day, clock],
        };
        format!("{weekday}{}{zone}", parts.join(between))
    });
    let odd = select(vec![
        "",
        "0",
        "-1",
        "x",
        "1970-01-01",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Sat, 02 Jan 2021 00:00:00 GMT",
    ]);
    let date = prop_oneof![2 => date, 1 => odd.prop_map(str::to_owned)];
    let expires = (spelt(vec!["Expires", "expires", " EXPIRES"]), date)
        .prop_map(|(name, date)| format!("; {name}={date}"));
    let bare = select(vec!["; Max-Age", "; Expires", "; Max-Age-x=0", "; x=; Expiresx=0"])
        .prop_map(str::to_owned);
    prop_oneof![3 => age, 4 => expires, 1 => bare]
}

fn place(flags: &'static [&'static str]) -> impl Strategy<Value = String> {
    let path = select(vec![
        "",
        "; Path=/",
        "; path=/p",
        "; Path=/p/",
        "; Path=/p/x",
        "; Path=y",
        "; Path=/none; Path=/",
    ]);
    let domain = select(vec![
        "",
        "",
        "; Domain=site.localhost",
        "; domain=.Site.localhost",
        "; Domain=c#.site.localhost",
        "; Domain=",
        "; Domain=other.example; Domain=site.localhost",
    ]);
    (path, domain, select(flags)).prop_map(|(path, domain, flags)| format!("{path}{domain}{flags}"))
}

/// The listed lines, and an equal number of generated ones.
fn cases(
    names: &'static [&'static str],
    flags: &'static [&'static str],
    generated: usize,
) -> Vec<Case> {
    let mut cases: Vec<Case> =
        REAL.iter().chain(&ODD).map(|lifetime| Case::new(lifetime)).collect();
    let lifetime =
        proptest::collection::vec(attribute(), 0..4).prop_map(|attributes| attributes.concat());
    let any = (select(names), place(flags), lifetime, select(&DATES[..]), any::<bool>());
    let any = any.prop_map(|(name, place, lifetime, date, first)| Case {
        name,
        place,
        lifetime,
        date,
        first,
    });
    let mut runner = TestRunner::deterministic();
    cases.extend((0..generated).map(|_| any.new_tree(&mut runner).unwrap().current()));
    cases
}

/// The cookie of a case after its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RemainingCookie {
    Nothing,
    /// The previous value.
    Old,
    /// The value set by the line.
    New,
}

/// Compares the remaining cookies with and without consentry. `line` shows a case.
fn compare(direct: &[RemainingCookie], behind: &[RemainingCookie], line: impl Fn(usize) -> String) {
    assert_eq!(direct.len(), behind.len());
    let count = |left| direct.iter().filter(|other| **other == left).count();
    let (stored, deleted) = (count(RemainingCookie::New), count(RemainingCookie::Nothing));
    assert!(
        stored * 6 > direct.len() && deleted * 6 > direct.len(),
        "{stored} stored, {deleted} deleted"
    );
    let mut wrong = String::new();
    for (number, (direct, behind)) in direct.iter().zip(behind).enumerate() {
        if *behind == RemainingCookie::New
            || *direct == RemainingCookie::Nothing && *behind != RemainingCookie::Nothing
        {
            let _ =
                writeln!(wrong, "{} left {behind:?}, without consentry {direct:?}", line(number));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// An origin with a page and, below `/p/x/`, the responses for a case. They are the cookie set beforehand (`old`),
/// the line (`set`), nothing (`get`), and the deletion (`end`). The page has finished loading once it has
/// requested `done`.
fn origin(
    cases: Arc<Vec<Case>>,
    page: impl Fn(u16) -> String + Send + Sync + 'static,
) -> (Origin, Arc<OnceLock<u16>>) {
    let line_port = Arc::new(OnceLock::new());
    let port = Arc::clone(&line_port);
    let done = (Mutex::new(false), Condvar::new());
    let origin = Origin::scripted(move |received, stream| {
        let path = received.line.split(' ').nth(1).unwrap();
        let mut head = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n".to_owned();
        let mut body = String::new();
        match path.strip_prefix("/p/x/").and_then(|what| what.split_once('-')) {
            Some((what, number)) => {
                let number: usize = number.parse().unwrap();
                if what == "done" {
                    *done.0.lock().unwrap() = true;
                    done.1.notify_all();
                } else if what == "wait" {
                    drop(done.1.wait_while(done.0.lock().unwrap(), |done| !*done).unwrap());
                }
                let case = &cases[number];
                let line = match what {
                    "old" => Some(case.line(number, "old", "; Max-Age=600")),
                    "set" => Some(case.line(number, "new", &case.lifetime)),
                    "end" => Some(case.line(number, "gone", "; Max-Age=0")),
                    _ => None,
                };
                if let Some(line) = line {
                    head += &format!("Set-Cookie: {line}\r\n");
                }
                let now = || httpdate(std::time::SystemTime::now());
                let date = case.date.filter(|_| what == "set").map(|date| match date {
                    "now" => now(),
                    other => other.to_owned(),
                });
                head += &date.map(|date| format!("Date: {date}\r\n")).unwrap_or_default();
            }
            None => {
                head += "Content-Type: text/html\r\n";
                body = page(*port.get_or_init(|| 0));
            }
        }
        let length = body.len();
        let answer = format!("{head}Content-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).is_ok()
    });
    (origin, line_port)
}

fn httpdate(time: std::time::SystemTime) -> String {
    let time = time::OffsetDateTime::from(time);
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    time.format(&format).unwrap()
}

/// The browser's cookies after each line set by `port` (0: the origin itself).
fn after_responses(cases: &Arc<Vec<Case>>, through: Option<&str>) -> Vec<RemainingCookie> {
    let count = cases.len();
    let (origin, port) = origin(Arc::clone(cases), move |port| {
        format!(
            "<!doctype html><title>going</title><img src='/p/x/wait-0'><script>(async () => {{\n\
             const ask = (i, what, port) => fetch(`http://c${{i}}.site.localhost:${{port}}/p/x/${{what}}-${{i}}`,\n\
             {{ credentials: 'include', mode: 'no-cors' }}).catch(() => {{}});\n\
             const own = location.port;\n\
             for (let i = 0; i < {count}; i++) {{\n\
             await ask(i, 'old', own); await ask(i, 'set', {port} || own); await ask(i, 'get', own); await ask(i, 'end', own);\n\
             }} document.title = 'done'; ask(0, 'done', own); }})();</script>"
        )
    });
    let proxy = through.map(|toml| Proxy::start(&origin, toml));
    port.set(proxy.as_ref().map_or(0, |proxy| proxy.address.port())).unwrap();
    let page = open(&format!("http://site.localhost:{}/", origin.address.port()));
    assert!(page.contains("<title>done</title>"), "{page}");
    let mut left = BTreeMap::new();
    while let Some(received) = origin.try_next_request() {
        let path = received.line.split(' ').nth(1).unwrap().to_owned();
        let Some(number) = path.strip_prefix("/p/x/get-") else { continue };
        let number: usize = number.parse().unwrap();
        let name = cases[number].name.trim_end_matches('=').replace('#', &number.to_string());
        let sent = received.field("cookie").unwrap_or_default();
        let values: Vec<&[u8]> = pairs(sent.as_bytes())
            .filter(|pair| pair.name == name.as_bytes())
            .map(|pair| pair.value)
            .collect();
        left.insert(number, of_values(&values));
    }
    assert_eq!(left.len(), count, "each case was requested");
    left.into_values().collect()
}

fn of_values(values: &[&[u8]]) -> RemainingCookie {
    match values {
        [] => RemainingCookie::Nothing,
        values if values.contains(&&b"new"[..]) => RemainingCookie::New,
        _ => RemainingCookie::Old,
    }
}

#[test]
fn chromium_stores_no_cookie_without_consent_and_applies_origin_deletions() {
    const NAMES: [&str; 5] = ["_ga_#=", "_ga_#=", "unknown#=", "__Secure-_ga_#=", "="];
    const FLAGS: [&str; 7] = [
        "",
        "",
        "; Secure",
        "; HttpOnly; SameSite=Strict",
        "; SameSite=None; Secure",
        "; SameSite=Lax; SameSite=odd",
        "; Secure; Partitioned",
    ];
    let cases = Arc::new(cases(&NAMES, &FLAGS, 400));
    let direct = after_responses(&cases, None);
    for (lifetime, left) in REAL.iter().zip(&direct) {
        assert_eq!(*left, RemainingCookie::Nothing, "Chromium reads a deletion in {lifetime}");
    }
    let behind = after_responses(&cases, Some(""));
    compare(&direct, &behind, |number| {
        let case = &cases[number];
        format!("{} (Date: {:?})", case.line(number, "new", &case.lifetime), case.date)
    });
}

/// The browser's cookies after each case of a page's script. `run` is the script of case `i`, whose cookie is named
/// `name`.
fn after_scripts(cases: &Arc<Vec<Case>>, run: &str, guarded: bool) -> Vec<RemainingCookie> {
    let names: Vec<String> = cases
        .iter()
        .enumerate()
        .map(|(number, case)| case.name.trim_end_matches('=').replace('#', &number.to_string()))
        .collect();
    let lines: Vec<String> = cases
        .iter()
        .enumerate()
        .map(|(number, case)| case.line(number, "new", &case.lifetime))
        .collect();
    let data = serde_json::json!({ "names": names, "lines": lines });
    let own_port = Arc::new(OnceLock::new());
    let port = Arc::clone(&own_port);
    let run = run.to_owned();
    let (origin, _) = origin(Arc::clone(cases), move |_| {
        let port: u16 = *port.get().unwrap();
        format!(
            "<!doctype html><head><title>going</title></head><body><p id=left></p>\n\
             <img src='http://site.localhost:{port}/p/x/wait-0'><script>(async () => {{\n\
             const {{ names, lines }} = {data};\n\
             const ask = (what, i) => fetch(`http://site.localhost:{port}/p/x/${{what}}-${{i}}`,\n\
             {{ credentials: 'include', mode: 'no-cors' }}).catch(() => {{}});\n\
             const trim = (text) => text.replace(/^[ \\t]+|[ \\t]+$/g, '');\n\
             const run = async (i, name, line) => {{ {run} }};\n\
             const left = [];\n\
             // The guard lets the page read back what it holds back: a document of its own making shows what is stored.\n\
             const stored = document.body.appendChild(document.createElement('iframe')).contentDocument;\n\
             for (let i = 0; i < names.length; i++) {{\n\
             await ask('old', i);\n\
             try {{ await run(i, trim(names[i]), lines[i]); }} catch {{ }}\n\
             const pairs = stored.cookie.split('; ').map((pair) => pair.includes('=') ? pair.split('=') : ['', pair]);\n\
             left.push(pairs.filter(([name]) => name === trim(names[i])).map(([, value]) => value).join('+'));\n\
             await ask('end', i);\n\
             }} document.getElementById('left').textContent = left.join(); document.title = 'done'; ask('done', 0); }})();</script>"
        )
    });
    own_port.set(origin.address.port()).unwrap();
    let proxy = guarded.then(|| Proxy::start(&origin, "[page]\nguard = true\n"));
    let port = proxy.as_ref().map_or(origin.address, |proxy| proxy.address).port();
    let page = open(&format!("http://site.localhost:{port}/p/x/page"));
    assert!(page.contains("<title>done</title>"), "{page}");
    let left: Vec<RemainingCookie> = element_text(&page, "left")
        .split(',')
        .map(|values| {
            let values: Vec<&[u8]> =
                values.split('+').filter(|value| !value.is_empty()).map(str::as_bytes).collect();
            of_values(&values)
        })
        .collect();
    assert_eq!(left.len(), cases.len(), "{page}");
    left
}

#[test]
fn under_the_guard_chromium_stores_no_script_cookie_without_consent_and_applies_deletions() {
    const NAMES: [&str; 6] =
        ["_ga_#=", "_ga_#=", "unknown#=", " _ga_#\t=", "\u{a0}PHPSESSID=", "="];
    const FLAGS: [&str; 4] =
        ["", "; Secure", "; SameSite=None; Secure", "; SameSite=Strict; Secure; Partitioned"];
    let cases = Arc::new(cases(&NAMES, &FLAGS, 300));
    let write = "document.cookie = line;";
    let direct = after_scripts(&cases, write, false);
    for (lifetime, left) in REAL.iter().zip(&direct) {
        assert_eq!(*left, RemainingCookie::Nothing, "Chromium reads a deletion in {lifetime}");
    }
    compare(&direct, &after_scripts(&cases, write, true), |number| {
        cases[number].line(number, "new", &cases[number].lifetime)
    });
}

/// Arguments that scripts pass to `cookieStore.set` for a cookie of this name.
const SET: [&str; 20] = [
    "name, 'new'",
    "{ toString: () => name, name: 'PHPSESSID' }, 'new'",
    "{ name, value: 'new' }",
    "{ name, value: 'new', path: '/p' }",
    "{ name, value: 'new', domain: 'site.localhost' }",
    "{ name, value: 'new', expires: Date.now() + 1e10 }",
    "{ name, value: 'new', expires: null }",
    "{ name: { toString: () => name }, value: 'new' }",
    "{ get name() { this.n = (this.n || 0) + 1; return this.n < 2 ? 'PHPSESSID' : name; }, value: 'new' }",
    "Object.create({ name, value: 'new' })",
    "{ name, value: 'new', expires: 0 }",
    "{ name, value: 'new', expires: -1 }",
    "{ name, value: '', expires: Date.now() - 1 }",
    "{ name, value: 'new', expires: new Date(0) }",
    "{ name, value: 'new', expires: 0, path: '/p' }",
    "{ name, value: 'new', expires: 0, domain: 'site.localhost' }",
    "{ name, value: 'new', expires: 0, partitioned: true }",
    "{ name, value: 'new', expires: Date.now() - 1, sameSite: 'none' }",
    "Object.create({ name, value: 'new', expires: 1 })",
    "{ name, value: 'new', get expires() { return 0; } }",
];

#[test]
fn under_the_guard_chromium_stores_no_cookie_store_cookie_without_consent() {
    let place = |options: &str| match options {
        options if options.contains("path") => "; Path=/p; Secure; SameSite=Strict",
        options if options.contains("domain") => {
            "; Path=/; Domain=site.localhost; Secure; SameSite=Strict"
        }
        options if options.contains("partitioned") => {
            "; Path=/; Secure; SameSite=Strict; Partitioned"
        }
        _ => "; Path=/; Secure; SameSite=Strict",
    };
    let case = |options: &&str| Case { place: place(options).to_owned(), ..Case::new("") };
    let cases: Arc<Vec<Case>> = Arc::new(SET.iter().map(case).collect());
    let all: Vec<String> =
        SET.iter().map(|options| format!("() => cookieStore.set({options})")).collect();
    let run = format!("await [{}][i]();", all.join(", "));
    let direct = after_scripts(&cases, &run, false);
    compare(&direct, &after_scripts(&cases, &run, true), |number| SET[number].to_owned());
}

#[test]
fn script_cookies_are_deleted_within_a_few_page_loads_of_a_fresh_process() {
    let mut lines = Vec::new();
    for path in ["/", "/p", "/p/", "/p/x", "/p/x/", "/p/x/page"] {
        for end in ["", "; Domain=www.site.localhost", "; Domain=site.localhost"] {
            lines.push(format!("_ga_{}=old; Path={path}{end}", lines.len()));
        }
        lines.push(format!("odd{}=old; Path={path}", lines.len()));
    }
    lines.push("nameless; Path=/p".to_owned());
    lines.push("__Host-odd=old; Path=/; Secure".to_owned());
    lines.push("PHPSESSID=old; Path=/p".to_owned());
    let count = lines.len();
    let proxy_port = Arc::new(OnceLock::<u16>::new());
    let port = Arc::clone(&proxy_port);
    let done = (Mutex::new(false), Condvar::new());
    let origin = Origin::scripted(move |received, stream| {
        let target = received.line.split(' ').nth(1).unwrap();
        let (mut head, mut body) = ("Cache-Control: no-store\r\n".to_owned(), String::new());
        match target.split_once('?').unwrap_or((target, "")) {
            ("/p/x/set", number) => {
                head += &format!("Set-Cookie: {}\r\n", lines[number.parse::<usize>().unwrap()])
            }
            ("/wait", _) => drop(done.1.wait_while(done.0.lock().unwrap(), |done| !*done).unwrap()),
            ("/done", _) => {
                *done.0.lock().unwrap() = true;
                done.1.notify_all();
            }
            ("/", _) => {
                head += "Content-Type: text/html\r\n";
                body = format!(
                    "<!doctype html><img src=/wait><script>(async () => {{\n\
                     const host = 'http://www.site.localhost:';\n\
                     const ask = (path) => fetch(host + location.port + path, {{ credentials: 'include', mode: 'no-cors' }});\n\
                     const load = () => new Promise((done) => {{\n\
                     const frame = document.createElement('iframe');\n\
                     Object.assign(frame, {{ onload: done, src: host + '{}/p/x/page' }});\n\
                     document.documentElement.append(frame); }});\n\
                     for (let i = 0; i < {count}; i++) await ask('/p/x/set?' + i);\n\
                     await ask('/p/x/page?before');\n\
                     for (let i = 0; i < 15; i++) await load();\n\
                     await ask('/p/x/page?after'); await ask('/done'); }})();</script>",
                    port.get().unwrap(),
                );
            }
            _ => head += "Content-Type: text/html\r\n",
        }
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).is_ok()
    });
    let proxy = Proxy::start(&origin, "");
    proxy_port.set(proxy.address.port()).unwrap();
    open(&format!("http://site.localhost:{}/", origin.address.port()));
    let mut sent = BTreeMap::new();
    while let Some(received) = origin.try_next_request() {
        if let Some((_, when)) = received.line.split_once("/p/x/page?") {
            let cookie = received.field("cookie").unwrap_or_default();
            sent.insert(when.split(' ').next().unwrap().to_owned(), cookie);
        }
    }
    assert_eq!(sent["before"].split("; ").count(), count, "{}", sent["before"]);
    assert_eq!(sent["after"], "PHPSESSID=old");
}
