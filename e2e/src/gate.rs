//! One running `sluicegate` process.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Admin, PATIENCE, Reply, curl, raw};

/// What a gate is started with.
#[derive(Debug)]
pub struct Setup {
    conf: Value,
    files: Vec<(PathBuf, String)>,
    environment: Vec<(String, String)>,
    hosts: bool,
    limited: bool,
}

impl Setup {
    /// Merges keys into the configuration: objects key by key, everything else replaced.
    pub fn conf(mut self, more: Value) -> Self {
        merge(&mut self.conf, more);
        self
    }

    /// Puts a classic definition into the definitions' folder, named after its `api_id`.
    pub fn api(self, definition: Value) -> Self {
        let id = definition["api_id"].as_str().expect("a definition has an api_id").to_owned();
        self.file(&format!("apps/{id}.json"), &definition.to_string())
    }

    /// Puts an OAS definition there, as the pair of files that the contract describes.
    pub fn oas(self, document: Value) -> Self {
        let id = document["x-tyk-api-gateway"]["info"]["id"]
            .as_str()
            .expect("an OAS definition has an id")
            .to_owned();
        let classic = json!({"api_id": id, "is_oas": true, "name": id, "proxy": {"listen_path": "/"}});
        self.file(&format!("apps/{id}.json"), &classic.to_string())
            .file(&format!("apps/{id}-oas.json"), &document.to_string())
    }

    /// Puts a policy into the policies' folder, named after its `id`.
    pub fn policy(self, policy: Value) -> Self {
        let id = policy["id"].as_str().expect("a policy has an id").to_owned();
        self.file(&format!("policies/{id}.json"), &policy.to_string())
    }

    /// Writes a file, by its path below the gate's folder.
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.into(), text.into()));
        self
    }

    /// Sets a variable of the process's environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Names of hosts that only this gate knows, as `/etc/hosts` has them; they stand in the file `hosts` of its folder.
    pub fn hosts(mut self, text: &str) -> Self {
        self.hosts = true;
        self.file("hosts", text)
    }

    /// It is told where its files may not grow any more (`prlimit --fsize`), instead of being ended for it.
    pub fn told_of_full_disks(mut self) -> Self {
        self.limited = true;
        self
    }

    /// Starts the gate and waits until it is ready.
    ///
    /// # Panics
    /// When it ends, or is not ready in time; the text holds its log.
    pub async fn start(self) -> Gate {
        let mut gate = self.prepare();
        gate.start().await;
        gate
    }

    /// Writes all files without starting anything.
    pub fn prepare(mut self) -> Gate {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("sluicegate-e2e-{}-{number}", std::process::id()));
        for folder in ["apps", "policies", "state"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        let port = free_port();
        let mut conf = json!({
            "listen_address": "127.0.0.1",
            "listen_port": port,
            "secret": Gate::SECRET,
            "node_secret": Gate::SECRET,
            "app_path": dir.join("apps"),
            "policies": {"policy_path": dir.join("policies")},
            "storage": {"type": "embedded", "path": dir.join("state")},
            "enable_custom_domains": true,
            "http_server_options": {"enable_websockets": true},
            "streaming": {"enabled": true},
        });
        merge(&mut conf, self.conf.take());
        fs::write(dir.join("tyk.conf"), serde_json::to_string_pretty(&conf).unwrap()).unwrap();
        for (path, text) in &self.files {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let port = conf["listen_port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(port);
        let tls = conf["http_server_options"]["use_ssl"] == json!(true);
        Gate {
            dir,
            port,
            tls,
            environment: self.environment,
            hosts: self.hosts,
            limited: self.limited,
            child: None,
        }
    }
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (into, more) => *into = more,
    }
}

/// A running gate. Dropping it kills the process (by its id) and removes its folder, unless the test failed.
#[derive(Debug)]
pub struct Gate {
    dir: PathBuf,
    port: u16,
    tls: bool,
    environment: Vec<(String, String)>,
    hosts: bool,
    limited: bool,
    child: Option<Child>,
}

