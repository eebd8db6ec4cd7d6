//! The store as a whole: what was recorded is what is told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise, and waits for files"
)]

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant, SystemTime},
};

use analytics::{Dimension, OpenError, Query, QueryError, Record, Settings, Store, Sums};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        Folder(std::env::temp_dir().join(format!("sluicegate-analytics-{}-{number}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// A beginning of a day, not long ago, so that nothing is too old to be kept.
fn today() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / DAY * DAY
}

fn record(at: u64, api: &str, key: Option<&str>, status: u16) -> Record {
    let mut record =
        Record::new(SystemTime::UNIX_EPOCH + Duration::from_secs(at), api.into(), api.into(), "org".into());
    record.key = key.map(Into::into);
    record.status = status;
    record.total = Duration::from_millis(5);
    record.path = format!("/{at}").into();
    record
}

fn open(folder: Option<&Path>) -> (Store, analytics::Recorder) {
    Store::open(folder, Settings { raw: 5, ..Settings::default() }).unwrap()
}

fn line(
    store: &Store,
    api: Option<&str>,
    key: Option<&str>,
    from: u64,
    to: u64,
    step: u64,
) -> Vec<(u64, u64, u64)> {
    let query = Query { api: api.map(Into::into), key: key.map(Into::into), from, to, step };
    let points = store.aggregate(&query).unwrap();
    points.into_iter().map(|point| (point.at, point.sums.hits, point.sums.errors)).collect()
}

#[test]
fn lines_and_shares_before_and_after_writing_and_reopening() {
    let folder = Folder::new();
    let day = today();
    let records = [
        (day + 10, "a", Some("k"), 200),
        (day + 70, "a", Some("k"), 500),
        (day + 75, "a", Some("l"), 200),
        (day + 80, "b", Some("k"), 404),
        (day + 90, "b", None, 0),
        (day + HOUR, "b", None, 200),
    ];
    let questions = |store: &Store, when: &str| {
        for (api, key, step, expected) in [
            (None, None, 60, vec![(day, 1, 0), (day + 60, 4, 3)]),
            (Some("a"), None, 60, vec![(day, 1, 0), (day + 60, 2, 1)]),
            (None, Some("k"), 60, vec![(day, 1, 0), (day + 60, 2, 2)]),
            (Some("b"), Some("k"), 1, vec![(day, 0, 0), (day + 60, 1, 1)]),
            (Some("none"), None, 60, vec![(day, 0, 0), (day + 60, 0, 0)]),
            (None, None, 120, vec![(day, 5, 3)]),
        ] {
            assert_eq!(
                line(store, api, key, day, day + 120, step),
                expected,
                "{when}: {api:?} {key:?} {step}"
            );
        }
        assert_eq!(
            line(store, None, None, day, day + 2 * HOUR, HOUR),
            [(day, 5, 3), (day + HOUR, 1, 0)],
            "{when}"
        );
        assert_eq!(line(store, Some("b"), None, day, day + 1, DAY), [(day, 3, 2)], "{when}");
        for (dimension, to, expected) in [
            (Dimension::Api, 120, vec![("a", 3), ("b", 2)]),
            (Dimension::Key, 120, vec![("k", 3), ("l", 1)]),
            (Dimension::Api, 10 * HOUR, vec![("a", 3), ("b", 3)]),
            (Dimension::Api, 90 * DAY, vec![("a", 3), ("b", 3)]),
        ] {
            let shares = store.breakdown(dimension, day, day + to, 10).unwrap();
            let shares: Vec<(&str, u64)> =
                shares.iter().map(|share| (share.id.as_str(), share.sums.hits)).collect();
            assert_eq!(shares, expected, "{when}: {dimension:?} {to}");
        }
        assert_eq!(store.breakdown(Dimension::Key, day, day + 120, 1).unwrap().len(), 1);
        let paths: Vec<Box<str>> = store.recent(3).into_iter().map(|record| record.path).collect();
        assert_eq!(paths, [HOUR, 90, 80].map(|at| format!("/{}", day + at).into()), "{when}");
        assert_eq!(store.recent(100).len(), 5, "{when}");
    };
    let (store, recorder) = open(Some(&folder.0));
    for (at, api, key, status) in records {
        recorder.record(record(at, api, key, status));
    }
    let began = Instant::now();
    while recorder.recorded() < records.len() as u64 {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    questions(&store, "waiting");
    store.flush();
    questions(&store, "written");
    assert_eq!(store.error(), None);
    drop(store);
    let (store, recorder) = open(Some(&folder.0));
    questions(&store, "reopened");
    // More of the same minute is added to what is there; the ring goes on.
    recorder.record(record(day + 10, "a", Some("k"), 200));
    drop(store);
    let (store, _) = open(Some(&folder.0));
    assert_eq!(line(&store, Some("a"), Some("k"), day, day + 60, 60), [(day, 2, 0)]);
    assert_eq!((store.recent(9).len(), &*store.recent(1)[0].path), (5, &*format!("/{}", day + 10)));
}

#[test]
fn old_aggregates_are_removed() {
    let folder = Folder::new();
    let day = today();
    let (store, recorder) = open(Some(&folder.0));
    for days in [0, 3, 100, 1000] {
        recorder.record(record(day - days * DAY, "a", None, 200));
    }
    drop(store);
    // The sweep is the first thing that a worker does.
    let (store, _) = open(Some(&folder.0));
    let began = Instant::now();
    let hits = |step, days| line(&store, None, None, day - days * DAY, day - days * DAY + 1, step)[0].1;
    while hits(DAY, 1000) > 0 {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    let kept: Vec<[u64; 3]> =
        [0, 3, 100, 1000].map(|days| [60, HOUR, DAY].map(|step| hits(step, days))).into();
    assert_eq!(kept, [[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]]);
}

#[test]
fn what_does_not_fit_is_dropped_and_counted() {
    let (store, recorder) = Store::open(None, Settings { queue: 64, ..Settings::default() }).unwrap();
    let day = today();
    let threads = 4;
    let each = 50_000;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..each {
                    recorder.record(record(day, "a", None, 200));
                }
            });
        }
    });
    store.flush();
    assert_eq!((recorder.depth(), recorder.capacity()), (0, 64));
    let counted = line(&store, None, None, day, day + 60, 60)[0].1;
    assert_eq!(counted + recorder.dropped(), threads * each);
    assert!(recorder.dropped() > 0, "a queue of 64 cannot hold what four threads push");
}

