//! consentry is a reverse proxy that enforces cookie consent. It reads the visitor's consent cookie and strips
//! every cookie and beacon of a category without consent, in both directions.
//!
//! Most users run the binary. A Rust server can use the same filter without the proxy, as a tower
//! [`Layer`](tower::Layer): see [`filter::ConsentLayer`] and `docs/layer.md`.
//!
//! Modules depend only on the modules after them: `cli` → `app` → `ext_proc` → `proxy`, `admin` → `html` →
//! `consent_ui` → `receipts` → `telemetry` → [`filter`] → `locale`, [`policy`] → [`catalogue`] → [`consent`] →
//! [`cookie`] → `http` → `clock`. [`config`] produces the settings of all of them. From `locale` to `http`, modules
//! are pure: no I/O, no clock, no async.

#![forbid(unsafe_code)]

mod admin;
mod app;
pub mod catalogue;
mod cli;
mod clock;
pub mod config;
pub mod consent;
mod consent_ui;
pub mod cookie;
#[cfg(feature = "ext-proc")]
mod ext_proc;
pub mod filter;
mod html;
mod http;
mod locale;
pub mod policy;
mod proxy;
mod receipts;
mod telemetry;
mod tls;

/// Parts that the binary, the tests, the benchmarks and the fuzz targets use. They are not part of the library's
/// interface and change without notice.
#[doc(hidden)]
pub mod internal {
    pub use crate::app::{Bound, build};
    pub use crate::cli::main;
    pub use crate::consent_ui::ConsentUi;
    pub use crate::html::{PageOutcome, SiteRewriter};
    pub use crate::receipts::{DecisionChannel, Receipt, Sqlite, Store};
}
