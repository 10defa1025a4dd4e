//! Fault-injection tests of the writer, with faults at every step of the store and the spool.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::runtime::{Builder, Runtime};

use super::spool::Spool;
use super::testing::{TIMEOUT, wait_until};
use super::writer::{WriterLimits, WriterSettings};
use super::{Cursor, DecisionChannel, NotRecorded, Receipt, Receipts, ReceiptsError, Store};
use crate::telemetry::ReceiptCounters;

/// The fault of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    No,
    /// An error without effect: no connection, a full disk.
    Before,
    /// An error after the effect: a connection that breaks after COMMIT was sent.
    After,
    /// A lock held longer than the visitor waits.
    SlowBefore,
    /// A commit that takes longer than the visitor waits.
    SlowCommit,
}

/// Contents of a store or spool, and the faults of the next operations.
#[derive(Default)]
struct Medium {
    /// `None` for a tombstone.
    rows: BTreeMap<String, Option<Receipt>>,
    faults: VecDeque<Fault>,
    /// The process is killed: no operation has an effect any more.
    killed: bool,
    /// Operations hang until this is reset.
    hangs: bool,
    fails_to_remove: bool,
    fails_to_insert: bool,
    /// Expired receipts.
    expired: u64,
    calls: BTreeMap<&'static str, Vec<Instant>>,
}

#[derive(Clone, Default)]
struct FaultyMedium(Arc<(Mutex<Medium>, Condvar)>);

impl FaultyMedium {
    fn get(&self) -> MutexGuard<'_, Medium> {
        self.0.0.lock().expect("no panic")
    }

    fn release(&self) {
        self.get().hangs = false;
        self.0.1.notify_all();
    }

    fn ids(&self) -> BTreeSet<String> {
        let medium = self.get();
        let live = medium.rows.iter().filter(|(_, row)| row.is_some());
        live.map(|(id, _)| id.clone()).collect()
    }

    /// Runs an operation with its fault. `commit` may cancel it before the effect.
    fn run<T>(
        &self,
        name: &'static str,
        slow: Duration,
        commit: &dyn Fn() -> bool,
        effect: impl FnOnce(&mut Medium) -> Result<T, ReceiptsError>,
    ) -> Result<T, ReceiptsError> {
        let fault = {
            let mut medium = self.get();
            medium.calls.entry(name).or_default().push(Instant::now());
            while medium.hangs {
                medium = self.0.1.wait(medium).expect("no panic");
            }
            medium.faults.pop_front().unwrap_or(Fault::No)
        };
        let failed = || ReceiptsError::Thread(std::io::Error::other("injected"));
        if fault == Fault::SlowBefore {
            std::thread::sleep(slow);
        }
        if fault == Fault::Before || self.get().killed {
            return Err(failed());
        }
        if !commit() {
            return Err(ReceiptsError::Cancelled);
        }
        if fault == Fault::SlowCommit {
            std::thread::sleep(slow);
        }
        let mut medium = self.get();
        if medium.killed {
            return Err(failed());
        }
        let done = effect(&mut medium)?;
        if fault == Fault::After { Err(failed()) } else { Ok(done) }
    }
}

/// Longer than a visitor waits for the store, and for the answer.
const SLOW_STORE: Duration = Duration::from_millis(25);
const SLOW_SPOOL: Duration = Duration::from_millis(60);

struct FaultyStore(FaultyMedium);

impl Store for FaultyStore {
    fn insert_if(
        &mut self,
        receipts: &[Receipt],
        commit: &dyn Fn() -> bool,
    ) -> Result<(), ReceiptsError> {
        self.0.run("insert", SLOW_STORE, commit, |medium| {
            if medium.fails_to_insert {
                return Err(ReceiptsError::SpoolFull);
            }
            for receipt in receipts {
                medium.rows.entry(receipt.id.clone()).or_insert_with(|| Some(receipt.clone()));
            }
            Ok(())
        })
    }

