//! Consent filter as a tower [`Layer`](tower::Layer). Works in any tower or hyper server and is
//! independent of sockets.
//!
//! [`ConsentService`] reads the visitor's consent and answers beacons without consent. It strips
//! the `Cookie` fields, calls the inner service, and filters the response. `proxy` selects the site
//! before the filter runs; the inner service forwards the request.
//!
//! ```
//! use consentry::config::{self, Overrides};
//! use consentry::filter::{ConsentLayer, Filter};
//! use std::sync::Arc;
//!
//! let toml = "[[cookie]]\nname = 'shop'\ncategory = 'necessary'";
//! let settings = config::parse_filters(toml, None, &Overrides::default()).unwrap().single().unwrap();
//! let layer = ConsentLayer::new(Arc::new(Filter::new(settings)));
//! # let _ = layer;
//! ```

mod beacon_detection;
mod beacon_reply;
mod body;
mod by_rule;
mod client_info;
mod cookie_deletion;
mod cookie_rewrite;
mod cookie_scopes;
mod decision_cache;
mod deletion_plan;
mod edits;
mod exchange;
mod explain;
mod fields;
mod filtered_head;
mod inventory;
#[cfg(feature = "ext-proc")]
mod local_reply;
mod observation;
mod page_paths;
mod page_policies;
mod presumed;
mod reload;
mod report;
mod reporting;
mod request;
mod response;
mod service;
mod session_companion;
mod site_filter;
mod tracking_headers;
mod trailers;
mod url_identifiers;
mod visitor_consent;

pub use beacon_detection::BeaconPost;
pub use body::FilterBody;
pub use client_info::{ClientInfo, ClientUri};
pub use decision_cache::DecisionCache;
pub use inventory::{BlockedKind, Inventory, Rule, SeenItem};
pub use observation::{Attributes, ItemCounts, PassCounts};
pub use reload::ReloadHandle;
pub use report::{Counts, Report};
pub use service::{ConsentFuture, ConsentLayer, ConsentService};
pub use site_filter::Filter;
pub use visitor_consent::VisitorConsent;

pub(crate) use beacon_reply::PIXEL;
pub(crate) use body::hint_with;
#[cfg(feature = "ext-proc")]
pub(crate) use edits::{Carrier, RequestCarrier};
pub(crate) use exchange::{HeadDecision, PendingExchange, ResponseDecision, into_response};
pub(crate) use explain::{ExplainedItem, Explanation};
pub(crate) use filtered_head::FilteredHead;
pub(crate) use request::Unforwarded;

#[cfg(test)]
mod bound_tests;
#[cfg(test)]
mod consenting_tests;
