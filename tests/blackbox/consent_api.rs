//! The consent API, for sites with their own dialog.

use crate::support::{Origin, Proxy, RawClient, consent_cookie, request};

/// The API is off by default.
const ON: &str = "centre.api = true";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn choose(
    proxy: &Proxy,
    body: &str,
    fields: &[(&str, &str)],
) -> (u16, Vec<String>, serde_json::Value) {
    let length = body.len().to_string();
    let mut all = vec![
        ("Content-Length", length.as_str()),
        ("Content-Type", "application/json"),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    all.extend(fields);
    let mut client: RawClient = proxy.connect();
    client.send(&request("POST", "/.consentry/consent", &all));
    client.send(body.as_bytes());
    let reply = client.reply("POST");
    (reply.status, reply.set_cookies(), serde_json::from_str(&reply.text()).unwrap())
}

#[test]
fn a_page_reads_and_changes_the_consent_by_the_api() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, ON);
    let reply = proxy.get("/.consentry/consent", &[]);
    assert_eq!(reply.field("cache-control").as_deref(), Some("no-store"));
    assert_eq!(reply.field("vary").as_deref(), Some("Cookie, Sec-GPC"));
    let state: serde_json::Value = serde_json::from_str(&reply.text()).unwrap();
    assert_eq!(state["decided"], false);
    assert_eq!(state["decided_at"], serde_json::Value::Null);
    assert_eq!(state["granted"], serde_json::json!(["necessary"]));
    assert_eq!(
        state["denied"],
        serde_json::json!(["functional", "analytics", "targeting", "social"])
    );
    assert_eq!(state["notice_date"], "2018-05-25");
    assert_eq!(state["consent_mode"]["analytics_storage"], "denied");

    let (status, cookies, state) = choose(&proxy, r#"{"granted":["analytics","social"]}"#, &[]);
    assert_eq!((status, &state["decided"]), (200, &serde_json::json!(true)));
    assert_eq!(state["granted"], serde_json::json!(["necessary", "analytics", "social"]));
    assert_eq!(state["consent_mode"]["analytics_storage"], "granted");
    let (cookie, attributes) = cookies[0].split_once("; ").unwrap();
    assert_eq!(attributes, "HttpOnly; SameSite=Lax; Path=/; Max-Age=34560000");
    let reply = proxy.get("/.consentry/consent", &[("Cookie", cookie)]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&reply.text()).unwrap(), state);
    assert!(origin.received_nothing());
}

#[test]
fn a_choice_does_not_override_global_privacy_control() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, ON);
    let (_, cookies, state) =
        choose(&proxy, r#"{"granted":["targeting","analytics"]}"#, &[("Sec-GPC", "1")]);
    assert_eq!(
        (&state["gpc"], &state["granted"]),
        (&serde_json::json!(true), &serde_json::json!(["necessary", "analytics"]))
    );
    assert!(
        cookies[0].contains("~analytics+targeting~; "),
        "the choice itself is kept: {cookies:?}"
    );
}

#[test]
fn cross_site_requests_unknown_categories_and_other_methods_are_rejected() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, ON);
    for (body, fields, status) in [
        (r#"{"granted":["analytics"]}"#, &[("Sec-Fetch-Site", "cross-site")][..], 403),
        (r#"{"granted":["video"]}"#, &[], 400),
        (r#"{"granted":["analytics"],"time":1}"#, &[], 400),
        ("{", &[], 400),
    ] {
        let refused = if fields.is_empty() {
            choose(&proxy, body, fields)
        } else {
            let length = body.len().to_string();
            let mut client = proxy.connect();
            let all = [
                &[("Content-Length", length.as_str()), ("Content-Type", "application/json")],
                fields,
            ]
            .concat();
            client.send(&request("POST", "/.consentry/consent", &all));
            client.send(body.as_bytes());
            let reply = client.reply("POST");
            (reply.status, reply.set_cookies(), serde_json::Value::Null)
        };
        assert_eq!((refused.0, refused.1.len()), (status, 0), "{body} {fields:?}");
    }
    let mut client = proxy.connect();
    client.send(&request("PUT", "/.consentry/consent", &[("Content-Length", "0")]));
    let reply = client.reply("PUT");
    assert_eq!((reply.status, reply.field("allow").as_deref()), (405, Some("GET, HEAD, POST")));
    let script = proxy.get("/.consentry/consent.js", &[("Cookie", &consent_cookie("analytics"))]);
    assert!(
        script.body.len() <= 2048
            && script.field("content-type").unwrap().starts_with("text/javascript")
    );
    assert!(script.set_cookies().is_empty());
}
