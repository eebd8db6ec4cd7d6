//! Several Redis servers of one test: a primary with replica and sentinels, a cluster, and a way to one that is slow.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::{gate, until};

/// One process, on a port and with data of its own.
#[derive(Debug)]
struct Server {
    dir: PathBuf,
    port: u16,
    child: Child,
}

impl Server {
    async fn start(arguments: &[&str], sentinel: Option<&str>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir =
            std::env::temp_dir().join(format!("sluicegate-e2e-redis-many-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let port = gate::free_port();
        let mut command = Command::new("redis-server");
        if let Some(text) = sentinel {
            std::fs::write(dir.join("sentinel.conf"), text).unwrap();
            command.arg(dir.join("sentinel.conf")).arg("--sentinel");
        } else {
            command.args(["--save", "", "--appendonly", "no"]);
        }
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"]).arg(&dir).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self { dir, port, child: command.spawn().expect("redis-server can be started") };
        until("Redis answers", async || {
            let answer = call(server.port, &["PING"]);
            answer.trim() == "PONG" || answer.starts_with("NOAUTH")
        })
        .await;
        server
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn call(port: u16, command: &[&str]) -> String {
    call_as("", port, command)
}

/// The same where a password is asked for.
fn call_as(password: &str, port: u16, command: &[&str]) -> String {
    let port = port.to_string();
    let mut client = Command::new("redis-cli");
    if !password.is_empty() {
        client.env("REDISCLI_AUTH", password);
    }
    let output = client.args(["-h", "127.0.0.1", "-p", &port]).args(command).output();
    let output = output.expect("redis-cli can be started");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn conf(storage: Value) -> Value {
    let mut conf = json!({"storage": {"type": "redis", "timeout": 1}, "hash_keys": true});
    conf["storage"].as_object_mut().unwrap().extend(storage.as_object().unwrap().clone());
    conf
}

/// A primary, its replica, and three sentinels that watch over both.
#[derive(Debug)]
pub struct Sentinels {
    servers: Vec<Server>,
    sentinels: Vec<Server>,
}

impl Sentinels {
    /// Starts all of them, and waits until the sentinels know of each other and of the replica.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same; the sentinels ask for this password, the servers for none.
    pub async fn start_with(password: &str) -> Self {
        let own = match password {
            "" => String::new(),
            _ => format!("requirepass {password}\nsentinel sentinel-pass {password}\n"),
        };
        let primary = Server::start(&[], None).await;
        let port = primary.port.to_string();
        let replica = Server::start(&["--replicaof", "127.0.0.1", &port], None).await;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            let text = format!(
                "sentinel monitor main 127.0.0.1 {port} 2\nsentinel down-after-milliseconds main 500\n\
                 sentinel failover-timeout main 5000\n{own}"
            );
            sentinels.push(Server::start(&[], Some(&text)).await);
        }
        for sentinel in &sentinels {
            until("the sentinels know everybody", async || {
                let told = call_as(password, sentinel.port, &["SENTINEL", "MASTER", "main"]);
                let lines: Vec<&str> = told.lines().collect();
                let says = |name: &str, value: &str| lines.windows(2).any(|pair| pair == [name, value]);
                says("num-slaves", "1") && says("num-other-sentinels", "2")
            })
            .await;
        }
        until("the replica follows", async || {
            call(replica.port, &["INFO", "replication"]).contains("master_link_status:up")
        })
        .await;
        Self { servers: vec![primary, replica], sentinels }
    }

    /// Ends the primary at once, as a crash does.
    pub fn kill_primary(&mut self) {
        self.servers[0].kill();
    }

    /// Waits until the replica has been made the primary.
    pub async fn failed_over(&self) {
        until("the replica was made the primary", async || {
            call(self.servers[1].port, &["ROLE"]).starts_with("master")
        })
        .await;
    }

    /// What a gate's configuration says to use them, with hashed keys.
    pub fn conf(&self) -> Value {
        let addresses: Vec<String> =
            self.sentinels.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
        conf(json!({"master_name": "main", "addrs": addresses}))
    }
}

/// Three masters that share the slots; behind them their replicas, where they have some.
#[derive(Debug)]
pub struct Masters(Vec<Server>);

impl Masters {
    /// Starts them, and waits until all slots are given out.
    pub async fn start() -> Self {
        Self::start_with(0).await
    }

    /// The same with a replica for each, which takes the place of its master a second after that has gone.
    pub async fn start_with_replicas() -> Self {
        let masters = Self::start_with(1).await;
        for server in &masters.0 {
            until("each master has a replica", async || {
                let told = call(server.port, &["INFO", "replication"]);
                told.contains("connected_slaves:1") || told.contains("master_link_status:up")
            })
            .await;
        }
        masters
    }

    async fn start_with(replicas: usize) -> Self {
        let mut servers = Vec::new();
        for _ in 0..3 * (1 + replicas) {
            let bus = gate::free_port().to_string();
            let arguments = [
                &["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1", "--cluster-port", &bus][..],
                // Where a master is away, the others go on.
                &["--cluster-require-full-coverage", "no", "--cluster-node-timeout", "1000"],
            ];
            servers.push(Server::start(&arguments.concat(), None).await);
        }
        let hosts: Vec<String> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(&hosts)
            .args(["--cluster-replicas", &replicas.to_string(), "--cluster-yes"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        for server in &servers {
            until("the cluster is ready", async || {
                call(server.port, &["CLUSTER", "INFO"]).contains("cluster_state:ok")
            })
            .await;
        }
        Self(servers)
    }

    /// Waits until somebody else answers for what a master had that was ended.
    pub async fn failed_over(&self, number: usize) {
        let other = &self.0[(number + 1) % 3];
        let gone = self.0[number].port.to_string();
        until("a replica was made a master", async || {
            let told = call(other.port, &["CLUSTER", "SLOTS"]);
            told.lines().filter(|line| line.trim() == "127.0.0.1").count() >= 3
                && !told.lines().any(|line| line.trim() == gone)
        })
        .await;
    }

    /// Ends one at once, as a crash does.
    pub fn kill(&mut self, number: usize) {
        self.0[number].kill();
    }

    /// The number of the master that holds a key: each has a third of the slots, in their order.
    pub fn holder(&self, key: &str) -> usize {
        let slot: usize = call(self.0[0].port, &["CLUSTER", "KEYSLOT", key]).trim().parse().unwrap();
        [5461, 10923].iter().filter(|first| slot >= **first).count()
    }

    /// What a gate's configuration says to use them, with hashed keys.
    pub fn conf(&self) -> Value {
        let addresses: Vec<String> =
            self.0.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
        conf(json!({"enable_cluster": true, "addrs": addresses}))
    }
}

/// A way to a server on which every answer takes so much longer.
#[derive(Debug)]
pub struct Slow {
    /// Where it begins.
    pub port: u16,
    millis: Arc<AtomicU64>,
    server: AbortHandle,
}

impl Slow {
    /// Leads to `port` of this machine, without delay at first.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let millis = Arc::new(AtomicU64::new(0));
        let delay = Arc::clone(&millis);
        let server = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, port, Arc::clone(&delay)));
            }
        });
        Self { port: own, millis, server: server.abort_handle() }
    }

    /// Answers take so much longer from now on.
    pub fn delay(&self, by: Duration) {
        self.millis.store(u64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn carry(near: TcpStream, port: u16, delay: Arc<AtomicU64>) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (near.into_split(), far.into_split());
    let asks = async {
        let _ = tokio::io::copy(&mut from_near, &mut to_far).await;
    };
    let answers = async {
        let mut bytes = vec![0; 16 << 10];
        while let Ok(read) = from_far.read(&mut bytes).await
            && read > 0
        {
            // This is the slowness that is tested.
            tokio::time::sleep(Duration::from_millis(delay.load(Ordering::Relaxed))).await;
            if to_near.write_all(&bytes[..read]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! { () = asks => {}, () = answers => {} }
}
