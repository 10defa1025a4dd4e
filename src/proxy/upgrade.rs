//! After a 101: octets both ways, until both sides have closed.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::visitor::Visitor;

/// Joins the two connections once both have switched. The 101 itself has passed the filter.
pub(super) fn tunnel(visitor_side: OnUpgrade, upstream_side: OnUpgrade, visitor: Arc<Visitor>) {
    let open = visitor.worker.opened();
    tokio::spawn(async move {
        let _open = open;
        let switched = tokio::try_join!(visitor_side, upstream_side);
        let Ok((visitor_side, upstream_side)) = switched else { return };
        let (mut left, mut right) = (TokioIo::new(visitor_side), TokioIo::new(upstream_side));
        // Either side may break off at any time: for a tunnel that is an ordinary end.
        let _ = tokio::io::copy_bidirectional(&mut left, &mut right).await;
    });
}
