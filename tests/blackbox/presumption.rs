//! Unclassified cookies that are presumed strictly necessary, and those that are not.

use crate::support::{Origin, Proxy, consent_cookie, full_consent, request, run};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const NAVIGATE: (&str, &str) = ("Sec-Fetch-Mode", "navigate");

/// The cookies that a browser sends after these `Set-Cookie` lines.
fn jar(lines: &[String]) -> String {
    let pairs = lines.iter().filter_map(|line| line.split(';').next());
    pairs.collect::<Vec<_>>().join("; ")
}

/// The pairs of a `Cookie` field, without consentry's own.
fn other_pairs(cookie: Option<String>) -> Vec<String> {
    let cookie = cookie.unwrap_or_default();
    let pairs =
        cookie.split("; ").filter(|pair| !pair.is_empty() && !pair.starts_with("consentry"));
    pairs.map(str::to_owned).collect()
}

fn presumed_lists(lines: &[String]) -> Vec<&String> {
    lines.iter().filter(|line| line.starts_with("consentry_presumed=")).collect()
}

#[test]
fn session_like_cookies_are_presumed_necessary_and_others_stripped() {
    let presumed = [
        "acme=1; Path=/; HttpOnly",
        "8f14e45fceea167a5a36dedd4bea2543=2; HttpOnly; SameSite=Lax",
        "acme_state=3; HttpOnly; Max-Age=86400",
        "acme_auth=4; HttpOnly; Max-Age=31536000",
        "acme_sid=5; Path=/",
        "acme_xsrf=6; Max-Age=7200",
    ];
    let stripped = [
        "blob=7",
        "blob2=8; Max-Age=600",
        "blob3=9; HttpOnly; Max-Age=86401",
        "acme_sid2=10; Max-Age=31536000",
        "visitor_token=11; HttpOnly",
        "spring_campaign=12; HttpOnly",
        "_ga=13; HttpOnly",
        "=14; HttpOnly",
    ];
    let origin = Origin::setting_cookies(&[&presumed[..], &stripped[..]].concat());
    let proxy = Proxy::start(&origin, "");
    let mut lines = proxy.get("/", &[]).set_cookies();
    origin.next_request();
    let list = lines.pop().expect("a list");
    assert_eq!(lines, presumed);
    assert!(list.starts_with("consentry_presumed=1~"), "{list}");
    assert!(
        list.contains("; Path=/; HttpOnly; Max-Age=34560000") && !list.contains("Secure"),
        "{list}"
    );

    // Another process, which has no state, gives the same result.
    let other_origin = Origin::responding(OK);
    let replica = Proxy::start(&other_origin, "");
    let bad =
        "; blob=7; blob2=8; blob3=9; acme_sid2=10; visitor_token=11; spring_campaign=12; _ga=13";
    let cookie = jar(&presumed.map(str::to_owned)) + "; " + &jar(&[list]) + bad;
    let reply = replica.get("/", &[("Cookie", &cookie), NAVIGATE]);
    assert_eq!(
        other_pairs(other_origin.next_request().field("cookie")),
        presumed.map(|line| line.split(';').next().unwrap().to_owned())
    );
    let deleted = reply.set_cookies();
    for name in ["acme=", "acme_state=", "acme_auth=", "acme_sid=", "acme_xsrf=", "consentry"] {
        assert!(!deleted.iter().any(|line| line.starts_with(name)), "{name} {deleted:?}");
    }
    assert!(deleted.iter().any(|line| line.starts_with("blob=; Max-Age=0")), "{deleted:?}");
}

#[test]
fn names_never_set_by_a_response_are_stripped_except_csrf_tokens() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let sent = "acme_sid=1; acme_token=2; acme_csrf=3; XSRF-TOKEN-9=4; stats_csrf=5; myblob=6";
    proxy.get("/", &[("Cookie", sent)]);
    assert_eq!(
        other_pairs(origin.next_request().field("cookie")),
        ["acme_csrf=3", "XSRF-TOKEN-9=4"]
    );
}

#[test]
fn the_list_has_the_scope_of_its_cookies_and_is_sent_only_on_changes() {
    let origin = Origin::setting_cookies(&[
        "one=1; HttpOnly",
        "two=2; HttpOnly; Domain=.Shop.example; Secure; SameSite=None",
        "three=3; HttpOnly; Secure; SameSite=None; Partitioned",
    ]);
    let proxy = Proxy::start(&origin, "");
    let host = ("Host", "www.shop.example");
    let first = proxy.get("/", &[host]).set_cookies();
    let lists = presumed_lists(&first);
    assert_eq!(lists.len(), 3, "{first:?}");
    let day = lists[0].split('~').nth(3).unwrap().to_owned();
    let list = "consentry_presumed=1~";
    assert_eq!(*lists[0], format!("{list}~~{day}~one; Path=/; HttpOnly"));
    assert_eq!(
        *lists[1],
        format!(
            "{list}shop.example~ns~{day}~two; Path=/; HttpOnly; Domain=shop.example; Secure; SameSite=None"
        )
    );
    assert_eq!(
        *lists[2],
        format!("{list}~nps~{day}~three; Path=/; HttpOnly; Secure; SameSite=None; Partitioned")
    );
    let again = proxy.get("/", &[host, ("Cookie", &jar(&first))]).set_cookies();
    assert_eq!(presumed_lists(&again), Vec::<&String>::new());
    let reply = proxy.get("/", &[host, ("Cookie", &jar(&first))]);
    assert_eq!(reply.field("cache-control"), None, "an unfiltered response is unchanged");
}

