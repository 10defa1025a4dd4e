//! Request handling, from the parsed head to the end of the response.
//!
//! `handler` selects the site and runs the filter. `forward` prepares the request for the upstream,
//! and `attempt` sends it. `error_response` is the one module that turns errors into
//! responses. `request_record` counts and logs each request once.

pub(crate) mod attempt;
pub(crate) mod error;
pub(crate) mod error_response;
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