    fn erase(&mut self, ids: &[String], _: i64) -> Result<(), ReceiptsError> {
        self.0.run("erase", SLOW_STORE, &|| true, |medium| {
            medium.rows.extend(ids.iter().map(|id| (id.clone(), None)));
            Ok(())
        })
    }

    fn page(&mut self, _: &Cursor, _: u32) -> Result<Vec<Receipt>, ReceiptsError> {
        Ok(Vec::new())
    }

    fn find(&mut self, _: &str) -> Result<Option<Receipt>, ReceiptsError> {
        Ok(None)
    }

    fn prune(&mut self, _: i64) -> Result<u64, ReceiptsError> {
        self.0.run("prune", SLOW_STORE, &|| true, |medium| {
            let removed = medium.expired.min(u64::from(super::store::PRUNED_AT_ONCE));
            medium.expired -= removed;
            Ok(removed)
        })
    }
}

struct FaultySpool(FaultyMedium);

impl Spool for FaultySpool {
    fn insert(&mut self, receipts: &[Receipt]) -> Result<(), ReceiptsError> {
        self.0.run("insert", SLOW_SPOOL, &|| true, |medium| {
            if medium.fails_to_insert {
                return Err(ReceiptsError::SpoolFull);
            }
            let rows = receipts.iter().map(|receipt| (receipt.id.clone(), Some(receipt.clone())));
            medium.rows.extend(rows);
            Ok(())
        })
    }

    fn oldest(&mut self, limit: u32) -> Result<Vec<Receipt>, ReceiptsError> {
        self.0.run("oldest", SLOW_SPOOL, &|| true, |medium| {
            Ok(medium.rows.values().flatten().take(limit as usize).cloned().collect())
        })
    }

    fn remove(&mut self, ids: &[String]) -> Result<(), ReceiptsError> {
        self.0.run("remove", SLOW_SPOOL, &|| true, |medium| {
            if medium.fails_to_remove {
                return Err(ReceiptsError::SpoolFull);
            }
            medium.rows.retain(|id, _| !ids.contains(id));
            Ok(())
        })
    }

    fn count(&mut self) -> Result<u64, ReceiptsError> {
        Ok(self.0.get().rows.len() as u64)
    }
}

fn receipt(id: &str) -> Receipt {
    Receipt {
        id: id.to_owned(),
        time: 7,
        recorded_at: Some(7),
        site: "shop".to_owned(),
        notice_date: None,
        granted: vec!["necessary".to_owned()],
        refused: vec![],
        language: None,
        how: DecisionChannel::Banner,
        gpc: false,
        texts: None,
        ip: None,
        user_agent: None,
    }
}

/// A writer with a faulty store and a faulty spool.
struct FaultyWriter {
    store: FaultyMedium,
    spool: FaultyMedium,
    counters: Arc<ReceiptCounters>,
    receipts: Receipts,
    runtime: Runtime,
}

impl FaultyWriter {
    fn with(store: &FaultyMedium, spool: &FaultyMedium, limits: WriterLimits) -> Self {
        let settings = WriterSettings { limits, spool_max: 10_000, retention_days: 1 };
        let counters = Arc::new(ReceiptCounters::default());
        let opened = store.clone();
        let opener = Box::new(move || {
            opened.run("open", SLOW_STORE, &|| true, |_| Ok(()))?;
            Ok(Box::new(FaultyStore(opened.clone())) as Box<dyn Store>)
        });
        let faulty = FaultySpool(spool.clone());
        let receipts = Receipts::start_with(settings, Arc::clone(&counters), faulty, opener);
        let runtime = Builder::new_current_thread().enable_time().build();
        Self {
            store: store.clone(),
            spool: spool.clone(),
            counters,
            receipts: receipts.expect("starts"),
            runtime: runtime.expect("a runtime"),
        }
    }

    fn new() -> Self {
        Self::with(&FaultyMedium::default(), &FaultyMedium::default(), limits())
    }

    fn record(&self, id: &str) -> Result<(), NotRecorded> {
        self.runtime.block_on(self.receipts.record(receipt(id)))
    }

