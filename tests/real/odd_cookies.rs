//! Unusual `Set-Cookie` lines in a real Chromium. Each stored cookie must have the name that consentry parses: a
//! difference would bypass the filter. The same lines then pass through consentry, and none of them may be stored.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use consentry::cookie::{Pair, SetCookie, pairs};

use crate::browser::open;
use crate::support::{Origin, Proxy};

/// Lines for RFC 6265bis section 5.6 and the attributes of section 5.7, as written by servers and attackers. All
/// values are `v`, to distinguish a nameless cookie from a name.
fn lines() -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = [
        &b"plain=v"[..],
        b" spaces = v ",
        b"\ttabs\t=\tv\t",
        b"novalue=",
        b"novalue2",
        b"=v",
        b"= v",
        b"==v",
        b"===v",
        b"=name=v",
        b" = name=v",
        b"a=b=v",
        b"quoted=\"v\"",
        b"\"quotedname\"=v",
        b"open=\"v",
        b"semi=\"a;b\"",
        b"comma=a,b",
        b"comma,name=v",
        b"two=v, other=v",
        b"two=v,other=v; Path=/",
        b"space in name=v",
        b"space=in value",
        b"tab\tname=v",
        b"tab=in\tvalue",
        b";leading=v",
        b" ;leading=v",
        b"; ; =v",
        b";",
        b"trailing=v;",
        b"trailing2=v;;;;",
        b"nospace=v;Path=/;Secure",
        b"path=v; path=/",
        b"pathcase=v; PaTh=/",
        b"pathtwice=v; Path=/none; Path=/",
        b"pathquoted=v; Path=\"/\"",
        b"pathless=v; Path",
        b"pathempty=v; Path=",
        b"pathno=v; Path=none",
        b"domain=v; Domain=site.localhost.",
        b"domaindot=v; Domain=.localhost",
        b"domainempty=v; Domain=",
        b"domaindotonly=v; Domain=.",
        b"domainother=v; Domain=example.com",
        b"domaintwice=v; Domain=example.com; Domain=site.localhost.",
        b"expires=v; Expires=Wed, 24 Nov 2032 09:00:00 GMT",
        b"expirescomma=v; Expires=Wednesday, 24-Nov-32 09:00:00 GMT",
        b"expiresodd=v; Expires=junk",
        b"expiresquoted=v; Expires=\"Wed, 24 Nov 2032 09:00:00 GMT\"",
        b"expiresgone=v; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        b"maxage=v; Max-Age=100",
        b"maxagezero=v; Max-Age=0",
        b"maxagejunk=v; Max-Age=1x",
        b"maxageminus=v; Max-Age=-1",
        b"maxageplus=v; Max-Age=+1",
        b"maxagehuge=v; Max-Age=99999999999999999999",
        b"maxagewins=v; Max-Age=100; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        b"secure=v; Secure",
        b"securevalue=v; Secure=no",
        b"httponly=v; HttpOnly",
        b"httponlycase=v; hTTPoNLY=x",
        b"samesite=v; SameSite=Strict",
        b"samesiteodd=v; SameSite=Whatever",
        b"samesitenone=v; SameSite=None",
        b"partitioned=v; Secure; Partitioned",
        b"priority=v; Priority=High",
        b"unknown=v; Foo=bar; Baz",
        b"$Version=v",
        b"$Version=1; $name=v; $Path=/",
        b"__Host-ok=v; Secure; Path=/",
        b"__Host-bad=v; Secure; Path=/x",
        b"__host-lower=v; Secure; Path=/",
        b"__HOST-upper=v",
        b"__Secure-ok=v; Secure",
        b"__Secure-bad=v",
        b"__sEcUrE-odd=v; Secure",
        b"=__Host-nameless=v",
        b"=__Secure-nameless",
        b"__Host-",
        b"__Http-ok=v; Secure; HttpOnly",
        b"__Host-Http-ok=v; Secure; HttpOnly; Path=/",
        b"_ga=v",
        b"_GA=v",
        b"_ga =v",
        b"\"_ga\"=v",
        b"_ga\x01=v",
        b"ctl\x01name=v",
        b"ctl=\x01v",
        b"ctl=v\x1f",
        b"del\x7fname=v",
        b"del=v\x7f",
        b"bell\x07=v\x07",
        b"caf\xc3\xa9=v",
        b"value=caf\xc3\xa9",
        b"latin\xe9=v",
        b"latinvalue=\xe9\xff",
        b"nbsp\xc2\xa0=v",
        b"\xc2\xa0nbspfirst=v",
        b"\xef\xbb\xbfbom=v",
        b"fullwidth\xef\xbc\x9dv",
        b"percent%3Dname=v",
        b"plus+name=v",
        b"name[0]=v",
        b"name{x}=v",
        b"name(x)=v",
        b"name@x=v",
        b"name:x=v",
        b"name/x=v",
        b"name?x=v",
        b"name<x>=v",
        b"name\\x=v",
        b"back=v\\",
        b"single='v'",
        b"name'=v",
    ]
    .into_iter()
    .map(<[u8]>::to_vec)
    .collect();
    for length in [4000, 4088, 4089, 4090, 4096, 8192] {
        lines.push([&b"long="[..], &vec![b'v'; length]].concat());
        lines.push([&vec![b'n'; length][..], b"=v"].concat());
        lines.push([&b"attribute=v; Path=/"[..], &vec![b'x'; length], b"; Path=/"].concat());
    }
    lines
}

