//! Hosts that a real Chromium contacts for a tag, with and without consentry. A tracker is never contacted without
//! consent, and the tag of another host is unchanged. Each tag has its own hosts, below a known tracker and below a
//! host without a rule. URLs are written in every way that browsers understand.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, Stream};

use crate::nginx::program;
use crate::support::{Origin, Proxy};

const TRACKER: &str = "google-analytics.com";
const OTHER: &str = "other.example";

/// How often, of 64 times, each spelling of a URL is used for each kind of tag.
const DENSITY: u32 = 8;

/// Tags, with `{U}` in place of the URL.
const TAGS: [&str; 45] = [
    "<script src=\"{U}\"></script>",
    "<SCRIPT async SRC='{U}'></SCRIPT>",
    "<script type=module src=\"{U}\"></script>",
    "<script src=\"{U}\" src=\"/local.js\"></script>",
    "<img src=\"{U}\">",
    "<img/src='{U}'/alt=x>",
    "<img alt='a>b' src=\"{U}\">",
    "<image src=\"{U}\">",
    "<img src=/x.gif srcset=\"{U} 1x\">",
    "<img srcset=\"/x.gif 2x, {U} 1x\">",
    "<picture><source srcset='{U}'><img src=/x.gif></picture>",
    "<input type=image src=\"{U}\">",
    "<iframe src=\"{U}\"></iframe>",
    "<embed src=\"{U}\">",
    "<object data=\"{U}\"></object>",
    "<video src=\"{U}\"></video>",
    "<video poster=\"{U}\"></video>",
    "<audio src=\"{U}\" preload=auto></audio>",
    "<video preload=auto><source src=\"{U}\"></video>",
    "<link rel=stylesheet href=\"{U}\">",
    "<link rel='alternate STYLESHEET' title=x href='{U}'>",
    "<link href=\"{U}\" rel=icon>",
    "<link rel=preload as=script href=\"{U}\">",
    "<link rel=preload as=image imagesrcset=\"{U} 1x\">",
    "<link rel=preload as=fetch crossorigin href=\"{U}\">",
    "<link rel=modulepreload href=\"{U}\">",
    "<link rel=prefetch href=\"{U}\">",
    "<table background=\"{U}\"><tr><td>x</table>",
    "<svg width=9 height=9><image href=\"{U}\" width=9 height=9 /></svg>",
    "<svg width=9 height=9><image xlink:href=\"{U}\" width=9 height=9></image></svg>",
    "<svg><script href=\"{U}\"></script></svg>",
    "<svg><script xlink:href=\"{U}\" /></svg>",
    "<svg width=9 height=9><filter id=f><feImage href=\"{U}\"/></filter><rect width=9 height=9 filter='url(#f)'/></svg>",
    "<svg width=9 height=9><image width=9 height=9><set attributeName=href to=\"{U}\"/></image></svg>",
    "<div style=\"background:url('{U}')\">x</div>",
    "<math><mtext><img src=\"{U}\"></mtext></math>",
    "<svg class=x /><script>var x = '<!--'</script><img src=\"{U}\">",
    "<svg><desc><p>x</p><img src=\"{U}\"></desc></svg>",
    "<svg><![CDATA[<!--]]><img src=\"{U}\">--></svg>",
    "<select><option><img src=\"{U}\"></select>",
    "<!--><img src=\"{U}\">-->",
    "<!-- --!><img src=\"{U}\">-->",
    "<textarea></textarea ><img src=\"{U}\">",
    "<div><template shadowrootmode=open><img src=\"{U}\"></template></div>",
    "<iframe srcdoc=\"<img src='{U}'>\"></iframe>",
];