    fn close(&self) {
        self.runtime.block_on(self.receipts.close(Duration::from_secs(5)));
    }

    /// The counts of stored, spooled and refused receipts, and of receipts in the spool.
    fn counts(&self) -> ([u64; 3], u64) {
        let (counts, waiting) = self.counters.counts();
        (counts.map(|(_, count)| count), waiting)
    }

    fn calls(&self, of: &FaultyMedium, name: &str) -> usize {
        self.times(of, name).len()
    }

    /// When an operation was called.
    fn times(&self, of: &FaultyMedium, name: &str) -> Vec<Instant> {
        of.get().calls.get(name).cloned().unwrap_or_default()
    }
}

/// Checks that each call came after the waits of an exponential backoff since `started`.
fn assert_backoff(calls: &[Instant], started: Instant, (first, longest): (Duration, Duration)) {
    let (mut due, mut wait) = (started, first);
    for (number, call) in calls.iter().enumerate() {
        assert!(*call >= due, "call {number} {:?} early", due - *call);
        due += wait;
        wait = longest.min(2 * wait);
    }
}

fn limits() -> WriterLimits {
    let ms = Duration::from_millis;
    WriterLimits {
        store: ms(8),
        reply_timeout: ms(40),
        backoff: (ms(1), ms(4)),
        prune_every: Duration::from_secs(3600),
    }
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    use Fault::{After, Before, No, SlowBefore, SlowCommit};
    let fault = prop_oneof![
        3 => Just(No),
        2 => Just(Before),
        1 => Just(After),
        1 => Just(SlowBefore),
        1 => Just(SlowCommit),
    ];
    prop::collection::vec(fault, 0..12)
}

/// When each visitor decides, and whether the visitor leaves before the answer.
fn visitors() -> impl Strategy<Value = Vec<(u64, bool)>> {
    prop::collection::vec((0_u64..40, prop::bool::weighted(0.1)), 1..24)
}

/// The answers to visitors by id. `None` for visitors who left.
fn answers(writer: &FaultyWriter, visitors: &[(u64, bool)]) -> Vec<(String, Option<bool>)> {
    let visit = |(number, (at, leaves)): (usize, &(u64, bool))| {
        let (id, at, leaves) = (format!("id-{number}"), Duration::from_millis(*at), *leaves);
        async move {
            tokio::time::sleep(at).await;
            let recorded = writer.receipts.record(receipt(&id));
            if !leaves {
                return (id, Some(recorded.await.is_ok()));
            }
            let left = tokio::time::timeout(Duration::from_millis(2), recorded).await;
            (id, left.ok().map(|recorded| recorded.is_ok()))
        }
    };
    writer.runtime.block_on(join_all(visitors.iter().enumerate().map(visit)))
}

