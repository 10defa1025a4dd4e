//! Forged consent in a real Chromium: only the visitor can grant consent, by a click.

use std::process::Command;

use serde_json::{Value, json};

use crate::nginx::program;
use crate::support::{Origin, Proxy};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Consent to everything, as anyone can forge it.
fn forged() -> String {
    crate::support::full_consent()
}

/// A site whose pages try to grant everything for the visitor, each in another way, and set a tracking cookie.
fn site() -> Origin {
    let cookie = forged();
    let everything = "functional+analytics+targeting+social";
    let script = move |path: &str| -> String {
        let body = match path {
            "/cookie" => format!("document.cookie = '{cookie}; path=/'"),
            "/nameless" => format!("document.cookie = '={cookie}; path=/'"),
            "/path" => format!("document.cookie = '{cookie}; path=/cookie-store'"),
            "/delete" => "document.cookie = 'consentry=; path=/; max-age=0'".to_owned(),
            "/store" => {
                let (name, value) = cookie.split_once('=').unwrap();
                format!("cookieStore.set('{name}', '{value}')")
            }
            "/fetch" => format!(
                "const form = new URLSearchParams({{ choice: 'accept' }}), json = {{ 'Content-Type': 'application/json' }};
                 const read = (answer) => answer.text(), granted = '{everything}'.split('+');
                 fetch('/.consentry/', {{ method: 'POST', body: form }}).then(read);
                 for (const path of ['consent', 'bridge'])
                   fetch('/.consentry/' + path, {{ method: 'POST', headers: json, body: JSON.stringify({{ granted }}) }}).then(read)"
            ),
            "/choose" => format!(
                "const script = document.createElement('script'); script.src = '/.consentry/consent.js';
                 script.onload = () => consentry.choose('{everything}'.split('+')).catch(() => {{}}); document.head.append(script)"
            ),
            "/dialog" => format!(
                "const script = document.createElement('script'); script.src = '/.consentry/consent.js';
                 document.querySelector('#choose').onclick = () => consentry.choose('{everything}'.split('+')).then(({{ granted }}) => document.title = granted);
                 document.head.append(script)"
            ),
            "/submit" => "document.querySelector('form').submit()".to_owned(),
            "/frame" => "document.querySelector('form').target = 'f'; document.querySelector('form').submit()".to_owned(),
            "/button" => "document.querySelector('form.own button').click()".to_owned(),
            "/banner" => "addEventListener('load', () => document.querySelector('.consentry-banner').shadowRoot.querySelector('button').click())".to_owned(),
            "/refuse" => "addEventListener('load', () => document.querySelector('.consentry-banner').shadowRoot.querySelectorAll('button')[1].click())".to_owned(),
            _ => String::new(),
        };
        format!(
            "<!doctype html><html lang=en><head><title>Shop</title><link rel=icon href='data:,'></head><body><iframe name=f hidden></iframe>\
             <form class=own method=post action=/.consentry/><input type=hidden name=choice value=accept><button>Go</button></form><button id=choose>Choose</button>\
             <script>{body}</script></body></html>"
        )
    };
    Origin::scripted(move |request, stream| {
        use std::io::Write;
        let path = request.line.split(' ').nth(1).unwrap();
        let set = match path {
            "/origin" => {
                format!("Set-Cookie: {}; Path=/\r\nSet-Cookie: ={}; Path=/\r\n", forged(), forged())
            }
            "/sibling" => format!("Set-Cookie: {}; Path=/; Domain=shop.example\r\n", forged()),
            "/junk" => "Set-Cookie: consentry=junk; Path=/; Domain=shop.example\r\n".to_owned(),
            _ => String::new(),
        };
        let page = script(path);
        let length = page.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{set}Set-Cookie: _ga=1; Path=/\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(page.as_bytes())).is_ok()
    })
}

/// The cookie jar after each attempt, for each list of attempts. Every list starts with an empty jar.
fn jars_after_attempts(url: &str, lists: &[&[&str]]) -> Vec<Vec<Value>> {
    let attempts = lists.join(&"new");
    let output = Command::new(program("node"))
        .arg("forge.mjs")
        .arg(program("chromium"))
        .arg(url)
        .args(attempts)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/tools"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let states: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let lists = states.split(|state| state["attempt"] == "new").skip(1);
    lists.map(<[Value]>::to_vec).collect()
}

fn localhost_url(proxy: &Proxy) -> String {
    format!("http://localhost:{}", proxy.address.port())
}

/// Whether the tracking cookie passed on a host.
fn tracks(state: &Value, host: &str) -> bool {
    state["others"].as_array().unwrap().contains(&json!(format!("_ga@{host}")))
}

#[test]
fn scripts_and_origins_cannot_grant_without_a_click() {
    let site = site();
    let toml = "[banner]\nenabled = true\n[centre]\napi = true\n";
    let proxy = Proxy::start(&site, toml);
    let attempts = ["/origin", "/fetch", "/choose", "/submit", "/frame", "/button", "/banner"];
    let lists = attempts.map(|attempt| [attempt, "/page"]);
    let lists: Vec<&[&str]> = lists.iter().map(|list| &list[..]).collect();
    for (attempt, states) in
        attempts.iter().zip(jars_after_attempts(&localhost_url(&proxy), &lists))
    {
        assert_eq!(states[1]["own"], json!([]), "{attempt}");
        assert!(!tracks(&states[1], "localhost"), "{attempt}");
    }
    let clicked = jars_after_attempts(
        &localhost_url(&proxy),
        &[
            &["/page", "click:form.own button", "/page"],
            &["/page", "click:.consentry-banner button", "/page"],
            &["/dialog", "press:#choose", "/page"],
            // A refusal may come from software that the visitor installed for it.
            &["/refuse", "/page"],
        ],
    );
    for states in &clicked[..3] {
        let own = &states[1]["own"][0];
        assert_eq!(own["granted"], "functional+analytics+targeting+social", "{states:?}");
        assert_eq!(own["httpOnly"], true);
        assert!(tracks(&states[2], "localhost"), "{states:?}");
    }
    assert_eq!(clicked[3][1]["own"][0]["granted"], "");
}

