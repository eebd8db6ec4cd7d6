//! Files of definitions and policies.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise, and waits for files"
)]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use apidef::{Definition, Policy};
use common::Folder;
use document::Severity;
use serde_json::json;
use state::{Catalog, CatalogError, Change, Loaded, PolicySource};
use tokio::sync::mpsc::Receiver;

fn classic(id: &str, name: &str) -> String {
    json!({
        "api_id": id, "org_id": "org", "name": name, "active": true, "use_keyless": true,
        "version_data": {"not_versioned": true, "versions": {"Default": {"name": "Default"}}},
        "proxy": {"listen_path": format!("/{id}/"), "target_url": "http://localhost:9000/", "strip_listen_path": true},
    })
    .to_string()
}

fn oas(id: &str, name: &str) -> String {
    json!({
        "openapi": "3.0.3", "info": {"title": name, "version": "1"}, "paths": {},
        "x-tyk-api-gateway": {
            "info": {"id": id, "orgId": "org", "name": name, "state": {"active": true}},
            "upstream": {"url": "http://localhost:9000/"},
            "server": {"listenPath": {"value": format!("/{id}/"), "strip": true}},
        },
    })
    .to_string()
}

struct Apps {
    folder: Folder,
    catalog: Catalog,
}

impl Apps {
    fn new(policies: impl FnOnce(&Path) -> PolicySource) -> Apps {
        let folder = Folder::new();
        fs::create_dir_all(folder.path().join("apps")).unwrap();
        let catalog = Catalog::files(folder.path().join("apps"), policies(folder.path()));
        Apps { folder, catalog }
    }

    fn load(&self) -> Loaded {
        load(&self.catalog)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("apps").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// As an editor that replaces files does.
    fn replace(&self, name: &str, text: &str) {
        let other = self.folder.path().join("elsewhere");
        fs::write(&other, text).unwrap();
        fs::rename(other, self.path(name)).unwrap();
    }
}

/// Within a runtime and without one.
fn load(catalog: &Catalog) -> Loaded {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(catalog.load())
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

fn ids(loaded: &Loaded) -> Vec<&str> {
    loaded
        .definitions
        .iter()
        .filter_map(|(_, parsed)| parsed.as_ref().ok())
        .map(|found| &*found.api.id)
        .collect()
}

fn find<'a>(loaded: &'a Loaded, id: &str) -> &'a Arc<Definition> {
    let mut all = loaded.definitions.iter().filter_map(|(_, parsed)| parsed.as_ref().ok());
    all.find(|found| &*found.api.id == id).unwrap()
}

#[test]
fn a_load_parses_only_what_changed() {
    let apps = Apps::new(|_| PolicySource::None);
    for index in 0..200 {
        apps.write(&format!("{index:03}.json"), &classic(&format!("api-{index:03}"), "one"));
    }
    let first = apps.load();
    assert_eq!(
        (first.parsed, ids(&first).len(), first.complete),
        (200, 200, true),
        "{:?}",
        first.definitions.first()
    );
    let second = apps.load();
    assert_eq!(second.parsed, 0);
    // Same size, within the same tick of the clock perhaps.
    apps.write("007.json", &classic("api-007", "two"));
    apps.replace("008.json", &classic("api-008", "two"));
    // Written again, with the same content.
    apps.write("009.json", &classic("api-009", "one"));
    fs::remove_file(apps.path("010.json")).unwrap();
    apps.write("new.json", &classic("api-new", "new"));
    let third = apps.load();
    assert_eq!((third.parsed, ids(&third).len()), (3, 200));
    for (id, same) in [("api-006", true), ("api-007", false), ("api-008", false), ("api-009", true)] {
        assert_eq!(Arc::ptr_eq(find(&first, id), find(&third, id)), same, "{id}");
    }
    assert_eq!(&*find(&third, "api-008").api.name, "two");
}