impl Gate {
    /// The admin secret of every gate here.
    pub const SECRET: &str = "e2e-secret";

    /// A gate on embedded state, without any definition yet.
    pub fn setup() -> Setup {
        Setup { conf: json!({}), files: Vec::new(), environment: Vec::new(), hosts: false, limited: false }
    }

    /// Its folder: `tyk.conf`, `apps/`, `policies/`, `state/`, `log`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the gate runs").id()
    }

    /// A URL at this gate.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}{path}", self.port)
    }

    /// GET by curl, with more arguments for it.
    pub async fn get(&self, path: &str, arguments: &[&str]) -> Reply {
        let url = self.url(path);
        let mut all = arguments.to_vec();
        if self.tls {
            all.push("-k");
        }
        all.push(&url);
        curl(&all).await
    }

    /// Sends bytes over TCP and gives all that comes back until the gate closes.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        raw(self.port, bytes).await
    }

    /// The admin API.
    pub fn admin(&self) -> Admin {
        Admin::new(self.url(""), Self::SECRET)
    }

    /// Changes the hosts that only this gate knows.
    pub fn set_hosts(&self, text: &str) {
        // In place: a file that took its place would not be the one that the gate sees.
        fs::write(self.dir.join("hosts"), text).unwrap();
    }

    /// Writes a file below its folder, whole at once, as an editor does.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.dir.join(path);
        let next = path.with_extension("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, path).unwrap();
    }

    /// What it logged so far, over all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Starts the process, again if it was stopped, and waits until it is ready.
    pub async fn start(&mut self) {
        self.spawn();
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("the gate ended ({status}):\n{}", self.log());
            }
            if self.get("/ready", &["--max-time", "2"]).await.status == 200 {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "the gate is not ready:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts the process and waits for nothing.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "the gate runs already");
        let mut log = File::options().create(true).append(true).open(self.dir.join("log")).unwrap();
        writeln!(log, "--- start").unwrap();
        let child = self
            .command()
            .args(["run", "--conf"])
            .arg(self.dir.join("tyk.conf"))
            .current_dir(&self.dir)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", binary().display()));
        self.child = Some(child);
    }

    /// Where it knows hosts of its own, it sees other files than the rest of the machine.
    fn command(&self) -> Command {
        if self.limited {
            let mut command = Command::new("sh");
            command.args(["-c", r#"trap "" XFSZ && exec "$@""#, "sh"]).arg(binary());
            return command;
        }
        if !self.hosts {
            return Command::new(binary());
        }
        let mut command = Command::new("unshare");
        let mounted = r#"mount --bind "$0" /etc/hosts && exec "$@""#;
        command.arg("--mount");
        // Who is not root may mount only as the root of a space of its own.
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            command.arg("--map-root-user");
        }
        command.args(["sh", "-c", mounted]).arg(self.dir.join("hosts"));
        command.arg(binary());
        command
    }

    /// Waits until the process ends by itself and gives its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("the gate runs");
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < PATIENCE, "the gate goes on:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Sends a signal (`HUP`, `TERM` ...).
    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// `kill -9`: no chance to tidy up.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("the gate runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks it to end, and waits for it.
    pub async fn stop(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.ended().await
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of the gate in {}\n{}", self.dir.display(), self.log());
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// The binary under test: `SLUICEGATE_BIN`, or the workspace's own, built once.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("SLUICEGATE_BIN") {
            return path.into();
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--package", "sluicegate"])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
            .status()
            .expect("cargo can be started");
        assert!(built.success(), "sluicegate does not build");
        // This test runs from TARGET/debug/deps.
        let test = std::env::current_exe().unwrap();
        test.parent().unwrap().parent().unwrap().join("sluicegate")
    })
}

/// A port below the range from which the kernel serves outgoing connections, so that none of those takes it meanwhile.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(37);
    loop {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 9_000;
        let port = 11_000 + u16::try_from(offset).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
