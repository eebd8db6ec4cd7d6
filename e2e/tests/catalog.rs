//! Gates that share a catalog in a database (`scripts/services up postgresql`).

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use e2e::definition::keyless;
use e2e::{Gate, Setup, Upstream, binary, free_port, until};
use serde_json::{Value, json};

/// A PostgreSQL for one test alone, so that it can be killed.
struct Database {
    port: u16,
    dir: PathBuf,
}

impl Database {
    fn new() -> Database {
        let port = free_port();
        Database { port, dir: std::env::temp_dir().join(format!("sluicegate-e2e-postgresql-{port}")) }
    }

    fn url(&self) -> String {
        format!("postgresql://postgres:canary@127.0.0.1:{}/postgres", self.port)
    }

    fn run(&self, arguments: &[&str]) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("scripts/services");
        let output = Command::new(script)
            .args(arguments)
            .arg("postgresql")
            .env("SLUICEGATE_SERVICES_DIR", &self.dir)
            .env("SLUICEGATE_TEST_POSTGRESQL_PORT", self.port.to_string())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.run(&["down", "--wipe"]);
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn on(url: &str) -> Setup {
    Gate::setup().conf(json!({"catalog": {"url": "env://CATALOG_URL"}})).env("CATALOG_URL", url)
}

async fn path_seen(gate: &Gate, path: &str) -> Option<String> {
    let reply = gate.get(path, &["--max-time", "5"]).await;
    (reply.status == 200).then(|| reply.json()["path"].as_str().unwrap().to_owned())
}

fn catalog(arguments: &[&str]) -> Output {
    Command::new(binary()).arg("catalog").args(arguments).output().unwrap()
}

/// What a command printed that succeeded.
fn printed(arguments: &[&str]) -> String {
    let output = catalog(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn two_gates_share_a_catalog_whatever_becomes_of_the_database() {
    let upstream = Upstream::start().await;
    let database = Database::new();
    // It begins before there is a database, and says so.
    let mut here = on(&database.url()).prepare();
    here.spawn();
    until("the gate listens", async || here.get("/hello", &["--max-time", "2"]).await.status == 200).await;
    let ready = here.get("/ready", &[]).await;
    assert_eq!(ready.status, 503, "{ready:?}");
    assert_eq!(ready.json()["message"], "Catalog not available");
    let hello = here.get("/hello", &[]).await.json();
    assert_eq!(hello["details"]["catalog (postgresql)"]["status"], "fail", "{hello}");
    database.run(&["up"]);
    until("it is ready by itself", async || here.get("/ready", &[]).await.status == 200).await;
    let there = on(&database.url()).start().await;

    let added = here.admin().post("/apis", &keyless("a", &upstream.url("/one"))).await;
    assert_eq!(added.status, 200, "{added:?}");
    assert_eq!(path_seen(&here, "/a/x").await.as_deref(), Some("/one/x"), "live with the reply");
    let begun = Instant::now();
    until("added", async || path_seen(&there, "/a/x").await.is_some()).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());

    let changed = there.admin().put("/apis/a", &keyless("a", &upstream.url("/two"))).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let begun = Instant::now();
    until("changed", async || path_seen(&here, "/a/x").await.as_deref() == Some("/two/x")).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());

    let policy =
        here.admin().post("/policies", &json!({"id": "gold", "name": "gold", "rate": 1, "per": 1})).await;
    assert_eq!(policy.status, 200, "{policy:?}");
    until("the policy", async || there.admin().get("/policies/gold").await.status == 200).await;

    database.run(&["kill"]);
    let refused = here.admin().post("/apis", &keyless("b", &upstream.url("/b"))).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    for gate in [&here, &there] {
        gate.admin().get("/reload?block=true").await;
        assert_eq!(path_seen(gate, "/a/x").await.as_deref(), Some("/two/x"), "what was loaded stays");
        assert_eq!(gate.admin().get("/policies/gold").await.status, 200, "policies, too");
    }
    database.run(&["start"]);
    until("changes are taken again", async || {
        here.admin().post("/apis", &keyless("b", &upstream.url("/b"))).await.status == 200
    })
    .await;
    until("the other sees them", async || path_seen(&there, "/b/x").await.is_some()).await;
    let gone = there.admin().delete("/apis/a").await;
    assert_eq!(gone.status, 200, "{gone:?}");
    until("removed", async || path_seen(&here, "/a/x").await.is_none()).await;
    for gate in [&here, &there] {
        assert!(!gate.log().contains("canary"), "the password is never shown");
    }
}

#[tokio::test]
async fn changes_of_two_gates_to_one_api_are_both_there() {
    let upstream = Upstream::start().await;
    let folder = std::env::temp_dir().join(format!("sluicegate-e2e-catalog-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let url = format!("sqlite:{}", folder.join("catalog.db").display());
    // The other gate looks so seldom that it acts on what it knows.
    let here = on(&url).start().await;
    let there = on(&url).conf(json!({"catalog": {"poll_interval": 60}})).start().await;
    let base = json!({"openapi": "3.0.3", "info": {"title": "base", "version": "1"}, "paths": {},
        "x-tyk-api-gateway": {
            "info": {"id": "base", "name": "base", "state": {"active": true},
                "versioning": {"enabled": true, "name": "v1", "default": "v1", "location": "header", "key": "v", "versions": []}},
            "upstream": {"url": upstream.url("/base")},
            "server": {"listenPath": {"value": "/base/", "strip": true}}}});
    assert_eq!(here.admin().post("/apis/oas", &base).await.status, 200);
    there.admin().reload().await;
    let version = |id: &str| {
        let mut text = base.clone();
        let own = &mut text["x-tyk-api-gateway"];
        own["info"] = json!({"id": id, "name": id, "state": {"active": true, "internal": true}});
        own["server"]["listenPath"]["value"] = json!(format!("/{id}/"));
        text
    };
    for (gate, id) in [(&here, "two"), (&there, "three"), (&here, "four")] {
        let path = format!("/apis/oas?base_api_id=base&base_api_version_name=v1&new_version_name={id}");
        let added = gate.admin().post(&path, &version(id)).await;
        assert_eq!(added.status, 200, "{id}: {added:?}");
    }
    here.admin().reload().await;
    let stored = here.admin().get("/apis/oas/base").await.json();
    let versions = stored["x-tyk-api-gateway"]["info"]["versioning"]["versions"].as_array().unwrap().clone();
    let names: Vec<&Value> = versions.iter().map(|version| &version["name"]).collect();
    assert_eq!(names, ["two", "three", "four"], "{stored}");
    drop((here, there));
    let _ = std::fs::remove_dir_all(&folder);
}

#[tokio::test]
async fn a_copy_says_what_it_does_and_overwrites_nothing_unasked() {
    let dir = std::env::temp_dir().join(format!("sluicegate-e2e-copies-{}", std::process::id()));
    let place = |name: &str| dir.join(name).display().to_string();
    std::fs::create_dir_all(dir.join("one/apps")).unwrap();
    std::fs::create_dir_all(dir.join("one/policies")).unwrap();
    let a = keyless("a", "http://127.0.0.1:1/");
    std::fs::write(dir.join("one/apps/a.json"), format!("{a:#}\n")).unwrap();
    std::fs::write(dir.join("one/policies/gold.json"), "{\n  \"id\": \"gold\",\n  \"rate\": 1\n}\n").unwrap();
    let sqlite = format!("sqlite:{}", place("catalog.db"));
    let (one, two) = (place("one"), place("two"));

    let said = printed(&["copy", "--dry-run", &one, &sqlite]);
    assert!(said.contains("would copy") && said.contains("apis: 1 new"), "{said}");
    assert!(!dir.join("catalog.db").exists(), "nothing was done");
    let said = printed(&["copy", &one, &sqlite]);
    assert!(said.contains("apis: 1 new\npolicies: 1 new\ncertificates: 0 new"), "{said}");
    let said = printed(&["copy", &one, &sqlite]);
    assert!(said.contains("apis: 0 new, 1 the same already"), "{said}");
    assert!(printed(&["list", &sqlite]).starts_with("api          a  "));

    let changed = keyless("a", "http://127.0.0.1:2/");
    std::fs::write(dir.join("one/apps/a.json"), format!("{changed:#}\n")).unwrap();
    let refused = catalog(&["copy", &one, &sqlite]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(error.contains("nothing was copied: one is different") && error.contains("api/a"), "{error}");
    std::fs::remove_file(dir.join("one/policies/gold.json")).unwrap();
    let said = printed(&["copy", "--replace", "--prune", &one, &sqlite]);
    assert!(said.contains("apis: 0 new, 1 replaced\npolicies: 0 new, 1 removed"), "{said}");
    printed(&["copy", &sqlite, &two]);
    let read = |root: &str| std::fs::read(Path::new(root).join("apps/a.json")).unwrap();
    assert!(read(&one) == read(&two), "the definition is the same to the byte");

    std::fs::write(dir.join("one/apps/bad.json"), "{").unwrap();
    for (arguments, told) in [
        (vec!["copy", one.as_str(), two.as_str()], "bad.json"),
        (vec!["copy", "sqlite:/nowhere/x.db", two.as_str()], "there is no catalog at sqlite:/nowhere/x.db"),
        (vec!["copy", "mysql://u:canary@h/db", two.as_str()], "no address of a catalog"),
        (vec!["list", "env://NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE is not set"),
        (vec!["list", "postgresql://u:canary@127.0.0.1:1/db"], "catalog unavailable"),
    ] {
        let refused = catalog(&arguments);
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(error.contains(told) && !error.contains("canary"), "{arguments:?}: {error}");
    }
    let _ = std::fs::remove_dir_all(&dir);
}

#[tokio::test]
async fn an_existing_gate_moves_to_a_database_with_one_command() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .api(keyless("a", &upstream.url("/one")))
        .policy(json!({"id": "gold", "name": "gold", "rate": 1, "per": 1}))
        .prepare();
    let conf = gate.dir().join("tyk.conf").display().to_string();
    let url = format!("sqlite:{}", gate.dir().join("catalog.db").display());
    let said = printed(&["copy", "--conf", &conf, "gate", &url]);
    assert!(
        said.contains("apis: 1 new\npolicies: 1 new") && said.contains("in the state of that gate"),
        "{said}"
    );
    let moved = on(&url).start().await;
    assert_eq!(path_seen(&moved, "/a/x").await.as_deref(), Some("/one/x"));
    assert_eq!(moved.admin().get("/policies/gold").await.status, 200);
}

/// The database of the tests that speaks MongoDB's protocol.
fn mongodb() -> String {
    let port = std::env::var("SLUICEGATE_TEST_MONGODB_PORT").unwrap_or_else(|_| "27117".to_owned());
    format!("mongodb://127.0.0.1:{port}/sluicegate_{}", std::process::id())
}

/// A certificate of a client, and both it and its key.
fn own_certificate() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["caller".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let both = format!("{certificate}{}", key.serialize_pem());
    (certificate, both)
}

/// The status of a request with a certificate.
async fn shown(gate: &Gate, path: &str, certificate: &str) -> u16 {
    gate.write("client.pem", certificate);
    let file = gate.dir().join("client.pem").display().to_string();
    gate.get(path, &["--cert", &file]).await.status
}

async fn token(gate: &Gate, secret: &str) -> u16 {
    let asked = format!("grant_type=client_credentials&client_id=robot&client_secret={secret}");
    gate.get("/o/oauth/token/", &["--data", &asked]).await.status
}

#[tokio::test]
async fn certificates_and_clients_of_oauth_are_in_the_database_and_count_at_every_gate() {
    let upstream = Upstream::start().await;
    let folder = std::env::temp_dir().join(format!("sluicegate-e2e-papers-{}", std::process::id()));
    let postgresql = Database::new();
    postgresql.run(&["up"]);
    for url in [postgresql.url(), mongodb()] {
        // Nothing but the catalog is shared: the state of each gate is its own.
        let secure = json!({"http_server_options": {"use_ssl": true, "ssl_certificates": ["gate.pem"]}});
        let start =
            || on(&url).conf(secure.clone()).file("gate.pem", &e2e::bridge::sample_pem("api")).start();
        let (here, there) = (start().await, start().await);
        let (certificate, both) = own_certificate();
        let added = here.admin().call("POST", "/certs?org_id=org", Some(&certificate)).await;
        assert_eq!(added.status, 200, "{url}: {added:?}");
        let id = added.json()["id"].as_str().unwrap().to_owned();
        let mut mutual = keyless("m", &upstream.url(""));
        mutual["use_mutual_tls_auth"] = json!(true);
        mutual["client_certificates"] = json!([id]);
        let mut open = keyless("o", &upstream.url(""));
        open.as_object_mut().unwrap().remove("use_keyless");
        open["use_oauth2"] = json!(true);
        open["oauth_meta"] = json!({"allowed_access_types": ["client_credentials"]});
        for api in [&mutual, &open] {
            let put = here.admin().post("/apis", api).await;
            assert_eq!(put.status, 200, "{put:?}");
        }
        let policy = json!({
            "id": "gold", "active": true, "rate": 1000, "per": 1, "quota_max": -1, "org_id": "org",
            "access_rights": {"o": {"api_id": "o", "versions": ["Default"]}},
        });
        assert_eq!(here.admin().post("/policies", &policy).await.status, 200);
        until("the other has the certificate", async || shown(&there, "/m/x", &both).await == 200).await;
        assert_eq!(shown(&there, "/m/x", &own_certificate().1).await, 403, "not any");

        let client = json!({
            "api_id": "o", "client_id": "robot", "secret": "first", "policy_id": "gold",
            "redirect_uri": "https://app.example/cb",
        });
        let made = here.admin().post("/oauth/clients/create", &client).await;
        assert_eq!(made.status, 200, "{made:?}");
        until("the other knows the client", async || token(&there, "first").await == 200).await;
        assert_ne!(token(&there, "second").await, 200);

        // Copied, they are in a database of their own, and count there.
        let target = format!("sqlite:{}", folder.join(format!("{}.db", url.len())).display());
        std::fs::create_dir_all(&folder).unwrap();
        let said = printed(&["copy", &url, &target]);
        assert!(said.contains("certificates: 1 new") && said.contains("clients: 1 new"), "{said}");
        let copy =
            on(&target).conf(secure.clone()).file("gate.pem", &e2e::bridge::sample_pem("api")).start().await;
        assert_eq!((shown(&copy, "/m/x", &both).await, token(&copy, "first").await), (200, 200));

        // What is taken away at one is gone at the other within a second.
        assert_eq!(here.admin().delete("/oauth/clients/o/robot").await.status, 200);
        let begun = Instant::now();
        until("the client is gone", async || token(&there, "first").await != 200).await;
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(here.admin().delete(&format!("/certs/{id}?org_id=org")).await.status, 200);
        let begun = Instant::now();
        until("the certificate is gone", async || shown(&there, "/m/x", &both).await == 403).await;
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
    let _ = std::fs::remove_dir_all(&folder);
}
