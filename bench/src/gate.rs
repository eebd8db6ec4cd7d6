//! The gate under test: its configuration, its definitions, its admin API.

use crate::compare::Contender;
use crate::http::{self, invalid};
use crate::load;
use crate::process::{Folder, Launch, Process, free_port};
use crate::wire::Tls;
use serde_json::{Map, Value, json};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

const SECRET: &str = "bench-admin-secret";
/// Headers of a call of the admin API.
const ADMIN: &[(&str, &str)] = &[("x-tyk-authorization", SECRET), ("content-type", "application/json")];
const ORGANISATION: &str = "bench";
/// Far beyond what any run sends: limits are counted, never reached.
const PLENTY: u64 = 1_000_000_000_000;

/// A gate that is being set up: a folder with definitions.
#[derive(Debug)]
pub(crate) struct Setup {
    folder: Folder,
    name: String,
    records: bool,
    more: Map<String, Value>,
    tls: Option<Tls>,
}

/// A running gate that says it is ready.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// From the start of the process until `/ready` answered 200.
    pub(crate) start_time: Duration,
    folder: Folder,
    name: String,
    tls: Option<Tls>,
}

impl Setup {
    /// `name` must be unique among the gates that live at one time. `records`: one analytics record per exchange.
    pub(crate) fn new(name: &str, records: bool) -> io::Result<Setup> {
        let folder = Folder::create(name)?;
        fs::create_dir(folder.path().join("apps"))?;
        fs::create_dir(folder.path().join("policies"))?;
        Ok(Setup { folder, name: name.to_owned(), records, more: Map::new(), tls: None })
    }

    /// More settings; they win over the usual ones.
    pub(crate) fn conf(mut self, more: Value) -> Setup {
        if let Value::Object(more) = more {
            self.more.extend(more);
        }
        self
    }

    /// The gate will listen with TLS, and can be spoken to so.
    pub(crate) fn tls(self, tls: &Tls) -> Setup {
        Setup { tls: Some(tls.clone()), ..self }
    }

    /// A file beside the configuration, which may name it.
    pub(crate) fn file(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.folder.path().join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// An API as [`Setup::proxy`] writes it, keyless and with these fields besides.
    pub(crate) fn api(&self, id: &str, upstream: SocketAddr, more: Value) -> io::Result<()> {
        let mut definition = classic(id, false, upstream);
        if let (Some(definition), Value::Object(more)) = (definition.as_object_mut(), more) {
            definition.extend(more);
        }
        self.write(&format!("{id}.json"), &definition)
    }

    /// A policy that opens one API without limits.
    pub(crate) fn policy(&self, id: &str, api: &str) -> io::Result<()> {
        let mut policy = rights(api);
        policy["id"] = json!(id);
        policy["active"] = json!(true);
        policy["quota_max"] = json!(-1);
        self.file(&format!("policies/{id}.json"), &policy.to_string()).map(drop)
    }

    /// An API at `/ID/` in the classic format, proxied to `upstream` with the listen path stripped.
    pub(crate) fn proxy(&self, id: &str, keyed: bool, upstream: SocketAddr) -> io::Result<()> {
        self.write(&format!("{id}.json"), &classic(id, keyed, upstream))
    }

    /// A keyless event API at `/ID/` in the OAS format.
    pub(crate) fn stream(&self, id: &str, stream: Value) -> io::Result<()> {
        let mut projection = classic(id, false, SocketAddr::from(([127, 0, 0, 1], 9)));
        projection["is_oas"] = json!(true);
        self.write(&format!("{id}.json"), &projection)?;
        let document = json!({
            "openapi": "3.0.3",
            "info": {"title": id, "version": "1"},
            "paths": {},
            "x-tyk-api-gateway": {
                "info": {"id": id, "orgId": ORGANISATION, "name": id, "state": {"active": true}},
                "upstream": {"url": "http://127.0.0.1:9/"},
                "server": {"listenPath": {"value": format!("/{id}/"), "strip": true}},
            },
            "x-tyk-streaming": {"streams": {id: stream}},
        });
        self.write(&format!("{id}-oas.json"), &document)
    }

    fn write(&self, file: &str, document: &Value) -> io::Result<()> {
        fs::write(self.folder.path().join("apps").join(file), document.to_string())
    }

    /// Starts the gate on one core and waits until it is ready.
    pub(crate) fn start(self, program: &Path, core: usize) -> io::Result<Gate> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let folder = self.folder.path();
        let file = folder.join("gate.conf");
        let mut configuration = json!({
            "listen_address": "127.0.0.1",
            "listen_port": address.port(),
            "secret": SECRET,
            "app_path": folder.join("apps"),
            "policies": {"policy_path": folder.join("policies")},
            "storage": {"type": "embedded", "path": folder.join("state")},
            "enable_analytics": self.records,
            "streaming": {"enabled": true},
        });
        if let Some(usual) = configuration.as_object_mut() {
            usual.extend(self.more);
        }
        fs::write(&file, format!("{configuration:#}"))?;
        Gate::launch(self.folder, self.name, self.tls, address, (program, core))
    }
}