#[test]
fn a_fault_hides_no_other_file() {
    let apps = Apps::new(|_| PolicySource::None);
    apps.write("good.json", &classic("good", "good"));
    apps.write("broken.json", "{\n  \"api_id\": \"x\",,\n}");
    apps.write("latin.json", "");
    fs::write(apps.path("latin.json"), b"{\"name\": \"caf\xe9\"}").unwrap();
    apps.write("empty.json", "");
    apps.write("marked.json", &format!("\u{feff}{}", classic("marked", "marked")));
    apps.write(".hidden.json", "{");
    apps.write("notes.txt", "{");
    fs::create_dir(apps.path("folder.json")).unwrap();
    let loaded = apps.load();
    assert_eq!(ids(&loaded), ["good", "marked"]);
    let faults: Vec<(&str, bool)> = loaded
        .definitions
        .iter()
        .filter_map(|(path, parsed)| {
            Some((path.file_name()?.to_str()?, parsed.as_ref().err()?[0].place.is_some()))
        })
        .collect();
    assert_eq!(faults, [("broken.json", true), ("empty.json", true), ("latin.json", false)]);
    // Mended, it is there.
    apps.write("broken.json", &classic("mended", "mended"));
    assert_eq!(ids(&apps.load()), ["mended", "good", "marked"]);
}

#[test]
fn a_folder_that_is_away_says_so() {
    let folder = Folder::new();
    let loaded = load(&Catalog::files(folder.path().join("none"), PolicySource::None));
    assert!(!loaded.complete);
    let (path, parsed) = &loaded.definitions[0];
    assert!(
        path.ends_with("none") && parsed.as_ref().unwrap_err()[0].hint.as_ref().unwrap().contains("app_path")
    );
}

#[test]
fn c2_row_1_companions() {
    let apps = Apps::new(|_| PolicySource::None);
    let projection = classic("two", "projection").replacen('{', "{\"is_oas\":true,", 1);
    for (name, text) in [
        ("two.json", projection.as_str()),
        ("two-oas.json", &oas("two", "document")),
        ("plain.json", &classic("plain", "classic")),
        ("plain-oas.json", &oas("plain", "stale")),
        ("lone.json", &oas("lone", "lone")),
        ("orphan-oas.json", &oas("orphan", "orphan")),
    ] {
        apps.write(name, text);
    }
    let loaded = apps.load();
    for (id, name) in [("two", "document"), ("plain", "classic"), ("lone", "lone")] {
        assert_eq!(&*find(&loaded, id).api.name, name);
    }
    assert_eq!(ids(&loaded).len(), 3);
    assert!(loaded.definitions.iter().any(|(path, parsed)| path.ends_with("two-oas.json") && parsed.is_ok()));
    let (_, orphan) = loaded.definitions.iter().find(|(path, _)| path.ends_with("orphan-oas.json")).unwrap();
    let fault = &orphan.as_ref().unwrap_err()[0];
    assert!(matches!(fault.severity, Severity::Warning) && fault.message.contains("orphan.json"));
    // A change of the companion alone.
    apps.write("two-oas.json", &oas("two", "changed!"));
    let changed = apps.load();
    assert_eq!((changed.parsed, &*find(&changed, "two").api.name), (1, "changed!"));
}