/// An origin whose page sets each line on a host of its own. It then requests an empty response from that host, so
/// that the browser sends the stored cookie. `set` is the port that sets the lines, if it differs.
fn origin(set: Arc<std::sync::OnceLock<u16>>) -> Origin {
    Origin::scripted(move |received, stream| {
        let path = received.line.split(' ').nth(1).unwrap();
        let answer = match path.trim_start_matches('/').split('-').collect::<Vec<_>>()[..] {
            ["set", number] => {
                let line = &lines()[number.parse::<usize>().unwrap()];
                let head: &[u8] = b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 0\r\nSet-Cookie: ";
                [head, line, b"\r\n\r\n"].concat()
            }
            ["get", _] => {
                b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 0\r\n\r\n".to_vec()
            }
            _ => {
                let port = set.get().map_or("location.port".to_owned(), u16::to_string);
                let page = format!(
                    "<!doctype html><title>going</title><script>(async () => {{\n\
                     const ask = (i, what, port) => fetch(`http://c${{i}}.site.localhost:${{port}}/${{what}}-${{i}}`,\n\
                     {{ credentials: 'include', mode: 'no-cors' }}).catch(() => {{}});\n\
                     for (let i = 0; i < {}; i++) {{ await ask(i, 'set', {port}); await ask(i, 'get', location.port); }}\n\
                     document.title = 'done'; }})();</script>",
                    lines().len(),
                );
                format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}", page.len()).into_bytes()
            }
        };
        stream.write_all(&answer).is_ok()
    })
}

/// The cookie that the browser sent after each line.
fn stored(origin: &Origin) -> BTreeMap<usize, Vec<u8>> {
    let page = open(&format!("http://site.localhost:{}/", origin.address.port()));
    assert!(page.contains("<title>done</title>"), "{page}");
    let mut stored = BTreeMap::new();
    while let Some(received) = origin.try_next_request() {
        let number = received
            .line
            .split(' ')
            .nth(1)
            .and_then(|path| path.strip_prefix("/get-"))
            .map(str::to_owned);
        let Some(number) = number else { continue };
        let cookie = received.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        stored.insert(
            number.parse().unwrap(),
            cookie.map(|(_, value)| value.clone()).unwrap_or_default(),
        );
    }
    assert_eq!(stored.len(), lines().len(), "each line was requested");
    stored
}

#[test]
fn chromium_stores_the_name_and_value_that_consentry_parses() {
    let origin = origin(Arc::default());
    let (mut kept, mut wrong) = (0, Vec::new());
    for (number, sent) in stored(&origin) {
        let line = &lines()[number];
        let sent: Vec<Pair<'_>> = pairs(&sent).collect();
        let Some(first) = sent.first() else { continue };
        kept += 1;
        let read = SetCookie::parse(line);
        if sent.len() != 1 || first.name != read.name || first.value != read.value {
            wrong.push(format!(
                "{}: Chromium has {:?}={:?}, and we {:?}={:?}",
                line.escape_ascii(),
                first.name.escape_ascii().to_string(),
                first.value.escape_ascii().to_string(),
                read.name.escape_ascii().to_string(),
                read.value.escape_ascii().to_string(),
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(kept > 60, "Chromium stores most of them: {kept}");
}

#[test]
fn chromium_keeps_no_cookie_of_odd_lines_behind_consentry() {
    let set = Arc::new(std::sync::OnceLock::new());
    let origin = origin(Arc::clone(&set));
    let proxy = Proxy::start(&origin, "catalogue = []\nunclassified = 'block'");
    // Cookies are shared between ports, so the browser sends stored cookies to the origin.
    set.set(proxy.address.port()).unwrap();
    for (number, sent) in stored(&origin) {
        assert!(sent.is_empty(), "{} left {}", lines()[number].escape_ascii(), sent.escape_ascii());
    }
}
