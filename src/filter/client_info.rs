//! Request facts that the head does not contain. Middleware in front of the layer sets them as
//! request extensions.

use http::{Extensions, Uri};

use crate::http::QueryEdit;

/// The client connection of a request. As a request extension, it overrides the layer's
/// [`secure`](super::ConsentLayer::secure) and [`trusted`](super::ConsentLayer::trusted) for this
/// request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// The client uses HTTPS: deletions carry `Secure`.
    pub secure: bool,
    /// The request comes through a trusted proxy: its region header is honoured.
    pub trusted: bool,
}

/// The URI that the client sent, as a request extension. A router that changes the URI of a request
/// must set it in front of the layer: rules match the paths that the client sent. With the cargo
/// feature `axum`, the layer also reads axum's `OriginalUri`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientUri(pub Uri);

impl ClientUri {
    /// The URI that the client sent, if a router has kept it.
    pub(super) fn original(extensions: &Extensions) -> Option<&Uri> {
        let uri = extensions.get().map(|Self(uri)| uri);
        #[cfg(feature = "axum")]
        let uri = uri.or_else(|| {
            extensions.get().map(|axum::extract::OriginalUri(uri): &axum::extract::OriginalUri| uri)
        });
        uri
    }

    /// Removes query parameters from the URI that the client sent, if a router has kept it.
    pub(super) fn edit_query(extensions: &mut Extensions, edit: &QueryEdit) {
        if let Some(Self(uri)) = extensions.get_mut() {
            *uri = edit.uri(uri);
        }
        #[cfg(feature = "axum")]
        if let Some(axum::extract::OriginalUri(uri)) = extensions.get_mut() {
            *uri = edit.uri(uri);
        }
    }
}
