//! Pingora with a consent filter, as a reverse proxy: `pingora-peer LISTEN UPSTREAM [ACCESS-LOG]`.
//!
//! The filter is the same as `policy.lua` for nginx and Envoy. It reads the consent cookie, and strips request cookies,
//! beacons and `Set-Cookie` lines of categories that are not granted.

use std::collections::HashMap;
use std::fs::File;
use std::io::{LineWriter, Write};
use std::sync::Mutex;

use async_trait::async_trait;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::*;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::configuration::ServerConf;

const NECESSARY: u8 = 1;
const FUNCTIONAL: u8 = 2;
const ANALYTICS: u8 = 4;
const TARGETING: u8 = 8;

struct Filter {
    categories: HashMap<&'static str, u8>,
    upstream: String,
    access_log: Option<Mutex<LineWriter<File>>>,
}

impl Filter {
    fn permits(&self, name: &str, granted: u8) -> bool {
        self.categories.get(name).is_some_and(|category| granted & category != 0)
    }
}

/// The categories that `1~TIME~DATE~functional+analytics~` grants.
fn granted(value: &str) -> u8 {
    let names = value.split('~').nth(3).unwrap_or_default();
    names.split('+').fold(NECESSARY, |granted, name| {
        granted
            | match name {
                "functional" => FUNCTIONAL,
                "analytics" => ANALYTICS,
                "targeting" => TARGETING,
                _ => 0,
            }
    })
}

/// The name of a cookie pair.
fn name(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name).trim()
}

#[async_trait]
impl ProxyHttp for Filter {
    /// The granted categories.
    type CTX = u8;

    fn new_ctx(&self) -> u8 {
        NECESSARY
    }

    async fn request_filter(&self, session: &mut Session, context: &mut u8) -> Result<bool> {
        let request = session.req_header();
        let cookies =
            request.headers.get("cookie").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if let Some(pair) = cookies.split(';').find(|pair| name(pair) == "consentry") {
            *context = granted(pair);
        }
        let is_beacon = request.uri.path() == "/collect" && *context & ANALYTICS == 0;
        if is_beacon {
            let response = ResponseHeader::build(204, None)?;
            session.write_response_header(Box::new(response), true).await?;
        }
        Ok(is_beacon)
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut u8) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream.as_str(), false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        context: &mut u8,
    ) -> Result<()> {
        if let Some(cookies) = request.headers.get("cookie").and_then(|value| value.to_str().ok()) {
            let kept =
                cookies.split(';').map(str::trim).filter(|pair| self.permits(name(pair), *context));
            let kept: Vec<&str> = kept.collect();
            let kept = kept.join("; ");
            request.insert_header("cookie", kept)?;
        }
        if let Some(client) = session.client_addr().and_then(|address| address.as_inet()) {
            request.insert_header("x-forwarded-for", client.ip().to_string())?;
        }
        request.insert_header("x-forwarded-proto", "http")
    }

    async fn response_filter(
        &self,
        _: &mut Session,
        response: &mut ResponseHeader,
        context: &mut u8,
    ) -> Result<()> {
        let lines: Vec<_> = response.headers.get_all("set-cookie").iter().cloned().collect();
        let permitted =
            |line: &str| self.permits(name(line.split(';').next().unwrap_or_default()), *context);
        let kept: Vec<_> = lines.iter().filter(|line| line.to_str().is_ok_and(permitted)).collect();
        if kept.len() < lines.len() {
            response.remove_header("set-cookie");
            for line in kept {
                response.append_header("set-cookie", line.clone())?;
            }
            response.insert_header("cache-control", "private")?;
        }
        Ok(())
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, _: &mut u8) {
        let Some(access_log) = &self.access_log else { return };
        let request = session.req_header();
        let status = session.response_written().map_or(0, |response| response.status.as_u16());
        let client = session.client_addr().map(ToString::to_string).unwrap_or_default();
        if let Ok(mut access_log) = access_log.lock() {
            let sent = session.body_bytes_sent();
            let _ = writeln!(
                access_log,
                "{client} \"{} {}\" {status} {sent}",
                request.method, request.uri
            );
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = "usage: pingora-peer LISTEN UPSTREAM [ACCESS-LOG]";
    let mut arguments = std::env::args().skip(1);
    let (listen, upstream) = (arguments.next().ok_or(usage)?, arguments.next().ok_or(usage)?);
    let access_log = arguments.next().map(File::create).transpose()?;
    let conf =
        ServerConf { threads: 1, upstream_keepalive_pool_size: 2048, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let categories = HashMap::from([
        ("session", NECESSARY),
        ("csrftoken", NECESSARY),
        ("consentry", NECESSARY),
        ("lang", FUNCTIONAL),
        ("_ga", ANALYTICS),
        ("_gid", ANALYTICS),
        ("_fbp", TARGETING),
        ("IDE", TARGETING),
    ]);
    let access_log = access_log.map(LineWriter::new).map(Mutex::new);
    let mut service =
        http_proxy_service(&server.configuration, Filter { categories, upstream, access_log });
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever();
}
