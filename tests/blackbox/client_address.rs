//! The client address: determined once, from the connection and from trusted proxies, and used for limits, logs,
//! redirects and the origin.

use crate::support::{Origin, Proxy};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const TRUSTED: &str = "[listen]\ntrusted_proxies = ['127.0.0.1', '::ffff:10.0.0.0/104']\n";

#[test]
fn the_origin_gets_the_client_address_in_the_configured_form() {
    let origin = Origin::responding(OK);
    let proxied = [("X-Forwarded-For", "203.0.113.9, 10.1.1.1"), ("X-Real-IP", "203.0.113.9")];
    for (key, list, element) in [
        (
            "full",
            "203.0.113.9, 10.1.1.1, 127.0.0.1",
            "for=203.0.113.9, for=10.1.1.1, for=127.0.0.1",
        ),
        (
            "network",
            "203.0.113.0, 10.1.1.1, 127.0.0.1",
            "for=203.0.113.0, for=10.1.1.1, for=127.0.0.1",
        ),
        ("none", "10.1.1.1, 127.0.0.1", "for=unknown, for=10.1.1.1, for=127.0.0.1"),
    ] {
        let proxy = Proxy::start(&origin, &format!("forwarded_for = '{key}'\n{TRUSTED}"));
        assert_eq!(proxy.get("/", &proxied).status, 200);
        let seen = origin.next_request();
        assert_eq!(seen.field("x-forwarded-for").as_deref(), Some(list), "{key}");
        let forwarded = seen.field("forwarded").unwrap();
        assert_eq!(forwarded.split(";host=").next(), Some(element), "{key}");
        let real = seen.field("x-real-ip");
        assert_eq!(real.is_some(), key == "full", "{key}");
    }
    let site = format!(
        "forwarded_for = 'none'\n[[site]]\nhosts = ['full.example']\nforwarded_for = 'full'\nupstream = '{0}'\n[[site]]\nupstream = '{0}'\n",
        origin.url()
    );
    let proxy = Proxy::start_with(&site);
    for (host, list) in [("full.example", Some("127.0.0.1")), ("other.example", None)] {
        assert_eq!(proxy.get("/", &[("Host", host)]).status, 200);
        assert_eq!(origin.next_request().field("x-forwarded-for").as_deref(), list, "{host}");
    }
}

#[test]
fn an_untrusted_client_sets_no_forwarding_field_in_any_spelling() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "consent.forward_header = 'X-Forwarded-Consent'");
    let forged: Vec<String> = [
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Server",
        "X-Forwarded-Ssl",
        "X-Forwarded-Client-Cert",
        "X-Forwarded-User",
        "X-Forwarded-New-Thing",
        "X-Forwarded-Consent",
        "Forwarded",
        "X-Real-IP",
        "X-Original-URL",
        "X-Original-Host",
        "X-Rewrite-URL",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "Client-Cert",
        "Front-End-Https",
    ]
    .iter()
    .flat_map(|name| {
        [(*name).to_owned(), name.replace('-', "_"), name.to_uppercase().replacen('-', "_", 1)]
    })
    .collect();
    let mut fields: Vec<(&str, &str)> =
        forged.iter().map(|name| (name.as_str(), "forged")).collect();
    fields.extend([("X-Mine", "1"), ("x_mine", "2"), ("X-Client-Version", "3")]);
    assert_eq!(proxy.get("/", &fields).status, 200);
    let received = origin.next_request();
    let all = format!(
        "{:?}",
        received
            .fields
            .iter()
            .map(|(name, value)| (name, value.escape_ascii().to_string()))
            .collect::<Vec<_>>()
    );
    assert!(!all.contains("forged"), "{all}");
    assert!(
        !received.fields.iter().any(|(name, _)| name.to_lowercase().contains("forwarded_")),
        "{all}"
    );
    assert_eq!(
        received.field("x-forwarded-consent").as_deref(),
        Some("necessary"),
        "what we set stays"
    );
    assert_eq!(received.field("x-mine").as_deref(), Some("1"));
    assert_eq!(received.field("x_mine").as_deref(), Some("2"));
    assert_eq!(received.field("x-client-version").as_deref(), Some("3"));
}

