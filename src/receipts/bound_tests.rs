//! Tests of the limits on memory and batch size.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use futures_util::FutureExt;

use super::spool::Spool;
use super::testing::{TIMEOUT, wait_until};
use super::writer::{WriterLimits, WriterSettings};
use super::{
    Cursor, DecisionChannel, NotRecorded, Receipt, Receipts, ReceiptsError, Sqlite, Store,
};
use crate::config::settings::Durability;
use crate::telemetry::ReceiptCounters;

/// Requests that a store or spool received.
#[derive(Default)]
struct Seen {
    hangs: bool,
    rows: Vec<Receipt>,
    largest: usize,
    largest_page: u32,
}

#[derive(Clone, Default)]
struct ObservedMedium(Arc<(Mutex<Seen>, Condvar)>);

impl ObservedMedium {
    fn with<T>(&self, operation: impl FnOnce(&mut Seen) -> T) -> T {
        let seen = self.0.0.lock().expect("no panic");
        let mut seen = self.0.1.wait_while(seen, |seen| seen.hangs).expect("no panic");
        operation(&mut seen)
    }

    fn set_hanging(&self, hangs: bool) {
        self.0.0.lock().expect("no panic").hangs = hangs;
        self.0.1.notify_all();
    }

    fn insert(&self, receipts: &[Receipt]) {
        self.with(|seen| {
            seen.largest = seen.largest.max(receipts.len());
            seen.rows.extend_from_slice(receipts);
        });
    }

    fn count(&self) -> usize {
        self.with(|seen| seen.rows.len())
    }
}

struct SeenStore(ObservedMedium);

impl Store for SeenStore {
    fn insert_if(
        &mut self,
        receipts: &[Receipt],
        _: &dyn Fn() -> bool,
    ) -> Result<(), ReceiptsError> {
        self.0.insert(receipts);
        Ok(())
    }

    fn erase(&mut self, _: &[String], _: i64) -> Result<(), ReceiptsError> {
        Ok(())
    }

    fn page(&mut self, _: &Cursor, _: u32) -> Result<Vec<Receipt>, ReceiptsError> {
        Ok(Vec::new())
    }

    fn find(&mut self, _: &str) -> Result<Option<Receipt>, ReceiptsError> {
        Ok(None)
    }

    fn prune(&mut self, _: i64) -> Result<u64, ReceiptsError> {
        Ok(0)
    }
}

struct SeenSpool(ObservedMedium);

impl Spool for SeenSpool {
    fn insert(&mut self, receipts: &[Receipt]) -> Result<(), ReceiptsError> {
        self.0.insert(receipts);
        Ok(())
    }

    fn oldest(&mut self, limit: u32) -> Result<Vec<Receipt>, ReceiptsError> {
        Ok(self.0.with(|seen| {
            seen.largest_page = seen.largest_page.max(limit);
            seen.rows.iter().take(limit as usize).cloned().collect()
        }))
    }

    fn remove(&mut self, ids: &[String]) -> Result<(), ReceiptsError> {
        self.0.with(|seen| seen.rows.retain(|row| !ids.contains(&row.id)));
        Ok(())
    }

    fn count(&mut self) -> Result<u64, ReceiptsError> {
        Ok(self.0.count() as u64)
    }
}

fn receipt(number: usize) -> Receipt {
    Receipt {
        id: format!("id-{number}"),
        time: 7,
        recorded_at: Some(7),
        site: "shop".to_owned(),
        notice_date: None,
        granted: vec![],
        refused: vec![],
        language: None,
        how: DecisionChannel::Banner,
        gpc: false,
        texts: None,
        ip: None,
        user_agent: None,
    }
}

/// Starts a writer whose time limit for the store is `timeout`.
fn start(
    store: &ObservedMedium,
    spool: &ObservedMedium,
    timeout: Duration,
) -> (Receipts, Arc<ReceiptCounters>) {
    let limits = WriterLimits { store: timeout, reply_timeout: TIMEOUT, ..WriterLimits::default() };
    let settings = WriterSettings { limits, spool_max: 1_000_000, retention_days: 1 };
    let counters = Arc::new(ReceiptCounters::default());
    let opened = store.clone();
    let opener = Box::new(move || Ok(Box::new(SeenStore(opened.clone())) as Box<dyn Store>));
    let spool = SeenSpool(spool.clone());
    let started = Receipts::start_with(settings, Arc::clone(&counters), spool, opener);
    (started.expect("starts"), counters)
}

/// Starts to record `count` receipts without waiting. Returns the number refused immediately.
fn send(receipts: &Receipts, count: usize) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(async {
        let mut refused = 0;
        for number in 0..count {
            let at_once = Box::pin(receipts.record(receipt(number))).now_or_never();
            refused += usize::from(at_once == Some(Err(NotRecorded)));
        }
        refused
    })
}

#[test]
fn at_most_4096_receipts_queue_for_a_hanging_store_in_batches_of_256() {
    let (store, spool) = (ObservedMedium::default(), ObservedMedium::default());
    store.set_hanging(true);
    let (receipts, counters) = start(&store, &spool, TIMEOUT);
    send(&receipts, 20_000);
    // One transaction is in flight, of 1 to 256 receipts.
    let refused = || counters.counts().0[2].1;
    wait_until("the others are refused", || refused() >= 20_000 - 4096 - 256);
    assert!(refused() < 20_000 - 4096);
    store.set_hanging(false);
    // The receipt of a visitor who left unconfirmed is not kept: it is stored and then erased.
    wait_until("all are written", || store.count() as u64 + refused() >= 20_000);
    assert!(store.with(|seen| (2..=256).contains(&seen.largest)));
}

#[test]
fn at_most_4096_receipts_queue_for_a_hanging_writer() {
    let (store, spool) = (ObservedMedium::default(), ObservedMedium::default());
    let (receipts, _) = start(&store, &spool, Duration::ZERO);
    spool.set_hanging(true);
    store.set_hanging(true);
    let refused = send(&receipts, 20_000);
    // Before it hung, the writer had taken one batch, in addition to the queue.
    assert!((20_000 - 4096 - 600..=20_000 - 4096).contains(&refused), "{refused}");
    store.set_hanging(false);
    spool.set_hanging(false);
}

#[test]
fn a_full_spool_is_moved_to_the_store_in_batches_of_256() {
    let (store, spool) = (ObservedMedium::default(), ObservedMedium::default());
    spool.insert(&(0..1000).map(receipt).collect::<Vec<_>>());
    let (_receipts, _) = start(&store, &spool, TIMEOUT);
    wait_until("all are moved", || store.count() >= 1000 && spool.count() == 0);
    assert_eq!(store.with(|seen| seen.largest), 256);
    assert_eq!(spool.with(|seen| seen.largest_page), 256);
}

#[test]
fn the_sqlite_store_deletes_expired_receipts_in_batches_of_1000() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store =
        Sqlite::open(&folder.path().join("receipts.db"), Durability::Batch).expect("opens");
    store.insert(&(0..1500).map(receipt).collect::<Vec<_>>()).expect("inserts");
    let removed = [(); 3].map(|()| store.prune(8).expect("prunes"));
    assert_eq!(removed, [1000, 500, 0]);
}
