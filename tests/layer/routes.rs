//! Routers: nested routes, fallbacks, the order of middleware.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use axum::Router;
use axum::response::AppendHeaders;
use axum::routing::{any, get as route};
use consentry::filter::ClientUri;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use tower::{Layer, ServiceExt, service_fn};

use crate::client::{VERSIONS, consent_cookie, get, send};
use crate::server::{layer, listen, serve, serve_router};

const BEACONS: &str = "
    [[beacon]]\npath = '/shop/pixel'\ncategory = 'analytics'
    [[beacon]]\npath = '/stock'\ncategory = 'analytics'
";

#[tokio::test]
async fn nested_routes_are_filtered_by_the_original_path() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let handler = any(move || async move {
        counter.fetch_add(1, SeqCst);
        "called"
    });
    let routes = || Router::new().route("/pixel", handler.clone()).route("/stock", handler.clone());
    // In each of them the layer sees the path without `/shop`.
    let routers = [
        Router::new().nest("/shop", routes().layer(layer(BEACONS))),
        Router::new().nest("/shop", routes().route_layer(layer(BEACONS))),
        Router::new().nest("/shop", Router::new().fallback(handler.clone()).layer(layer(BEACONS))),
        Router::new().nest_service("/shop", layer(BEACONS).layer(routes())),
        Router::new().nest("/{shop}", routes().layer(layer(BEACONS))),
    ];
    for (number, router) in routers.into_iter().enumerate() {
        let address = serve_router(router).await;
        for version in VERSIONS {
            calls.store(0, SeqCst);
            let blocked = send(address, version, get("/shop/pixel?id=7", &[])).await;
            let found = (blocked.status, calls.load(SeqCst));
            assert_eq!(found, (StatusCode::NO_CONTENT, 0), "{number} {version:?}");
            let granted = consent_cookie("analytics");
            let passed = send(address, version, get("/shop/pixel", &[("cookie", &granted)])).await;
            assert_eq!((passed.text(), calls.load(SeqCst)), ("called", 1), "{number} {version:?}");
            // A rule for `/stock` does not match `/shop/stock`, although the route is `/stock`.
            let other = send(address, version, get("/shop/stock", &[])).await;
            assert_eq!((other.text(), calls.load(SeqCst)), ("called", 2), "{number} {version:?}");
        }
    }
}

#[tokio::test]
async fn deletions_in_nested_routes_have_the_paths_of_the_client() {
    let inner = Router::new().route("/cart/items", route("items")).layer(layer(""));
    let address = serve_router(Router::new().nest("/shop", inner)).await;
    for version in VERSIONS {
        let load = [("sec-fetch-mode", "navigate"), ("cookie", "unknown_one=1")];
        let reply = send(address, version, get("/shop/cart/items", &load)).await;
        let paths: Vec<&str> =
            reply.cookies().iter().filter_map(|line| line.split("Path=").nth(1)).collect();
        assert!(paths.contains(&"/shop/cart") && !paths.contains(&"/cart"), "{paths:?}");
    }
}

#[tokio::test]
async fn other_routers_pass_the_original_uri_in_an_extension() {
    let page = service_fn(|request: Request<Incoming>| async move {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(request.uri().path().to_owned())))
    });
    let filtered = layer(BEACONS).layer(page);
    let router = filtered.map_request(|mut request: Request<Incoming>| {
        let sent = request.uri().clone();
        *request.uri_mut() = Uri::try_from(sent.path().trim_start_matches("/shop")).unwrap();
        request.extensions_mut().insert(ClientUri(sent));
        request
    });
    let address = serve(router).await;
    for version in VERSIONS {
        let blocked = send(address, version, get("/shop/pixel", &[])).await;
        assert_eq!(blocked.status, StatusCode::NO_CONTENT);
        let passed = send(address, version, get("/shop/stock", &[])).await;
        assert_eq!(passed.text(), "/stock", "the service sees its own path");
    }
}

#[tokio::test]
async fn responses_of_fallbacks_and_of_unknown_paths_and_methods_are_filtered() {
    let tracks =
        || async { (StatusCode::NOT_FOUND, AppendHeaders([("set-cookie", "c_analytics=1")])) };
    let own = Router::new().route("/", route(tracks)).fallback(tracks).layer(layer(""));
    let plain = Router::new().route("/", route(tracks)).layer(layer(""));
    for router in [own, plain] {
        let address = serve_router(router).await;
        for version in VERSIONS {
            for (method, path) in [("GET", "/"), ("GET", "/none"), ("POST", "/"), ("OPTIONS", "/")]
            {
                let mut request = get(path, &[("cookie", "c_social=1")]);
                *request.method_mut() = method.parse().unwrap();
                let reply = send(address, version, request).await;
                assert_eq!(reply.cookies(), [""; 0], "{method} {path}");
                assert!(reply.status.is_client_error(), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn the_layer_filters_only_cookies_set_inside_it() {
    let sets = |line: &'static str| {
        axum::middleware::map_response(move |mut response: axum::response::Response| async move {
            response.headers_mut().append("set-cookie", line.parse().unwrap());
            response
        })
    };
    let router = Router::new()
        .route("/", route("page"))
        .layer(sets("c_analytics=inside"))
        .layer(layer(""))
        .layer(sets("c_analytics=outside"));
    let address = serve_router(router).await;
    for version in VERSIONS {
        let reply = send(address, version, get("/", &[])).await;
        assert_eq!(reply.cookies(), ["c_analytics=outside"]);
    }
}

#[tokio::test]
async fn the_example_with_axum_filters_by_consent() {
    let settings = crate::layer_axum::settings(None).unwrap();
    let (layer, _) = consentry::filter::ConsentLayer::reloadable(settings);
    let address = serve_router(crate::layer_axum::app(layer)).await;
    for version in VERSIONS {
        let reply = send(address, version, get("/shop", &[])).await;
        assert_eq!(reply.cookies(), ["sessionid=1; HttpOnly"]);
        assert_eq!(reply.text(), "<h1>Shop</h1>");
        let granted = consent_cookie("analytics");
        let reply = send(address, version, get("/shop", &[("cookie", &granted)])).await;
        assert_eq!(reply.cookies(), ["sessionid=1; HttpOnly", "_ga=1"]);
        assert!(reply.text().contains("/analytics.js"), "{}", reply.text());
        let visit = send(address, version, get("/shop/visit", &[])).await;
        assert_eq!(visit.status, StatusCode::NO_CONTENT);
        for (scheme, secure) in [("https", true), ("http", false)] {
            let load = [
                ("sec-fetch-mode", "navigate"),
                ("cookie", "_ga=1"),
                ("x-forwarded-proto", scheme),
            ];
            let reply = send(address, version, get("/shop", &load)).await;
            assert_eq!(reply.cookies()[1].ends_with("; Secure"), secure, "{:?}", reply.cookies());
        }
    }
}

#[tokio::test]
async fn the_example_with_hyper_filters_by_consent() {
    let (listener, address) = listen().await;
    tokio::spawn(crate::layer_hyper::serve(listener, crate::layer_hyper::layer().unwrap()));
    for version in VERSIONS {
        let reply = send(address, version, get("/", &[])).await;
        assert_eq!(reply.cookies(), ["sessionid=1; HttpOnly"]);
        assert_eq!(reply.text(), "not measured\n");
        let granted = consent_cookie("analytics");
        let reply = send(address, version, get("/", &[("cookie", &granted)])).await;
        assert_eq!(reply.cookies(), ["sessionid=1; HttpOnly", "_ga=1"]);
        assert_eq!(reply.text(), "measured\n");
    }
}
