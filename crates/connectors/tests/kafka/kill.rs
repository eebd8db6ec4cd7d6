//! A process from Kafka to Kafka that is killed again and again, and loses nothing.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::ends::unique;
use crate::harness::{PATIENCE, Reader, broker, build, create_topic, kcat};
use crate::numbers;

/// The environment variable that makes [`a_pipeline`] be one.
const PIPELINE: &str = "SLUICEGATE_TEST_PIPELINE";

/// The process that is killed: this very test, run by another. By itself it has nothing to show.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline() {
    let Ok(config) = std::env::var(PIPELINE) else { return };
    let config = serde_json::from_str(&config).expect("configuration");
    let _running = build(&config).expect("configuration").start();
    // Longer than the test that started it, shorter than for ever.
    tokio::time::sleep(2 * PATIENCE).await;
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(config: &serde_json::Value) -> Killed {
    let child = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", "kill::a_pipeline", "--nocapture"])
        .env(PIPELINE, config.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Killed(child.expect("a process"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_loses_nothing() {
    const MESSAGES: usize = 5000;
    let (from, to, group) = (unique("from"), unique("to"), unique("g"));
    create_topic(broker(), &from, 3).await;
    create_topic(broker(), &to, 3).await;
    // A member that was killed is missed until its session ends.
    let members = json!({"session_timeout": "1s", "heartbeat_interval": "300ms"});
    let config = json!({
        "input": {"kafka": {"addresses": [broker()], "topics": [from], "consumer_group": group, "group": members, "commit_period": "10ms"}},
        "pipeline": {"processors": [{"mapping": "root = content()"}]},
        "output": {"kafka": {"addresses": [broker()], "topic": to, "metadata": {"exclude_prefixes": [""]}, "max_in_flight": 4}},
    });
    let mut reader = Reader::franz(broker(), &[&to], json!({"consumer_group": unique("g")}));
    let mut seen = BTreeSet::new();
    for round in 0..3 {
        let part = MESSAGES / 3;
        kcat(&["-P", "-b", broker(), "-t", &from], &numbers(round * part..(round + 1) * part).join("\n"));
        let running = start(&config);
        // Killed while messages flow, whenever that is.
        seen.extend(reader.texts(1 + round * 100).await);
        drop(running);
        seen.extend(reader.rest(Duration::from_millis(50)).await);
    }
    let _running = start(&config);
    while seen.len() < MESSAGES / 3 * 3 {
        seen.extend(reader.texts(1).await);
    }
    reader.stop().await;
}
