//! A place for a catalog, in each engine, and what is written there by hand.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use apidef::{Definition, Policy};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use state::{Address, Catalog, CatalogOptions, Change, Kind, Loaded};
use tokio::sync::mpsc::Receiver;

/// One place; its tables and files go with it.
pub(crate) struct Bed {
    pub(crate) engine: &'static str,
    pub(crate) address: Address,
    pub(crate) options: CatalogOptions,
    folder: PathBuf,
}

static COUNTER: AtomicU32 = AtomicU32::new(0);

fn unique() -> String {
    format!("catalog_{}_{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn postgres_url() -> String {
    let port = std::env::var("SLUICEGATE_TEST_POSTGRESQL_PORT").unwrap_or_else(|_| "25432".to_owned());
    format!("postgresql://postgres@127.0.0.1:{port}/postgres")
}

fn mongo_url() -> String {
    let port = std::env::var("SLUICEGATE_TEST_MONGODB_PORT").unwrap_or_else(|_| "27117".to_owned());
    format!("mongodb://127.0.0.1:{port}/catalogs")
}

/// The engines of this build.
const DATABASES: &[&str] =
    if cfg!(feature = "mongodb") { &["sqlite", "postgresql", "mongodb"] } else { &["sqlite", "postgresql"] };

impl Bed {
    pub(crate) fn of(engine: &'static str) -> Bed {
        let name = unique();
        let folder = std::env::temp_dir().join(format!("sluicegate-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        let address = match engine {
            "files" => folder.join("catalog").display().to_string(),
            "sqlite" => format!("sqlite:{}", folder.join("catalog.db").display()),
            "postgresql" => postgres_url(),
            "mongodb" => mongo_url(),
            other => panic!("{other} is no engine"),
        };
        let options = CatalogOptions { name, ..CatalogOptions::default() };
        Bed { engine, address: Address::parse(&address).unwrap(), options, folder }
    }

    /// One of each engine.
    pub(crate) fn all() -> Vec<Bed> {
        ["files"].iter().chain(DATABASES).map(|engine| Bed::of(engine)).collect()
    }

    pub(crate) fn databases() -> Vec<Bed> {
        DATABASES.iter().map(|engine| Bed::of(engine)).collect()
    }

    pub(crate) fn open(&self) -> Catalog {
        Catalog::open(&self.address, &self.options).unwrap()
    }

    /// What somebody writes by hand.
    pub(crate) async fn write(&self, kind: &str, id: &str, text: &str) {
        let table = &self.options.name;
        let put = format!(
            "INSERT INTO {table} (kind, id, text) VALUES ($1, $2, $3)
             ON CONFLICT (kind, id) DO UPDATE SET text = excluded.text"
        );
        match &self.address {
            Address::Folder(root) => {
                let folder = match kind {
                    "api" => "apps",
                    "policy" => "policies",
                    "certificate" => "certificates",
                    _ => "clients",
                };
                let ending = if kind == "certificate" { "pem" } else { "json" };
                std::fs::write(root.join(folder).join(format!("{id}.{ending}")), text).unwrap();
            }
            Address::Sqlite(path) => {
                let mut connection = sqlite(path).await;
                let query = sqlx::query(AssertSqlSafe(put)).bind(kind).bind(id).bind(text);
                query.execute(&mut connection).await.unwrap();
            }
            Address::Postgres(url) => {
                let mut connection = PgConnection::connect(url.expose()).await.unwrap();
                let query = sqlx::query(AssertSqlSafe(put)).bind(kind).bind(id).bind(text);
                query.execute(&mut connection).await.unwrap();
            }
            #[cfg(feature = "mongodb")]
            Address::Mongo(url) => {
                use mongodb::bson::doc;
                let database = mongo(url).await;
                // As the page on catalogs says.
                let items = database.collection::<mongodb::bson::Document>(table);
                let change = doc! { "$set": { "text": text }, "$inc": { "revision": 1_000_000_i64 } };
                let put = items.update_one(doc! { "_id": format!("{kind}/{id}") }, change).upsert(true);
                put.await.unwrap();
                let heads = database.collection::<mongodb::bson::Document>(&format!("{table}_head"));
                heads.update_one(doc! { "_id": "head" }, doc! { "$inc": { "revision": 1 } }).await.unwrap();
            }
            #[cfg(not(feature = "mongodb"))]
            Address::Mongo(_) => unreachable!(),
        }
    }

    /// What is changed without the head: whoever changed it was gone before he could tell.
    pub(crate) async fn write_silently(&self, id: &str, text: &str) {
        let insert = format!("INSERT INTO {{table}} VALUES ('api', '{id}', '{text}', 7)");
        let insert = insert.replace(" VALUES", " (kind, id, text, revision) VALUES");
        match &self.address {
            Address::Sqlite(_) => self.execute(&format!("DROP TRIGGER {{table}}_added; {insert}")).await,
            Address::Postgres(_) => {
                self.execute(&format!("SET session_replication_role = replica; {insert}")).await;
            }
            #[cfg(feature = "mongodb")]
            Address::Mongo(url) => {
                use mongodb::bson::doc;
                let items = mongo(url).await.collection::<mongodb::bson::Document>(&self.options.name);
                let item = doc! { "_id": format!("api/{id}"), "text": text, "revision": 7_i64 };
                items.insert_one(item).await.unwrap();
            }
            _ => unreachable!(),
        }
    }

    /// Puts the database back to where it was before anything was in it, but for one change.
    pub(crate) async fn put_back(&self) {
        match &self.address {
            #[cfg(feature = "mongodb")]
            Address::Mongo(url) => {
                use mongodb::bson::{Document, doc};
                let database = mongo(url).await;
                database.collection::<Document>(&self.options.name).delete_many(doc! {}).await.unwrap();
                let heads = database.collection::<Document>(&format!("{}_head", self.options.name));
                heads.update_one(doc! {}, doc! { "$set": { "revision": 1_i64 } }).await.unwrap();
            }
            _ => self.execute("DELETE FROM {table}; UPDATE {table}_head SET revision = 1").await,
        }
    }

    #[cfg(feature = "mongodb")]
    pub(crate) fn mongo_address(&self) -> String {
        let url = mongo_url();
        url.trim_start_matches("mongodb://").trim_end_matches("/catalogs").to_owned()
    }

    /// The number of the last change.
    #[cfg(feature = "mongodb")]
    pub(crate) async fn head(&self) -> i64 {
        let Address::Mongo(url) = &self.address else { unreachable!() };
        let heads =
            mongo(url).await.collection::<mongodb::bson::Document>(&format!("{}_head", self.options.name));
        let head = heads.find_one(mongodb::bson::doc! {}).await.unwrap().unwrap();
        head.get_i64("revision").unwrap()
    }

    /// Takes the tables away.
    pub(crate) async fn drop_tables(&self) {
        match self.engine {
            "sqlite" => self.execute("DROP TABLE {table}_head; DROP TABLE {table}").await,
            "postgresql" => {
                let sql = "DROP TABLE {table}_head; DROP TABLE {table}; \
                           DROP FUNCTION {table}_draw; DROP FUNCTION {table}_stamp";
                self.execute(sql).await;
            }
            _ => self.drop_collections().await,
        }
    }

    #[cfg(not(feature = "mongodb"))]
    async fn drop_collections(&self) {}

    #[cfg(feature = "mongodb")]
    async fn drop_collections(&self) {
        let Address::Mongo(url) = &self.address else { return };
        let database = mongo(url).await;
        for name in [format!("{}_head", self.options.name), self.options.name.clone()] {
            database.collection::<mongodb::bson::Document>(&name).drop().await.unwrap();
        }
    }

    /// A statement, in SQL.
    pub(crate) async fn execute(&self, sql: &str) {
        let text = sql.replace("{table}", &self.options.name);
        let sql = AssertSqlSafe(text.clone());
        match &self.address {
            Address::Sqlite(path) => drop(sqlx::raw_sql(sql).execute(&mut sqlite(path).await).await.unwrap()),
            Address::Postgres(url) => {
                let mut connection = PgConnection::connect(url.expose()).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
            #[cfg(feature = "mongodb")]
            Address::Mongo(url) if text.contains("layout = 2") => {
                use mongodb::bson::doc;
                let head = format!("{}_head", self.options.name);
                let heads = mongo(url).await.collection::<mongodb::bson::Document>(&head);
                heads.update_one(doc! {}, doc! { "$set": { "layout": 2 } }).await.unwrap();
            }
            _ => {}
        }
    }
}

#[cfg(feature = "mongodb")]
async fn mongo(url: &state::Secret) -> mongodb::Database {
    mongodb::Client::with_uri_str(url.expose()).await.unwrap().default_database().unwrap()
}

async fn sqlite(path: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap()
}

impl Drop for Bed {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
        let table = &self.options.name;
        if let Address::Postgres(url) = &self.address {
            let sql = format!(
                "DROP TABLE IF EXISTS {table}, {table}_head; DROP FUNCTION IF EXISTS {table}_draw, {table}_stamp"
            );
            // A server that a test killed is gone with its tables.
            Command::new("psql").args(["-qX", "-c", &sql, url.expose()]).output().ok();
        }
        #[cfg(feature = "mongodb")]
        if let Address::Mongo(_) = &self.address {
            let run = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(self.drop_collections());
            };
            std::thread::scope(|scope| drop(scope.spawn(run).join()));
        }
    }
}

pub(crate) fn classic(id: &str, name: &str) -> String {
    json!({
        "api_id": id, "org_id": "org", "name": name, "active": true, "use_keyless": true,
        "version_data": {"not_versioned": true, "versions": {"Default": {"name": "Default"}}},
        "proxy": {"listen_path": format!("/{id}/"), "target_url": "http://localhost:9000/", "strip_listen_path": true},
    })
    .to_string()
}

pub(crate) fn oas(id: &str, name: &str) -> String {
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

pub(crate) fn definition(text: &str) -> Definition {
    Definition::parse(text).unwrap()
}

pub(crate) fn policy(id: &str, rate: i64) -> Policy {
    serde_json::from_value(json!({"id": id, "name": id, "rate": rate, "per": 1})).unwrap()
}

/// The APIs that were loaded, with their names.
pub(crate) fn apis(loaded: &Loaded) -> Vec<(String, String)> {
    let mut apis: Vec<_> = loaded
        .definitions
        .iter()
        .filter_map(|(_, parsed)| parsed.as_ref().ok())
        .map(|found| (found.api.id.to_string(), found.api.name.to_string()))
        .collect();
    apis.sort();
    apis
}

/// What is wrong: the end of its place, pointer, message.
pub(crate) fn faults(loaded: &Loaded) -> Vec<String> {
    loaded
        .faults()
        .flat_map(|(path, faults)| {
            faults.iter().map(move |fault| format!("{} {} {}", path.display(), fault.pointer, fault.message))
        })
        .collect()
}

/// Waits until a catalog tells of a change, and loads until what is loaded is as it should be.
pub(crate) async fn sees(
    catalog: &Catalog,
    changes: &mut Receiver<Change>,
    what: &str,
    mut right: impl FnMut(&Loaded) -> bool,
) -> Duration {
    let begun = Instant::now();
    loop {
        if right(&catalog.load().await) {
            return begun.elapsed();
        }
        let told = tokio::time::timeout(Duration::from_secs(20), changes.recv()).await;
        told.unwrap_or_else(|_| panic!("{what}: nothing was told")).expect("the feed runs");
    }
}

pub(crate) const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

pub(crate) fn papers(catalog: &Catalog) -> Vec<(Kind, String)> {
    let of = |kind| catalog.papers(kind).into_iter().map(move |id| (kind, id.to_string()));
    of(Kind::Certificate).chain(of(Kind::Client)).collect()
}