impl Gate {
    fn launch(
        folder: Folder,
        name: String,
        tls: Option<Tls>,
        address: SocketAddr,
        (program, core): (&Path, usize),
    ) -> io::Result<Gate> {
        let file = folder.path().join("gate.conf").display().to_string();
        let started = Instant::now();
        let mut process = Process::start(Launch {
            name: &name,
            program,
            arguments: &["run", "--conf", &file],
            core,
            folder: folder.path(),
            stdin: Stdio::null(),
        })?;
        wait_for(&mut process, address, tls.as_ref(), "/ready", Duration::from_secs(60))?;
        Ok(Gate { process, address, start_time: started.elapsed(), folder, name, tls })
    }

    /// The same gate, started anew with what it has kept.
    pub(crate) fn restart(self, program: &Path, core: usize) -> io::Result<Gate> {
        let Gate { process, address, folder, name, tls, .. } = self;
        drop(process);
        Gate::launch(folder, name, tls, address, (program, core))
    }

    /// Makes keys with a rate and a quota for one API.
    pub(crate) fn keys(&self, api: &str, count: usize) -> io::Result<Vec<String>> {
        self.sessions(&limited(api), count)
    }

    /// Makes keys without limits for one API.
    pub(crate) fn unlimited_keys(&self, api: &str, count: usize) -> io::Result<Vec<String>> {
        let mut session = rights(api);
        session["quota_max"] = json!(-1);
        self.sessions(&session, count)
    }

    /// Makes keys with a rate for one API.
    pub(crate) fn rated_keys(&self, api: &str, count: usize) -> io::Result<Vec<String>> {
        let mut session = limited(api);
        session["quota_max"] = json!(-1);
        self.sessions(&session, count)
    }

    fn sessions(&self, session: &Value, count: usize) -> io::Result<Vec<String>> {
        let session = session.to_string();
        (0..count)
            .map(|_| {
                let timeout = Duration::from_secs(10);
                let (status, body) =
                    http::exchange(self.address, "POST", "/tyk/keys", ADMIN, &session, timeout)?;
                let answer: Value = serde_json::from_str(&body).unwrap_or_default();
                match answer["key"].as_str() {
                    Some(key) if status == 200 => Ok(key.to_owned()),
                    _ => Err(invalid(format!("POST /tyk/keys answered {status}: {body}"))),
                }
            })
            .collect()
    }

    /// Makes many such keys, named by the caller, over some connections at once.
    pub(crate) fn named_keys(&self, api: &str, names: &[String]) -> io::Result<()> {
        let session = limited(api).to_string();
        let request = |name: &String| {
            http::render("POST", &format!("/tyk/keys/{name}"), self.address, ADMIN, &session).into_bytes()
        };
        load::each(self.address, names.len(), |index| request(&names[index]))
    }

    /// Writes the definition of an API anew: it leads to `/LENGTH` of `upstream`.
    pub(crate) fn rewrite(&self, id: &str, upstream: SocketAddr, length: usize) -> io::Result<()> {
        // As configuration tools do it: nobody reads half a file.
        let apps = self.folder.path().join("apps");
        let beside = apps.join(format!("{id}.json.tmp"));
        fs::write(&beside, leading(id, upstream, length).to_string())?;
        fs::rename(&beside, apps.join(format!("{id}.json")))
    }

    /// The same through the admin API.
    pub(crate) fn put(&self, id: &str, upstream: SocketAddr, length: usize) -> io::Result<()> {
        let definition = leading(id, upstream, length).to_string();
        let path = format!("/tyk/apis/{id}");
        match http::exchange(self.address, "PUT", &path, ADMIN, &definition, Duration::from_secs(10))? {
            (200, _) => Ok(()),
            (status, body) => Err(invalid(format!("PUT {path} answered {status}: {body}"))),
        }
    }

    /// A counter without labels from `/metrics`; `None` when there is none of that name.
    pub(crate) fn counter(&self, name: &str) -> Option<f64> {
        let answer = http::exchange(self.address, "GET", "/metrics", &[], "", Duration::from_secs(5));
        let (_, text) = answer.ok().filter(|(status, _)| *status == 200)?;
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
        text.lines().find_map(value)
    }

