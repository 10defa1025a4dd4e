//! Spans of requests, exported by OTLP (OpenTelemetry), as parts of the traces that come with requests
//! (W3C Trace Context). With the feature `otel`; without it `traceparent` passes as it comes.

use std::fmt;

use http::{HeaderName, Method, Uri};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::http::{FieldSection, Fields};

/// The variables that say where spans go (OpenTelemetry, "OTLP Exporter Configuration").
const WHERE: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

/// Where spans go. The variables of OpenTelemetry say where and which.
#[derive(Clone)]
pub struct Spans {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spans")
    }
}

/// The fields of a request as propagators read them.
struct Carried<'a>(&'a FieldSection);

impl Extractor for Carried<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let name = HeaderName::from_bytes(key.as_bytes()).ok()?;
        std::str::from_utf8(self.0.value(&name)?).ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.names().collect()
    }
}

/// The fields of a request as propagators write them.
struct Carrying<'a>(&'a mut FieldSection);

impl Injector for Carrying<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let Ok(name) = HeaderName::from_bytes(key.as_bytes()) {
            self.0.insert(&name, value);
        }
    }
}

/// The span of a request.
pub struct RequestSpan(Context);

impl Spans {
    /// As the environment says; `None` when it says nothing.
    ///
    /// # Errors
    /// When what it says cannot be used.
    pub fn from_environment() -> Result<Option<Self>, ExporterBuildError> {
        if WHERE.iter().all(|name| std::env::var_os(name).is_none_or(|value| value.is_empty())) {
            return Ok(None);
        }
        let exporter = SpanExporter::builder().with_http().build()?;
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("consentry");
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        let tracer = provider.tracer("consentry");
        Ok(Some(Self { provider, tracer }))
    }

    /// Begins the span of a request, below the one that it names, and names that to whom it is forwarded.
    pub(crate) fn begin(
        &self,
        method: &Method,
        uri: &Uri,
        fields: &mut FieldSection,
    ) -> RequestSpan {
        let propagator = TraceContextPropagator::new();
        let parent = propagator.extract(&Carried(fields));
        let attributes = [
            KeyValue::new("http.request.method", method.as_str().to_owned()),
            // Never the query.
            KeyValue::new("url.path", uri.path().to_owned()),
        ];
        let builder = self.tracer.span_builder(method.as_str().to_owned());
        let builder = builder.with_kind(SpanKind::Server).with_attributes(attributes);
        let span = builder.start_with_context(&self.tracer, &parent);
        let context = parent.with_span(span);
        propagator.inject_context(&context, &mut Carrying(fields));
        RequestSpan(context)
    }

    /// Sends what is left.
    pub fn finish(&self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "cannot send the last spans");
        }
    }
}

impl RequestSpan {
    /// Ends it.
    pub fn end(&self, site: &str, status: u16) {
        let span = self.0.span();
        span.set_attribute(KeyValue::new("consentry.site", site.to_owned()));
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        if status >= 500 {
            span.set_status(Status::error(""));
        }
        span.end();
    }
}
