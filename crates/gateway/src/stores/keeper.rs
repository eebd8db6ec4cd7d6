//! Asks one store: Consul and Vault over their HTTP interfaces, and a folder of files.

use std::path::PathBuf;
use std::time::Duration;

use apidef::Target;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde_json::Value;
use state::Secret;

use super::document::{Document, place};
use super::settings::{ConsulSettings, TrustSettings, VaultSettings};
use crate::backend::upstream::UpstreamSettings;
use crate::fetch::{self, Ask, Fetched};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer and the largest file, in bytes.
const LARGEST: usize = 1 << 20;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);
/// Where the original keeps what definitions refer to by a name without a path.
const FOLDER: &str = "tyk-apis";
const SECRET: &str = "secret/tyk-apis";

/// One store that has to be asked.
#[derive(Debug)]
pub(super) enum Keeper {
    Consul { settings: ConsulSettings, client: Box<UpstreamSettings> },
    Vault { settings: VaultSettings, client: Box<UpstreamSettings> },
    Files(PathBuf),
}

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The store says that there is none.
    None(String),
    /// The store does not answer, or not as it should.
    Away(String),
}

type Outcome<T> = Result<T, Failure>;

impl Keeper {
    pub(super) fn consul(settings: &ConsulSettings) -> Result<Self, String> {
        let client = client(&settings.address, &settings.trust)?;
        Ok(Self::Consul { settings: settings.clone(), client })
    }

    pub(super) fn vault(settings: &VaultSettings) -> Result<Self, String> {
        let client = client(&settings.address, &settings.trust)?;
        Ok(Self::Vault { settings: settings.clone(), client })
    }

    /// The value of a name. `classic`: the name is as after `consul://` and `vault://`, not as in `kv://`.
    pub(super) async fn value(&self, name: &str, classic: bool) -> Outcome<String> {
        let (places, field) = self.places(name, classic).map_err(Failure::None)?;
        let mut outcome = Err(Failure::None("there is no such path".to_owned()));
        for place in places {
            outcome = self.document(&place).await;
            match &outcome {
                Err(Failure::None(_)) => {}
                _ => break,
            }
        }
        outcome?.value(field.as_deref()).map_err(Failure::None)
    }

    /// The paths that a name may mean, in the order in which they are asked for, and the field.
    fn places(&self, name: &str, classic: bool) -> Result<(Vec<String>, Option<String>), String> {
        if classic && matches!(self, Self::Vault { .. }) && !name.contains('#') {
            let (path, field) = match name.rsplit_once('/') {
                None => (SECRET, name),
                Some((_, last)) => {
                    let (_, field) = last.split_once('.').ok_or("it names no field: write `path.field`")?;
                    (&name[..name.len() - field.len() - 1], field)
                }
            };
            let (path, _) = place(path)?;
            return Ok((vec![path.to_owned()], Some(field.to_owned())));
        }
        let (path, field) = place(name)?;
        let mut places = vec![path.to_owned()];
        if classic && matches!(self, Self::Consul { .. }) {
            places.insert(0, format!("{FOLDER}/{path}"));
        }
        Ok((places, field.map(str::to_owned)))
    }

    async fn document(&self, path: &str) -> Outcome<Document> {
        match self {
            Self::Consul { settings, client } => consul(settings, client, path).await,
            Self::Vault { settings, client } => vault(settings, client, path).await,
            Self::Files(folder) => file(folder.clone(), path.to_owned()).await,
        }
    }
}

fn client(address: &str, trust: &TrustSettings) -> Result<Box<UpstreamSettings>, String> {
    Target::parse(address).map_err(|why| format!("the address `{address}` {why}"))?;
    UpstreamSettings::of_store(PATIENCE, trust).map(Box::new).map_err(|error| error.to_string())
}

async fn consul(settings: &ConsulSettings, client: &UpstreamSettings, path: &str) -> Outcome<Document> {
    let mut url = format!("{}/v1/kv/{path}?raw=true", settings.address.trim_end_matches('/'));
    if !settings.datacenter.is_empty() {
        url.push_str("&dc=");
        url.push_str(&settings.datacenter);
    }
    let mut ask = Ask::get(target(&url)?).within(PATIENCE, LARGEST);
    if !settings.token.is_empty() {
        ask = ask.with(HeaderName::from_static("x-consul-token"), header(&settings.token)?);
    }
    let (name, password) = &settings.login;
    if !name.is_empty() {
        let login = STANDARD.encode(format!("{name}:{}", password.expose()));
        ask = ask.with(AUTHORIZATION, header(&Secret::new(format!("Basic {login}")))?);
    }
    let answer = send(client, settings.trust.insecure, ask).await?;
    match answer.status {
        StatusCode::OK => {
            let text = String::from_utf8(answer.body.to_vec());
            text.map(Document::Text).map_err(|_| Failure::None("what is there is no text".to_owned()))
        }
        StatusCode::NOT_FOUND => Err(Failure::None("there is no such path".to_owned())),
        status => Err(Failure::Away(format!("consul answers with {status}"))),
    }
}