fn of(answers: &[(String, Option<bool>)], which: bool) -> BTreeSet<String> {
    let answered = answers.iter().filter(|(_, answer)| *answer == Some(which));
    answered.map(|(id, _)| id.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn each_choice_is_confirmed_and_stored_once_or_rejected_and_never_stored(
        store_faults in faults(),
        spool_faults in faults(),
        visitors in visitors(),
    ) {
        let writer = FaultyWriter::new();
        writer.store.get().faults = store_faults.into();
        writer.spool.get().faults = spool_faults.into();
        let answers = answers(&writer, &visitors);
        let (confirmed, refused) = (of(&answers, true), of(&answers, false));
        writer.store.get().faults.clear();
        writer.spool.get().faults.clear();
        wait_until("everything confirmed is stored, nothing refused is left", || {
            let stored = writer.store.ids();
            confirmed.is_subset(&stored)
                && refused.is_disjoint(&stored)
                && writer.spool.ids().is_empty()
                // Receipts of visitors who left are erased, or were stored before they left.
                && writer.counts().0[0] == stored.len() as u64
                && writer.counts().1 == 0
        });
        writer.close();
        let stored = writer.store.ids();
        prop_assert!(confirmed.is_subset(&stored) && refused.is_disjoint(&stored));
        let ([counted_stored, _, counted_refused], waiting) = writer.counts();
        prop_assert_eq!((counted_stored, waiting), (stored.len() as u64, 0));
        prop_assert_eq!(counted_stored + counted_refused, visitors.len() as u64);
    }

    #[test]
    fn receipts_confirmed_before_a_kill_are_stored_by_the_next_process(
        store_faults in faults(),
        visitors in visitors(),
        kill_after in 0_u64..60,
    ) {
        let (store, spool) = (FaultyMedium::default(), FaultyMedium::default());
        let writer = FaultyWriter::with(&store, &spool, limits());
        store.get().faults = store_faults.into();
        let killer = {
            let (store, spool) = (store.clone(), spool.clone());
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(kill_after));
                // In this order no visitor gets a confirmation of a write that had no effect.
                spool.get().killed = true;
                store.get().killed = true;
            })
        };
        let confirmed = of(&answers(&writer, &visitors), true);
        killer.join().expect("no panic");
        writer.close();
        for medium in [&store, &spool] {
            let rows = std::mem::take(&mut medium.get().rows);
            *medium.get() = Medium { rows, ..Medium::default() };
        }
        let next = FaultyWriter::with(&store, &spool, limits());
        wait_until("the spool is empty", || spool.ids().is_empty() && next.counts().1 == 0);
        next.close();
        let stored = store.ids();
        prop_assert!(confirmed.is_subset(&stored), "{:?}", confirmed.difference(&stored));
    }
}

#[test]
fn a_failed_spool_deletion_does_not_count_as_a_store_failure() {
    let (store, spool) = (FaultyMedium::default(), FaultyMedium::default());
    for id in ["a", "b", "c"] {
        spool.get().rows.insert(id.to_owned(), Some(receipt(id)));
    }
    spool.get().fails_to_remove = true;
    let backoff = (Duration::from_millis(20), Duration::from_millis(100));
    let limits = WriterLimits { backoff, store: TIMEOUT, reply_timeout: TIMEOUT, ..limits() };
    let started = Instant::now();
    let writer = FaultyWriter::with(&store, &spool, limits);
    wait_until("the spool was moved", || writer.counts() == ([3, 0, 0], 0));
    for number in 0..20 {
        writer.record(&format!("new-{number}")).expect("the store works");
    }
    wait_until("deletion was tried again", || writer.calls(&spool, "remove") > 5);
    wait_until("each was counted once", || writer.counts() == ([23, 0, 0], 0));
    assert_eq!(writer.calls(&store, "open"), 1, "the connection to the store is kept");
    assert_eq!(writer.counters.degraded().as_deref(), Some("the spool rejects receipts"));
    assert_backoff(&writer.times(&spool, "remove"), started, backoff);
    spool.get().fails_to_remove = false;
    wait_until("the spool is empty", || spool.ids().is_empty());
    assert_eq!(writer.counts(), ([23, 0, 0], 0));
    writer.close();
}

#[test]
fn a_store_that_rejects_every_insert_is_retried_with_backoff() {
    let backoff = (Duration::from_millis(10), Duration::from_secs(60));
    let limits = WriterLimits { backoff, store: TIMEOUT, reply_timeout: TIMEOUT, ..limits() };
    let writer = FaultyWriter::with(&FaultyMedium::default(), &FaultyMedium::default(), limits);
    writer.store.get().fails_to_insert = true;
    let started = Instant::now();
    writer.record("a").expect("spooled");
    wait_until("it was tried again", || writer.calls(&writer.store, "insert") > 5);
    assert_backoff(&writer.times(&writer.store, "insert"), started, backoff);
    wait_until("it was counted", || writer.counts() == ([0, 1, 0], 1));
    writer.close();
}

