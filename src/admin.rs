//! The admin listener: metrics, health, inventory. It runs on the main thread, not on the workers, so that admin
//! requests do not delay visitors' requests.
//!
//! | path         | answer                                                                      |
//! |--------------|-----------------------------------------------------------------------------|
//! | `/`          | the dashboard                                                               |
//! | `/metrics`   | counters, as OpenMetrics if `Accept` lists it, else as Prometheus text 0.0.4 |
//! | `/livez`     | 200 while the process responds                                              |
//! | `/readyz`    | 200 while connections are accepted (and whether the service is degraded), 503   |
//! |              | while starting and draining                                                 |
//! | `/inventory` | JSON: cookies and beacons seen, by site, with suggestions for unclassified ones |
//! | `/log-level` | the log level; `PUT` changes it until the process ends                      |
//!
//! All paths but `/livez` and `/readyz` require the access that `access` checks.

mod access;
mod dashboard;
mod exposition;
mod inventory;
mod socket;
mod token;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use http::header::{
    ACCEPT, ALLOW, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::config::settings::LogLevel;
use crate::filter::Filter;
use crate::telemetry::{LogLevelControl, Metrics};
pub(crate) use access::AdminAccess;
use access::Denied;
use dashboard::{History, SAMPLE_SECONDS};
pub(crate) use socket::ControlSocket;

/// The state of the admin listener.
#[derive(Debug)]
pub(crate) struct Admin {
    metrics: Metrics,
    sites: ArcSwap<Vec<(String, Arc<Filter>)>>,
    ready: AtomicBool,
    history: History,
    access: ArcSwap<AdminAccess>,
    log: ArcSwapOption<LogLevelControl>,
}

impl Admin {
    /// Serves these metrics and the inventories of these sites, by name. Not ready yet.
    pub(crate) fn new(
        metrics: Metrics,
        sites: Vec<(String, Arc<Filter>)>,
        access: AdminAccess,
    ) -> Self {
        Self {
            metrics,
            sites: ArcSwap::from_pointee(sites),
            ready: AtomicBool::new(false),
            history: History::default(),
            access: ArcSwap::from_pointee(access),
            log: ArcSwapOption::empty(),
        }
    }

    /// Replaces the sites whose inventories are served.
    pub(crate) fn set_sites(&self, sites: Vec<(String, Arc<Filter>)>) {
        self.sites.store(Arc::new(sites));
    }

    /// Replaces the access rules.
    pub(crate) fn set_access(&self, access: AdminAccess) {
        self.access.store(Arc::new(access));
    }

    /// Allows changes of the log level.
    pub(crate) fn control_log(&self, control: LogLevelControl) {
        self.log.store(Some(Arc::new(control)));
    }

    /// Sets whether connections are accepted, as reported by `/readyz`.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Relaxed);
    }