/// Tags that need a page of their own.
const PAGES: [&str; 7] = [
    "<!doctype html><base href=\"{U}\"><img src=base.gif><script src=base.js></script>",
    "<!doctype html><body background=\"{U}\">x",
    "<frameset cols=*><frame src=\"{U}\"></frameset>",
    "<!doctype html><noscript><img src=\"{U}\"></noscript>",
    "<!doctype html><div><svg></div><script>var x = '<!--'</script><img src=\"{U}\">",
    "<!doctype html><meta http-equiv=refresh content=\"0;url={U}\">",
    "<!doctype html><plaintext></plaintext><img src=\"{U}\">",
];

/// Text that refers to URLs in other ways, each in its own page.
const TEXTS: [&str; 4] = [
    "<!doctype html><style>@import '{U}';</style>",
    "<!doctype html><style>body{background:url({U})}</style><body>x",
    "<!doctype html><script type=importmap>{\"imports\":{\"a\":\"{U}\"}}</script><script type=module>import 'a'</script>",
    "<!doctype html><script type=speculationrules>{\"prefetch\":[{\"source\":\"list\",\"urls\":[\"{U}\"]}]}</script>",
];

/// A spelling of the URL of a host and a path.
type Spelling = fn(&str, &str) -> String;

/// Spellings for any text.
const PLAIN: [Spelling; 18] = [
    |host, path| format!("https://{host}/{path}"),
    |host, path| format!("//{host}/{path}"),
    |host, path| format!("http://{host}/{path}"),
    |host, path| format!("HTTPS://{}/{path}", host.to_uppercase()),
    |host, path| format!("https://{host}./{path}"),
    |host, path| format!("https://{host}:443/{path}"),
    |host, path| format!("https://{host}:/{path}"),
    |host, path| format!("https://{host}:0443/{path}"),
    |host, path| format!("https:{host}/{path}"),
    |host, path| format!("https:/{host}/{path}"),
    |host, path| format!("https://///{host}/{path}"),
    |host, path| format!("///{host}/{path}"),
    |host, path| format!("https://{host}?{path}"),
    |host, path| format!("https://{}/{path}", host.replace('e', "%65").replace('.', "%2E")),
    |host, path| format!("https://{}/{path}", host.replace('.', "\u{3002}")),
    |host, path| format!("https://{}/{path}", host.replace('.', "%EF%BC%8E")),
    |host, path| {
        format!("https://{}/{path}", host.replace('e', "\u{ff45}").replace('o', "\u{24de}"))
    },
    |host, path| {
        format!("https://{}/{path}", host.replace('e', "e\u{ad}").replace('o', "\u{200b}o\u{2060}"))
    },
];

/// Spellings for attributes.
const MARKED: [Spelling; 13] = [
    |host, path| format!("https:\\\\{host}\\{path}"),
    |host, path| format!("/\\{host}/{path}"),
    |host, path| format!("\\\\{host}/{path}"),
    |host, path| format!("https:&sol;&#47;{}&#x2f;{path}", host.replace('.', "&period;")),
    |host, path| {
        format!("https&colon;//{}/{path}", host.replace('e', "&#101;").replace('l', "&#108"))
    },
    |host, path| format!("https://{}/{path}", host.replace('e', "&shy;e&ZeroWidthSpace;")),
    |host, path| format!("https://{}/{path}?a=1&amp;b=2&copy=3#&lt;", host),
    |host, path| format!(" \t\nhttps://{host}/{path} \n"),
    |host, path| format!("\u{1}\u{1f}https://{host}/{path}"),
    |host, path| format!("ht\ttps:/\n/{}/{path}", host.replace('.', "\r\n.")),
    |host, path| format!("/\t/{}/{path}", host.replace('e', "&Tab;e&NewLine;")),
    |host, path| format!("&#x20;&#1;//{host}/{path}"),
    |host, path| format!("https&#0000058;//{host}/{path}"),
];

/// One tag, with the host that has no rule.
struct Case {
    /// The index of its page.
    page: usize,
    other: String,
}

struct Corpus {
    pages: Vec<String>,
    cases: Vec<Case>,
}