#[test]
fn the_guard_keeps_scripts_from_writing_and_deleting_the_consent_cookie() {
    let site = site();
    let proxy = Proxy::start(&site, "[page]\nguard = true\n");
    let lists: [&[&str]; 4] =
        [&["/cookie", "/page"], &["/nameless", "/page"], &["/path", "/page"], &["/store", "/page"]];
    for (list, states) in lists.iter().zip(jars_after_attempts(&localhost_url(&proxy), &lists)) {
        assert_eq!(states[1]["own"], json!([]), "{list:?}");
    }
}

#[test]
fn a_script_cannot_replace_or_delete_a_decision_that_was_made() {
    let site = site();
    let proxy = Proxy::start(&site, "[banner]\nenabled = true\n");
    let refuse = "click:.consentry-banner button[value=reject]";
    let attempts = ["/page", refuse, "/cookie", "/store", "/delete", "/page"];
    let states = jars_after_attempts(&localhost_url(&proxy), &[&attempts]);
    let last = states[0].last().unwrap();
    let own = json!([{ "granted": "", "domain": "localhost", "httpOnly": true }]);
    assert_eq!(last["own"], own);
    assert!(!tracks(last, "localhost"));
}

#[test]
fn with_a_key_cookies_of_scripts_and_sibling_hosts_grant_nothing() {
    let site = site();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("consent.key");
    std::fs::write(&key, KEY).unwrap();
    let host = "www.shop.example";
    let sibling = format!("port:{}", site.address.port());
    for (default, scope) in
        [("deny", ""), ("allow", ""), ("allow", "cookie_domain = 'shop.example'")]
    {
        let proxy = Proxy::start_with(&format!(
            "[banner]\nenabled = true\n[consent]\ndefault = '{default}'\n{scope}\nkey_file = '{}'\n[[site]]\nhosts = ['{host}']\nupstream = '{}'\n",
            key.display(),
            site.url()
        ));
        let here = format!("port:{}", proxy.address.port());
        let url = format!("http://{host}:{}", proxy.address.port());
        let forgers = if default == "allow" { &["/sibling", "/junk"][..] } else { &["/sibling"] };
        for forger in forgers {
            let forge =
                ["host:evil.shop.example", &sibling, forger, "host:www.shop.example", &here];
            let what = format!("{default} {scope} {forger}");
            let accept = "click:.consentry-banner button[value=accept]";
            let refuse = "click:.consentry-banner button[value=reject]";

            // Without a decision the banner is shown, and the answer replaces the forged cookie.
            let undecided = [&forge[..], &["/page", accept, "/page"]].concat();
            // After a refusal nothing passes, even if a forged cookie replaces it.
            let refused = [&["/page", refuse][..], &forge, &["/page", "/page"]].concat();
            let states = jars_after_attempts(&url, &[&undecided, &refused]);
            let [.., forged, _, decided] = &states[0][..] else { panic!("{states:?}") };
            assert!(
                !tracks(forged, host) && forged["own"][0]["domain"] == ".shop.example",
                "{what}"
            );
            assert!(tracks(decided, host), "{what}");
            assert_eq!(decided["own"].as_array().unwrap().len(), 1, "{what}: {decided}");
            assert!(!tracks(&states[1][1], host), "{what}");
            assert!(!tracks(states[1].last().unwrap(), host), "{what}: {states:?}");
        }
    }
}

/// A site that moves its cookie to another domain and back.
#[test]
fn after_a_scope_change_one_copy_remains_and_the_last_decision_applies() {
    let site = site();
    let host = "www.shop.example";
    let started = |domain: &str| {
        let scope = if domain.is_empty() {
            String::new()
        } else {
            format!("[consent]\ncookie_domain = '{domain}'\n")
        };
        Proxy::start_with(&format!(
            "[banner]\nenabled = true\n{scope}[[site]]\nhosts = ['{host}']\nupstream = '{}'\n",
            site.url()
        ))
    };
    for (from, to) in
        [("", "shop.example"), ("shop.example", ""), ("shop.example", host), (host, "")]
    {
        let (before, after) = (started(from), started(to));
        let url = format!("http://{host}:{}", before.address.port());
        let moved = format!("port:{}", after.address.port());
        // In the preference centre, because with a refusal in the jar no banner is shown.
        let attempts = [
            "/page",
            "click:.consentry-banner button[value=reject]",
            &moved,
            "/.consentry/",
            "click:button[value=accept]",
            "/page",
        ];
        let states = jars_after_attempts(&url, &[&attempts]);
        let last = states[0].last().unwrap();
        let own = last["own"].as_array().unwrap();
        assert_eq!(own.len(), 1, "{from} to {to}: {own:?}");
        assert_eq!(own[0]["granted"], "functional+analytics+targeting+social", "{from} to {to}");
        assert!(tracks(last, host), "{from} to {to}");
    }
}
