//! What the tests of this crate share.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use apidef::{Session, Smoothing};
use state::{Draw, Drawn, Meter, Smoothed, Sort, State, Steps, Unavailable};

/// A folder that goes with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sluicegate-state-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A Redis server of this test alone. Stopped by its process id.
pub(crate) struct Server {
    pub(crate) port: u16,
    folder: Folder,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Server {
    pub(crate) async fn start(arguments: &[&str]) -> Server {
        let port = free_port();
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let mut server = Server { port, folder: Folder::new(), arguments, child: None };
        server.resume().await;
        server
    }

    /// Starts it (again) on its port.
    pub(crate) async fn resume(&mut self) {
        let mut command = Command::new("redis-server");
        if let Some(text) = self.arguments.first().filter(|argument| argument.contains('\n')) {
            let file = self.folder.path().join("redis.conf");
            std::fs::write(&file, text).unwrap();
            command.arg(file).arg("--sentinel");
        }
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
        command.arg("--dir").arg(self.folder.path());
        command.args(self.arguments.iter().filter(|argument| !argument.contains('\n')));
        self.child = Some(command.stdout(Stdio::null()).spawn().expect("redis-server is installed"));
        let url = format!("redis://127.0.0.1:{}", self.port);
        until("redis-server is ready", async || {
            let answer = async {
                let client = redis::Client::open(url.as_str())?;
                let mut connection = client.get_multiplexed_async_connection().await?;
                redis::cmd("PING").query_async::<()>(&mut connection).await
            };
            // Where a password is asked for, somebody is there.
            answer.await.map_or_else(|error| error.code() == Some("NOAUTH"), |()| true)
        })
        .await;
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Stops or continues the process without ending it, as a server does that hangs.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A plain connection, beside the store under test.
    pub(crate) async fn connection(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(format!("redis://{}", self.host())).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Three masters that share the slots.
pub(crate) struct Cluster {
    pub(crate) masters: Vec<Server>,
}

impl Cluster {
    pub(crate) async fn start() -> Cluster {
        // Without its own port the bus would listen on this one plus 10,000, which may not be free.
        let mut masters = Vec::new();
        for _ in 0..3 {
            let bus = free_port().to_string();
            let arguments = ["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1"];
            // Where a master is away, the others go on.
            let more = ["--cluster-port", &bus, "--cluster-require-full-coverage", "no"];
            masters.push(Server::start(&[&arguments[..], &more].concat()).await);
        }
        let mut command = Command::new("redis-cli");
        command.args(["--cluster", "create"]).args(masters.iter().map(Server::host)).arg("--cluster-yes");
        let made = command.output().expect("redis-cli is installed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        for master in &masters {
            until("the cluster is ready", async || {
                let mut connection = master.connection().await;
                let info: redis::RedisResult<String> =
                    redis::cmd("CLUSTER").arg("INFO").query_async(&mut connection).await;
                info.is_ok_and(|info| info.contains("cluster_state:ok"))
            })
            .await;
        }
        Cluster { masters }
    }

    pub(crate) fn hosts(&self) -> Vec<String> {
        self.masters.iter().map(Server::host).collect()
    }

    /// The number of the master that holds a key: `redis-cli` gives each a third of the slots, in their order.
    pub(crate) fn master_of(&self, key: &str) -> usize {
        let port = self.masters[0].port.to_string();
        let slot = Command::new("redis-cli").args(["-p", &port, "CLUSTER", "KEYSLOT", key]).output().unwrap();
        let slot: usize = String::from_utf8(slot.stdout).unwrap().trim().parse().unwrap();
        [5461, 10923].iter().filter(|first| slot >= **first).count()
    }
}

/// Waits until a condition holds; fails after 20 s.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..2000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("gave up waiting: {what}");
}

pub(crate) fn session(alias: &str) -> Session {
    serde_json::from_value(serde_json::json!({
        "alias": alias, "org_id": "org", "rate": 10.0, "per": 1.0, "quota_max": 5,
        "access_rights": {"api": {"api_id": "api", "versions": ["Default"]}}, "x_unknown": {"kept": true},
    }))
    .unwrap()
}

/// What holds for records and collections of any store.
pub(crate) async fn records_and_collections(state: &State) {
    let text = async |key: &str| {
        let value = state.record(key).await.unwrap();
        value.map(|value| String::from_utf8(value.to_vec()).unwrap())
    };
    assert_eq!(text("oauth-data.a").await, None);
    state.put_record("oauth-data.a", b"one", None).await.unwrap();
    state.put_record("oauth-data.a", b"two", Some(Duration::from_secs(60))).await.unwrap();
    state.put_record("oauth-data.b*", b"\xff\x00", None).await.unwrap();
    state.put_record("oauth-data.short", b"", Some(Duration::from_millis(30))).await.unwrap();
    assert_eq!(text("oauth-data.a").await.as_deref(), Some("two"));
    until("a record ends", async || state.record("oauth-data.short").await.unwrap().is_none()).await;
    assert_eq!(state.record_keys("oauth-data.").await.unwrap(), ["oauth-data.a", "oauth-data.b*"]);
    assert_eq!(state.record_keys("oauth-data.b*").await.unwrap(), ["oauth-data.b*"]);
    // A code that several present at once is good for one of them.
    let (first, second) = tokio::join!(state.take_record("oauth-data.a"), state.take_record("oauth-data.a"));
    let taken = [first.unwrap(), second.unwrap()];
    assert_eq!(taken.iter().flatten().count(), 1, "{taken:?}");
    // Of several who store it first, one does; who add to a number at once each have a sum of their own.
    let (one, two) = tokio::join!(
        state.put_new_record("jsvm-store:n", b"5", Some(Duration::from_secs(60))),
        state.put_new_record("jsvm-store:n", b"5", None)
    );
    assert!(one.unwrap() ^ two.unwrap());
    let (one, two) =
        tokio::join!(state.add_to_record("jsvm-store:n", 2), state.add_to_record("jsvm-store:n", 2));
    let mut sums = [one.unwrap(), two.unwrap()];
    sums.sort_unstable();
    assert_eq!(sums, [7, 9]);
    assert_eq!(state.add_to_record("jsvm-store:new", -1).await, Ok(-1));
    state.put_record("jsvm-store:n", b"7", Some(Duration::from_secs(60))).await.unwrap();
    assert_eq!(state.add_to_record("jsvm-store:n", 1).await, Ok(8));
    let life = state.record_life("jsvm-store:n").await.unwrap().flatten().unwrap();
    assert!(life > Duration::from_secs(50) && life <= Duration::from_secs(60), "{life:?}");
    assert_eq!(state.record_life("jsvm-store:new").await, Ok(Some(None)));
    assert_eq!(state.record_life("jsvm-store:none").await, Ok(None));
    state.put_record("jsvm-store:text", b"text", None).await.unwrap();
    assert!(state.add_to_record("jsvm-store:text", 1).await.is_err());
    for key in ["n", "new", "text"] {
        state.delete_record(&format!("jsvm-store:{key}")).await.unwrap();
    }
    assert_eq!(state.delete_record("oauth-data.b*").await, Ok(true));
    assert_eq!(state.delete_record("oauth-data.b*").await, Ok(false));

    for (sort, key) in [(Sort::List, "list"), (Sort::Set, "set"), (Sort::Scored, "scored")] {
        for (member, score) in [("x", 1.0), ("y", 2.0), ("x", 3.0)] {
            // A list that has a member already has it at its end then.
            state.add_member(key, sort, member, score).await.unwrap();
        }
        let mut members = state.members(key, sort).await.unwrap();
        if sort == Sort::Set {
            members.sort_by(|a, b| b.0.cmp(&a.0));
        }
        let names: Vec<&str> = members.iter().map(|(member, _)| member.as_str()).collect();
        assert_eq!(names, ["y", "x"], "{sort:?}");
        if sort == Sort::Scored {
            assert_eq!(members[1].1, 3.0);
        }
        assert_eq!(state.remove_member(key, sort, "x").await, Ok(true));
        assert_eq!(state.remove_member(key, sort, "x").await, Ok(false));
        assert_eq!(state.members("none", sort).await, Ok(Vec::new()));
    }
}

/// Counts one request against a quota, as the gate does.
pub(crate) async fn quota(
    state: &State,
    name: &str,
    max: i64,
    per: Duration,
    now: i64,
) -> Result<Drawn, Unavailable> {
    let draw = Draw {
        meter: Meter::Quota,
        name,
        limit: max as f64,
        per,
        cost: 1,
        counts_refused: true,
        found: None,
        steps: None,
    };
    state.draw(&[draw], now).await.map(|tally| tally.0[0])
}

/// Counts one request in a rolling window, refused ones too.
pub(crate) async fn rate(state: &State, name: &str, limit: f64, per: Duration) -> Result<Drawn, Unavailable> {
    let draw = Draw {
        meter: Meter::Rolling,
        name,
        limit,
        per,
        cost: 1,
        counts_refused: true,
        found: None,
        steps: None,
    };
    state.draw(&[draw], 1000).await.map(|tally| tally.0[0])
}

/// What smoothing allows moves with what is used, whatever keeps it, and however the counter is called. `unsmoothed`: names of
/// counters that a store cannot keep it for.
pub(crate) async fn smoothing(state: &State, unique: &str, unsmoothed: &[&str]) {
    let rule =
        Smoothing { enabled: true, threshold: 2, trigger: 0.5, step: 2, delay: 3600, ..Smoothing::default() };
    let per = Duration::from_secs(3600);
    for name in ["plain", "with-{tag}-x", "empty-{}-x", "odd-}-x", "open-{-x"] {
        let (full, quota) = (format!("{unique}-{name}"), format!("{unique}-{name}-quota"));
        let draws = |cost: u64, steps: Option<Steps>| {
            let usual = |meter, name, limit, steps| Draw {
                meter,
                name,
                limit,
                per,
                cost,
                counts_refused: false,
                found: None,
                steps,
            };
            let rolling = Meter::Rolling;
            // Before and behind others, so that nothing is taken for what another says.
            [usual(Meter::Quota, &*quota, 100.0, None), usual(rolling, &*full, 7.0, steps)]
        };
        let is_smoothed = !unsmoothed.contains(&name);
        // Cost, then what is used, allowed, and whether that moved; refused. Seven is the limit.
        for (step, (cost, used, allowed, moved, refused)) in [
            (0, 0, 2.0, None, false),
            (1, 1, 2.0, None, false),
            (1, 2, 4.0, Some(true), false),
            (1, 3, 4.0, None, false),
            (1, 4, 4.0, None, false),
            (0, 4, 4.0, None, true),
            (1, 4, 4.0, None, true),
        ]
        .into_iter()
        .enumerate()
        {
            let tally = state.draw(&draws(cost, Steps::of(&rule)), 1000).await.unwrap();
            let drawn = tally.0[1];
            let case = format!("{name}, step {step}: {tally:?}");
            if is_smoothed {
                assert_eq!((drawn.used, drawn.exceeded), (used, refused), "{case}");
                assert_eq!(drawn.smoothed, Some(Smoothed { allowed, moved }), "{case}");
            } else {
                assert!(drawn.smoothed.is_none() && !drawn.exceeded, "{case}");
            }
            assert_eq!(tally.0[0].smoothed, None, "{case}");
        }
        // A rule without a delay goes on from there, up to the limit and no further.
        let quick = Steps::of(&Smoothing { delay: 0, ..rule.clone() });
        let mut seen = Vec::new();
        for _ in 0..if is_smoothed { 5 } else { 0 } {
            let drawn = state.draw(&draws(1, quick), 1000).await.unwrap().0[1];
            seen.extend(drawn.smoothed.map(|smoothed| (drawn.used, smoothed.allowed, drawn.exceeded)));
        }
        let expected = [(4, 6.0, true), (5, 6.0, false), (6, 7.0, false), (7, 7.0, false), (7, 7.0, true)];
        assert!(!is_smoothed || seen == expected, "{name}: {seen:?}");
        // Where nobody smooths, the limit counts.
        let drawn = state.draw(&draws(0, None), 1000).await.unwrap().0[1];
        assert_eq!((drawn.smoothed, drawn.exceeded), (None, is_smoothed), "{name}");
    }
}

/// Draws take from all counters or from none, whatever keeps them.
pub(crate) async fn draws(state: &State, unique: &str) {
    let per = Duration::from_secs(60);
    let names = ["rolling", "fixed", "quota"].map(|name| format!("{unique}-{name}"));
    let meters = [Meter::Rolling, Meter::Fixed, Meter::Quota];
    // Limits, which of the three counts refused draws -> what is used of each that was looked at.
    let steps: &[([f64; 3], usize, &[u64])] = &[
        ([2.0, 9.0, 9.0], 9, &[1, 1, 1]),
        ([9.0, 1.0, 9.0], 9, &[1, 1]),
        ([9.0, 9.0, 1.0], 9, &[1, 2, 1]),
        ([9.0, 9.0, 1.0], 2, &[1, 2, 2]),
        ([2.0, 9.0, 9.0], 9, &[2, 2, 3]),
        ([2.0, 9.0, 9.0], 9, &[2]),
        ([2.0, 9.0, 9.0], 0, &[2]),
        ([9.0, 9.0, 9.0], 9, &[3, 3, 4]),
    ];
    for (step, (limits, counting, expected)) in steps.iter().enumerate() {
        let draws: Vec<Draw<'_>> = (0..3)
            .map(|index| Draw {
                meter: meters[index],
                name: &names[index],
                limit: limits[index],
                per,
                cost: 1,
                counts_refused: *counting == index,
                found: None,
                steps: None,
            })
            .collect();
        let tally = state.draw(&draws, 1000).await.unwrap();
        let mut used: Vec<u64> = tally.0.iter().map(|drawn| drawn.used).collect();
        let refused = (expected.len() < 3 || [2, 3].contains(&step)).then_some(expected.len() - 1);
        assert_eq!(tally.refused(), refused, "step {step}: {tally:?}");
        // What stands before a refusal may be told with or without the draw that was given back.
        let mut expected = expected.to_vec();
        if let Some(refused) = refused {
            used.drain(..refused);
            expected.drain(..refused);
        }
        assert_eq!(used, expected, "step {step}: {tally:?}");
    }
    // The last draw may take more than is left; the next is refused.
    for (cost, exceeded) in [(4, false), (100, false), (1, true)] {
        let name = format!("{unique}-large");
        let draw = Draw {
            meter: Meter::Quota,
            name: &name,
            limit: 5.0,
            per,
            cost,
            counts_refused: false,
            found: None,
            steps: None,
        };
        let tally = state.draw(&[draw], 1000).await.unwrap();
        assert_eq!((tally.0[0].exceeded, tally.0[0].renews_at), (exceeded, 1060), "{tally:?}");
    }
    assert_eq!(state.draw(&[], 1000).await.unwrap().0, []);
    // A look is refused as a draw would be, and leaves no trace.
    for meter in meters {
        let name = format!("{unique}-looked-{meter:?}");
        let draw = |cost| Draw {
            meter,
            name: &name,
            limit: 1.0,
            per,
            cost,
            counts_refused: meter != Meter::Fixed,
            found: None,
            steps: None,
        };
        for (cost, used, exceeded) in
            [(0, 0, false), (0, 0, false), (1, 1, false), (0, 1, true), (0, 1, true)]
        {
            let drawn = state.draw(&[draw(cost)], 1000).await.unwrap().0[0];
            assert_eq!((drawn.used, drawn.exceeded), (used, exceeded), "{meter:?} {cost}");
        }
    }
    // A running window does not keep its end when its period becomes shorter.
    for meter in [Meter::Fixed, Meter::Quota] {
        let name = format!("{unique}-shorter-{meter:?}");
        for (seconds, exceeded, left) in [(3600, false, 3600), (30, true, 30), (7200, true, 30)] {
            let per = Duration::from_secs(seconds);
            let draw = Draw {
                meter,
                name: &name,
                limit: 1.0,
                per,
                cost: 1,
                counts_refused: false,
                found: None,
                steps: None,
            };
            let drawn = state.draw(&[draw], 1000).await.unwrap().0[0];
            let off = drawn.resets_in.abs_diff(Duration::from_secs(left));
            assert!(
                drawn.exceeded == exceeded && off < Duration::from_secs(2),
                "{meter:?} {seconds}: {drawn:?}"
            );
        }
    }
}