    /// All series of a counter from `/metrics` together, whatever their labels.
    pub(crate) fn sum(&self, name: &str) -> io::Result<f64> {
        match http::exchange(self.address, "GET", "/metrics", &[], "", Duration::from_secs(10))? {
            (200, text) => Ok(sum(&text, name)),
            (status, _) => Err(invalid(format!("/metrics answered {status}"))),
        }
    }

    /// This gate under a name in a comparison.
    pub(crate) fn contender<'a>(&'a self, name: &'a str, requests: Vec<Vec<u8>>) -> Contender<'a> {
        Contender { name, process: &self.process, address: self.address, tls: None, requests }
    }

    /// The same over TLS.
    pub(crate) fn over_tls<'a>(&'a self, name: &'a str, tls: &Tls, requests: Vec<Vec<u8>>) -> Contender<'a> {
        Contender { tls: Some(tls.clone()), ..self.contender(name, requests) }
    }

    /// The bytes of a GET request to an API.
    pub(crate) fn get(&self, api: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
        http::render("GET", &format!("/{api}/{path}"), self.address, headers, "").into_bytes()
    }

    /// The bytes of a POST request to an API.
    pub(crate) fn post(&self, api: &str, path: &str, body: &str) -> Vec<u8> {
        let headers = [("content-type", "application/json")];
        http::render("POST", &format!("/{api}/{path}"), self.address, &headers, body).into_bytes()
    }
}

/// The sum of all series of this name in a Prometheus text.
fn sum(text: &str, name: &str) -> f64 {
    let value = |line: &str| -> Option<f64> {
        let rest = line.strip_prefix(name)?;
        rest.starts_with(['{', ' ']).then(|| rest.rsplit(' ').next()?.parse().ok())?
    };
    text.lines().filter_map(value).sum()
}

/// An API that leads to `/LENGTH` of `upstream`.
fn leading(id: &str, upstream: SocketAddr, length: usize) -> Value {
    let mut definition = classic(id, false, upstream);
    definition["proxy"]["target_url"] = json!(format!("http://{upstream}/{length}"));
    definition
}

/// A session with a rate and a quota for one API.
fn limited(api: &str) -> Value {
    let mut session = rights(api);
    if let Some(session) = session.as_object_mut() {
        session.insert("rate".to_owned(), json!(1_000_000));
        session.insert("per".to_owned(), json!(1));
        session.insert("quota_max".to_owned(), json!(PLENTY));
        session.insert("quota_remaining".to_owned(), json!(PLENTY));
        session.insert("quota_renewal_rate".to_owned(), json!(3600));
    }
    session
}

fn rights(api: &str) -> Value {
    json!({
        "org_id": ORGANISATION,
        "access_rights": {api: {"api_id": api, "api_name": api, "versions": ["Default"]}},
    })
}

fn classic(id: &str, keyed: bool, upstream: SocketAddr) -> Value {
    json!({
        "api_id": id,
        "org_id": ORGANISATION,
        "name": id,
        "active": true,
        "use_keyless": !keyed,
        "use_standard_auth": keyed,
        "auth": {"auth_header_name": "Authorization"},
        "version_data": {
            "not_versioned": true,
            "versions": {"Default": {"name": "Default", "use_extended_paths": true}},
        },
        "proxy": {
            "listen_path": format!("/{id}/"),
            "target_url": format!("http://{upstream}/"),
            "strip_listen_path": true,
        },
    })
}

/// Asks again and again until the answer is 200; an error when the process ends or the time is up.
pub(crate) fn wait_for(
    process: &mut Process,
    address: SocketAddr,
    tls: Option<&Tls>,
    path: &str,
    limit: Duration,
) -> io::Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let last = match tls {
            None => http::exchange(address, "GET", path, &[], "", Duration::from_secs(2))
                .map(|(status, _)| status),
            Some(tls) => load::ask(address, tls, path),
        };
        if matches!(last, Ok(200)) {
            return Ok(());
        }
        process.alive()?;
        if Instant::now() > deadline {
            let log = process.log_end();
            return Err(invalid(format!(
                "{path} did not answer 200 within {limit:?} but {last:?}; the log ends:\n{log}"
            )));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The release build of the gate, beside which this program was built.
pub(crate) fn default_program() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join("sluicegate")));
    beside.unwrap_or_else(|| PathBuf::from("target/release/sluicegate"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn series_of_one_name_are_summed() {
        let text = "# TYPE sent counter\nsent{path=\"a b\"} 3\nsent 4\nsent_bytes 9\nresent{} 9\n";
        assert_eq!(super::sum(text, "sent"), 7.0);
        assert_eq!(super::sum(text, "lost"), 0.0);
    }
}