/// The corpus, which is the same on every run.
fn corpus() -> Corpus {
    let mut corpus = Corpus { pages: vec![String::new()], cases: Vec::new() };
    let mut state = 1_u32;
    let mut chosen = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % 64 < DENSITY
    };
    let mut add = |template: &str, spelling: Spelling, alone: bool| {
        let number = corpus.cases.len();
        let written = |host: &str| {
            let url = spelling(&format!("h{number}x.{host}"), &format!("{number}.gif"));
            template.replace("{U}", &url)
        };
        if alone || corpus.pages.last().unwrap().matches('\n').count() > 60 {
            corpus.pages.push(String::new());
        }
        // A page of its own contains one of the two hosts.
        let texts = if alone {
            vec![written(if number.is_multiple_of(3) { OTHER } else { TRACKER })]
        } else {
            vec![written(TRACKER), written(OTHER)]
        };
        corpus.pages.last_mut().unwrap().push_str(&texts.join("\n"));
        corpus.cases.push(Case { page: corpus.pages.len() - 1, other: written(OTHER) });
    };
    let all = || PLAIN.into_iter().chain(MARKED);
    for template in TAGS {
        // The most common spelling, and some of the others.
        all()
            .enumerate()
            .filter(|(at, _)| *at == 0 || chosen())
            .for_each(|(_, s)| add(template, s, false));
    }
    for spelling in all() {
        add(TAGS[0], spelling, false);
        add(TAGS[4], spelling, false);
    }
    for (template, spellings) in PAGES
        .iter()
        .map(|p| (p, all().step_by(3).collect::<Vec<_>>()))
        .chain(TEXTS.iter().map(|t| (t, PLAIN.into_iter().step_by(2).collect())))
    {
        spellings.into_iter().for_each(|spelling| add(template, spelling, true));
    }
    corpus
}

/// A server for all hosts: records the contacted ones, with or without TLS, and responds to all requests.
struct CatchAllServer {
    address: SocketAddr,
    contacted: Arc<Mutex<BTreeSet<String>>>,
}

impl CatchAllServer {
    fn start() -> Self {
        let key = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap();
        let secret = PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], secret)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let contacted = Arc::<Mutex<BTreeSet<String>>>::default();
        let recorded = Arc::clone(&contacted);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, recorded) = (Arc::clone(&config), Arc::clone(&recorded));
                std::thread::spawn(move || serve(stream.unwrap(), &config, &recorded));
            }
        });
        Self { address, contacted }
    }
}

fn serve(mut stream: TcpStream, config: &Arc<ServerConfig>, recorded: &Mutex<BTreeSet<String>>) {
    let note = |host: &str| {
        let host = host.split(':').next().unwrap().trim_end_matches('.').to_ascii_lowercase();
        recorded.lock().unwrap().insert(host);
    };
    let mut first = [0];
    if stream.peek(&mut first).is_err() {
        return;
    }
    if first != [0x16] {
        return answer(&mut stream, note);
    }
    let mut tls = ServerConnection::new(Arc::clone(config)).unwrap();
    while tls.is_handshaking() {
        if tls.complete_io(&mut stream).is_err() {
            return;
        }
    }
    note(tls.server_name().unwrap_or_default());
    answer(&mut Stream::new(&mut tls, &mut stream), note);
}

fn answer(stream: &mut (impl Read + Write), note: impl Fn(&str)) {
    let mut lines = BufReader::new(&mut *stream).lines().map_while(Result::ok);
    let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let host =
        head.iter().find_map(|line| line.to_lowercase().strip_prefix("host: ").map(str::to_owned));
    let Some(host) = host else { return };
    note(&host);
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = stream.flush();
}

/// The hosts that Chromium contacts while it displays these pages, with or without scripts.
fn contacted(
    server: &CatchAllServer,
    port: u16,
    pages: &[usize],
    scripts: bool,
) -> BTreeSet<String> {
    server.contacted.lock().unwrap().clear();
    let status = Command::new(program("node"))
        .arg("tags.mjs")
        .arg(program("chromium"))
        .arg(server.address.to_string())
        .arg(scripts.to_string())
        .args(pages.iter().map(|number| format!("http://localhost:{port}/page/{number}")))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/tools"))
        .status()
        .unwrap();
    assert!(status.success());
    server.contacted.lock().unwrap().clone()
}

