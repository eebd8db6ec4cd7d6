//! Time is the test's own here, and so is what names stand for.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;

const TTL: Duration = Duration::from_secs(60);

/// What is answered, how often it was asked for, and whether answers wait.
#[derive(Default)]
struct Server {
    answer: Mutex<Vec<&'static str>>,
    asked: AtomicUsize,
    held: Mutex<Option<Arc<Notify>>>,
}

impl Server {
    fn names(self: &Arc<Self>, keep: Option<KeepNames>) -> Arc<Names> {
        let server = Arc::clone(self);
        let look_up = move |_: &str| -> Looking {
            let server = Arc::clone(&server);
            Box::pin(async move {
                server.asked.fetch_add(1, Ordering::SeqCst);
                let held = server.held.lock().clone();
                if let Some(held) = held {
                    held.notified().await;
                }
                let answer = server.answer.lock().clone();
                if answer == ["away"] {
                    return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "away"));
                }
                Ok(answer.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect())
            })
        };
        Names::with(keep, Box::new(look_up))
    }

    fn says(&self, answer: &[&'static str]) {
        *self.answer.lock() = answer.to_vec();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn server(answer: &[&'static str]) -> Arc<Server> {
    let server = Arc::<Server>::default();
    server.says(answer);
    server
}

fn keeping(several: SeveralAddresses) -> Option<KeepNames> {
    Some(KeepNames { ttl: Some(TTL), several })
}

async fn found(names: &Arc<Names>) -> Vec<String> {
    match names.find("up.test", 80).await {
        Ok(found) => found.iter().map(|address| address.ip().to_string()).collect(),
        Err(error) => vec![error.to_string()],
    }
}

/// Lets what is spawned go on until it waits for something.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn names_are_looked_up_once_for_their_time_and_aside_after_it() {
    let server = server(&["10.0.0.1"]);
    let names = server.names(keeping(SeveralAddresses::Anew));
    for _ in 0..3 {
        assert_eq!(found(&names).await, ["10.0.0.1"]);
    }
    assert_eq!(server.asked(), 1);
    tokio::time::advance(TTL).await;
    server.says(&["10.0.0.2"]);
    let held = Arc::new(Notify::new());
    *server.held.lock() = Some(Arc::clone(&held));
    assert_eq!(found(&names).await, ["10.0.0.1"], "nobody waits for what is looked up again");
    settle().await;
    assert_eq!(found(&names).await, ["10.0.0.1"]);
    assert_eq!(server.asked(), 2, "one look-up at a time");
    held.notify_one();
    settle().await;
    assert_eq!(found(&names).await, ["10.0.0.2"]);
    assert_eq!(server.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_stays_while_it_cannot_be_looked_up_again() {
    let server = server(&["10.0.0.1"]);
    let names = server.names(keeping(SeveralAddresses::First));
    assert_eq!(found(&names).await, ["10.0.0.1"]);
    for answer in ["away", "nothing"] {
        server.says(if answer == "away" { &["away"] } else { &[] });
        tokio::time::advance(TTL).await;
        for _ in 0..3 {
            assert_eq!(found(&names).await, ["10.0.0.1"], "{answer}");
            settle().await;
        }
    }
    assert_eq!(server.asked(), 3, "a server that fails is left alone for a while");
    server.says(&["10.0.0.2"]);
    tokio::time::advance(AGAIN).await;
    found(&names).await;
    settle().await;
    assert_eq!(found(&names).await, ["10.0.0.2"]);
}

#[tokio::test(start_paused = true)]
async fn names_in_use_are_renewed_by_the_clock_and_others_are_forgotten() {
    let server = server(&["10.0.0.1"]);
    let names = server.names(keeping(SeveralAddresses::First));
    found(&names).await;
    found(&names).await;
    tokio::time::advance(TTL).await;
    server.says(&["10.0.0.2"]);
    names.sweep();
    settle().await;
    assert_eq!(server.asked(), 2);
    tokio::time::advance(TTL).await;
    names.sweep();
    settle().await;
    assert_eq!((server.asked(), names.known.lock().len()), (2, 0), "nobody asked in between");
}

#[tokio::test(start_paused = true)]
async fn who_asks_first_waits_with_all_others_for_one_answer_even_for_a_failure() {
    let server = server(&["away"]);
    let names = server.names(keeping(SeveralAddresses::First));
    let all = futures_util::future::join_all((0..50).map(|_| found(&names))).await;
    assert!(all.iter().all(|found| found == &["away"]), "{all:?}");
    assert_eq!(server.asked(), 1);
    tokio::time::advance(FAILED_FOR).await;
    server.says(&["10.0.0.1"]);
    let all = futures_util::future::join_all((0..50).map(|_| found(&names))).await;
    assert!(all.iter().all(|found| found == &["10.0.0.1"]), "{all:?}");
    assert_eq!(server.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn several_addresses_are_kept_as_the_strategy_says_contract_1() {
    let several = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1"];
    let in_turn = ["10.0.0.1", "fd00::1", "10.0.0.2", "10.0.0.3"];
    let table = [
        (keeping(SeveralAddresses::First), 1),
        (keeping(SeveralAddresses::Random), 1),
        (keeping(SeveralAddresses::Anew), 40),
        (None, 40),
    ];
    for (keep, asked) in table {
        let server = server(&several);
        let names = server.names(keep);
        let mut firsts = std::collections::BTreeSet::new();
        for _ in 0..40 {
            let mut found = found(&names).await;
            firsts.insert(found[0].clone());
            if !keep.is_some_and(|keep| keep.several == SeveralAddresses::Random) {
                assert_eq!(found, in_turn, "{keep:?}");
            }
            found.sort();
            assert_eq!(found, several, "{keep:?}: the others are there to be tried");
        }
        assert_eq!(server.asked(), asked, "{keep:?}");
        assert_eq!(firsts.len() > 1, keep.is_some_and(|keep| keep.several == SeveralAddresses::Random));
    }
    let server = server(&several);
    let names = server.names(keeping(SeveralAddresses::Anew));
    found(&names).await;
    server.says(&["10.0.0.9"]);
    for _ in 0..3 {
        assert_eq!(found(&names).await, ["10.0.0.9"]);
    }
    assert_eq!(server.asked(), 2, "a name that has one address now is kept");
}

#[tokio::test(start_paused = true)]
async fn addresses_that_lead_nowhere_are_looked_up_again_before_their_time() {
    let server = server(&["10.0.0.1"]);
    let names = server.names(Some(KeepNames { ttl: None, several: SeveralAddresses::First }));
    found(&names).await;
    server.says(&["10.0.0.2"]);
    names.doubt("up.test");
    settle().await;
    assert_eq!(server.asked(), 1, "it was looked up just now");
    tokio::time::advance(100 * TTL).await;
    names.sweep();
    settle().await;
    assert_eq!(found(&names).await, ["10.0.0.1"], "without a time it is kept");
    names.doubt("up.test");
    settle().await;
    assert_eq!(found(&names).await, ["10.0.0.2"]);
}

#[tokio::test]
async fn addresses_are_no_names_and_the_port_is_that_of_the_target() {
    let server = server(&["10.0.0.1"]);
    let names = server.names(keeping(SeveralAddresses::First));
    assert_eq!(names.find("fd00::5", 81).await.unwrap(), ["[fd00::5]:81".parse().unwrap()]);
    assert_eq!(server.asked(), 0);
    assert_eq!(names.find("up.test", 82).await.unwrap(), ["10.0.0.1:82".parse().unwrap()]);
    let many = server.names(keeping(SeveralAddresses::First));
    for number in 0..=MOST_NAMES {
        many.find(&format!("{number}.test"), 80).await.unwrap();
    }
    assert_eq!(many.known.lock().len(), MOST_NAMES);
}
