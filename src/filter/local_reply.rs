//! Filters responses without a filtered request: local replies of a surrounding proxy, such as CORS
//! preflights, denials and rate limits. The visitor is unknown, so only cookies that need no
//! consent pass.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Empty;

use super::body::FilterBody;
use super::edits::Edits;
use super::request::RequestContext;
use super::response;
use super::site_filter::Filter;
use crate::clock::unix_now;
use crate::http::Fields;

impl Filter {
    /// Filters the head of a response whose request is unknown.
    pub(crate) fn without_request(
        self: &Arc<Self>,
        fields: &impl Fields,
    ) -> (Edits, FilterBody<Empty<Bytes>>) {
        let mut visit = RequestContext::without_request();
        let edits = response::filter(self, &mut visit, fields, unix_now());
        (edits, FilterBody::inner(Empty::new(), Arc::clone(self), visit.report))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, parse};
    use crate::http::FieldSection;

    #[test]
    fn without_a_request_only_necessary_cookies_pass_for_any_default() {
        for default in ["deny", "allow"] {
            let toml = format!(
                "[consent]\ndefault = '{default}'\n\
                 [[cookie]]\nname = 'login'\ncategory = 'necessary'\n\
                 [[site]]\nupstream = 'http://127.0.0.1:1'"
            );
            let config = parse(&toml, None, &Overrides::default()).expect("a valid config");
            let filter = Arc::new(Filter::new(config.sites[0].filter.clone()));
            let lines = ["_ga=1", "login=2; HttpOnly", "_fbp=3"].map(|line| ("set-cookie", line));
            let mut fields = FieldSection::from_lines(&lines);
            filter.without_request(&fields).0.apply(&mut fields);
            assert_eq!(fields.texts("set-cookie"), ["login=2; HttpOnly"], "{default}");
        }
    }
}
