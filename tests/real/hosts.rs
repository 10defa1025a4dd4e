//! Hosts as serialized by Chromium, compared with the hosts that consentry accepts.

use std::collections::BTreeMap;

use crate::browser::open_with;
use crate::support::{Origin, Proxy};

/// Rejected although Chromium sends them, which requires a name that resolves. `,` and `;` delimit list members and
/// attributes. The others are not part of any URI (RFC 3986 section 3.2.2).
const REJECTED: [char; 6] = [',', ';', '"', '`', '{', '}'];

/// Hosts of URLs: every ASCII character in each position, escaped and not, and forms of addresses, ports and names.
fn corpus() -> Vec<String> {
    let mut corpus = Vec::new();
    for character in (1..128_u8).map(char::from) {
        corpus.push(format!("a{character}b.test"));
        corpus.push(format!("{character}a.test"));
        corpus.push(format!("a.test{character}"));
        corpus.push(format!("a.test:80{character}"));
        corpus.push(format!("a%{:02x}b.test", u32::from(character)));
    }
    let atoms = [
        "a", "xn--a", "1", "256", "0x7f", "010", "", "_", "-", "%41", "\u{fc}", "\u{3002}", "[::1]",
    ];
    for first in atoms {
        for second in atoms {
            for port in ["", ":", ":1", ":080", ":65535", ":65536", ":8a"] {
                corpus.push(format!("{first}.{second}{port}"));
                corpus.push(format!("{first}{second}{port}"));
            }
        }
    }
    let others = [
        "1.2.3.4",
        "1.2.3.4.",
        "1.2.3",
        "127.1",
        "4294967295",
        "[::1]",
        "[0:0::1]",
        "[::ffff:1.2.3.4]",
        "[::1",
        "[fe80::1%25eth0]",
        "[v1.a]",
        "SHOP.example",
        "fa\u{df}.de",
        "\u{2603}.net",
        "a\u{ad}b.test",
        "\u{2474}.test",
        "\u{ff45}.test",
        "user@a.test",
        "user:p@a.test",
        "a..b",
        "..",
    ];
    corpus.extend(others.map(str::to_owned));
    corpus.extend([63, 64, 250].map(|length| "a".repeat(length)));
    corpus
}

#[test]
fn every_host_that_chromium_sends_is_accepted_unchanged() {
    let corpus = corpus();
    let page = format!(
        "<!doctype html><script>(async () => {{
            const fetched = {}.map(host => {{
                let shown = '';
                try {{ shown = new URL('http://' + host + '/').host }} catch {{ return null }}
                return fetch('http://' + host + '/?shown=' + encodeURIComponent(shown), {{mode: 'no-cors'}}).catch(() => null);
            }});
            await Promise.all(fetched);
            document.title = 'done';
        }})()</script>",
        serde_json::to_string(&corpus).unwrap()
    );
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\r\n{page}",
        page.len()
    );
    let chromiums = Origin::responding(answer);
    let mapped = format!("--host-resolver-rules=MAP * {}", chromiums.address);
    let document = open_with("http://page.test/", &[&mapped]);
    assert!(document.contains("<title>done</title>"), "{document}");
    let mut sent = BTreeMap::new();
    while let Some(received) = chromiums.try_next_request() {
        let host = received.field("host").unwrap();
        // The browser also sends requests of its own.
        let Some((_, shown)) = received.line.split_once("?shown=") else { continue };
        let shown = shown.trim_end_matches(" HTTP/1.1");
        let shown = percent_encoding::percent_decode_str(shown).decode_utf8().unwrap();
        assert_eq!(host, shown, "scripts see the host that is sent");
        sent.insert(host, received.line);
    }
    assert!(sent.len() > 150, "{} different hosts", sent.len());

    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::start(&origin, "");
    for (host, line) in &sent {
        let reply = proxy.get("/", &[("Host", host)]);
        if host.contains(REJECTED) {
            assert_eq!(reply.status, 400, "{host}");
            continue;
        }
        assert_eq!(reply.status, 200, "{host}");
        let received = origin.next_request();
        assert_eq!(received.field("host").as_deref(), Some(host.as_str()));
        // The target received with it is accepted too.
        let target = line.split(' ').nth(1).unwrap();
        assert_eq!(proxy.get(target, &[("Host", host)]).status, 200, "{line}");
        assert_eq!(origin.next_request().line, *line);
    }
}