#[test]
fn without_a_spool_a_store_that_rejects_every_insert_is_reopened_with_backoff() {
    let backoff = (Duration::from_millis(10), Duration::from_secs(60));
    let limits = WriterLimits { backoff, store: TIMEOUT, reply_timeout: TIMEOUT, ..limits() };
    let (store, spool) = (FaultyMedium::default(), FaultyMedium::default());
    store.get().fails_to_insert = true;
    spool.get().fails_to_insert = true;
    let started = Instant::now();
    let writer = FaultyWriter::with(&store, &spool, limits);
    wait_until("it was opened again", || {
        assert_eq!(writer.record("a"), Err(NotRecorded));
        writer.calls(&store, "open") > 5
    });
    assert_backoff(&writer.times(&store, "open"), started, backoff);
    writer.close();
}

#[test]
fn a_hanging_store_delays_one_visitor_and_loses_no_choice() {
    let writer = FaultyWriter::with(
        &FaultyMedium::default(),
        &FaultyMedium::default(),
        WriterLimits { store: Duration::from_secs(1), reply_timeout: TIMEOUT, ..limits() },
    );
    writer.record("before").expect("stored");
    writer.store.get().hangs = true;
    let started = Instant::now();
    writer.record("first").expect("spooled");
    assert!(started.elapsed() >= Duration::from_secs(1));
    let hung = writer.calls(&writer.store, "insert");
    for number in 0..50 {
        writer.record(&format!("next-{number}")).expect("spooled without a wait for the store");
    }
    assert_eq!(writer.calls(&writer.store, "insert"), hung, "nothing more was sent to it");
    wait_until("all were counted", || writer.counts() == ([1, 51, 0], 51));
    writer.store.release();
    wait_until("the spool was moved", || writer.counts() == ([52, 51, 0], 0));
    writer.close();
    assert_eq!(writer.store.ids().len(), 52);
}

#[test]
fn a_choice_rejected_by_a_hanging_spool_is_not_stored_later() {
    let limits = WriterLimits { reply_timeout: Duration::from_secs(1), ..limits() };
    let writer = FaultyWriter::with(&FaultyMedium::default(), &FaultyMedium::default(), limits);
    writer.store.get().fails_to_insert = true;
    writer.spool.get().hangs = true;
    assert_eq!(writer.record("a"), Err(NotRecorded));
    writer.store.get().fails_to_insert = false;
    writer.spool.release();
    wait_until("the refused receipt left the spool", || {
        writer.spool.ids().is_empty() && writer.counts() == ([0, 0, 1], 0)
    });
    writer.record("b").expect("stored or spooled");
    wait_until("it is stored alone", || writer.store.ids() == ["b".to_owned()].into());
    writer.close();
    assert_eq!(writer.store.ids(), ["b".to_owned()].into());
}

#[test]
fn receipts_in_memory_are_spooled_at_shutdown() {
    let writer = FaultyWriter::with(
        &FaultyMedium::default(),
        &FaultyMedium::default(),
        WriterLimits { store: TIMEOUT, reply_timeout: TIMEOUT, ..limits() },
    );
    writer.record("before").expect("stored");
    writer.store.get().hangs = true;
    let recorded = writer.runtime.block_on(async {
        let (recorded, ()) = tokio::join!(
            writer.receipts.record(receipt("a")),
            writer.receipts.close(Duration::from_millis(50)),
        );
        recorded
    });
    assert_eq!(recorded, Ok(()));
    assert_eq!(writer.spool.ids(), ["a".to_owned()].into());
    wait_until("both were counted", || writer.counts() == ([1, 1, 0], 1));
    assert_eq!(writer.record("late"), Err(NotRecorded));
    writer.store.release();
}

#[test]
fn expired_receipts_are_deleted_in_repeated_batches() {
    let store = FaultyMedium::default();
    store.get().expired = 2500;
    let hourly = FaultyWriter::with(&store, &FaultyMedium::default(), limits());
    wait_until("all were deleted", || store.get().expired == 0);
    assert_eq!(hourly.calls(&store, "prune"), 3);
    hourly.close();
    let limits = WriterLimits { prune_every: Duration::from_millis(10), ..limits() };
    let writer = FaultyWriter::with(&store, &FaultyMedium::default(), limits);
    store.get().expired = 1;
    wait_until("the next one was deleted", || store.get().expired == 0);
    writer.close();
}
