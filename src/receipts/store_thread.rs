//! The thread that owns the store connection, so that a store that hangs blocks nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::Receiver;

use super::error::ReceiptsError;
use super::receipt::Receipt;
use super::store::Store;
use crate::clock::unix_now;

/// Resolves the race between the commit of a transaction and the end of a visitor's wait.
#[derive(Debug, Default)]
pub(super) struct Gate(AtomicU8);

impl Gate {
    const OPEN: u8 = 0;
    const COMMITTING: u8 = 1;
    const CANCELLED: u8 = 2;

    /// Starts the commit, unless it was cancelled. Its outcome is unknown until the transaction ends.
    fn begin_commit(&self) -> bool {
        self.moves_to(Self::COMMITTING)
    }

    /// Cancels the transaction. Returns whether it is certain not to be committed.
    pub(super) fn cancel(&self) -> bool {
        self.moves_to(Self::CANCELLED)
    }

    /// Whether COMMIT was sent.
    pub(super) fn is_committing(&self) -> bool {
        self.0.load(Ordering::SeqCst) == Self::COMMITTING
    }

    fn moves_to(&self, to: u8) -> bool {
        let (success, failure) = (Ordering::SeqCst, Ordering::SeqCst);
        self.0.compare_exchange(Self::OPEN, to, success, failure).is_ok()
    }
}

/// One operation on the store. The store is opened first if it is not open.
pub(super) enum Operation {
    Open,
    Insert(Vec<Receipt>, Arc<Gate>),
    Erase(Vec<String>),
    Prune(i64),
}

/// Opens the store.
pub(super) type Opener = Box<dyn FnMut() -> Result<Box<dyn Store>, ReceiptsError> + Send>;

/// Runs operations in order and reports the result of each: the number of deleted receipts, or the error. After an
/// error the store is reopened. Ends when the receiver of the reports is gone.
pub(super) fn run(
    mut open: Opener,
    operations: &Receiver<Operation>,
    report: impl Fn(Result<u64, ReceiptsError>) -> bool,
) {
    let mut store: Option<Box<dyn Store>> = None;
    for operation in operations {
        let opened = match store.take() {
            Some(store) => Ok(store),
            None => open(),
        };
        let done = opened.and_then(|mut opened| {
            let count = perform(opened.as_mut(), operation)?;
            store = Some(opened);
            Ok(count)
        });
        if !report(done) {
            return;
        }
    }
}

fn perform(store: &mut dyn Store, operation: Operation) -> Result<u64, ReceiptsError> {
    match operation {
        Operation::Open => Ok(0),
        Operation::Insert(receipts, gate) => {
            store.insert_if(&receipts, &|| gate.begin_commit()).map(|()| 0)
        }
        Operation::Erase(ids) => store.erase(&ids, unix_now()).map(|()| 0),
        Operation::Prune(before) => store.prune(before),
    }
}
