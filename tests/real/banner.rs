//! The banner in real Chromium and Firefox: in pages whose scripts and styles could break it, and against forged choices.

use std::process::Command;

use serde_json::{Value, json};

use crate::nginx::program;
use crate::support::{Origin, Proxy};

const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/tools");

/// React with an application that is the whole document.
fn react() -> String {
    let read =
        |path: &str| std::fs::read_to_string(format!("{TOOLS}/node_modules/{path}")).unwrap();
    let app = "const e = React.createElement; window.problems = [];
        function Count() { const [n, set] = React.useState(0); React.useEffect(() => { window.hydrated = true }, []);
          return e('button', { id: 'count', onClick: () => set(n + 1) }, 'count ' + n) }
        ReactDOM.hydrateRoot(document, e('html', { lang: 'en' }, e('head', null, e('title', null, 'Shop')),
          e('body', null, e('main', null, e('h1', null, 'Shop'), e(Count)), e('script', { src: '/react.js', async: true }))),
          { onRecoverableError: (error) => window.problems.push(String(error)) });";
    let react = read("react/umd/react.production.min.js");
    [react, read("react-dom/umd/react-dom.production.min.js"), app.to_owned()].join("\n")
}

fn body(path: &str, react: &str, port: &str) -> String {
    let page = |head: &str, body: &str| {
        format!(
            "<!doctype html><html lang=en><head><title>Shop</title><link rel=icon href='data:,'>{head}</head><body>{body}</body></html>"
        )
    };
    let goods = (0..20)
        .map(|n| format!("<p style='margin:20px'>Goods <a href='/{n}'>Item {n}</a></p>"))
        .collect::<String>();
    let goods =
        format!("<main><h1>Shop</h1>{goods}</main><footer><a href=/imprint>Imprint</a></footer>");
    // A form that a sandboxed frame submits.
    let attack = |target: &str| {
        let form = format!(
            "<form method=post target={target} action=http://www.shop.example:{port}/.consentry/><input name=choice value=accept></form><script>document.forms[0].submit()</script>"
        );
        format!(
            "<iframe sandbox='allow-scripts allow-forms allow-top-navigation' srcdoc=\"{form}\"></iframe>"
        )
    };
    match path {
        "/react.js" => react.to_owned(),
        "/react" => "<!DOCTYPE html><html lang=\"en\"><head><title>Shop</title></head><body><main><h1>Shop</h1><button id=\"count\">count 0</button></main><script src=\"/react.js\" async=\"\"></script></body></html>".to_owned(),
        "/base" => page("<base href='https://other.example/x/'>", "<h1>Shop</h1>"),
        "/grab" => page("", "<h1>Shop</h1><script>addEventListener('submit', (event) => { event.preventDefault(); window.grabbed = true }, true)</script>"),
        "/own-focus" => page("", "<input id=search autofocus>"),
        "/hostile" => page(
            "<style>html{font-size:62.5%}body.dark p,body.dark h2{color:#eee!important;text-transform:uppercase;letter-spacing:.4em}body>*+*{margin-top:48px}\
             form{max-width:20px}section{padding:96px;opacity:.1!important;position:static!important}button{display:none!important}a{font-size:9px!important}\
             *{font-family:monospace!important}consentry-banner{display:none;position:static!important;transform:scale(.1)}</style><script>addEventListener('DOMContentLoaded', () => document.body.classList.add('dark'))</script>",
            &goods,
        ),
        "/attack-frame" => page("", &attack("_self")),
        "/attack-window" => page("", &attack("_top")),
        _ => page("", &goods),
    }
}

fn visit(browser: &str, executable: &str) {
    let (react, evil_target) = (react(), std::sync::Arc::new(std::sync::OnceLock::new()));
    let port = std::sync::Arc::clone(&evil_target);
    let origin = Origin::scripted(move |request, stream| {
        let path = request.line.split(' ').nth(1).unwrap();
        let body = body(path, &react, port.get().map_or("0", String::as_str));
        let media_type = if path == "/react.js" { "text/javascript" } else { "text/html" };
        let more = if path == "/no-referrer" { "Referrer-Policy: no-referrer\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {media_type}; charset=utf-8\r\n{more}Content-Length: {}\r\n\r\n",
            body.len()
        );
        std::io::Write::write_all(stream, &[head.as_bytes(), body.as_bytes()].concat()).is_ok()
    });
    let proxy = Proxy::start_with(&format!(
        "[banner]\nenabled = true\n[[site]]\nhosts = ['www.shop.example']\nupstream = '{}'\n",
        origin.url()
    ));
    let port = proxy.address.port().to_string();
    evil_target.set(port.clone()).unwrap();
    let output = Command::new(program("node"))
        .args(["banner.mjs".as_ref(), browser.as_ref(), program(executable).as_os_str()])
        .args([port, origin.address.port().to_string()])
        .current_dir(TOOLS)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    check(&found, &format!("http://www.shop.example:{}", proxy.address.port()), browser);
}

fn check(found: &Value, site: &str, browser: &str) {
    let all = "functional+analytics+targeting+social";
    assert_eq!(
        found["react"],
        json!({ "errors": [], "count": "count 1", "last": "consentry-banner", "isolated": true, "granted": "", "path": "/react" })
    );
    assert_eq!(found["base"], json!({ "addresses": [site], "granted": all, "path": "/base" }));
    assert_eq!(found["grab"], json!({ "granted": all, "path": "/grab", "grabbed": false }));
    assert_eq!(found["submit"], json!({ "granted": "", "path": "/plain" }));
    assert_eq!(found["rewritten"], json!(""));
    // The first post has no sender. The preference centre sends a referrer, so the second one has.
    let repeat = "/.consentry/?repeat=1&lang=en&return_to=%2Fno-referrer";
    let first = json!({ "granted": null, "path": repeat });
    assert_eq!(found["noReferrer"], json!({ "first": first, "granted": all }));
    for attack in ["frame", "window"] {
        let asked = json!({ "then": "/.consentry/?repeat=1&lang=en", "granted": null });
        assert_eq!(found[attack], asked, "{attack}: {found}");
    }
    let phones = found["phone"].as_object().unwrap();
    assert_eq!(phones.len(), 13);
    for (language, phone) in phones {
        assert!(phone["share"].as_f64().unwrap() < 0.4, "{language}: {phone}");
        assert_eq!(phone["scrolls"], false, "{language}: {phone}");
    }
    assert!(found["landscape"]["share"].as_f64().unwrap() < 0.5, "{found}");
    assert_eq!(found["leaks"], json!([]));
    assert!(found["elements"].as_u64().unwrap() >= 14, "{found}");
    let reach = &found["reach"];
    let first = ["Your cookie choices", "Cookie notice", "Accept all", "Reject all", "Customise"];
    assert_eq!(reach["first"], json!(first), "{browser}");
    assert_eq!(reach["covered"], json!([]), "{browser}");
    assert!(
        reach["outside"].as_u64().unwrap() >= 18 && reach["gap"].as_f64().unwrap() >= 0.0,
        "{reach}"
    );
    assert_eq!(found["ownFocus"], "search");
    assert_eq!(found["shift"], 0);
}

#[test]
fn the_banner_is_isolated_and_cannot_be_forged_in_chromium() {
    visit("chromium", "chromium");
}

#[test]
fn the_banner_is_isolated_and_cannot_be_forged_in_firefox() {
    visit("firefox", "firefox-esr");
}
