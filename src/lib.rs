//! consentry is a reverse proxy that enforces cookie consent. It reads the visitor's consent cookie and strips
//! every cookie and beacon of a category without consent, in both directions.
//!
//! Most users run the binary. A Rust server can use the same filter without the proxy, as a tower
//! [`Layer`](tower::Layer): see [`filter::ConsentLayer`] and `docs/layer.md`.
//!
//! Modules depend only on the modules after them: [`cli`] → [`app`] → `ext_proc` → [`proxy`], [`admin`] → [`html`]
//! → [`consent_ui`] → [`receipts`] → [`telemetry`] → [`filter`] → [`locale`], [`policy`] → [`catalogue`] → [`consent`]
//! → [`cookie`] → `http` → `clock`. [`config`] produces the settings of all of them. `locale`, `policy`, `catalogue`, `consent`, `cookie` and `http` are pure: no I/O, no clock,
//! no async.

#![forbid(unsafe_code)]

pub mod admin;
pub mod app;
pub mod catalogue;
pub mod cli;
mod clock;
pub mod config;
pub mod consent;
pub mod consent_ui;
pub mod cookie;
#[cfg(feature = "ext-proc")]
pub mod ext_proc;
pub mod filter;
pub mod html;
mod http;
pub mod locale;
pub mod policy;
pub mod proxy;
pub mod receipts;
pub mod telemetry;
pub mod tls;
