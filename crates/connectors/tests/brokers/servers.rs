//! The servers of `scripts/services`, servers for one test alone, and programs that are not ours.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use streams::Message;

use crate::ends::{Stream, unique};

/// The port of a shared server.
pub(crate) fn port(name: &str) -> u16 {
    let default = match name {
        "mosquitto" => 21883,
        "rabbitmq" => 25673,
        "postgresql" => 25432,
        "mariadb" => 23306,
        "redis" => 27379,
        _ => 24222,
    };
    let variable = format!("SLUICEGATE_TEST_{}_PORT", name.to_uppercase());
    let port = std::env::var(variable).ok().and_then(|port| port.parse().ok()).unwrap_or(default);
    assert!(
        TcpStream::connect(("127.0.0.1", port)).is_ok(),
        "these tests need {name} at port {port}; start it with `scripts/services up {name}`"
    );
    port
}

/// The first of so many free ports in a row (four at most), below those that the kernel gives to clients.
pub(crate) fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let free =
        |port: &u16| (*port..port + count).all(|port| TcpStream::connect(("127.0.0.1", port)).is_err());
    let skip = u16::from(rand::random::<u8>()) + 40 * NEXT.fetch_add(1, Ordering::Relaxed);
    (11_000..19_000).step_by(4).cycle().skip(usize::from(skip)).take(2_000).find(free).expect("a free port")
}

/// A server for one test alone, so that it can be stopped and killed.
pub(crate) struct Own {
    name: &'static str,
    pub(crate) port: u16,
    state: PathBuf,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Own {
    pub(crate) fn start(name: &'static str) -> Own {
        Own::with(name, &[])
    }

    /// With these variables for `scripts/services`.
    pub(crate) fn with(name: &'static str, environment: &[(&'static str, &Path)]) -> Own {
        let own = Own::prepared(name, environment);
        own.services("up");
        own
    }

    /// With a file in this variable that is written when its port is known.
    pub(crate) fn configured(
        name: &'static str,
        variable: &'static str,
        file: &Path,
        config: impl FnOnce(u16) -> String,
    ) -> Own {
        let own = Own::prepared(name, &[(variable, file)]);
        std::fs::write(file, config(own.port)).expect("written");
        own.services("up");
        own
    }

    fn prepared(name: &'static str, environment: &[(&'static str, &Path)]) -> Own {
        let state = std::env::temp_dir().join(unique(&format!("sluicegate-{name}")));
        let port = free_ports(4);
        let environment = environment.iter().map(|(name, value)| (*name, value.to_path_buf())).collect();
        Own { name, port, state, environment }
    }

    /// Stops the server in good order and starts it again with its data.
    pub(crate) fn stop(&self) {
        self.services("down");
    }

    pub(crate) fn kill(&self) {
        self.services("kill");
    }

    pub(crate) fn again(&self) {
        self.services("start");
    }

    fn services(&self, command: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/services");
        let mut process = Command::new(script);
        process.args(command.split(' ')).arg(self.name).env("SLUICEGATE_SERVICES_DIR", &self.state);
        process.envs(self.environment.iter().map(|(name, value)| (name, value)));
        process.env(format!("SLUICEGATE_TEST_{}_PORT", self.name.to_uppercase()), self.port.to_string());
        let output = process.output().expect("scripts/services runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "scripts/services {command}: {said}");
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.services("down --wipe");
        let _ = std::fs::remove_dir_all(&self.state);
    }
}

/// Runs a program with this input; what it prints.
pub(crate) fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|fault| panic!("{program} is installed by `scripts/services up`: {fault}"));
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

pub(crate) fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Writes each text as a batch of its own, one after the other.
pub(crate) async fn write_all(writer: &Stream, texts: Vec<String>) {
    for text in texts {
        writer.write(vec![Message::new(text)]).await.expect("delivered");
    }
}

/// Reads `taken` messages and acknowledges them, and holds one more, in a process (a runtime) of its own, which then
/// dies without taking leave. What was acknowledged.
pub(crate) fn die_with_a_message_in_hand(input: serde_json::Value, taken: usize) -> Vec<String> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let (acknowledged, held) = runtime.block_on(async {
            let mut reader = Stream::reading(input);
            let texts = reader.texts(taken).await;
            (texts, (reader.next().await, reader))
        });
        runtime.shutdown_background();
        std::mem::forget(held);
        acknowledged
    })
    .join()
    .expect("the first half of the test")
}
