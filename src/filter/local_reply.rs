//! Responses whose request the filter has not seen: local replies of a proxy around it, such as CORS preflights, denials
//! and rate limits. Nothing is known of the visitor, so only what needs no consent passes.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::Empty;

use super::body::FilterBody;
use super::clock::unix_now;
use super::request::Visit;
use super::response;
use super::state::Filter;

impl Filter {
    /// Filters the head of an interim response (RFC 9110 section 15.2).
    pub(crate) fn interim(&self, headers: &mut HeaderMap) {
        let mut visit = Visit::without_request();
        response::filter_trailers(self, &mut visit.report, headers, unix_now());
    }

    /// Filters the head of a response without a request. Its body is elsewhere.
    pub fn local_reply(
        self: &Arc<Self>,
        mut response: Response<()>,
    ) -> Response<FilterBody<Empty<Bytes>>> {
        let mut visit = Visit::without_request();
        response::filter(self, &mut visit, response.headers_mut(), unix_now());
        response.map(|()| FilterBody::inner(Empty::new(), Arc::clone(self), visit.report))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, parse};

    #[test]
    fn without_a_request_only_necessary_cookies_pass_whatever_the_default() {
        for default in ["deny", "allow"] {
            let toml = format!(
                "[consent]\ndefault = '{default}'\n\
                 [[cookie]]\nname = 'login'\ncategory = 'necessary'\n\
                 [[site]]\nupstream = 'http://127.0.0.1:1'"
            );
            let config = parse(&toml, None, &Overrides::default()).expect("a valid config");
            let filter = Arc::new(Filter::new(config.sites[0].filter.clone()));
            let mut response = Response::new(());
            for line in ["_ga=1", "login=2; HttpOnly", "_fbp=3"] {
                response.headers_mut().append("set-cookie", line.parse().expect("a value"));
            }
            let response = filter.local_reply(response);
            let lines: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
            assert_eq!(lines, ["login=2; HttpOnly"], "{default}");
        }
    }
}