    /// Answers requests on a bound socket forever.
    ///
    /// # Errors
    /// When the socket cannot be registered with the runtime.
    pub(crate) async fn serve(self: Arc<Self>, socket: ControlSocket) -> io::Result<Infallible> {
        let sampled = Arc::clone(&self);
        tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_secs(SAMPLE_SECONDS));
            loop {
                every.tick().await;
                sampled.history.sample(&sampled.metrics);
            }
        });
        match socket {
            ControlSocket::Tcp(socket) => {
                let socket = tokio::net::TcpListener::from_std(socket)?;
                loop {
                    self.connected(socket.accept().await, true).await;
                }
            }
            ControlSocket::Unix(socket, _) => {
                let socket = tokio::net::UnixListener::from_std(socket)?;
                loop {
                    self.connected(socket.accept().await, false).await;
                }
            }
        }
    }

    /// Serves a connection in its own task.
    async fn connected<S, A>(self: &Arc<Self>, accepted: io::Result<(S, A)>, by_network: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok((stream, _)) = accepted else {
            return tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let admin = Arc::clone(self);
        tokio::spawn(async move {
            let respond = service_fn(|request| {
                let admin = Arc::clone(&admin);
                async move { Ok::<_, Infallible>(admin.respond(request, by_network).await) }
            });
            let mut http = http1::Builder::new();
            let http = http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
            // A client that disconnects early is not an error.
            let _ = http.serve_connection(TokioIo::new(stream), respond).await;
        });
    }

    async fn respond(&self, request: Request<Incoming>, by_network: bool) -> Response<Full<Bytes>> {
        let health = matches!(request.uri().path(), "/livez" | "/readyz");
        let allowed =
            if health { Ok(()) } else { self.access.load().check(request.headers(), by_network) };
        if let Err(denied) = allowed {
            return refuse(denied);
        }
        if request.uri().path() == "/log-level" {
            return self.log_level(request).await;
        }
        self.page_of(&request)
    }

    /// Shows or changes the log level. A form of another site's page cannot send a `PUT`.
    async fn log_level(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let Some(control) = self.log.load_full() else {
            return text(StatusCode::NOT_FOUND, "the log level cannot be changed here\n");
        };
        match *request.method() {
            Method::GET | Method::HEAD => {}
            Method::PUT => {
                let body = Limited::new(request.into_body(), 64).collect().await;
                let word = body.map(Collected::to_bytes).unwrap_or_default();
                let level =
                    std::str::from_utf8(&word).ok().and_then(|word| LogLevel::named(word.trim()));
                let Some(level) = level else {
                    let levels = "invalid level: use error, warn, info, debug or trace\n";
                    return text(StatusCode::BAD_REQUEST, levels);
                };
                let before = control.level();
                control.set(level);
                tracing::warn!(before = before.as_str(), now = level.as_str(), "log level changed");
            }
            _ => {
                let mut refusal = text(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "method not allowed: use GET, HEAD or PUT\n",
                );
                refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, PUT"));
                return refusal;
            }
        }
        typed("text/plain; charset=utf-8", format!("{}\n", control.level().as_str()))
    }

    fn page_of(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refusal =
                text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed: use GET or HEAD\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match request.uri().path() {
            "/metrics" => self.metrics(request.headers().get(ACCEPT)),
            "/livez" => text(StatusCode::OK, "alive\n"),
            "/readyz" if self.ready.load(Relaxed) => match self.metrics.degraded() {
                None => text(StatusCode::OK, "ready\n"),
                // Requests are still served, so removing this replica from rotation would not help.
                Some(why) => {
                    typed("text/plain; charset=utf-8", format!("ready, degraded: {why}\n"))
                }
            },
            "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready: draining or starting\n"),
            "/inventory" => self.inventory(),
            "/" => page("text/html; charset=utf-8", dashboard::PAGE),
            "/dashboard.css" => page("text/css; charset=utf-8", dashboard::STYLE),
            "/dashboard.js" => page("text/javascript; charset=utf-8", dashboard::SCRIPT),
            "/dashboard.json" => {
                let site_index =
                    request.uri().query().and_then(|query| query.strip_prefix("site="));
                let site_index =
                    site_index.and_then(|site_index| site_index.parse().ok()).unwrap_or_default();
                let figures = self.history.figures(&self.metrics, &self.sites.load(), site_index);
                typed("application/json", figures.to_string())
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "not found: use /, /metrics, /livez, /readyz, /inventory or /log-level\n",
            ),
        }
    }

    fn metrics(&self, accept: Option<&HeaderValue>) -> Response<Full<Bytes>> {
        let Ok(metrics) = self.metrics.render() else {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "cannot render the metrics\n");
        };
        let open = accept.is_some_and(|accept| {
            memchr::memmem::find(accept.as_bytes(), b"application/openmetrics-text").is_some()
        });
        if open {
            typed("application/openmetrics-text; version=1.0.0; charset=utf-8", metrics)
        } else {
            typed("text/plain; version=0.0.4; charset=utf-8", exposition::to_prometheus(&metrics))
        }
    }

    fn inventory(&self) -> Response<Full<Bytes>> {
        let sites = self.sites.load();
        let sites = sites.iter();
        let sites: serde_json::Map<_, _> =
            sites.map(|(name, filter)| (name.clone(), inventory::of_site(filter))).collect();
        typed("application/json", format!("{:#}\n", serde_json::Value::Object(sites)))
    }
}

fn refuse(denied: Denied) -> Response<Full<Bytes>> {
    let hint = "host not allowed: use an IP address or localhost, or list the name in listen.admin_hosts\n";
    match denied {
        Denied::Host => text(StatusCode::FORBIDDEN, hint),
        Denied::Origin => text(StatusCode::FORBIDDEN, "cross-origin request rejected\n"),
        Denied::Token => {
            let mut refusal = text(StatusCode::UNAUTHORIZED, "missing or invalid token\n");
            // Makes browsers ask for a password, which is the token.
            let schemes = HeaderValue::from_static(token::SCHEMES);
            refusal.headers_mut().insert(WWW_AUTHENTICATE, schemes);
            refusal
        }
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = typed("text/plain; charset=utf-8", text.to_owned());
    *response.status_mut() = status;
    response
}

/// A static file of the dashboard.
fn page(media_type: &'static str, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = typed(media_type, text.to_owned());
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(dashboard::POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn typed(media_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