async fn vault(settings: &VaultSettings, client: &UpstreamSettings, path: &str) -> Outcome<Document> {
    let address = settings.address.trim_end_matches('/');
    let url = match path.split_once('/') {
        // The second version has its data below a name of its own.
        Some((engine, rest)) if settings.version != 1 => format!("{address}/v1/{engine}/data/{rest}"),
        _ => format!("{address}/v1/{path}"),
    };
    let time = if settings.timeout.is_zero() { PATIENCE } else { settings.timeout };
    let mut ask = Ask::get(target(&url)?).within(time, LARGEST);
    if !settings.token.is_empty() {
        ask = ask.with(HeaderName::from_static("x-vault-token"), header(&settings.token)?);
    }
    let mut tries = 0;
    let answer = loop {
        let answer = send(client, settings.trust.insecure, ask.clone()).await;
        let failed = answer.as_ref().map_or(true, |answer| answer.status.is_server_error());
        if !failed || tries >= settings.retries {
            break answer?;
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
    };
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Err(Failure::None("there is no such path".to_owned())),
        status => return Err(Failure::Away(format!("vault answers with {status}"))),
    }
    let mut body: Value = serde_json::from_slice(&answer.body)
        .map_err(|_| Failure::Away("what vault answers is no JSON".to_owned()))?;
    let pointer = if settings.version == 1 { "/data" } else { "/data/data" };
    match body.pointer_mut(pointer).map(Value::take) {
        Some(fields @ Value::Object(_)) => Ok(Document::Fields(fields)),
        _ => Err(Failure::None("what vault answers holds no data; is `kv_version` right?".to_owned())),
    }
}

fn target(url: &str) -> Outcome<Target> {
    Target::parse(url).map_err(|why| Failure::None(format!("its address {why}")))
}

fn header(secret: &Secret) -> Outcome<HeaderValue> {
    let mut value = HeaderValue::try_from(secret.expose())
        .map_err(|_| Failure::Away("the token holds what no header can".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn send(client: &UpstreamSettings, insecure: bool, ask: Ask) -> Outcome<Fetched> {
    // Never elsewhere: a token goes along.
    fetch::once_only(client, insecure, ask).await.map_err(|error| Failure::Away(error.to_string()))
}

/// A file below the folder, also behind links.
async fn file(folder: PathBuf, path: String) -> Outcome<Document> {
    let read = move || -> Outcome<Document> {
        use std::io::Read as _;
        let none = |why: &str| Failure::None(why.to_owned());
        let folder = folder.canonicalize().map_err(|error| {
            Failure::Away(format!("the folder {} cannot be read: {error}", folder.display()))
        })?;
        let path = folder.join(&path).canonicalize().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => none("there is no such file"),
            _ => Failure::Away(format!("the file cannot be read: {error}")),
        })?;
        if !path.starts_with(&folder) {
            return Err(none("the file is outside of `kv.file.base_path`"));
        }
        if !path.is_file() {
            return Err(none("that is no file"));
        }
        let failed = |error: std::io::Error| Failure::Away(format!("the file cannot be read: {error}"));
        let mut text = String::new();
        let file = std::fs::File::open(&path).map_err(failed)?;
        file.take(LARGEST as u64 + 1).read_to_string(&mut text).map_err(failed)?;
        if text.len() > LARGEST {
            return Err(none("the file is larger than 1 MiB"));
        }
        // Editors and `echo` end the last line.
        let end = text.trim_end_matches(['\r', '\n']).len();
        text.truncate(end);
        Ok(Document::Text(text))
    };
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(Failure::Away(error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_paths_as_their_stores_have_them() {
        let consul =
            Keeper::consul(&ConsulSettings { address: "http://c:8500".into(), ..Default::default() });
        let vault = Keeper::vault(&VaultSettings { address: "http://v:8200".into(), ..Default::default() });
        let (consul, vault) = (consul.unwrap(), vault.unwrap());
        for (keeper, name, classic, paths, field) in [
            (&consul, "k", true, &["tyk-apis/k", "k"] as &[&str], None),
            (&consul, "a/b#f", true, &["tyk-apis/a/b", "a/b"], Some("f")),
            (&consul, "a/b", false, &["a/b"], None),
            (&vault, "k", true, &["secret/tyk-apis"], Some("k")),
            (&vault, "secret/a.b/c.f.g", true, &["secret/a.b/c"], Some("f.g")),
            (&vault, "secret/a#f", true, &["secret/a"], Some("f")),
            (&vault, "secret/a.b#f", false, &["secret/a.b"], Some("f")),
        ] {
            let (found, found_field) = keeper.places(name, classic).unwrap();
            assert_eq!(
                (found.iter().map(String::as_str).collect::<Vec<_>>(), found_field.as_deref()),
                (paths.to_vec(), field),
                "{name}"
            );
        }
        for (keeper, name) in [(&vault, "secret/a"), (&vault, "../x.f"), (&consul, "a/../b")] {
            assert!(keeper.places(name, true).is_err(), "{name}");
        }
    }

    #[tokio::test]
    async fn files_are_read_below_their_folder_only() {
        let root = std::env::temp_dir().join(format!("sluicegate-stores-{}", uuid::Uuid::new_v4()));
        let folder = root.join("below");
        tokio::fs::create_dir_all(folder.join("sub")).await.unwrap();
        for (path, text) in [("below/a", "value\n"), ("below/sub/b", "b"), ("secret", "outside")] {
            tokio::fs::write(root.join(path), text).await.unwrap();
        }
        tokio::fs::symlink(root.join("secret"), folder.join("link")).await.unwrap();
        let keeper = Keeper::Files(folder);
        for (name, expected) in [
            ("a", Some("value")),
            ("sub/b", Some("b")),
            ("/a", Some("value")),
            ("link", None),
            ("../secret", None),
            ("sub", None),
            ("none", None),
        ] {
            assert_eq!(keeper.value(name, true).await.ok().as_deref(), expected, "{name}");
        }
        tokio::fs::remove_dir_all(&root).await.unwrap();
    }
}
