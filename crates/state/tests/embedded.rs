//! The store of one node: what is acknowledged stays.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise, and waits for files"
)]

mod common;

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use common::{Folder, session};
use futures_util::StreamExt;
use state::{OpenError, Signal, Sort, State};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_organisation_is_no_key_and_outlives_the_process() {
    let folder = Folder::new();
    {
        let state = State::embedded(Some(folder.path().to_owned())).unwrap();
        state.put_org_session("acme", &session("org")).await.unwrap();
        state.put_session("acme", &session("key"), None).await.unwrap();
    }
    let state = State::embedded(Some(folder.path().to_owned())).unwrap();
    assert_eq!(state.org_session("acme").await.unwrap().unwrap().alias, "org");
    assert_eq!(state.session("acme").await.unwrap().unwrap().alias, "key");
    assert_eq!(state.org_names("").await.unwrap(), ["acme"]);
    assert_eq!(state.org_names("b").await.unwrap(), [""; 0]);
    assert_eq!(state.session_names("").await.unwrap(), ["acme"]);
    assert_eq!(state.session("orgkey.acme").await, Ok(None), "a token must not find an organisation");
    let found = state.sessions(&["x", "acme"]).await.unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
    assert!(state.delete_org_session("acme").await.unwrap());
    assert!(!state.delete_org_session("acme").await.unwrap());
    assert!(state.session("acme").await.unwrap().is_some());
}

#[tokio::test]
async fn sessions_come_and_go_in_memory_and_on_disk() {
    let folder = Folder::new();
    for dir in [None, Some(folder.path().to_owned())] {
        let state = State::embedded(dir).unwrap();
        assert_eq!(state.session("a").await, Ok(None));
        assert_eq!(state.update_session("a", &session("ghost"), None).await, Ok(false));
        assert_eq!(state.session("a").await, Ok(None));
        state.put_session("a", &session("one"), None).await.unwrap();
        state.put_session("ab", &session("two"), Some(MINUTE)).await.unwrap();
        state.put_session("b", &session("gone"), Some(Duration::ZERO)).await.unwrap();
        assert_eq!(*state.session("a").await.unwrap().unwrap(), session("one"));
        assert_eq!(state.session("b").await, Ok(None));
        assert_eq!(state.update_session("b", &session("ghost"), None).await, Ok(false));
        assert_eq!(state.update_session("a", &session("three"), None).await, Ok(true));
        assert_eq!(state.session("a").await.unwrap().unwrap().alias, "three");
        let (place, found) = state.first_session(&["x", "ab", "a"]).await.unwrap().unwrap();
        assert_eq!((place, found.alias.as_str()), (1, "two"));
        for (prefix, names) in [("", vec!["a", "ab"]), ("ab", vec!["ab"]), ("*", vec![])] {
            assert_eq!(state.session_names(prefix).await.unwrap(), names, "{prefix}");
        }
        assert_eq!(state.delete_session("b").await, Ok(false));
        assert_eq!(state.delete_session("ab").await, Ok(true));
        assert_eq!(state.delete_session("ab").await, Ok(false));
        assert!(state.health().connected);
    }
}

#[tokio::test]
async fn records_and_collections_are_kept() {
    let folder = Folder::new();
    common::records_and_collections(&State::embedded(None).unwrap()).await;
    let open = || State::embedded(Some(folder.path().to_owned())).unwrap();
    let state = open();
    common::records_and_collections(&state).await;
    state.put_record("cert-raw-1", b"pem", Some(MINUTE)).await.unwrap();
    state.put_record("ended", b"x", Some(Duration::ZERO)).await.unwrap();
    drop(state);
    let state = open();
    assert_eq!(state.record("cert-raw-1").await.unwrap().as_deref(), Some(&b"pem"[..]));
    assert_eq!(state.record_keys("").await.unwrap(), ["cert-raw-1"]);
    assert_eq!(state.members("scored", Sort::Scored).await.unwrap(), [("y".to_owned(), 2.0)]);
}

