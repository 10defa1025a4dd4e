//! What is known of the sender of a request besides the request.

/// What is known of the sender of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Peer {
    /// The visitor came by https.
    pub(crate) secure: bool,
    /// What the request says of the visitor's region is believed.
    pub(crate) trusted: bool,
}
