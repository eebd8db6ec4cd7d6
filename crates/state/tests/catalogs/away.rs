//! A database that is away, hangs, comes back.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use state::{Address, Catalog, CatalogError, CatalogOptions, Kind};

use crate::bed::{Bed, CERTIFICATE, apis, classic, definition, faults, policy, sees};

/// A server for one test alone, so that it can be killed.
struct Own {
    name: &'static str,
    port: u16,
    state: PathBuf,
}

impl Own {
    /// Not started yet.
    fn new(name: &'static str) -> Own {
        // Below those ports that the kernel gives to clients.
        let first =
            12_000 + u16::try_from(std::process::id() % 500).unwrap() * 8 + u16::from(name == "mongodb");
        let port = (first..19_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap();
        Own { name, port, state: std::env::temp_dir().join(format!("sluicegate-catalog-{name}-{port}")) }
    }

    fn run(&self, arguments: &[&str]) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/services");
        let output = Command::new(script)
            .args(arguments)
            .arg(self.name)
            .env("SLUICEGATE_SERVICES_DIR", &self.state)
            .env(format!("SLUICEGATE_TEST_{}_PORT", self.name.to_uppercase()), self.port.to_string())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn open(&self) -> Catalog {
        let url = match self.name {
            "mongodb" => format!("mongodb://127.0.0.1:{}/catalogs?appName=canary", self.port),
            _ => format!("postgresql://postgres:canary@127.0.0.1:{}/postgres", self.port),
        };
        let options = CatalogOptions { timeout: Duration::from_secs(3), ..CatalogOptions::default() };
        Catalog::open(&Address::parse(&url).unwrap(), &options).unwrap()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.run(&["down", "--wipe"]);
        std::fs::remove_dir_all(&self.state).ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgresql_leaves_what_was_loaded_and_is_taken_up_again() {
    is_taken_up_again(&Own::new("postgresql")).await;
}

#[cfg(feature = "mongodb")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_mongodb_leaves_what_was_loaded_and_is_taken_up_again() {
    is_taken_up_again(&Own::new("mongodb")).await;
}

async fn is_taken_up_again(own: &Own) {
    let catalog = own.open();
    let mut changes = catalog.watch();
    // It is not there when the gate begins.
    let loaded = catalog.load().await;
    assert!(!loaded.complete && !catalog.health().unwrap().connected);
    assert!(faults(&loaded)[0].contains("the catalog cannot be read"), "{:?}", faults(&loaded));
    assert!(!format!("{catalog:?} {:?}", faults(&loaded)).contains("canary"));

    own.run(&["up"]);
    sees(&catalog, &mut changes, "it came", |loaded| loaded.complete).await;
    assert!(catalog.health().unwrap().connected);
    let other = own.open();
    other.put_api(&definition(&classic("one", "x")), None).await.unwrap();
    other.put_policy(&policy("gold", 1)).await.unwrap();
    other.put_paper(Kind::Certificate, "c", CERTIFICATE).await.unwrap();
    sees(&catalog, &mut changes, "written", |loaded| apis(loaded).len() == 1 && loaded.policies.len() == 1)
        .await;

    own.run(&["kill"]);
    let failed = catalog.put_api(&definition(&classic("two", "x")), None).await;
    assert!(matches!(failed, Err(CatalogError::Away { .. })), "{failed:?}");
    let loaded = catalog.load().await;
    assert!(!loaded.complete && loaded.policies.len() == 1, "policies stay: {:?}", faults(&loaded));
    assert_eq!(apis(&loaded).len(), 1, "and definitions");
    assert!(catalog.paper(Kind::Certificate, "c").is_some(), "and certificates");
    assert!(!catalog.health().unwrap().connected);

    own.run(&["start"]);
    // Written before the feed is back, perhaps: it looks again when it is.
    other.put_api(&definition(&classic("two", "x")), None).await.unwrap();
    sees(&catalog, &mut changes, "back", |loaded| loaded.complete && apis(loaded).len() == 2).await;
    assert!(catalog.health().unwrap().connected);
    let begun = Instant::now();
    other.put_api(&definition(&classic("three", "x")), None).await.unwrap();
    sees(&catalog, &mut changes, "called out again", |loaded| apis(loaded).len() == 3).await;
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_database_that_hangs_holds_nobody_for_long() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("postgresql://u:canary@127.0.0.1:{port}/db");
    let options = CatalogOptions { timeout: Duration::from_millis(200), ..CatalogOptions::default() };
    let catalog = Catalog::open(&Address::parse(&url).unwrap(), &options).unwrap();
    let begun = Instant::now();
    let loaded = catalog.load().await;
    let failed = catalog.put_policy(&policy("x", 1)).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(!loaded.complete);
    let said = format!("{:?} {failed} {failed:?} {catalog:?}", faults(&loaded));
    assert!(!said.contains("canary"), "{said}");
}

#[tokio::test]
async fn tables_that_are_dropped_and_come_again_are_read_again() {
    for bed in Bed::databases() {
        let catalog = bed.open();
        let mut changes = catalog.watch();
        catalog.put_api(&definition(&classic("one", "x")), None).await.unwrap();
        sees(&catalog, &mut changes, bed.engine, |loaded| apis(loaded).len() == 1).await;
        bed.drop_tables().await;
        sees(&catalog, &mut changes, bed.engine, |loaded| loaded.complete && apis(loaded).is_empty()).await;
        catalog.put_api(&definition(&classic("two", "x")), None).await.unwrap();
        sees(&catalog, &mut changes, bed.engine, |loaded| apis(loaded).len() == 1).await;
    }
}
