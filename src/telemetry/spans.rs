//! Request spans, exported over OTLP (OpenTelemetry). Each span continues the trace of its request (W3C Trace
//! Context).
//!
//! Requires the feature `otel`. Without the feature, `traceparent` is forwarded unchanged.

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

/// Environment variables that set the export endpoint (OpenTelemetry, "OTLP Exporter Configuration").
const WHERE: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

/// Span exporter, configured by the OpenTelemetry environment variables.
#[derive(Clone)]
pub(crate) struct Spans {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spans")
    }
}

/// Reads the trace context from the request header.
struct HeaderExtractor<'a>(&'a FieldSection);

impl Extractor for HeaderExtractor<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let name = HeaderName::from_bytes(key.as_bytes()).ok()?;
        std::str::from_utf8(self.0.value(&name)?).ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.names().collect()
    }
}

/// Writes the trace context to the request header.
struct HeaderInjector<'a>(&'a mut FieldSection);

impl Injector for HeaderInjector<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let Ok(name) = HeaderName::from_bytes(key.as_bytes()) {
            self.0.insert(&name, value);
        }
    }
}

/// The span of one request.
pub(crate) struct RequestSpan(Context);

impl Spans {
    /// Builds the exporter from the environment. `None` if no endpoint is set.
    ///
    /// # Errors
    /// If the environment variables are invalid.
    pub(crate) fn from_environment() -> Result<Option<Self>, ExporterBuildError> {
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

    /// Starts the span of a request as a child of the span in `traceparent`. The forwarded request carries the new
    /// span.
    pub(crate) fn begin(
        &self,
        method: &Method,
        uri: &Uri,
        fields: &mut FieldSection,
    ) -> RequestSpan {
        let propagator = TraceContextPropagator::new();
        let parent = propagator.extract(&HeaderExtractor(fields));
        let attributes = [
            KeyValue::new("http.request.method", method.as_str().to_owned()),
            // Never the query.
            KeyValue::new("url.path", uri.path().to_owned()),
        ];
        let builder = self.tracer.span_builder(method.as_str().to_owned());
        let builder = builder.with_kind(SpanKind::Server).with_attributes(attributes);
        let span = builder.start_with_context(&self.tracer, &parent);
        let context = parent.with_span(span);
        propagator.inject_context(&context, &mut HeaderInjector(fields));
        RequestSpan(context)
    }

    /// Exports the remaining spans and shuts the exporter down.
    pub(crate) fn finish(&self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "cannot send the last spans");
        }
    }
}

impl RequestSpan {
    /// Ends the span, with the site and the status as attributes.
    pub(crate) fn end(&self, site: &str, status: u16) {
        let span = self.0.span();
        span.set_attribute(KeyValue::new("consentry.site", site.to_owned()));
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        if status >= 500 {
            span.set_status(Status::error(""));
        }
        span.end();
    }
}
