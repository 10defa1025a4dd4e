//! The consent filter in a server of your own, without the proxy: a tower layer around a service.
//!
//! Run it with `cargo run --example layer`, then compare
//!
//! ```text
//! curl -si http://127.0.0.1:3000/ | grep -i '^set-cookie'
//! curl -si http://127.0.0.1:3000/ -H "Cookie: $(consentry cookie --allow analytics)" | grep -i '^set-cookie'
//! ```

use std::convert::Infallible;
use std::sync::Arc;

use consentry::config::{self, Overrides};
use consentry::filter::{ConsentLayer, Filter};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tower::{Layer, service_fn};

// A filter is one site's, so the config has one; where its upstream is does not matter here.
const CONFIG: &str = r#"
[[site]]
upstream = "http://127.0.0.1:1"

[[cookie]]
name = "shop_theme"
category = "functional"
"#;

async fn page(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let response = Response::builder()
        .header("set-cookie", "sessionid=1; HttpOnly")
        .header("set-cookie", "shop_theme=dark")
        .header("set-cookie", "_ga=1")
        .body(Full::from("hello\n"));
    Ok(response.unwrap_or_default())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = config::parse(CONFIG, None, &Overrides::default())?;
    let site = config.sites.into_iter().next().ok_or("the config has no site")?;
    let layer = ConsentLayer::new(Arc::new(Filter::new(site.filter)));

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    eprintln!("http://{}/", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(layer.layer(service_fn(page)));
        tokio::spawn(async move {
            let served = hyper::server::conn::http1::Builder::new();
            if let Err(error) = served.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("{error}");
            }
        });
    }
}
