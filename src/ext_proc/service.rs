//! One stream of Envoy's: the head of a request, what to change of it, the head of its response, what to change of
//! that.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::ExternalProcessor;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Asked;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response as Answered;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyResponse, CommonResponse, HeadersResponse, HttpHeaders, ImmediateResponse,
    ProcessingRequest, ProcessingResponse, TrailersResponse,
};
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use futures_util::{FutureExt, future::BoxFuture};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use tokio::sync::oneshot;
use tonic::{Status, Streaming};
use tower::{Layer, Service, service_fn};

use super::convert::{self, ConvertError};
use crate::config::settings::Mode;
use crate::filter::{ConsentLayer, FilterBody, named_host};
use crate::http::forwarded_scheme_is_secure;
use crate::proxy::{NotFound, Site, Snapshot, join_cookies};
use crate::telemetry::{Entry, ErrorKind, Metrics, Shard};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What Envoy asks.
#[derive(Debug)]
pub struct Processor {
    snapshot: Arc<ArcSwap<Snapshot>>,
    shards: Vec<Arc<Shard>>,
    turn: AtomicUsize,
}

impl Processor {
    /// Judges by the config in force, and counts in these metrics.
    pub fn new(snapshot: Arc<ArcSwap<Snapshot>>, metrics: &Metrics) -> Self {
        Self { snapshot, shards: metrics.shards().collect(), turn: AtomicUsize::new(0) }
    }

    /// The accounts of one stream.
    fn account(&self) -> Account {
        let place = self.turn.fetch_add(1, Relaxed) % self.shards.len().max(1);
        let shard = self.shards.get(place).map(Arc::clone);
        Account { snapshot: self.snapshot.load_full(), place, shard, site: None }
    }
}

/// What a stream is judged by, and where it is counted.
struct Account {
    snapshot: Arc<Snapshot>,
    /// The place of the shard.
    place: usize,
    shard: Option<Arc<Shard>>,
    site: Option<usize>,
}

impl Account {
    fn error(&self, kind: ErrorKind) {
        if let Some(shard) = &self.shard {
            shard.error(kind);
        }
    }
}

type Filtered = Response<FilterBody<Empty<Bytes>>>;

/// A request that is with Envoy: the filter waits for the head of its response.
struct Waiting {
    filtered: BoxFuture<'static, Result<Filtered, Infallible>>,
    respond: oneshot::Sender<Response<Empty<Bytes>>>,
    enforces: bool,
    target: Target,
    started: Instant,
}

/// What a request is for.
#[derive(Clone)]
struct Target {
    method: Method,
    uri: Uri,
    /// Envoy's.
    request_id: String,
}

/// One request, from stream to stream.
struct Conversation<S> {
    asked: S,
    account: Account,
    trusted: bool,
    waiting: Option<Waiting>,
    ended: bool,
}

#[tonic::async_trait]
impl ExternalProcessor for Processor {
    type ProcessStream = BoxStream<'static, Result<ProcessingResponse, Status>>;

    async fn process(
        &self,
        request: tonic::Request<Streaming<ProcessingRequest>>,
    ) -> Result<tonic::Response<Self::ProcessStream>, Status> {
        let account = self.account();
        let peer = request.remote_addr().map(|address| address.ip());
        // Who reaches a path of this machine may speak for visitors.
        let trusted = peer.is_none_or(|peer: IpAddr| account.snapshot.trusts(peer));
        let asked = request.into_inner();
        let conversation = Conversation { asked, account, trusted, waiting: None, ended: false };
        Ok(tonic::Response::new(conversation.answers().boxed()))
    }
}

