//! Redirects plain HTTP requests to HTTPS.

use bytes::Bytes;
use http::header::{HeaderValue, LOCATION};
use http::{Method, Response, StatusCode};

use crate::http::Request;
use crate::http::named_host;
use crate::proxy::request::error::ProxyError;

/// Returns a redirect to the same URL over HTTPS.
pub(crate) fn to_https<B>(request: &Request<B>, port: u16) -> Result<Response<Bytes>, ProxyError> {
    let host = named_host(&request.fields).ok_or(ProxyError::BadHost)?;
    let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
    // The target of `OPTIONS *` is not a path.
    let path = if path.starts_with('/') { path } else { "/" };
    let location = match port {
        443 => format!("https://{host}{path}"),
        port => format!("https://{host}:{port}{path}"),
    };
    let mut response = Response::new(Bytes::new());
    // A 308 keeps the method, such as POST (RFC 9110 section 15.4.9). Old clients support 301
    // better.
    *response.status_mut() = match request.method {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::PERMANENT_REDIRECT,
    };
    let location = HeaderValue::try_from(location).map_err(|_| ProxyError::BadHost)?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}
