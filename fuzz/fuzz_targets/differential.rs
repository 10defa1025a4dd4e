//! One message, parsed by consentry, hyper and h11.

use crate::differences::{Peer, as_parsed_by, is_misframed, is_stricter};
use crate::message::{self, Kind, Outcome};
use crate::{h11, hyper};

/// Checks that no other parser returns a different message, and that consentry alone accepts only the messages listed
/// in `differences`.
pub fn check(kind: Kind, bytes: &[u8]) {
    let (own, length) = message::parse(kind, bytes);
    // Without the bytes after the message: a peer would parse a second message.
    let bytes = &bytes[..length];
    if own == Outcome::Rejected {
        return;
    }
    let rejected_by = [Peer::Hyper, Peer::H11].map(|peer| is_rejected_by(peer, kind, bytes));
    let Outcome::Complete(message) = own else { return };
    if rejected_by == [true, true] {
        for peer in [Peer::Hyper, Peer::H11] {
            assert!(
                is_stricter(peer, &message, bytes),
                "only consentry accepts this, and why {peer:?} rejects it is not listed: {}\n{message:?}",
                bytes.escape_ascii()
            );
        }
    }
}

fn is_rejected_by(peer: Peer, kind: Kind, bytes: &[u8]) -> bool {
    let shown = bytes.escape_ascii();
    let (own, _) = message::parse(kind, bytes);
    let (other, more) = match peer {
        Peer::Hyper => hyper::parse(kind, bytes),
        Peer::H11 => h11::parse(kind, bytes),
    };
    match (own, other) {
        (_, Outcome::Rejected) => return true,
        (Outcome::Complete(own), _) if is_misframed(peer, &own) => {}
        (_, Outcome::Complete(other)) if is_misframed(peer, &other) => {}
        (Outcome::Complete(own), Outcome::Complete(other)) => {
            let (own, other) = (as_parsed_by(peer, *own), as_parsed_by(peer, *other));
            assert_eq!(own, other, "consentry and {peer:?} parse different messages: {shown}");
            assert!(!more, "the message is shorter for {peer:?}: {shown}");
        }
        (Outcome::Complete(_), Outcome::Incomplete) => {
            panic!("the message is longer for {peer:?}: {shown}")
        }
        (Outcome::Incomplete, Outcome::Complete(_)) => {
            panic!("the message ends earlier for {peer:?}: {shown}")
        }
        (Outcome::Incomplete, Outcome::Incomplete) | (Outcome::Rejected, _) => {}
    }
    false
}
