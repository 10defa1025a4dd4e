//! The private listener: metrics, health, inventory. It has its own thread's runtime, so that
//! nothing that is asked here delays a visitor.
//!
//! | path         | answer                                                                      |
//! |--------------|-----------------------------------------------------------------------------|
//! | `/`          | the dashboard                                                               |
//! | `/metrics`   | counters, in OpenMetrics where `Accept` has it, else Prometheus text 0.0.4  |
//! | `/livez`     | 200 while the process answers                                               |
//! | `/readyz`    | 200 while visitors are accepted (and whether anything is degraded), 503 from |
//! |              | the beginning of a drain                                                    |
//! | `/inventory` | JSON: cookies and beacons seen, by site, with proposals for the unknown ones |

mod dashboard;
mod exposition;
mod inventory;

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::{
    ACCEPT, ALLOW, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::filter::Filter;
use crate::telemetry::Metrics;
use dashboard::{History, SAMPLE_SECONDS};

/// What the private listener shows.
#[derive(Debug)]
pub struct Admin {
    metrics: Metrics,
    sites: ArcSwap<Vec<(String, Arc<Filter>)>>,
    ready: AtomicBool,
    history: History,
}

impl Admin {
    /// Shows these metrics and the inventories of these sites, by name. Not ready yet.
    pub fn new(metrics: Metrics, sites: Vec<(String, Arc<Filter>)>) -> Self {
        Self {
            metrics,
            sites: ArcSwap::from_pointee(sites),
            ready: AtomicBool::new(false),
            history: History::default(),
        }
    }

    /// Shows the inventories of other sites from now on.
    pub fn set_sites(&self, sites: Vec<(String, Arc<Filter>)>) {
        self.sites.store(Arc::new(sites));
    }

    /// Says whether visitors are accepted.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Relaxed);
    }

    /// Answers requests on a bound socket for ever.
    ///
    /// # Errors
    /// When the socket cannot be watched.
    pub async fn serve(self: Arc<Self>, socket: TcpListener) -> io::Result<Infallible> {
        let socket = tokio::net::TcpListener::from_std(socket)?;
        let sampled = Arc::clone(&self);
        tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_secs(SAMPLE_SECONDS));
            loop {
                every.tick().await;
                sampled.history.sample(&sampled.metrics);
            }
        });
        loop {
            let Ok((stream, _)) = socket.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let admin = Arc::clone(&self);
            tokio::spawn(async move {
                let answer = service_fn(|request| {
                    let answer = admin.answer(&request);
                    async { Ok::<_, Infallible>(answer) }
                });
                let mut http = http1::Builder::new();
                let http =
                    http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
                // Who asks and leaves early is no concern of ours.
                let _ = http.serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match request.uri().path() {
            "/metrics" => self.metrics(request.headers().get(ACCEPT)),
            "/livez" => text(StatusCode::OK, "alive\n"),
            "/readyz" if self.ready.load(Relaxed) => match self.metrics.degraded() {
                None => text(StatusCode::OK, "ready\n"),
                // Visitors are served: to take the traffic away would help nobody.
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
                let place = request.uri().query().and_then(|query| query.strip_prefix("site="));
                let place = place.and_then(|place| place.parse().ok()).unwrap_or_default();
                let figures = self.history.figures(&self.metrics, &self.sites.load(), place);
                typed("application/json", figures.to_string())
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "there are /, /metrics, /livez, /readyz and /inventory\n",
            ),
        }
    }

    fn metrics(&self, accept: Option<&HeaderValue>) -> Response<Full<Bytes>> {
        let Ok(metrics) = self.metrics.render() else {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be rendered\n");
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

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = typed("text/plain; charset=utf-8", text.to_owned());
    *response.status_mut() = status;
    response
}

/// A part of the dashboard.
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
