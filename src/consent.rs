//! Visitor consent: categories, consent cookies, and browser signals.
//!
//! Free of side effects: maps the bytes of the `Cookie` fields and a time to a [`Consent`]. Step 2
//! of a request, between the selection of the site and `policy`, which applies the consent to
//! cookie names.

mod bit_reader;
mod category;
mod common_formats;
mod consent_mode;
mod cookie_source;
mod decode;
mod explain;
mod merge;
mod own_cookie;
mod reader;
mod region;
mod signal;
mod signing;
mod source;
pub mod sources;
mod status;
mod tcf;
mod vendors;
mod votes;
mod write;

pub use category::{Categories, Category, CategoryError, CategorySet};
pub use consent_mode::consent_mode;
pub(crate) use decode::time as tool_time;
pub use own_cookie::{MAX_LIFETIME_DAYS, OwnCookie};
pub use reader::{ConsentReader, is_older};
pub use region::RegionPolicy;
pub use signal::{SignalPolicy, Signals};
pub(crate) use signing::key_lines;
pub use signing::{CookieKeys, CookieKeysError};
pub use status::{Consent, Reason};
pub use vendors::{Vendor, VendorSet, Vendors};
pub use votes::{IdMap, Votes};
