//! One message, parsed by consentry, hyper and h11.

use crate::differences::{Peer, as_shown_by, is_misframed, is_stricter};
use crate::message::{self, Kind, Outcome};
use crate::{h11, hyper};

/// Checks that no other parser sees a different message, and that consentry alone accepts only the messages listed
/// in `differences`.
pub fn check(kind: Kind, bytes: &[u8]) {
    let (ours, length) = message::parse(kind, bytes);
    // With the bytes behind the message a peer would parse two.
    let bytes = &bytes[..length];
    if ours == Outcome::Rejected {
        return;
    }
    let rejected_by = [Peer::Hyper, Peer::H11].map(|peer| is_rejected_by(peer, kind, bytes));
    let Outcome::Complete(message) = ours else { return };
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
    let (ours, _) = message::parse(kind, bytes);
    let (theirs, more) = match peer {
        Peer::Hyper => hyper::parse(kind, bytes),
        Peer::H11 => h11::parse(kind, bytes),
    };
    match (ours, theirs) {
        (_, Outcome::Rejected) => return true,
        (Outcome::Complete(ours), _) if is_misframed(peer, &ours) => {}
        (_, Outcome::Complete(theirs)) if is_misframed(peer, &theirs) => {}
        (Outcome::Complete(ours), Outcome::Complete(theirs)) => {
            let (ours, theirs) = (as_shown_by(peer, *ours), as_shown_by(peer, *theirs));
            assert_eq!(ours, theirs, "consentry and {peer:?} see different messages: {shown}");
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
