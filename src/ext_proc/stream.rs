//! One stream of the external processor: filters the head of a request and the head of its response.
//!
//! Previous step: `service`. If a stream ends before its response was filtered, that is an error.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Message;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response as Reply;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyResponse, CommonResponse, HeadersResponse, HttpHeaders, ProcessingRequest,
    ProcessingResponse, TrailersResponse,
};
use futures_util::FutureExt;
use futures_util::stream::{self, Stream, StreamExt};
use http::header::SET_COOKIE;
use http::{HeaderName, Method, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use tonic::Status;

use super::context::{EnvoyConnection, StreamRecord};
use super::convert::{self, ConvertError, EnvoyHead};
use super::error::StreamError;
use super::mode;
use crate::catalogue::BodyStart;
use crate::config::settings::Mode;
use crate::filter::{
    ClientInfo as Client, FilterBody, FilteredHead, HeadDecision, PendingExchange,
    ResponseDecision, into_response,
};
use crate::http::named_host;
use crate::http::{Fields, forwarded_scheme_is_secure};
use crate::proxy::{NotFound, Site};
use crate::telemetry::AccessLogEntry;

/// Logged status of a request without a response, as in the access log of nginx.
const CLIENT_CLOSED_REQUEST: u16 = 499;
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

type Filtered = FilterBody<Empty<Bytes>>;

/// The stream of one request.
pub(super) struct RequestStream<S> {
    messages: S,
    record: StreamRecord,
    connection: Arc<EnvoyConnection>,
    /// The index of the site, if one was found.
    site: usize,
    phase: Phase,
}

enum Phase {
    /// No message received yet.
    Start,
    /// The request head is filtered, and the response head has not arrived.
    Requested(Box<AwaitingResponse>),
    /// The response head is filtered. The kept state filters the trailers.
    Responded(Box<Filtered>),
    /// Answered instead of the origin, or failed.
    Ended,
}

/// A request whose response has not arrived.
struct AwaitingResponse {
    pending: PendingExchange,
    target: LogTarget,
    /// When the request head was answered.
    sent_at: Instant,
}

/// Request data for the log.
struct LogTarget {
    method: Method,
    uri: Uri,
    /// The request ID set by Envoy.
    request_id: String,
    started: Instant,
}

impl<S> RequestStream<S> {
    pub(super) fn new(messages: S, record: StreamRecord, connection: Arc<EnvoyConnection>) -> Self {
        Self { messages, record, connection, site: 0, phase: Phase::Start }
    }
}

impl<S> RequestStream<S>
where
    S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
{
    /// Answers each message, until Envoy ends the stream or a message cannot be answered.
    pub(super) fn responses(self) -> impl Stream<Item = Result<ProcessingResponse, Status>> {
        stream::unfold(self, |mut stream| async move {
            if matches!(stream.phase, Phase::Ended) {
                return None;
            }
            let result = match stream.messages.next().await {
                Some(Ok(message)) => stream.process(message),
                ended => match stream.ended(ended.and_then(Result::err)) {
                    None => return None,
                    Some(error) => Err(error),
                },
            };
            let reply = match result {
                Ok(reply) => Ok(ProcessingResponse {
                    response: Some(reply),
                    ..ProcessingResponse::default()
                }),
                Err(error) => Err(stream.fail(&error)),
            };
            Some((reply, stream))
        })
    }

    /// The error of the ended stream, if any.
    fn ended(&self, error: Option<Status>) -> Option<StreamError> {
        // A transport error means that Envoy ended the stream. Every other error belongs to a message.
        let message_error = error.filter(|error| error.source().is_none());
        match (message_error, &self.phase) {
            (Some(status), _) => Some(StreamError::Unreadable(status)),
            (None, Phase::Responded(_) | Phase::Ended) => None,
            (None, Phase::Start | Phase::Requested(_)) => Some(StreamError::Ended),
        }
    }

    fn process(&mut self, message: ProcessingRequest) -> Result<Reply, StreamError> {
        if matches!(self.phase, Phase::Start) {
            mode::check(&message)?;
        }
        let message = message.request.ok_or(StreamError::Empty)?;
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        let (reply, phase) = match (message, phase) {
            (Message::RequestHeaders(head), Phase::Start) => self.request(&head)?,
            (Message::ResponseHeaders(head), Phase::Start) => self.local_reply(&head)?,
            (Message::ResponseHeaders(head), Phase::Requested(awaiting)) => {
                self.response(&head, awaiting)?
            }
            (Message::RequestBody(_), phase @ (Phase::Requested(_) | Phase::Responded(_))) => {
                (Reply::RequestBody(BodyResponse::default()), phase)
            }
            (Message::ResponseBody(_), phase @ Phase::Responded(_)) => {
                (Reply::ResponseBody(BodyResponse::default()), phase)
            }
            (
                Message::RequestTrailers(trailers),
                phase @ (Phase::Requested(_) | Phase::Responded(_)),
            ) => {
                let site = self.record.site(self.site).map(Arc::clone);
                let mut trailers = EnvoyHead::trailers(trailers.trailers.as_ref())?;
                if let Some(site) = site {
                    site.filter.request_trailers(&trailers).apply(&mut trailers);
                }
                (Reply::RequestTrailers(changed_trailers(&trailers)), phase)
            }
            (Message::ResponseTrailers(trailers), Phase::Responded(mut filtered)) => {
                let mut trailers = EnvoyHead::trailers(trailers.trailers.as_ref())?;
                filtered.trailers(&trailers).apply(&mut trailers);
                (Reply::ResponseTrailers(changed_trailers(&trailers)), Phase::Responded(filtered))
            }
            (message, phase) => {
                self.phase = phase;
                return Err(StreamError::Order(name(&message)));
            }
        };
        self.phase = phase;
        Ok(reply)
    }
}

impl<S> RequestStream<S> {
    /// Counts and logs an error, and returns its gRPC status.
    fn fail(&mut self, error: &StreamError) -> Status {
        self.record.error(error);
        if let Phase::Requested(awaiting) = &self.phase {
            if matches!(error, StreamError::Ended) {
                self.connection.responses.ended(awaiting.sent_at.elapsed());
            }
            self.log(None, CLIENT_CLOSED_REQUEST, &awaiting.target);
        }
        self.phase = Phase::Ended;
        error.status()
    }

    /// Filters the head of a request. The result is a mutation, or the answer to a beacon.
    fn request(&mut self, head: &HttpHeaders) -> Result<(Reply, Phase), StreamError> {
        let started = Instant::now();
        let (sent, mut fields) = match convert::request(head) {
            Ok(request) => request,
            Err(ConvertError::NoTarget) => {
                return Ok((self.reject(StatusCode::BAD_REQUEST), Phase::Ended));
            }
            Err(error) => return Err(error.into()),
        };
        let Some(host) = named_host(&fields) else {
            return Ok((self.reject(StatusCode::BAD_REQUEST), Phase::Ended));
        };
        let site = self.record.snapshot.sites.find(host, sent.uri.path());
        let site = match site {
            Ok(site) => Arc::clone(site),
            Err(NotFound::Host) => {
                return Ok((self.reject(StatusCode::MISDIRECTED_REQUEST), Phase::Ended));
            }
            Err(NotFound::Path) => {
                return Ok((self.reject(StatusCode::NOT_FOUND), Phase::Ended));
            }
        };
        self.site = site.index;
        let id = fields.value(&X_REQUEST_ID).and_then(|id| std::str::from_utf8(id).ok());
        let target = LogTarget {
            method: sent.method,
            uri: sent.uri,
            request_id: id.unwrap_or_default().chars().take(64).collect(),
            started,
        };
        let secure = forwarded_scheme_is_secure(&fields).unwrap_or_default();
        // A peer on a Unix socket is trusted to forward client addresses and schemes.
        let trusted = self
            .connection
            .address
            .is_none_or(|connection| self.record.snapshot.trusts(connection));
        let request = FilteredHead {
            method: &target.method,
            uri: &target.uri,
            host: Some(host),
            fields: &fields,
            body: BodyStart::Unavailable,
        };
        match PendingExchange::of(&site.filter, request, Client { secure, trusted }, None) {
            Err(stop) => {
                let reply = into_response(&site.filter, *stop.reply(&site.filter));
                Ok((self.immediate(reply, &target), Phase::Ended))
            }
            Ok((pending, edits)) => {
                edits.apply(&mut fields);
                let reply = Reply::RequestHeaders(changed(&fields));
                let awaiting = AwaitingResponse { pending, target, sent_at: Instant::now() };
                Ok((reply, Phase::Requested(Box::new(awaiting))))
            }
        }
    }

    fn response(
        &mut self,
        head: &HttpHeaders,
        awaiting: Box<AwaitingResponse>,
    ) -> Result<(Reply, Phase), StreamError> {
        self.connection.responses.seen();
        let (status, mut fields) = match convert::response(head) {
            Ok(response) => response,
            Err(error) => {
                self.phase = Phase::Requested(awaiting);
                return Err(error.into());
            }
        };
        let AwaitingResponse { pending, target, .. } = *awaiting;
        let lines = fields.values(&SET_COOKIE).count();
        let (edits, decision) = pending.filter_response(status, &fields, Empty::new());
        edits.apply(&mut fields);
        fields.limit_fields(lines);
        let filtered = match decision {
            HeadDecision::Decided(ResponseDecision::Pass(filtered)) => filtered,
            HeadDecision::Decided(ResponseDecision::Reply(reply)) => {
                return Ok((self.immediate(reply, &target), Phase::Ended));
            }
            // The body stays with Envoy.
            HeadDecision::Inspect(inspection) => inspection.without_body(),
        };
        Ok(self.pass(status, &fields, filtered, &target))
    }

    fn local_reply(&mut self, head: &HttpHeaders) -> Result<(Reply, Phase), StreamError> {
        let started = Instant::now();
        let (status, mut fields) = convert::response(head)?;
        let lines = fields.values(&SET_COOKIE).count();
        let snapshot = Arc::clone(&self.record.snapshot);
        let sites = snapshot.sites.all();
        let site = snapshot.sites.find("", "/").ok().or_else(|| sites.first());
        let Some(site) = site else { return Err(StreamError::Order("response headers")) };
        self.site = site.index;
        // A cookie passes only if every site that it may belong to lets it pass.
        let others = sites.iter().filter(|other| other.index != site.index);
        for other in others.filter(|other| enforces(other)) {
            if !fields.has(&SET_COOKIE) {
                break;
            }
            let (edits, _) = other.filter.without_request(&fields);
            edits.apply(&mut fields);
        }
        let (edits, filtered) = site.filter.without_request(&fields);
        edits.apply(&mut fields);
        fields.limit_fields(lines);
        let target = LogTarget {
            method: Method::default(),
            uri: Uri::default(),
            request_id: String::new(),
            started,
        };
        Ok(self.pass(status, &fields, filtered, &target))
    }

    fn pass(
        &self,
        status: StatusCode,
        fields: &EnvoyHead,
        filtered: Filtered,
        target: &LogTarget,
    ) -> (Reply, Phase) {
        self.log(Some(&filtered), status.as_u16(), target);
        (Reply::ResponseHeaders(changed(fields)), Phase::Responded(Box::new(filtered)))
    }

    fn reject(&self, status: StatusCode) -> Reply {
        self.record.bad_request();
        let mut reply = Response::new(Bytes::from_static(b"No site for this request.\n"));
        *reply.status_mut() = status;
        Reply::ImmediateResponse(convert::immediate(reply, "consentry_no_site"))
    }

    fn immediate(&self, reply: Response<Filtered>, target: &LogTarget) -> Reply {
        self.log(Some(reply.body()), reply.status().as_u16(), target);
        let (parts, body) = reply.into_parts();
        // The body is complete in memory, so it is ready immediately.
        let body = body.collect().now_or_never().and_then(Result::ok);
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let details = match parts.status.is_redirection() {
            true => "consentry_redirect",
            false => "consentry_beacon",
        };
        let reply = Response::from_parts(parts, body);
        Reply::ImmediateResponse(convert::immediate(reply, details))
    }

    /// Counts and logs the request. Without a response it is logged as incomplete.
    fn log(&self, filtered: Option<&Filtered>, status: u16, target: &LogTarget) {
        let Some(site) = self.record.site(self.site) else { return };
        let StreamRecord { snapshot, number, .. } = &self.record;
        let duration = target.started.elapsed();
        let report = filtered.map(FilterBody::report);
        snapshot.counters.request(*number, site.index, status, duration, report);
        let Some(log) = &snapshot.access_log else { return };
        let settings = site.filter.settings();
        let reader = &settings.reader;
        log.write(&AccessLogEntry {
            site: &site.name,
            method: target.method.as_str(),
            path: target.uri.path(),
            status,
            duration,
            // The body stays with Envoy.
            bytes: 0,
            request_id: &target.request_id,
            mode: settings.mode.as_str(),
            report: report
                .map(|report| (report, &reader.categories, reader.source_name(&report.consent))),
            complete: filtered.is_some(),
            client_fields: None,
        });
    }
}

/// Envoy resets a stream by dropping it.
impl<S> Drop for RequestStream<S> {
    fn drop(&mut self) {
        if matches!(self.phase, Phase::Start | Phase::Requested(_)) {
            self.fail(&StreamError::Ended);
        }
    }
}

fn enforces(site: &Site) -> bool {
    site.filter.settings().mode == Mode::Enforce
}

fn name(message: &Message) -> &'static str {
    match message {
        Message::RequestHeaders(_) => "request headers",
        Message::ResponseHeaders(_) => "response headers",
        Message::RequestBody(_) => "request body",
        Message::ResponseBody(_) => "response body before the response headers",
        Message::RequestTrailers(_) => "request trailers",
        Message::ResponseTrailers(_) => "response trailers before the response headers",
    }
}

fn changed(head: &EnvoyHead) -> HeadersResponse {
    let mutation = Some(head.mutation());
    let response = CommonResponse { header_mutation: mutation, ..CommonResponse::default() };
    HeadersResponse { response: Some(response) }
}

fn changed_trailers(trailers: &EnvoyHead) -> TrailersResponse {
    TrailersResponse { header_mutation: Some(trailers.mutation()) }
}
