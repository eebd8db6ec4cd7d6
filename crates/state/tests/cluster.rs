//! A Redis cluster of three masters, and one of them away.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test may stop at the first surprise, and waits for servers"
)]

mod common;

use std::time::{Duration, Instant};

use common::{Cluster, until};
use state::{Draw, Meter, RedisSettings, State};

const HOUR: Duration = Duration::from_secs(3600);

async fn connected(cluster: &Cluster) -> State {
    connected_within(cluster, RedisSettings::default().timeout).await
}

async fn connected_within(cluster: &Cluster, timeout: Duration) -> State {
    let settings =
        RedisSettings { hosts: cluster.hosts(), cluster: true, timeout, ..RedisSettings::default() };
    let state = State::redis(settings).unwrap();
    let mut health = state.health_changes();
    tokio::time::timeout(Duration::from_secs(20), health.wait_for(|health| health.connected))
        .await
        .expect("connects")
        .unwrap();
    state
}

/// A name of a fixed window whose counter lies on the master of this number.
fn on(cluster: &Cluster, master: usize, part: &str) -> String {
    let mut names = (0..).map(|number| format!("{part}{number}"));
    names.find(|name| cluster.master_of(&format!("rate-limit-{name}-window")) == master).unwrap()
}

fn draw(name: &str, limit: f64) -> Draw<'_> {
    Draw {
        meter: Meter::Fixed,
        name,
        limit,
        per: HOUR,
        cost: 1,
        counts_refused: false,
        found: None,
        steps: None,
    }
}

#[tokio::test]
async fn a_refusal_holds_while_another_master_is_away() {
    let mut cluster = Cluster::start().await;
    let state = connected(&cluster).await;
    let [full, lost, free] = [0, 1, 2].map(|master| on(&cluster, master, "name"));
    let used = async |name: &str| {
        let look = Draw { cost: 0, ..draw(name, 100.0) };
        state.draw(&[look], 0).await.unwrap().0[0].used
    };
    for (round, refused) in [(1, None), (2, None), (3, Some(0)), (4, Some(0))] {
        let draws = [draw(&full, 2.0), draw(&lost, 9.0), draw(&free, 9.0)];
        assert_eq!(state.draw(&draws, 0).await.unwrap().refused(), refused, "round {round}");
    }
    // What was refused was drawn nowhere.
    assert_eq!((used(&full).await, used(&lost).await, used(&free).await), (2, 2, 2));

    cluster.masters[1].kill();
    until("its counters are away", async || state.draw(&[draw(&lost, 9.0)], 0).await.is_err()).await;
    let mut refusals = 0;
    for _ in 0..10 {
        // Before and behind the one that is away.
        for draws in [[draw(&full, 2.0), draw(&lost, 9.0)], [draw(&lost, 9.0), draw(&full, 2.0)]] {
            let place = usize::from(draws[0].name == lost);
            refusals +=
                usize::from(state.draw(&draws, 0).await.is_ok_and(|tally| tally.refused() == Some(place)));
        }
    }
    assert_eq!(refusals, 20, "each refusal is told, whatever is away");
    // Without a refusal nothing is known, and what was drawn is given back.
    for _ in 0..5 {
        assert!(state.draw(&[draw(&free, 9.0), draw(&lost, 9.0)], 0).await.is_err());
    }
    assert_eq!(used(&free).await, 2);
}

#[tokio::test]
async fn a_look_that_is_refused_costs_one_round_trip() {
    let cluster = Cluster::start().await;
    let state = connected(&cluster).await;
    let [full, free] = [0, 1].map(|master| on(&cluster, master, "look"));
    state.draw(&[draw(&full, 1.0)], 0).await.unwrap();
    let calls = async |master: usize| {
        let mut redis = cluster.masters[master].connection().await;
        let info: String = redis::cmd("INFO").arg("commandstats").query_async(&mut redis).await.unwrap();
        let line = info.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap_or_default();
        let calls = line.split(['=', ',']).nth(1).unwrap_or("0");
        calls.parse::<u64>().unwrap()
    };
    let look = |cost| [Draw { cost, ..draw(&free, 9.0) }, Draw { cost, ..draw(&full, 1.0) }];
    // Both scripts are known to the server afterwards.
    assert_eq!(state.draw(&look(1), 0).await.unwrap().refused(), Some(1));
    for (cost, scripts) in [(0, 1), (1, 2)] {
        let before = calls(1).await;
        assert_eq!(state.draw(&look(cost), 0).await.unwrap().refused(), Some(1));
        assert_eq!(calls(1).await - before, scripts, "drawn, and given back where something was drawn");
    }
}

#[tokio::test]
async fn a_master_that_hangs_costs_nobody_the_timeout_over_and_over() {
    let cluster = Cluster::start().await;
    let timeout = Duration::from_secs(1);
    let state = connected_within(&cluster, timeout).await;
    let [good, hangs] = [0, 1].map(|master| on(&cluster, master, "name"));
    state.draw(&[draw(&good, 1e6), draw(&hangs, 1e6)], 0).await.unwrap();
    cluster.masters[1].signal("-STOP");
    let took = async |name: &str| {
        let began = Instant::now();
        let drawn = state.draw(&[draw(name, 1e6)], 0).await;
        (drawn, began.elapsed())
    };
    until("it is known that it hangs", async || {
        let (drawn, took) = took(&hangs).await;
        drawn.unwrap_err();
        took < timeout / 2
    })
    .await;
    // For as long as it hangs, and however often others ask.
    let since = Instant::now();
    let (mut asked, mut slow) = (0, 0);
    while since.elapsed() < Duration::from_secs(3) {
        let (refused, after) = took(&hangs).await;
        let told = refused.unwrap_err().to_string();
        assert!(told.contains("does not answer"), "{told}, after {after:?}");
        asked += 1;
        slow += u32::from(after >= timeout / 2);
        assert!(took(&good).await.0.is_ok(), "the others serve on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // A machine that is busy may hold up one.
    assert!(asked > 10 && slow <= 1, "{slow} of {asked} waited for a master that is known to hang");
    assert!(state.health().connected);

    cluster.masters[1].signal("-CONT");
    until("it counts again", async || took(&hangs).await.0.is_ok()).await;
}