#[test]
fn too_many_points_and_empty_ranges() {
    let (store, _) = open(None);
    let query = |from, to, step| store.aggregate(&Query { from, to, step, ..Query::default() });
    assert!(matches!(
        query(0, 10_001 * 60, 60),
        Err(QueryError::TooManyPoints { asked: 10_001, most: 10_000 })
    ));
    assert!(matches!(query(0, u64::MAX, 60), Err(QueryError::TooManyPoints { .. })));
    assert_eq!(query(100, 100, 60).unwrap().len(), 1);
    assert_eq!(query(200, 100, 60).unwrap(), []);
    assert_eq!(query(0, 1, u64::MAX).unwrap().len(), 1);
    assert_eq!(store.breakdown(Dimension::Key, 5, 1, 9).unwrap(), []);
    assert_eq!(store.breakdown(Dimension::Key, 0, u64::MAX, 9).unwrap(), []);
    assert_eq!(Sums::default().hits, 0);
}

#[test]
fn files_that_cannot_be_opened_say_what_to_do() {
    let folder = Folder::new();
    let (store, _) = open(Some(&folder.0));
    assert!(matches!(Store::open(Some(&folder.0), Settings::default()), Err(OpenError::InUse(_))));
    drop(store);
    std::fs::write(folder.0.join("analytics.redb"), vec![7; 50_000]).unwrap();
    let error = Store::open(Some(&folder.0), Settings::default()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("analytics.redb"));
}

#[test]
fn c2_1_row_17_records_are_told_until_they_are_to_be_forgotten() {
    let folder = Folder::new();
    let (store, recorder) = open(Some(&folder.0));
    let now = SystemTime::now();
    for (api, expires) in
        [("gone", Some(now)), ("soon", now.checked_add(Duration::from_secs(HOUR))), ("ever", None)]
    {
        let mut record = record(today(), api, None, 200);
        record.expires = expires;
        recorder.record(record);
    }
    let told = |store: &Store| -> Vec<String> {
        store.recent(9).iter().map(|record| record.api_id.to_string()).collect()
    };
    store.flush();
    assert_eq!(told(&store), ["ever", "soon"]);
    drop(store);
    assert_eq!(told(&open(Some(&folder.0)).0), ["ever", "soon"], "after a start");
}
