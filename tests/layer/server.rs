//! Servers behind the layer, on ports chosen by the system.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use consentry::config::settings::FilterSettings;
use consentry::config::{self, Overrides};
use consentry::filter::{ConsentLayer, Filter};
use http::{Request, Response};
use hyper::body::{Body, Bytes, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::Service;

/// Rules for names that are not in the catalogue, one per category.
pub const RULES: &str = "
    [[cookie]]\nname = 'c_necessary'\ncategory = 'necessary'
    [[cookie]]\nname = 'c_functional'\ncategory = 'functional'
    [[cookie]]\nname = 'c_analytics'\ncategory = 'analytics'
    [[cookie]]\nname = 'c_targeting'\ncategory = 'targeting'
    [[cookie]]\nname = 'c_social'\ncategory = 'social'
";

pub fn settings(toml: &str) -> FilterSettings {
    let config = config::parse_filters(&format!("{toml}\n{RULES}"), None, &Overrides::default());
    config.unwrap().single().unwrap()
}

pub fn layer(toml: &str) -> ConsentLayer {
    ConsentLayer::new(Arc::new(Filter::new(settings(toml))))
}

pub async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Serves a router over HTTP/1.1 and HTTP/2.
pub async fn serve_router(router: Router) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Serves a service over HTTP/1.1 and HTTP/2, without a framework.
pub async fn serve<S, B>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                server.serve_connection_with_upgrades(TokioIo::new(stream), service).await
            });
        }
    });
    address
}
