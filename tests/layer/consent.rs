//! The consent passed to the application: it is the consent that the filter applies.

use axum::extract::Path;
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::get as route;
use axum::{Extension, Router};
use consentry::filter::{ClientInfo, VisitorConsent};
use http::Request;
use tower::ServiceBuilder;

use crate::client::{VERSIONS, consent_cookie, get, send};
use crate::server::{layer, serve_router};

const CATEGORIES: [&str; 5] = ["necessary", "functional", "analytics", "targeting", "social"];

/// Sets a cookie of each category, and returns the categories that the consent allows.
async fn page(Extension(consent): Extension<VisitorConsent>) -> impl IntoResponse {
    let cookies = CATEGORIES.map(|category| ("set-cookie", format!("c_{category}=1")));
    let allowed: Vec<&str> =
        CATEGORIES.into_iter().filter(|category| consent.allows(category)).collect();
    for category in CATEGORIES {
        let by_name = consent.allows_cookie(&format!("c_{category}"));
        assert_eq!(by_name, allowed.contains(&category), "{category}");
    }
    assert!(!consent.allows("no such category") && !consent.allows(""));
    (AppendHeaders(cookies), format!("{} {}", allowed.join("+"), consent.is_decided()))
}

#[tokio::test]
async fn the_consent_of_the_request_filters_the_response() {
    let region = "
        [consent]\nsources = ['consentry', 'onetrust']
        [consent.region]\nheader = 'x-region'\nregions = { US = 'allow' }
    ";
    let (none, some) = (consent_cookie(""), consent_cookie("functional+targeting"));
    let old = "consentry=1~1000000000~2018-05-25~functional~";
    let onetrust = "OptanonConsent=groups=C0001:1,C0002:1,C0003:0,C0004:0; OptanonAlertBoxClosed=2026-11-01T00:00:00.000Z";
    let cases: [(&[(&'static str, &str)], &str); 9] = [
        (&[], "necessary false"),
        (&[("cookie", &none)], "necessary true"),
        (&[("cookie", &some)], "necessary+functional+targeting true"),
        (&[("cookie", &some), ("sec-gpc", "1")], "necessary+functional true"),
        (&[("cookie", old)], "necessary false"),
        (&[("cookie", onetrust)], "necessary+analytics true"),
        (&[("x-region", "US")], "necessary+functional+analytics+targeting+social false"),
        (&[("x-region", "US"), ("sec-gpc", "1")], "necessary+functional+analytics false"),
        (&[("x-region", "US"), ("cookie", &none)], "necessary true"),
    ];
    let page = Router::new().route("/", route(page));
    let address = serve_router(page.layer(layer(region).trusted(true))).await;
    for version in VERSIONS {
        for (fields, expected) in cases {
            let reply = send(address, version, get("/", fields)).await;
            assert_eq!(reply.text(), expected, "{fields:?}");
            let allowed = expected.split(' ').next().unwrap().split('+');
            let allowed: Vec<String> = allowed.map(|category| format!("c_{category}=1")).collect();
            assert_eq!(reply.cookies(), allowed, "{fields:?}");
        }
    }
}

#[tokio::test]
async fn custom_categories_are_reported_to_handlers() {
    let toml = "[[category]]\nname = 'video'\n[[cookie]]\nname = 'player'\ncategory = 'video'";
    let watch = |Extension(consent): Extension<VisitorConsent>| async move {
        assert_eq!(consent.allows("video"), consent.allows_cookie("player"));
        if consent.allows("video") { "video" } else { "picture" }
    };
    let address = serve_router(Router::new().route("/", route(watch)).layer(layer(toml))).await;
    for version in VERSIONS {
        let granted = consent_cookie("video");
        assert_eq!(send(address, version, get("/", &[])).await.text(), "picture");
        let reply = send(address, version, get("/", &[("cookie", &granted)])).await;
        assert_eq!(reply.text(), "video");
    }
}

/// Whether a line passes also depends on its attributes.
#[tokio::test]
async fn the_predicted_decision_of_a_line_is_its_outcome() {
    let set = |Path(number): Path<usize>, Extension(consent): Extension<VisitorConsent>| async move {
        let line = LINES[number];
        (AppendHeaders([("set-cookie", line)]), consent.allows_set_cookie(line).to_string())
    };
    const LINES: [&str; 8] = [
        "c_necessary=1",
        // Presumed strictly necessary by its attributes.
        "basket=4f2a9c; HttpOnly; Path=/",
        "basket=4f2a9c; Max-Age=99999999",
        "unknown=1",
        "nameless",
        "c_analytics=1; Max-Age=60",
        "consentry=1~1~~analytics~",
        "_ga=1; HttpOnly",
    ];
    let router = Router::new().route("/{number}", route(set));
    let mut verdicts = Vec::new();
    for toml in ["unclassified = 'block'", "", "unclassified = 'allow'"] {
        let address = serve_router(router.clone().layer(layer(toml))).await;
        let mut allowed = Vec::new();
        for (number, line) in LINES.into_iter().enumerate() {
            let reply = send(address, VERSIONS[0], get(&format!("/{number}"), &[])).await;
            assert_eq!(reply.cookies() == [line], reply.text() == "true", "{line}");
            if reply.text() == "true" {
                allowed.push(line);
            }
        }
        verdicts.push(allowed);
    }
    assert_eq!(verdicts, [&LINES[..1], &LINES[..2], &LINES[..5]]);
}

#[tokio::test]
async fn client_info_of_a_request_wins_over_the_layer_settings() {
    let region = "[consent.region]\nheader = 'x-region'\nregions = { US = 'allow' }";
    for of_layer in [false, true] {
        let consent = layer(region).secure(of_layer).trusted(of_layer);
        let peer = |mut request: Request<axum::body::Body>| {
            let is = |name: &str| request.headers().get(name).map(|value| value == "yes");
            if let Some((secure, trusted)) = is("x-secure").zip(is("x-trusted")) {
                request.extensions_mut().insert(ClientInfo { secure, trusted });
            }
            request
        };
        let order = ServiceBuilder::new().map_request(peer).layer(consent);
        let address = serve_router(Router::new().route("/", route(page)).layer(order)).await;
        for version in VERSIONS {
            let load = [("sec-fetch-mode", "navigate"), ("cookie", "_ga=1"), ("x-region", "US")];
            let ask = |more: &[(&'static str, &str)]| get("/", &[&load, more].concat());
            let reply = send(address, version, ask(&[])).await;
            assert_eq!(reply.text().contains("analytics"), of_layer, "{version:?}");
            for (secure, trusted) in [("yes", "no"), ("no", "no"), ("no", "yes")] {
                let reply =
                    send(address, version, ask(&[("x-secure", secure), ("x-trusted", trusted)]))
                        .await;
                assert_eq!(reply.text().contains("analytics"), trusted == "yes");
                let deletions = reply.cookies();
                let deletion = deletions.iter().find(|line| line.starts_with("_ga=;"));
                match trusted {
                    "yes" => assert_eq!(deletion, None, "the cookie is allowed"),
                    _ => assert_eq!(deletion.unwrap().contains("; Secure"), secure == "yes"),
                }
            }
        }
    }
}
