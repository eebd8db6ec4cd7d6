//! How much memory keys take, and how long they take to load.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise, and tells what it measured"
)]

mod common;

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use apidef::Session;
use common::Folder;
use futures_util::{StreamExt, stream};
use serde_json::json;
use state::State;

/// How many keys; a million with `SLUICEGATE_KEYS=1000000`.
fn keys() -> u64 {
    std::env::var("SLUICEGATE_KEYS").map_or(20_000, |number| number.parse().unwrap())
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// What keys look like: rights to two APIs by a policy, limits, some data.
fn session(number: u64) -> Session {
    let rights = |api: &str| json!({"api_id": api, "api_name": "An API", "versions": ["Default"]});
    serde_json::from_value(json!({
        "alias": format!("user-{number}"), "org_id": "53ac07777cbb8c2d53000002", "rate": 100, "per": 1,
        "quota_max": 10_000, "quota_renewal_rate": 3600, "quota_remaining": 10_000, "apply_policies": ["gold"],
        "access_rights": {"one": rights("one"), "two": rights("two")},
        "meta_data": {"team": "blue"}, "date_created": "2026-01-01T00:00:00Z", "last_updated": "1767225600",
    }))
    .unwrap()
}

/// Where the other process finds the file.
const FOLDER: &str = "SLUICEGATE_FOLDER";

#[tokio::test]
async fn a_million_keys_fit_into_a_gigabyte_and_load_in_seconds() {
    let keys = keys();
    if let Some(folder) = std::env::var_os(FOLDER) {
        return load(folder.into(), keys).await;
    }
    let folder = Folder::new();
    {
        let state = State::embedded(Some(folder.path().to_owned())).unwrap();
        let puts = stream::iter(0..keys).map(|number| {
            let state = state.clone();
            async move {
                let name = format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                state.put_session(&name, &session(number), None).await.unwrap();
            }
        });
        puts.buffer_unordered(4096).collect::<()>().await;
    }
    // In a process of its own, so that nothing else is measured.
    let mut load = Command::new(std::env::current_exe().unwrap());
    load.args(["--nocapture", "a_million_keys"]).env(FOLDER, folder.path());
    assert!(load.status().unwrap().success());
}

async fn load(folder: PathBuf, keys: u64) {
    let before = resident();
    let began = Instant::now();
    let state = State::embedded(Some(folder)).unwrap();
    let (took, grown) = (began.elapsed(), resident().saturating_sub(before));
    println!("{keys} keys: {took:?} to load, {} bytes each in memory", grown / keys);
    assert_eq!(state.session("0000000000000000").await.unwrap().unwrap().alias, "user-0");
    assert_eq!(state.session_names("").await.unwrap().len() as u64, keys);
    // Some 350 bytes each, and what the storage engine caches, which does not grow with them: half of the gigabyte that a
    // million may take, since a gate keeps more of each that it has seen.
    let most = keys * 500 + (20 << 20);
    assert!(grown < most, "{grown} bytes for {keys} keys");
    assert!(took < Duration::from_secs(10).max(Duration::from_micros(keys * 30)), "{took:?}");
}