/// The indices of the cases whose hosts below a domain were contacted.
fn contacted_cases(contacted: &BTreeSet<String>, domain: &str) -> BTreeSet<usize> {
    let number = |host: &String| {
        host.strip_suffix(domain)?.strip_prefix('h')?.strip_suffix("x.")?.parse().ok()
    };
    contacted.iter().filter_map(number).collect()
}

#[test]
fn no_tag_makes_chromium_contact_a_tracker_and_other_hosts_are_unaffected() {
    let Corpus { pages, cases } = corpus();
    let served = pages.clone();
    let origin = Origin::scripted(move |request, stream| {
        let path = request.line.split(' ').nth(1).unwrap();
        let number = path.strip_prefix("/page/").and_then(|number| number.parse::<usize>().ok());
        let (media_type, body) = match number.and_then(|number| served.get(number)) {
            Some(page) => ("text/html; charset=utf-8", page.as_str()),
            None => ("text/plain", ""),
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).is_ok()
    });
    let proxy = Proxy::start(&origin, "[page]\nguard = true\n");
    let server = CatchAllServer::start();
    let all: Vec<usize> = (0..pages.len()).collect();
    let noscript: Vec<usize> =
        all.iter().copied().filter(|n| pages[*n].contains("<noscript>")).collect();
    for (shown, scripts) in [(all, true), (noscript, false)] {
        let show = |port: u16, pages: &[usize]| {
            let hosts = contacted(&server, port, pages, scripts);
            (contacted_cases(&hosts, TRACKER), contacted_cases(&hosts, OTHER))
        };
        let (tracked, mut other) = show(origin.address.port(), &shown);
        let (mut leaked, mut other_through) = show(proxy.address.port(), &shown);
        for _ in 0..3 {
            // Work that a browser does when it is idle takes long on a busy machine.
            let different = &other ^ &other_through;
            let again: Vec<usize> = different.iter().map(|number| cases[*number].page).collect();
            if again.is_empty() {
                break;
            }
            other.append(&mut show(origin.address.port(), &again).1);
            let (more_leaked, more_other) = show(proxy.address.port(), &again);
            leaked.extend(more_leaked);
            other_through.extend(more_other);
        }
        println!(
            "without consentry {} trackers are contacted, and {} other hosts",
            tracked.len(),
            other.len()
        );
        let most = if scripts { cases.len() * 8 / 10 } else { shown.len() / 2 };
        assert!(tracked.len() + other.len() > most, "no tags");
        let texts = |numbers: BTreeSet<usize>| -> Vec<&str> {
            numbers.into_iter().map(|number| &*cases[number].other).collect()
        };
        let none: [&str; 0] = [];
        assert_eq!(texts(leaked), none, "trackers that are contacted without consent");
        assert_eq!(texts(&other - &other_through), none, "hosts that are not contacted any more");
        assert_eq!(texts(&other_through - &other), none, "hosts that were not contacted before");
    }
    for case in cases.iter().filter(|case| pages[case.page].contains(&case.other)) {
        let path = format!("/page/{}", case.page);
        let page = proxy.get(&path, &[("Accept", "text/html"), ("Sec-Fetch-Dest", "document")]);
        let mut text = page.text();
        let guard = text.find("/.consentry/guard.js").unwrap();
        let start = text[..guard].rfind("<script").unwrap();
        let end = guard + text[guard..].find("</script>").unwrap() + "</script>".len();
        text.replace_range(start..end, "");
        // A page within an attribute is also guarded.
        let unchanged = text.contains(&case.other) || case.other.contains("srcdoc");
        assert!(unchanged, "{}", case.other);
    }
}
