//! Settings changes in a running server.

use std::sync::Arc;

use axum::Router;
use axum::response::AppendHeaders;
use axum::routing::get as route;
use consentry::filter::ConsentLayer;
use tokio::sync::Notify;

use crate::client::{VERSIONS, get, send};
use crate::server::{serve_router, settings};

#[tokio::test]
async fn a_request_in_flight_keeps_its_settings() {
    let (layer, handle) = ConsentLayer::reloadable(settings(""));
    let (began, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&began), Arc::clone(&answer));
    let tracks = move || async move {
        tell.notify_one();
        wait.notified().await;
        AppendHeaders([("set-cookie", "c_analytics=1")])
    };
    let address = serve_router(Router::new().route("/", route(tracks)).layer(layer)).await;
    let lax = "[[cookie]]\nname = 'c_*'\ncategory = 'functional'\n[consent]\ndefault = 'allow'";
    for version in VERSIONS {
        handle.reload(settings(""));
        let early = tokio::spawn(send(address, version, get("/", &[])));
        began.notified().await;
        handle.reload(settings(lax));
        let late = tokio::spawn(send(address, version, get("/", &[])));
        began.notified().await;
        answer.notify_one();
        let early = early.await.unwrap();
        answer.notify_one();
        let late = late.await.unwrap();
        assert_eq!(early.cookies(), [""; 0]);
        assert_eq!(late.cookies(), ["c_analytics=1"]);
    }
}

#[tokio::test]
async fn a_reload_reaches_every_clone_of_the_layer_and_keeps_the_inventory() {
    let (layer, handle) = ConsentLayer::reloadable(settings(""));
    let tracks = || async { AppendHeaders([("set-cookie", "seen_before=1; Path=/")]) };
    let routes = Router::new().route("/", route(tracks));
    let one = serve_router(routes.clone().layer(layer.clone())).await;
    let other = serve_router(routes.layer(layer)).await;
    for version in VERSIONS {
        handle.reload(settings("unclassified = 'block'"));
        for address in [one, other] {
            assert_eq!(send(address, version, get("/", &[])).await.cookies(), [""; 0]);
        }
        handle.reload(settings("unclassified = 'allow'"));
        for address in [one, other] {
            let reply = send(address, version, get("/", &[])).await;
            assert_eq!(reply.cookies(), ["seen_before=1; Path=/"]);
        }
    }
    let filter = handle.filter();
    let seen = filter.inventory().cookies(&filter.settings().policy.catalogue);
    let seen: Vec<_> = seen.iter().map(|seen| (seen.name.as_str(), seen.tally.set)).collect();
    assert_eq!(seen, [("seen_before", 8)]);
}
