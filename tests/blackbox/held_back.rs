//! Items held back by the guard in pages, as reported by its script and shown in the inventory.

use crate::support::{Origin, Proxy, Reply, request, run};

const GUARD: &str = "[page]\nguard = true\n";

fn report(proxy: &Proxy, body: &str, site: &str) -> Reply {
    let length = body.len().to_string();
    let fields = [
        ("Sec-Fetch-Site", site),
        ("Content-Type", "application/json"),
        ("Content-Length", length.as_str()),
    ];
    let mut message = request("POST", "/.consentry/held-back", &fields);
    message.extend_from_slice(body.as_bytes());
    let mut client = proxy.connect();
    client.send(&message);
    client.reply("POST")
}

fn items(proxy: &Proxy) -> Vec<String> {
    let (_, inventory) = proxy.admin("/inventory");
    let inventory: serde_json::Value = serde_json::from_str(&inventory).unwrap();
    let items = inventory["default"]["held_back"].as_array().unwrap();
    let shown = |item: &serde_json::Value| {
        let text = |key: &str| item[key].as_str().unwrap_or("-").to_owned();
        format!("{} {} {} {}", text("kind"), text("name"), text("category"), item["times"])
    };
    items.iter().map(shown).collect()
}

#[test]
fn guard_reports_are_recorded_and_their_unclassified_names_suggested() {
    let page = "<!doctype html><body><img src='https://ad.doubleclick.net/a.gif'>";
    let origin = Origin::responding(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}",
        page.len()
    ));
    let proxy = Proxy::start(&origin, GUARD);
    let body = r#"{"cookies":["_ga","acmeBlob"],"storage":["_ga","cart_draft"],"hosts":["ad.doubleclick.net","shop.example","cdn.example"]}"#;
    assert_eq!(report(&proxy, body, "same-origin").status, 204);
    assert_eq!(report(&proxy, r#"{"storage":["_ga"]}"#, "same-origin").status, 204);
    assert_eq!(
        items(&proxy),
        [
            "cookie _ga analytics 1",
            "cookie acmeBlob - 1",
            "storage _ga analytics 2",
            "storage cart_draft - 1",
            "host ad.doubleclick.net targeting 1",
        ]
    );
    // Items that the proxy itself blocks in a page are counted without a report.
    proxy.get("/", &[("Accept", "text/html")]);
    let items = items(&proxy);
    assert_eq!(items.last().map(String::as_str), Some("host ad.doubleclick.net targeting 2"));
    let admin = format!("http://{}", proxy.admin);
    let (_, table, _) = run(&["inventory", "--admin", &admin], "");
    assert!(table.contains("5 blocked in pages"), "{table}");
    let (_, rules, _) = run(&["suggest", "--admin", &admin], "");
    for name in ["acmeBlob", "cart_draft"] {
        assert!(rules.contains(&format!("name = \"{name}\"")), "{rules}");
    }
    assert!(
        rules.contains("storage blocked by the guard") && !rules.contains("\"_ga\""),
        "{rules}"
    );
}

#[test]
fn reports_are_same_origin_only_and_bounded() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let proxy = Proxy::start(&origin, GUARD);
    for (body, site, status) in [
        (r#"{"cookies":["a"]}"#, "cross-site", 403),
        (r#"{"cookies":["a"]}"#, "same-site", 403),
        (r#"{"cookies":"a"}"#, "same-origin", 400),
        (r#"{"values":["a"]}"#, "same-origin", 400),
        ("", "same-origin", 400),
    ] {
        assert_eq!(report(&proxy, body, site).status, status, "{body} {site}");
    }
    let long = format!(r#"{{"cookies":["{}"]}}"#, "x".repeat(5000));
    assert_eq!(report(&proxy, &long, "same-origin").status, 413);
    let letter = |n: u8| char::from(b'a' + n % 26);
    let names = (0..200_u8).map(|n| format!("\"key{}{}\"", letter(n / 26), letter(n)));
    let names: Vec<String> = names.collect();
    let many = format!(r#"{{"storage":[{}]}}"#, names.join(","));
    assert!(many.len() < 4096, "{}", many.len());
    assert_eq!(report(&proxy, &many, "same-origin").status, 204);
    assert_eq!(items(&proxy).len(), 64);
    assert_eq!(
        report(&proxy, r#"{"cookies":["","a\u0000b"],"hosts":["%%%",""]}"#, "same-origin").status,
        204
    );

    let unguarded = Proxy::start(&origin, "");
    assert_eq!(report(&unguarded, r#"{"cookies":["a"]}"#, "same-origin").status, 404);
}
