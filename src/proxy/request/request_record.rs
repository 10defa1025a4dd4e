//! Metrics and access log of one request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Response, StatusCode, Uri, Version};

use crate::consent_ui::Rejection;
use crate::filter::Report;
use crate::html::PageOutcome;
use crate::http::{Client, FieldSection, Request};
use crate::proxy::downstream::connection_state::ConnectionState;
use crate::proxy::downstream::http1_session::Http1Session;
use crate::proxy::request::error::ProxyError;
use crate::proxy::request::error_response::{self, ErrorContext, ErrorFormat, Failure};
use crate::proxy::request::rate_limit::RequestPermit;
use crate::proxy::site_router::{Site, Snapshot};
use crate::telemetry::{AccessLogEntry, ClientFields, ErrorKind, RequestSpan};

/// Metrics and access log of one request. Every request is counted and logged exactly once, even
/// when it is cancelled.
pub(crate) struct RequestRecord {
    pub(crate) connection_state: Arc<ConnectionState>,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) client: Client,
    /// The client connection; `None` for HTTP/2.
    pub(crate) http1: Option<Arc<Http1Session>>,
    /// The index of the site, once the site is known.
    pub(crate) site: Option<usize>,
    /// The format of an error response.
    pub(crate) error_format: ErrorFormat,
    /// The concurrency permit, held until the request has ended.
    pub(crate) permit: Option<RequestPermit>,
    method: Method,
    uri: Uri,
    /// The response status. 499 until there is a response: the client closed the connection early.
    status: u16,
    started: Instant,
    /// Nanoseconds until the upstream's response head, plus one; 0 if no upstream was used.
    upstream: AtomicU64,
    bytes: u64,
    ended: bool,
    closed: bool,
    number: u64,
    /// Client fields for the access log.
    client_fields: Option<Box<ClientFields>>,
    span: Option<RequestSpan>,
}

impl RequestRecord {
    pub(crate) fn new<B>(
        connection_state: Arc<ConnectionState>,
        http1: Option<Arc<Http1Session>>,
        request: &Request<B>,
        version: Version,
    ) -> Box<Self> {
        let snapshot = connection_state.worker.snapshot();
        connection_state.activity.request_started();
        let fields = &request.fields;
        let client = Client::of(&connection_state.peer, fields, |address| snapshot.trusts(address));
        let log = snapshot.access_log.as_ref();
        let client_fields = log.and_then(|log| log.client_fields(client.address, version, fields));
        Box::new(Self {
            number: connection_state.worker.next_request(),
            connection_state,
            snapshot,
            client,
            http1,
            site: None,
            error_format: ErrorFormat::by(fields),
            permit: None,
            method: request.method.clone(),
            uri: request.uri.clone(),
            status: 499,
            started: Instant::now(),
            upstream: AtomicU64::new(0),
            bytes: 0,
            ended: false,
            closed: false,
            client_fields,
            span: None,
        })
    }

    /// Records the time until the upstream's response head.
    pub(crate) fn record_upstream_time(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.upstream.store(nanos.saturating_add(1), Relaxed);
    }

    /// Records the response status, once the head is complete.
    pub(crate) fn record_status(&mut self, status: StatusCode) {
        self.status = status.as_u16();
        let Some(site) = self.site else { return };
        let upstream = self.upstream.load(Relaxed).checked_sub(1).map(Duration::from_nanos);
        let own = self.started.elapsed().saturating_sub(upstream.unwrap_or_default());
        self.snapshot.counters.head(self.connection_state.worker.id(), site, upstream, own);
    }

    /// Starts the request's span, if tracing is enabled.
    pub(crate) fn trace(&mut self, fields: &mut FieldSection) {
        let spans = self.snapshot.spans.as_ref();
        self.span = spans.map(|spans| spans.begin(&self.method, &self.uri, fields));
    }

    /// Counts and logs an error and returns its response.
    pub(crate) fn failed(&self, error: &ProxyError) -> Response<Bytes> {
        self.connection_state.worker.metrics().error(error.kind());
        let request_id = self.request_id();
        error.log(&request_id);
        self.error_response(Failure::Proxy(error), &request_id)
    }

    /// The response to a request that the consent UI rejected.
    pub(crate) fn rejected(&self, rejection: &Rejection) -> Response<Bytes> {
        self.error_response(Failure::ConsentUi(rejection), &self.request_id())
    }

    fn error_response(&self, failure: Failure<'_>, request_id: &str) -> Response<Bytes> {
        let request = ErrorContext {
            method: &self.method,
            uri: &self.uri,
            format: &self.error_format,
            consent_ui: self.site().map(|site| &site.centre),
            locales: &self.snapshot.locales,
        };
        error_response::respond(failure, &request, request_id)
    }

    fn request_id(&self) -> String {
        self.connection_state.worker.request_id(self.number)
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    pub(crate) fn set_complete(&mut self) {
        self.ended = true;
    }

    pub(crate) fn record_upstream_abort(&mut self) {
        self.connection_state.worker.metrics().error(ErrorKind::UpstreamBody);
        let request_id = self.request_id();
        tracing::warn!(request_id, "upstream closed the connection in the middle of a response");
    }

    /// Counts the outcome of an HTML rewrite.
    pub(crate) fn record_page_outcome(&self, outcome: Option<PageOutcome>) {
        let Some((site, outcome)) = self.site.zip(outcome) else { return };
        self.snapshot.counters.page(self.connection_state.worker.id(), site, outcome.index());
        if outcome == PageOutcome::Failed {
            let request_id = self.request_id();
            tracing::warn!(request_id, "page could not be rewritten completely");
        }
    }

    fn site(&self) -> Option<&Arc<Site>> {
        self.snapshot.sites.all().get(self.site?)
    }

    /// Counts and logs the request. `report` is the filter's report, if the filter ran.
    pub(crate) fn close(&mut self, report: Option<&Report>) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.connection_state.activity.request_ended();
        let duration = self.started.elapsed();
        if let Some(site) = self.site {
            let worker = self.connection_state.worker.id();
            self.snapshot.counters.request(worker, site, self.status, duration, report);
        }
        let site = self.site();
        if let Some(span) = &self.span {
            span.end(site.map_or("-", |site| &site.name), self.status);
        }
        let Some(log) = &self.snapshot.access_log else { return };
        let settings = site.map(|site| site.filter.settings());
        let report = report.zip(settings).map(|(report, settings)| {
            let reader = &settings.reader;
            (report, &reader.categories, reader.source_name(&report.consent))
        });
        log.write(&AccessLogEntry {
            site: site.map_or("-", |site| &site.name),
            method: self.method.as_str(),
            path: self.uri.path(),
            status: self.status,
            duration,
            bytes: self.bytes,
            request_id: &self.request_id(),
            mode: settings.map_or("enforce", |settings| settings.mode.as_str()),
            report,
            client_fields: self.client_fields.as_deref(),
            complete: self.ended || self.method == Method::HEAD,
        });
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        self.close(None);
    }
}