impl<S> Conversation<S>
where
    S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
{
    /// An answer for each message, until Envoy has no more, or one cannot be answered.
    fn answers(self) -> impl Stream<Item = Result<ProcessingResponse, Status>> {
        stream::unfold(self, |mut conversation| async move {
            if conversation.ended {
                return None;
            }
            let asked = match conversation.asked.next().await? {
                Ok(asked) => asked.request?,
                // Envoy ends the stream when the visitor leaves: nobody waits for an answer.
                Err(_) => return None,
            };
            let answered = conversation.answer(asked);
            conversation.ended = !matches!(
                answered,
                Ok(ref answered) if !matches!(answered, Answered::ImmediateResponse(_))
            );
            let answered = answered.map_err(|error| {
                conversation.account.error(ErrorKind::BadRequest);
                tracing::warn!(%error, "a message of Envoy's cannot be judged: its request fails");
                Status::invalid_argument(error.to_string())
            });
            let response = answered.map(|response| ProcessingResponse {
                response: Some(response),
                ..ProcessingResponse::default()
            });
            Some((response, conversation))
        })
    }

    fn answer(&mut self, asked: Asked) -> Result<Answered, ConvertError> {
        Ok(match asked {
            Asked::RequestHeaders(head) => self.request(&head)?,
            Asked::ResponseHeaders(head) => self.response(&head)?,
            // Not asked for by our example, and never changed.
            Asked::RequestBody(_) => Answered::RequestBody(BodyResponse::default()),
            Asked::ResponseBody(_) => Answered::ResponseBody(BodyResponse::default()),
            Asked::RequestTrailers(_) => Answered::RequestTrailers(TrailersResponse::default()),
            Asked::ResponseTrailers(_) => Answered::ResponseTrailers(TrailersResponse::default()),
        })
    }

    /// The head of a request: what to change of it, or the answer to a beacon.
    fn request(&mut self, head: &HttpHeaders) -> Result<Answered, ConvertError> {
        let started = Instant::now();
        let request = convert::request(head)?;
        let before = request.headers().clone();
        let host = named_host(request.headers()).unwrap_or_default();
        let snapshot = Arc::clone(&self.account.snapshot);
        let site = match snapshot.sites.find(host, request.uri().path()) {
            Ok(site) => site,
            Err(missing) => return Ok(self.refuse(missing)),
        };
        self.account.site = Some(site.index);
        let (mut waiting, mut passed) = self.begin(site, request, started);
        // It is ready where Envoy need not be asked.
        if let Some(Ok(answer)) = waiting.filtered.as_mut().now_or_never() {
            return Ok(self.immediate(answer, &waiting.target, started));
        }
        let after = passed.try_recv().unwrap_or_default();
        let changes = convert::difference(&before, &after);
        self.waiting = Some(waiting);
        Ok(Answered::RequestHeaders(continuing(changes)))
    }

    /// Puts the filter in front of Envoy. What passes it is in the second part.
    fn begin(
        &self,
        site: &Site,
        request: Request<()>,
        started: Instant,
    ) -> (Waiting, oneshot::Receiver<HeaderMap>) {
        let (respond, responded) = oneshot::channel::<Response<Empty<Bytes>>>();
        let (pass, passed) = oneshot::channel();
        let mut envoy = Some((responded, pass));
        let to_envoy = service_fn(move |request: Request<()>| {
            let handed = envoy.take().map(|(responded, pass)| {
                let mut headers = request.into_parts().0.headers;
                join_cookies(&mut headers);
                let _ = pass.send(headers);
                responded
            });
            async move {
                match handed {
                    // Whoever asks drops the sender only together with this future.
                    Some(responded) => Ok(responded.await.unwrap_or_default()),
                    None => Ok::<_, Infallible>(Response::default()),
                }
            }
        });
        let id = request.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok());
        let target = Target {
            method: request.method().clone(),
            uri: request.uri().clone(),
            request_id: id.unwrap_or_default().chars().take(64).collect(),
        };
        let secure = forwarded_scheme_is_secure(request.headers()).unwrap_or_default();
        let layer =
            ConsentLayer::new(Arc::clone(&site.filter)).secure(secure).trusted(self.trusted);
        let filtered = layer.layer(to_envoy).call(request).boxed();
        let enforces = site.filter.settings().mode == Mode::Enforce;
        (Waiting { filtered, respond, enforces, target, started }, passed)
    }

    /// The head of a response: what to change of it, or another response in its stead.
    fn response(&mut self, head: &HttpHeaders) -> Result<Answered, ConvertError> {
        let response = convert::response(head)?;
        let before = response.headers().clone();
        // Envoy asks of a response only after its request; else nothing is known of the visitor.
        let waiting = self.waiting.take().ok_or(ConvertError::NoTarget)?;
        let Waiting { mut filtered, respond, enforces, target, started } = waiting;
        let _ = respond.send(response.map(|()| Empty::new()));
        let Some(Ok(filtered)) = filtered.as_mut().now_or_never() else {
            return Err(ConvertError::NoHeaders);
        };
        if enforces && filtered.body().report().beacon.is_some() {
            return Ok(self.immediate(filtered, &target, started));
        }
        let changes = convert::difference(&before, filtered.headers());
        self.count(&filtered, &target, started);
        Ok(Answered::ResponseHeaders(continuing(changes)))
    }

    fn refuse(&self, missing: NotFound) -> Answered {
        self.account.error(ErrorKind::BadRequest);
        let status = match missing {
            NotFound::Host => StatusCode::MISDIRECTED_REQUEST,
            NotFound::Path => StatusCode::NOT_FOUND,
        };
        let mut answer = Response::new(Bytes::from_static(b"No site is served here.\n"));
        *answer.status_mut() = status;
        Answered::ImmediateResponse(convert::immediate(answer, "consentry_no_site"))
    }

    fn immediate(&self, answer: Filtered, target: &Target, started: Instant) -> Answered {
        self.count(&answer, target, started);
        let (parts, body) = answer.into_parts();
        // Our own answers are there at once.
        let body = body.collect().now_or_never().and_then(Result::ok);
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let answer: ImmediateResponse =
            convert::immediate(Response::from_parts(parts, body), "consentry_beacon");
        Answered::ImmediateResponse(answer)
    }

    fn count(&self, filtered: &Filtered, target: &Target, started: Instant) {
        let Account { snapshot, place, site, .. } = &self.account;
        let Some(site) = site.and_then(|site| snapshot.sites.all().get(site)) else { return };
        let (status, duration) = (filtered.status().as_u16(), started.elapsed());
        let report = filtered.body().report();
        snapshot.counters.request(*place, site.index, status, duration, Some(report));
        let Some(log) = &snapshot.access_log else { return };
        let settings = site.filter.settings();
        let reader = &settings.reader;
        log.write(&Entry {
            site: &site.name,
            method: target.method.as_str(),
            path: target.uri.path(),
            status,
            duration,
            // Envoy has the body.
            bytes: 0,
            request_id: &target.request_id,
            mode: settings.mode.as_str(),
            report: Some((report, &reader.categories, reader.source_name(&report.consent))),
            complete: true,
            speaker: None,
        });
    }
}

fn continuing(
    changes: envoy_types::pb::envoy::service::ext_proc::v3::HeaderMutation,
) -> HeadersResponse {
    let response = CommonResponse { header_mutation: Some(changes), ..CommonResponse::default() };
    HeadersResponse { response: Some(response) }
}