#[tokio::test]
async fn definitions_are_written_where_they_came_from() {
    let apps = Apps::new(|_| PolicySource::None);
    apps.write("by-hand.json", &classic("hand", "one"));
    apps.write("lone.json", &oas("lone", "one"));
    apps.load();
    let put = async |text: &str| apps.catalog.put_api(&Definition::parse(text).unwrap(), None).await;
    let written: Vec<PathBuf> = vec![
        put(&classic("hand", "two")).await.unwrap(),
        put(&oas("lone", "two")).await.unwrap(),
        put(&classic("fresh", "two")).await.unwrap(),
        put(&oas("doc", "two")).await.unwrap(),
    ];
    assert_eq!(
        written,
        ["by-hand.json", "lone.json", "fresh.json", "doc-oas.json"].map(|name| apps.path(name))
    );
    let projection: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(apps.path("doc.json")).unwrap()).unwrap();
    assert_eq!((&projection["is_oas"], &projection["api_id"]), (&true.into(), &"doc".into()));
    let loaded = apps.load();
    assert_eq!(ids(&loaded).len(), 4, "{:?}", loaded.definitions);
    for id in ["hand", "lone", "fresh", "doc"] {
        assert_eq!(&*find(&loaded, id).api.name, "two", "{id}");
    }
    // From OpenAPI to classic: no stale document stays.
    put(&classic("doc", "three")).await.unwrap();
    assert!(!apps.path("doc-oas.json").exists());

    let error = put(&classic("by-hand", "intruder")).await.unwrap_err();
    assert!(matches!(error, CatalogError::Taken { .. }), "{error}");
    for id in ["../evil", "a/b", "x-oas", "", ".."] {
        assert!(matches!(apps.catalog.delete_api(id).await, Err(CatalogError::Id(_))), "{id}");
    }
    apps.load();
    for (id, found) in [("hand", true), ("hand", false), ("by-hand", false), ("doc", true), ("none", false)] {
        assert_eq!(apps.catalog.delete_api(id).await.unwrap(), found, "{id}");
        apps.load();
    }
    let left: Vec<String> = fs::read_dir(apps.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[tokio::test]
async fn c6_3_row_2_policies_in_a_folder_and_in_a_file() {
    for in_folder in [true, false] {
        let apps = Apps::new(|root| {
            let path = root.join("policies");
            if in_folder {
                PolicySource::Folder(path)
            } else {
                PolicySource::File(path.with_extension("json"))
            }
        });
        let missing = apps.load();
        assert_eq!((missing.policy_faults.len(), missing.complete), (1, true));
        let policy = |id: &str, rate: f64| -> Policy {
            serde_json::from_value(json!({"id": id, "rate": rate, "per": 1, "active": true, "x": 1})).unwrap()
        };
        let path = apps.catalog.put_policy(&policy("p1", 1.0)).await.unwrap();
        apps.catalog.put_policy(&policy("p2", 1.0)).await.unwrap();
        let first = apps.load();
        assert!(first.policy_faults.is_empty(), "{:?}", first.policy_faults);
        assert_eq!(first.policies.len(), 2);
        assert_eq!(*first.policies["p1"], policy("p1", 1.0));
        assert_eq!(apps.load().parsed, 0);

        apps.catalog.put_policy(&policy("p2", 2.0)).await.unwrap();
        let second = apps.load();
        assert_eq!((second.parsed, second.policies["p2"].rate), (1, 2.0));

        // A file that broke keeps what was read before.
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        let broken = apps.load();
        assert_eq!(broken.policies.len(), 2);
        assert!(broken.policy_faults[0].1[0].place.is_some());
        if !in_folder {
            assert!(matches!(
                apps.catalog.put_policy(&policy("p3", 1.0)).await,
                Err(CatalogError::Unreadable { .. })
            ));
        }
        fs::write(&path, text).unwrap();
        assert!(apps.load().policy_faults.is_empty());

        for (id, found) in [("p1", true), ("p1", false)] {
            assert_eq!(apps.catalog.delete_policy(id).await.unwrap(), found);
        }
        assert_eq!(apps.load().policies.len(), 1);
        for id in ["", "../p", "a b"] {
            assert!(matches!(apps.catalog.put_policy(&policy(id, 1.0)).await, Err(CatalogError::Id(_))));
        }
    }
    let none = Catalog::files("apps", PolicySource::None);
    let policy = serde_json::from_value(json!({"id": "p"})).unwrap();
    assert!(matches!(none.put_policy(&policy).await, Err(CatalogError::NoPolicySource)));
}

#[test]
fn one_bad_policy_of_a_map_hides_no_other() {
    let apps = Apps::new(|root| PolicySource::File(root.join("policies.json")));
    let path = apps.folder.path().join("policies.json");
    fs::write(
        &path,
        r#"{"a": {"rate": 1}, "b": {"rate": "many"}, "c": 3, "d": {"id": "other", "_id": "x"}}"#,
    )
    .unwrap();
    let loaded = apps.load();
    let mut ids: Vec<&str> = loaded.policies.keys().map(AsRef::as_ref).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["a", "d"]);
    assert_eq!(loaded.policies["d"].id, "d", "the map decides");
    let pointers: Vec<&str> = loaded.policy_faults[0].1.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/b", "/c"]);
}

