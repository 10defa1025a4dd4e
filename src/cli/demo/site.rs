//! The demo's origin: sets tracking cookies as sites usually do, and shows the consent that the proxy forwards.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::Context;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, SET_COOKIE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use crate::cookie::Cookies;
use crate::filter::PIXEL;

const PAGE: &str = include_str!("site.html");

/// One cookie of each category, as its vendor would set it, and one unclassified cookie.
const COOKIES: [&str; 6] = [
    "csrftoken=6f1c9a; Path=/; SameSite=Lax",
    "NEXT_LOCALE=en; Path=/; Max-Age=31536000",
    "_ga=GA1.1.1183447.1795500000; Path=/; Max-Age=63072000",
    "_fbp=fb.1.1795500000.1098115397; Path=/; Max-Age=7776000; HttpOnly",
    "__atuvc=1%7C47; Path=/; Max-Age=33696000",
    "demo_offer=spring; Path=/; Max-Age=7776000",
];

/// Counts the requests for the pixel.
#[derive(Debug, Default)]
struct DemoSite {
    pixels: AtomicU64,
}

/// Starts the site on a free port. Its thread ends with the process.
pub(super) fn start() -> anyhow::Result<SocketAddr> {
    let socket =
        std::net::TcpListener::bind(("127.0.0.1", 0)).context("the demo's site cannot listen")?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("demo-site".to_owned()).spawn(move || {
        runtime.block_on(async {
            let Ok(socket) = tokio::net::TcpListener::from_std(socket) else { return };
            let site = Arc::new(DemoSite::default());
            while let Ok((stream, _)) = socket.accept().await {
                let site = Arc::clone(&site);
                tokio::spawn(async move {
                    let answer = service_fn(|request| {
                        let answer = site.answer(&request);
                        async { Ok::<_, Infallible>(answer) }
                    });
                    let _ =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
    })?;
    Ok(address)
}

impl DemoSite {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/") => self.page(request.headers()),
            (&Method::GET | &Method::HEAD, "/matomo.php") => {
                self.pixels.fetch_add(1, Relaxed);
                let mut pixel = Response::new(Full::new(Bytes::from_static(PIXEL)));
                pixel.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("image/gif"));
                pixel.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                pixel
            }
            (&Method::POST, "/login") => to_page("sessionid=demo; Path=/; HttpOnly; SameSite=Lax"),
            (&Method::POST, "/logout") => to_page("sessionid=; Path=/; Max-Age=0"),
            _ => {
                let mut missing =
                    Response::new(Full::new(Bytes::from_static(b"There is nothing here.\n")));
                *missing.status_mut() = StatusCode::NOT_FOUND;
                missing
            }
        }
    }

    fn page(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let cookies = Cookies::of(headers);
        let mut names: Vec<String> =
            cookies.pairs().map(|pair| pair.name.escape_ascii().to_string()).collect();
        names.sort();
        let seen = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let (greeting, action, button) = if names.iter().any(|name| name == "sessionid") {
            ("You are logged in.", "/logout", "Log out")
        } else {
            ("You are not logged in.", "/login", "Log in")
        };
        let page = PAGE
            .replace("{greeting}", greeting)
            .replace("{action}", action)
            .replace("{button}", button)
            .replace("{pixels}", &self.pixels.load(Relaxed).to_string())
            .replace("{seen}", &htmlize::escape_text(seen));
        let mut response = Response::new(Full::new(Bytes::from(page)));
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        for cookie in COOKIES {
            fields.append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
        response
    }
}

fn to_page(cookie: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/"));
    response.headers_mut().insert(SET_COOKIE, HeaderValue::from_static(cookie));
    response
}