#[test]
fn a_withdrawal_keeps_presumed_cookies_and_consented_ones_are_not_listed() {
    let origin = Origin::setting_cookies(&["acme=1; HttpOnly", "blob=2"]);
    let proxy = Proxy::start(&origin, "[expire]\non_withdrawal = ['cookies']\n");
    let granted = proxy.get("/", &[("Cookie", &full_consent())]).set_cookies();
    assert_eq!(granted.len(), 3, "{granted:?}");
    assert!(granted[2].ends_with("~acme; Path=/; HttpOnly"), "{granted:?}");
    let cookie = format!("{}; {}", jar(&granted), consent_cookie("functional"));
    let fields = [
        ("Cookie", cookie.as_str()),
        ("Sec-Fetch-Site", "same-origin"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Content-Length", "13"),
    ];
    let mut message = request("POST", "/.consentry/", &fields);
    message.extend_from_slice(b"choice=reject");
    let mut client = proxy.connect();
    client.send(&message);
    let deleted = client.reply("POST").set_cookies();
    assert!(deleted.iter().any(|line| line.starts_with("blob=; Max-Age=0")), "{deleted:?}");
    assert!(!deleted.iter().any(|line| line.starts_with("acme=")), "{deleted:?}");
}

#[test]
fn lists_are_bounded_and_hostile_lists_are_ignored() {
    let lines: Vec<String> =
        (0..120).map(|n| format!("nonce{}=1; HttpOnly", "x".repeat(n))).collect();
    let origin = Origin::setting_cookies(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let proxy = Proxy::start(&origin, "");
    let first = proxy.get("/", &[]).set_cookies();
    let list = presumed_lists(&first)[0].clone();
    assert!(list.len() < 2300, "{}", list.len());
    let kept = list.split(';').next().unwrap().split('~').skip(4).count();
    assert!((16..=48).contains(&kept), "{kept}");
    for value in [
        "",
        "1",
        "1~~~x~a",
        "2~~~0~a",
        "1~~~99999999999999999999~a",
        "1~a;b",
        "1~~nplsx~-5~%zz~%00~~",
    ] {
        let cookie = format!("consentry_presumed={value}; a=1");
        let reply = proxy.get("/", &[("Cookie", &cookie)]);
        assert_eq!(reply.status, 200, "{value}");
    }
    let many = vec![format!("consentry_presumed=1~~~0{}", "~a".repeat(600)); 9].join("; ");
    assert_eq!(proxy.get("/", &[("Cookie", &many)]).status, 200);
}

#[test]
fn presumed_cookies_are_distinguished_from_classified_ones_everywhere() {
    let origin = Origin::setting_cookies(&[
        "acme=1; HttpOnly",
        "acme_auth=2; HttpOnly; Max-Age=31536000",
        "JSESSIONID=3; HttpOnly",
    ]);
    let proxy = Proxy::start(&origin, "");
    let lines = proxy.get("/", &[]).set_cookies();
    assert_eq!(
        proxy.next_access_log_entry()["presumed"],
        serde_json::json!({"http_only_session": 1, "name": 1})
    );
    proxy.get("/", &[("Cookie", &jar(&lines))]);
    assert_eq!(proxy.next_access_log_entry()["presumed"]["listed"], 2);
    for (evidence, count) in
        [("http_only_session", 2.0), ("name", 2.0), ("listed", 2.0), ("csrf_name", 0.0)]
    {
        let sample = format!(
            "consentry_cookies_presumed_total{{site=\"default\",evidence=\"{evidence}\",mode=\"enforce\"}}"
        );
        proxy.expect_metric(&sample, count);
    }
    let (_, inventory) = proxy.admin("/inventory");
    let inventory: serde_json::Value = serde_json::from_str(&inventory).unwrap();
    let cookies = inventory["default"]["cookies"].as_array().unwrap();
    let presumed = |name: &str| {
        let item = cookies.iter().find(|item| item["name"] == name).unwrap();
        item["presumed"]["evidence"].clone()
    };
    assert_eq!(presumed("acme"), "http_only_session");
    assert_eq!(presumed("acme_auth"), "name");
    assert_eq!(presumed("JSESSIONID"), serde_json::Value::Null);
    let admin = format!("http://{}", proxy.admin);
    let (_, table, _) = run(&["inventory", "--admin", &admin], "");
    let row = table.lines().find(|line| line.starts_with("acme ")).unwrap();
    assert!(row.contains("presumed necessary"), "{row}");
    let (_, rules, _) = run(&["suggest", "--admin", &admin], "");
    let reason = "acme: HttpOnly session cookie of the origin";
    assert!(rules.contains(reason) && rules.matches("\"necessary\"").count() == 2, "{rules}");
}

#[test]
fn block_and_allow_presume_nothing_and_observe_sends_no_list() {
    let lines = ["acme=1; HttpOnly", "blob=2"];
    for (toml, expected) in [
        ("unclassified = 'block'\n", &[][..]),
        ("unclassified = 'allow'\n", &lines[..]),
        ("mode = 'observe'\n", &lines[..]),
    ] {
        let origin = Origin::setting_cookies(&lines);
        let proxy = Proxy::start(&origin, toml);
        assert_eq!(proxy.get("/", &[]).set_cookies(), expected, "{toml}");
    }
}
