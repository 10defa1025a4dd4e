//! One request: `handler` finds the site and filters, `forward` makes the request fit for an upstream, `attempt` sends it,
//! and `error` turns whatever failed into a response, in one place. `request_record` counts and logs it once.

pub(crate) mod attempt;
pub(crate) mod error;
pub(crate) mod forward;
pub(crate) mod handler;
pub(crate) mod head_coalescer;
pub(crate) mod hop_by_hop;
pub(crate) mod https_redirect;
pub(crate) mod rate_limit;
pub(crate) mod replay;
pub(crate) mod request_body;
pub(crate) mod request_record;
pub(crate) mod response_body;
pub(crate) mod upgrade;
pub(crate) mod upstream_urls;
