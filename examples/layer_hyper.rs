//! The consent filter in a plain hyper server, for HTTP/1.1 and HTTP/2.
//!
//! Run it with `cargo run --example layer_hyper`, then compare
//!
//! ```text
//! curl -si http://127.0.0.1:3000/ | grep -i '^set-cookie'
//! curl -si http://127.0.0.1:3000/ -H "Cookie: $(consentry cookie --allow analytics)" | grep -i '^set-cookie'
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use consentry::config::{self, Overrides};
use consentry::filter::{ClientInfo, ConsentLayer, Filter, VisitorConsent};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt, service_fn};

const CONFIG: &str = r#"
[[cookie]]
name = "shop_theme"
category = "functional"
"#;

async fn page(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let consent = request.extensions().get::<VisitorConsent>();
    let measured = consent.is_some_and(|consent| consent.allows("analytics"));
    let response = Response::builder()
        .header("set-cookie", "sessionid=1; HttpOnly")
        .header("set-cookie", "shop_theme=dark")
        .header("set-cookie", "_ga=1")
        .body(Full::from(if measured { "measured\n" } else { "not measured\n" }));
    Ok(response.unwrap_or_default())
}

/// Serves the page behind the layer.
pub(crate) async fn serve(listener: TcpListener, layer: ConsentLayer) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        // A TLS server sets `secure` to true here.
        let peer = ClientInfo { secure: false, trusted: false };
        let filtered = layer.layer(service_fn(page));
        let service = filtered.map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request
        });
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            let service = TowerToHyperService::new(service);
            let served = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
            if let Err(error) = served.await {
                eprintln!("{error}");
            }
        });
    }
}

/// The layer with the settings of `CONFIG`.
pub(crate) fn layer() -> Result<ConsentLayer, Box<dyn Error + Send + Sync>> {
    let config = config::parse_filters(CONFIG, None, &Overrides::default())?;
    let settings = config.single().ok_or("several sites")?;
    Ok(ConsentLayer::new(Arc::new(Filter::new(settings))))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    eprintln!("http://{}/", listener.local_addr()?);
    Ok(serve(listener, layer()?).await?)
}