#[test]
fn both_forwarding_families_agree_at_the_origin() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, TRUSTED);
    for (fields, list, elements, proto, host) in [
        (
            vec![("Forwarded", "for=203.0.113.9;proto=https;host=www.example")],
            "203.0.113.9, 127.0.0.1",
            "for=203.0.113.9, for=127.0.0.1;host=\"www.example\";proto=https",
            "https",
            "www.example",
        ),
        (
            vec![
                ("X-Forwarded-For", "[2001:db8::1]:99, 10.1.1.1"),
                ("X-Forwarded-Proto", "https, http"),
            ],
            "[2001:db8::1]:99, 10.1.1.1, 127.0.0.1",
            "for=\"[2001:db8::1]:99\", for=10.1.1.1, for=127.0.0.1;host=\"shop.example\";proto=https",
            "https",
            "shop.example",
        ),
        (
            vec![
                ("X-Forwarded-For", "203.0.113.9"),
                ("Forwarded", "for=6.6.6.6;proto=https"),
                ("X_Forwarded_For", "6.6.6.6"),
            ],
            "203.0.113.9, 127.0.0.1",
            "for=203.0.113.9, for=127.0.0.1;host=\"shop.example\";proto=https",
            "https",
            "shop.example",
        ),
        (
            vec![],
            "127.0.0.1",
            "for=127.0.0.1;host=\"shop.example\";proto=http",
            "http",
            "shop.example",
        ),
    ] {
        assert_eq!(proxy.get("/", &fields).status, 200);
        let received = origin.next_request();
        assert_eq!(received.field("x-forwarded-for").as_deref(), Some(list), "{fields:?}");
        assert_eq!(received.field("forwarded").as_deref(), Some(elements), "{fields:?}");
        assert_eq!(received.field("x-forwarded-proto").as_deref(), Some(proto), "{fields:?}");
        assert_eq!(received.field("x-forwarded-host").as_deref(), Some(host), "{fields:?}");
        assert!(received.field("x_forwarded_for").is_none(), "{fields:?}");
    }
}

#[test]
fn the_rate_limit_normalises_client_addresses() {
    let origin = Origin::responding(OK);
    let limits = format!("{TRUSTED}[limits]\nrequests_per_second = 1\nburst = 1");
    let proxy = Proxy::start(&origin, &limits);
    // Each line is one client, whose second request exceeds the limit.
    for requests in [
        [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-For", "192.0.2.1:4711")],
        [("X-Forwarded-For", "192.0.2.2"), ("X-Forwarded-For", "::ffff:192.0.2.2")],
        [("X-Forwarded-For", "192.0.2.3"), ("Forwarded", "for=192.0.2.3")],
        [("X-Forwarded-For", "192.0.2.4, 10.1.1.1"), ("X-Forwarded-For", "6.6.6.6, 192.0.2.4")],
        [("X-Forwarded-For", "[2001:db8::1]:99"), ("X-Forwarded-For", "2001:db8::2")],
        [("Forwarded", "for=\"[2001:db8:1::1]:99\""), ("Forwarded", "for=\"[2001:db8:1::1]\"")],
    ] {
        let [one, two] = &requests;
        let statuses = proxy.pipeline(&[&[*one], &[*two]]);
        assert_eq!(statuses, [200, 429], "{requests:?}");
    }
    // Every request has a limit: without a valid address the peer's address counts. A second family of fields does
    // not bypass the limit.
    let statuses = proxy.pipeline(&[
        &[("X-Forwarded-For", "unknown")],
        &[("X-Forwarded-For", "")],
        &[("Forwarded", "for=_hidden")],
        &[("X-Forwarded-For", "a.b.c.d")],
        &[("X-Forwarded-For", "6.6.6.1"), ("Forwarded", "for=192.0.2.9")],
        &[("X-Forwarded-For", "192.0.2.9"), ("Forwarded", "for=6.6.6.2")],
    ]);
    assert_eq!(statuses, [200, 429, 429, 429, 429, 429]);
}

#[test]
fn the_https_redirect_follows_the_scheme_of_the_client() {
    let origin = Origin::responding(OK);
    let folder = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(vec!["shop.example".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let tls = format!(
        "https = '127.0.0.1:0'\n[tls]\nredirect = true\ncertificates = [{{ cert = '{}', key = '{}' }}]",
        cert.display(),
        key.display()
    );
    let trusting = Proxy::start(&origin, &format!("{TRUSTED}{tls}"));
    for (fields, status) in [
        (vec![], 301),
        (vec![("X-Forwarded-Proto", "http")], 301),
        (vec![("X-Forwarded-Proto", "https")], 200),
        (vec![("X-Forwarded-Proto", "HTTPS")], 200),
        (vec![("X-Forwarded-Proto", "https,http")], 200),
        (vec![("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "http")], 200),
        (vec![("Forwarded", "for=192.0.2.1;proto=https")], 200),
        (vec![("Forwarded", "for=192.0.2.1;proto=http")], 301),
        (vec![("X-Forwarded-Ssl", "on")], 200),
    ] {
        let reply = trusting.get("/a?b", &fields);
        assert_eq!(reply.status, status, "{fields:?}");
        let location = (status == 301).then_some("https://shop.example/a?b");
        assert_eq!(reply.field("location").as_deref(), location, "{fields:?}");
    }
    let other = Proxy::start(&origin, &format!("[listen]\n{tls}"));
    for field in [("X-Forwarded-Proto", "https"), ("Forwarded", "proto=https")] {
        assert_eq!(
            other.get("/", &[field]).status,
            301,
            "{field:?} of a client that is not trusted"
        );
    }
}
