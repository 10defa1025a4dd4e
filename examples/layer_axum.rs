//! The consent filter in an axum server, with nested routes, a template that asks for consent, and a reload at SIGHUP.
//!
//! Run it with `cargo run --example layer_axum`, optionally with the path of a config file, then compare
//!
//! ```text
//! curl -si http://127.0.0.1:3000/shop | grep -i '^set-cookie'
//! curl -si http://127.0.0.1:3000/shop -H "Cookie: $(consentry cookie --allow analytics)" | grep -i '^set-cookie'
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};

use axum::extract::Request;
use axum::http::header::SET_COOKIE;
use axum::middleware::{Next, from_fn};
use axum::response::{AppendHeaders, Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use consentry::config::settings::FilterSettings;
use consentry::config::{self, Overrides};
use consentry::filter::{ClientInfo, ConsentLayer, ReloadHandle, VisitorConsent};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const CONFIG: &str = r#"
[[cookie]]
name = "shop_theme"
category = "functional"

[[beacon]]
path = "/shop/visit"
category = "analytics"
"#;

type Failure = Box<dyn Error + Send + Sync>;

async fn page(Extension(consent): Extension<VisitorConsent>) -> impl IntoResponse {
    let measured = consent.allows("analytics");
    let tag = if measured { "<script src=\"/analytics.js\"></script>" } else { "" };
    let cookies = ["sessionid=1; HttpOnly", "shop_theme=dark", "_ga=1"];
    (AppendHeaders(cookies.map(|cookie| (SET_COOKIE, cookie))), Html(format!("<h1>Shop</h1>{tag}")))
}

/// Trusts the proxy in front of this server, which terminates TLS. Clients must not reach the server around it.
async fn behind_proxy(mut request: Request, next: Next) -> Response {
    let scheme = request.headers().get("x-forwarded-proto");
    let secure = scheme.is_some_and(|scheme| scheme == "https");
    request.extensions_mut().insert(ClientInfo { secure, trusted: true });
    next.run(request).await
}

/// The layer added last runs first: `behind_proxy`, then the filter, then the routes.
pub(crate) fn app(consent: ConsentLayer) -> Router {
    let shop = Router::new().route("/", get(page)).route("/visit", get("visited"));
    Router::new().nest("/shop", shop).layer(consent).layer(from_fn(behind_proxy))
}

/// The settings in a config file, or those of `CONFIG`.
pub(crate) fn settings(path: Option<&Path>) -> Result<FilterSettings, Failure> {
    let flags = Overrides::default();
    let config = match path {
        Some(path) => config::load_filters(path, &flags)?,
        None => config::parse_filters(CONFIG, None, &flags)?,
    };
    config.single().ok_or_else(|| "several sites".into())
}

/// Reloads the config at SIGHUP.
async fn reload(handle: ReloadHandle, path: PathBuf) -> Result<(), Failure> {
    let mut hangups = signal(SignalKind::hangup())?;
    while hangups.recv().await.is_some() {
        match settings(Some(&path)) {
            Ok(settings) => handle.reload(settings),
            Err(error) => eprintln!("reload failed, keeping previous config: {error}"),
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let path = std::env::args_os().nth(1).map(PathBuf::from);
    let (layer, handle) = ConsentLayer::reloadable(settings(path.as_deref())?);
    if let Some(path) = path {
        tokio::spawn(reload(handle, path));
    }
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    eprintln!("http://{}/shop", listener.local_addr()?);
    Ok(axum::serve(listener, app(layer)).await?)
}