#[tokio::test]
async fn sessions_and_quotas_survive_a_restart() {
    let folder = Folder::new();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let open = || State::embedded(Some(folder.path().to_owned())).unwrap();
    let state = open();
    state.put_session("kept", &session("kept"), Some(MINUTE)).await.unwrap();
    state.put_session("deleted", &session("deleted"), None).await.unwrap();
    state.delete_session("deleted").await.unwrap();
    for _ in 0..3 {
        common::quota(&state, "q", 100, MINUTE, now).await.unwrap();
        common::quota(&state, "reset", 100, MINUTE, now).await.unwrap();
        common::quota(&state, "over", 100, MINUTE, now - 3600).await.unwrap();
    }
    state.flush().await.unwrap();
    state.reset_quota("reset").await.unwrap();
    // Not flushed: dropping the last handle writes it.
    common::quota(&state, "q", 100, MINUTE, now).await.unwrap();
    drop(state);

    let state = open();
    assert_eq!(*state.session("kept").await.unwrap().unwrap(), session("kept"));
    assert_eq!(state.session_names("").await.unwrap(), ["kept"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let file = std::fs::metadata(folder.path().join("state.redb")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "it holds secrets");
    }
    let quota = state.peek_quota("q").await.unwrap().unwrap();
    assert_eq!((quota.used, quota.renews_at), (4, now + 60));
    assert_eq!(state.peek_quota("reset").await, Ok(None));
    assert_eq!(state.peek_quota("over").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_share_commits() {
    const KEYS: usize = 2000;
    let folder = Folder::new();
    let state = State::embedded(Some(folder.path().to_owned())).unwrap();
    let began = Instant::now();
    let writers: Vec<_> = (0..KEYS)
        .map(|index| {
            let state = state.clone();
            tokio::spawn(async move {
                let name = format!("key-{index}");
                state.put_session(&name, &session(&name), None).await.unwrap();
                // What was acknowledged is visible to whoever was told.
                assert_eq!(state.session(&name).await.unwrap().unwrap().alias, name);
                if index % 2 == 0 {
                    assert_eq!(state.delete_session(&name).await, Ok(true));
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    println!("{KEYS} keys in {:?}", began.elapsed());
    assert_eq!(state.session_names("").await.unwrap().len(), KEYS / 2);
    drop(state);
    let state = State::embedded(Some(folder.path().to_owned())).unwrap();
    assert_eq!(state.session_names("").await.unwrap().len(), KEYS / 2);
}

const CHILD: &str = "SLUICEGATE_TEST_CHILD_FOLDER";

/// Not a test of its own: what the next one starts and kills.
#[test]
fn child_that_is_killed() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let state = State::embedded(Some(folder.into())).unwrap();
        for index in 0_u64.. {
            state.put_session(&format!("{index:06}"), &session("x"), None).await.unwrap();
            println!("\nput {index:06}");
        }
    });
}

#[tokio::test]
async fn an_acknowledged_session_survives_sigkill() {
    let folder = Folder::new();
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_is_killed", "--nocapture", "--test-threads=1"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut acknowledged = lines.by_ref().filter_map(|line| line.strip_prefix("put ").map(str::to_owned));
        let last = acknowledged.nth(20 * round).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        // What was acknowledged until the kill may be more than what was read.
        let last = lines
            .filter_map(|line| line.strip_prefix("put ").map(str::to_owned))
            .filter(|name| name.len() == 6)
            .last()
            .unwrap_or(last);
        let state = State::embedded(Some(folder.path().to_owned())).unwrap();
        let names = state.session_names("").await.unwrap();
        let expected: Vec<String> =
            (0..=last.parse().unwrap()).map(|index: u64| format!("{index:06}")).collect();
        assert_eq!(names[..expected.len()], expected, "round {round}");
    }
}

/// Puts so many sessions, many at a time, and drops the store; how long that takes.
async fn end_with(keys: usize, folder: Option<&Folder>, left: bool) -> Duration {
    let state = State::embedded(folder.map(|folder| folder.path().to_owned())).unwrap();
    let all = futures_util::stream::iter(0..keys).map(|number| {
        let state = state.clone();
        async move {
            state.put_session(&format!("key-{number}"), &session(&format!("{number}")), None).await.unwrap()
        }
    });
    all.buffer_unordered(1000).for_each(async |()| ()).await;
    state.flush().await.unwrap();
    if left {
        state.leave_memory();
    }
    let begun = Instant::now();
    drop(state);
    begun.elapsed()
}

#[tokio::test]
async fn many_keys_do_not_hold_up_the_end_and_the_file_is_closed_all_the_same() {
    // Freeing so many takes many times as long as leaving them, on whatever machine; one that is interrupted in between
    // has further tries.
    let freed = end_with(5_000, None, false).await;
    let mut left = Duration::MAX;
    for _ in 0..3 {
        left = left.min(end_with(5_000, None, true).await);
    }
    assert!(left * 3 < freed, "{left:?} {freed:?}");
    let folder = Folder::new();
    end_with(1_000, Some(&folder), true).await;
    let state = State::embedded(Some(folder.path().to_owned())).unwrap();
    assert_eq!(state.session_names("").await.unwrap().len(), 1_000);
}

#[tokio::test]
async fn files_that_cannot_be_opened_say_what_to_do() {
    let damaged = Folder::new();
    let file = damaged.path().join("state.redb");
    for content in [vec![b'x'; 100_000], vec![0; 4096], b"short".to_vec()] {
        std::fs::write(&file, content).unwrap();
        let error = State::embedded(Some(damaged.path().to_owned())).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(file.to_str().unwrap()) && text.contains("backup"), "{text}");
    }

    let used = Folder::new();
    let first = State::embedded(Some(used.path().to_owned())).unwrap();
    let error = State::embedded(Some(used.path().to_owned())).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error:?}");
    assert!(error.to_string().contains("state.redb"), "{error}");
    drop(first);
    State::embedded(Some(used.path().to_owned())).unwrap();

    let error = State::embedded(Some(damaged.path().join("state.redb/below"))).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
}

#[tokio::test]
async fn quotas_and_rates_limit() {
    let state = State::embedded(None).unwrap();
    for used in 1..=4 {
        let count = common::quota(&state, "q", 3, MINUTE, 1000).await.unwrap();
        assert_eq!((count.used, count.renews_at, count.exceeded), (used, 1060, used > 3));
    }
    for used in 1..=4 {
        let count = common::rate(&state, "r", 3.0, MINUTE).await.unwrap();
        assert_eq!((count.used, count.exceeded), (used.min(3), used > 3));
    }
}

#[tokio::test]
async fn draws_take_all_or_nothing() {
    common::draws(&State::embedded(None).unwrap(), "d").await;
}

#[tokio::test]
async fn c6_5_what_is_allowed_moves_with_what_is_used() {
    common::smoothing(&State::embedded(None).unwrap(), "s", &[]).await;
}

#[tokio::test]
async fn signals_reach_this_node() {
    let state = State::embedded(None).unwrap();
    state.publish(Signal::Reload).await.unwrap();
    let mut signals = state.signals();
    state.publish(Signal::KeysChanged(vec!["k".into()])).await.unwrap();
    assert_eq!(signals.recv().await, Ok(Signal::KeysChanged(vec!["k".into()])));
}
