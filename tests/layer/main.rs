//! The tower layer in real servers, over sockets: axum routers and plain hyper services, over HTTP/1.1 and HTTP/2.
//! The examples are among the servers.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod client;
mod consent;
mod messages;
mod reload;
mod routes;
mod server;

#[allow(dead_code)]
#[path = "../../examples/layer_axum.rs"]
mod layer_axum;
#[allow(dead_code)]
#[path = "../../examples/layer_hyper.rs"]
mod layer_hyper;

#[test]
fn the_code_in_the_documentation_is_from_the_examples() {
    let examples = [
        include_str!("../../examples/layer_axum.rs"),
        include_str!("../../examples/layer_hyper.rs"),
    ];
    let text = include_str!("../../docs/layer.md");
    let blocks: Vec<&str> =
        text.split("```rust\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 4, "{}", blocks.len());
    for block in blocks {
        assert!(examples.iter().any(|example| example.contains(block.trim())), "{block}");
    }
}