async fn told(changes: &mut Receiver<Change>) -> Change {
    tokio::time::timeout(Duration::from_secs(10), changes.recv()).await.expect("a change is told").unwrap()
}

#[tokio::test]
async fn watching_sees_every_way_to_change_a_file() {
    let apps = Apps::new(|root| PolicySource::File(root.join("policies.json")));
    apps.write("a.json", &classic("a", "one"));
    let mut changes = apps.catalog.watch();
    apps.load();
    let ways: [(&str, &dyn Fn()); 6] = [
        ("apps/a.json", &|| apps.write("a.json", &classic("a", "two"))),
        ("apps/a.json", &|| apps.replace("a.json", &classic("a", "three"))),
        ("apps/b.json", &|| apps.replace("b.json", &classic("b", "new"))),
        ("apps/b.json", &|| fs::rename(apps.path("b.json"), apps.path("c.json")).unwrap()),
        ("apps/c.json", &|| fs::remove_file(apps.path("c.json")).unwrap()),
        ("policies.json", &|| fs::write(apps.folder.path().join("policies.json"), "{}").unwrap()),
    ];
    for (index, (path, change)) in ways.into_iter().enumerate() {
        let began = Instant::now();
        change();
        let path = apps.folder.path().join(path);
        while !told(&mut changes).await.paths.contains(&path) {}
        println!("step {index}: told after {:?}", began.elapsed());
    }
    // The content as of the change is what a load finds.
    let loaded = apps.load();
    assert_eq!((ids(&loaded), &*find(&loaded, "a").api.name), (vec!["a"], "three"));
}

#[tokio::test]
async fn watching_sees_folders_that_come_later_or_are_replaced() {
    let folder = Folder::new();
    let apps = folder.path().join("etc/gate/apps");
    let catalog = Catalog::files(&apps, PolicySource::None);
    let mut changes = catalog.watch();
    assert!(!load(&catalog).complete);
    let loads = async |changes: &mut Receiver<Change>, id: &str| {
        while ids(&load(&catalog)) != [id] {
            told(changes).await;
        }
    };
    fs::create_dir_all(&apps).unwrap();
    fs::write(apps.join("a.json"), classic("a", "a")).unwrap();
    loads(&mut changes, "a").await;
    fs::write(apps.join("a.json"), classic("b", "b")).unwrap();
    loads(&mut changes, "b").await;
    let next = folder.path().join("next");
    fs::create_dir(&next).unwrap();
    fs::write(next.join("c.json"), classic("c", "c")).unwrap();
    fs::rename(&apps, folder.path().join("old")).unwrap();
    fs::rename(&next, &apps).unwrap();
    loads(&mut changes, "c").await;
    fs::write(apps.join("c.json"), classic("d", "d")).unwrap();
    loads(&mut changes, "d").await;
}

#[tokio::test]
async fn a_burst_is_told_once() {
    let apps = Apps::new(|_| PolicySource::None);
    let mut changes = apps.catalog.watch();
    for index in 0..50 {
        apps.write(&format!("{index}.json"), "{}");
    }
    let mut paths = 0;
    let mut told_times = 0;
    while paths < 50 {
        paths += told(&mut changes).await.paths.len();
        told_times += 1;
    }
    assert!(told_times < 25, "{told_times}");
    // Reading is no change.
    apps.load();
    assert!(tokio::time::timeout(Duration::from_millis(100), changes.recv()).await.is_err());
}
