//! Redis as a cluster, and as servers that sentinels watch: processes of the test's own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use streams::Message;

use crate::ends::{PATIENCE, Stream, meta, settings, text, unique};
use crate::redis::cli;
use crate::servers::{free_ports, numbers, run, write_all};

/// Servers that fail over take longer than one that only starts.
const FAILOVER: Duration = Duration::from_secs(60);

/// One server. Dropping it ends it.
struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Server {
    fn start(config: impl FnOnce(u16) -> String, arguments: &[&str]) -> Server {
        // The next one carries what servers of a cluster tell each other.
        let port = free_ports(2);
        let folder = std::env::temp_dir().join(unique("sluicegate-redis"));
        std::fs::create_dir(&folder).expect("a folder");
        let file = folder.join("redis.conf");
        std::fs::write(
            &file,
            format!("bind 127.0.0.1\nport {port}\ndir {}\nsave \"\"\n{}", folder.display(), config(port)),
        )
        .expect("written");
        let child = Command::new("redis-server")
            .arg(file)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed by `scripts/services up redis`");
        let server = Server { child, port, folder };
        let begin = Instant::now();
        while !server.says(&["PING"], "PONG") {
            assert!(begin.elapsed() < PATIENCE, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn says(&self, command: &[&str], expected: &str) -> bool {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(command).output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(expected))
    }

    /// Ends it at once, as a crash does.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < FAILOVER, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it ends")
}

/// A component of these servers.
fn with(name: &str, servers: &Json, fields: Json) -> Json {
    let mut all = servers.clone();
    all.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    json!({ name: all })
}

fn cluster() -> Vec<Server> {
    let start = |_| {
        let config =
            |port| format!("cluster-enabled yes\ncluster-port {}\ncluster-node-timeout 2000\n", port + 1);
        Server::start(config, &[])
    };
    let servers: Vec<Server> = (0..3).map(start).collect();
    let addresses: Vec<String> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
    let mut arguments = vec!["--cluster", "create"];
    arguments.extend(addresses.iter().map(String::as_str));
    arguments.push("--cluster-yes");
    run("redis-cli", &arguments, "");
    let ready = |server: &Server| server.says(&["CLUSTER", "INFO"], "cluster_state:ok");
    let begin = Instant::now();
    while !servers.iter().all(ready) {
        assert!(begin.elapsed() < FAILOVER, "the cluster is not ready");
        std::thread::sleep(Duration::from_millis(50));
    }
    servers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_read_and_written_over_all_its_slots() {
    let servers = blocking(cluster).await;
    // One that is not there is passed over.
    let urls = format!("redis://127.0.0.1:{},redis://127.0.0.1:{}", servers[1].port, servers[2].port);
    let at = json!({"url": urls, "kind": "cluster"});

    // Fixed names, for their hashes say which server has them.
    let streams: Vec<String> = (0..8).map(|number| format!("stream{number}")).collect();
    let shared = unique("{tag}");
    let names: Vec<String> =
        streams.iter().cloned().chain([shared.clone(), format!("{shared}-more")]).collect();
    let spread = |server: &Server| streams.iter().any(|stream| cli(server.port, &["EXISTS", stream]) == "1");
    let output = with("redis_streams", &at, json!({"stream": "${! @to }", "max_in_flight": 1}));
    let input = with(
        "redis_streams",
        &at,
        json!({"streams": names, "consumer_group": "g", "client_id": "c", "timeout": "100ms", "commit_period": "50ms"}),
    );
    let writer = Stream::writing(output);
    let message = |number: usize| {
        let mut message = Message::new(format!("{} {number}", names[number % names.len()]));
        message.set_meta("to", names[number % names.len()].clone());
        message
    };
    // As batches over all slots, before and while somebody reads.
    writer.write((0..100).map(message).collect()).await.expect("delivered");
    assert!(servers.iter().all(spread), "each server has some of the streams");
    let mut reader = Stream::reading(input.clone());
    writer.write((100..200).map(message).collect()).await.expect("delivered");
    let mut seen = Vec::new();
    while seen.len() < 200 {
        let batch = reader.batch().await;
        assert!(meta(&batch[0], "redis_stream").contains('-'));
        seen.push(text(&batch[0]));
    }
    // In order within each stream.
    for name in &names {
        let own = seen.iter().filter_map(|text| text.strip_prefix(&format!("{name} ")));
        let own: Vec<usize> = own.map(|number| number.parse().expect("a number")).collect();
        assert!(own.is_sorted() && own.len() == 200 / names.len(), "{name}: {own:?}");
    }
    // A stop tells each slot what was delivered: nothing comes again.
    reader.stop().await;
    let mut reader = Stream::reading(input);
    writer.write(vec![message(200)]).await.expect("delivered");
    assert_eq!(reader.texts(1).await, [format!("{} 200", names[0])]);
    reader.stop().await;
    writer.stop().await;

    let list = unique("list");
    let writer = Stream::writing(with("redis_list", &at, json!({"key": list, "max_in_flight": 1})));
    write_all(&writer, numbers(0..10)).await;
    let mut reader = Stream::reading(with("redis_list", &at, json!({"key": list, "timeout": "100ms"})));
    assert_eq!(reader.texts(10).await, numbers(0..10));
    reader.stop().await;
    writer.stop().await;

    let channel = unique("channel");
    let mut reader = Stream::reading(with("redis_pubsub", &at, json!({"channels": [channel]})));
    crate::ends::until(|| reader.connected()).await;
    let writer = Stream::writing(with("redis_pubsub", &at, json!({"channel": channel, "max_in_flight": 1})));
    write_all(&writer, numbers(0..3)).await;
    assert_eq!(reader.texts(3).await, numbers(0..3));
    reader.stop().await;
    writer.stop().await;

    // Caches, commands and scripts go to the server of their key.
    let command = json!({"command": "set", "args_mapping": "root = [content(), content()]"});
    let script = json!({"script": "return redis.call('GET', KEYS[1])", "keys_mapping": "root = [@key]", "args_mapping": "root = []"});
    let mut stream = Stream::start(
        json!({
            "pipeline": {"threads": 1, "processors": [
                {"mapping": "meta key = content()"},
                with("redis", &at, command),
                with("redis_script", &at, script),
                {"cache": {"resource": "c", "operator": "set", "key": "${! @key }", "value": "${! content() }"}},
                {"cache": {"resource": "c", "operator": "get", "key": "${! @key }"}},
            ]},
            "cache_resources": [{"label": "c", "redis": {"url": urls, "kind": "cluster", "prefix": unique("cache")}}],
        }),
        &settings(),
    );
    for key in &streams {
        drop(stream.send(vec![Message::new(key.clone())]));
        let batch = stream.batch().await;
        assert_eq!((text(&batch[0]).as_str(), batch[0].error()), (key.as_str(), None));
    }
    stream.stop().await;
    blocking(move || drop(servers)).await;
}

/// A master, its replica, and three sentinels that watch them.
fn watched() -> (Server, Server, Vec<Server>) {
    let master = Server::start(|_| String::new(), &[]);
    let of_master = format!("replicaof 127.0.0.1 {}\n", master.port);
    let replica = Server::start(|_| of_master, &[]);
    let watch = |_| {
        let config = |_| {
            format!(
                "sentinel monitor main 127.0.0.1 {} 2\nsentinel down-after-milliseconds main 1000\n\
                 sentinel failover-timeout main 5000\nsentinel parallel-syncs main 1\n",
                master.port
            )
        };
        Server::start(config, &["--sentinel"])
    };
    let sentinels: Vec<Server> = (0..3).map(watch).collect();
    let begin = Instant::now();
    let ready = |sentinel: &Server| {
        sentinel.says(&["SENTINEL", "CKQUORUM", "main"], "OK 3 usable")
            && sentinel.says(&["SENTINEL", "REPLICAS", "main"], &replica.port.to_string())
    };
    while !sentinels.iter().all(ready) || !replica.says(&["INFO", "replication"], "master_link_status:up") {
        assert!(begin.elapsed() < FAILOVER, "the sentinels do not know each other");
        std::thread::sleep(Duration::from_millis(50));
    }
    (master, replica, sentinels)
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_master_dies_both_ends_go_on_with_the_one_that_sentinels_choose() {
    let (mut master, replica, sentinels) = blocking(watched).await;
    let urls: Vec<String> =
        sentinels.iter().map(|sentinel| format!("redis://127.0.0.1:{}", sentinel.port)).collect();
    let at = json!({"url": urls.join(","), "kind": "failover", "master": "main"});
    let name = unique("failover");
    let writer = Stream::writing(with("redis_streams", &at, json!({"stream": name, "max_in_flight": 1})));
    let mut reader = Stream::reading(with(
        "redis_streams",
        &at,
        json!({"streams": [name], "consumer_group": "g", "client_id": "c", "timeout": "100ms", "commit_period": "50ms"}),
    ));
    write_all(&writer, numbers(0..10)).await;
    assert_eq!(reader.texts(10).await, numbers(0..10));
    // The replica has it all: sentinels cannot keep what was never sent on.
    let (port, pending) = (replica.port, ["XPENDING", &name, "g"]);
    eventually("replication", || cli(port, &pending).starts_with('0')).await;
    let master = blocking(move || {
        master.kill();
        master
    })
    .await;
    let late = writer.send(vec![Message::new("late")]);
    eventually("another master", || replica.says(&["ROLE"], "master")).await;
    tokio::time::timeout(FAILOVER, late).await.expect("in time").expect("one outcome").expect("delivered");
    let mut seen = reader.texts(1).await;
    write_all(&writer, numbers(10..20)).await;
    seen.extend(reader.texts(10).await);
    assert_eq!(seen[0], "late");
    assert_eq!(seen[1..], numbers(10..20));
    reader.stop().await;
    writer.stop().await;
    blocking(move || drop((master, replica, sentinels))).await;
}
