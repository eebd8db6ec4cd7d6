//! What a stream that is alone in its process says about its HTTP server (streams contract 5.11). Inside of a gate the
//! gate's listeners serve its endpoints.

use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use document::Fault;
use serde_json::Value as Json;

use crate::node::Node;
use crate::registry::{Default, Field, Kind};

/// Where the server listens when nothing is written.
const ADDRESS: &str = "0.0.0.0:4195";

/// The fields of the section `http`.
pub(crate) const HTTP: &[Field] = &[
    Field::new("enabled", Kind::Bool, Default::Bool(true), "Open the server."),
    Field::new(
        "address",
        Kind::Text,
        Default::Text(ADDRESS),
        "Where it listens. The default may be taken by another stream of this machine: then a stream that serves no \
         endpoint runs without a server.",
    ),
    Field::new(
        "root_path",
        Kind::Text,
        Default::Text("/bento"),
        "Every path is served below this one as well.",
    ),
    Field::optional(
        "debug_endpoints",
        Kind::Ignored(
            "they show the inside of another engine; `/stats` and `/endpoints` tell how the stream is",
        ),
        "Endpoints for debugging.",
    ),
    Field::new(
        "cert_file",
        Kind::Text,
        Default::Text(""),
        "A certificate chain (PEM): the server speaks TLS.",
    ),
    Field::new("key_file", Kind::Text, Default::Text(""), "The key of the certificate (PEM)."),
    Field::object(
        "cors",
        &[
            Field::new("enabled", Kind::Bool, Default::Bool(false), "Let pages of other origins ask."),
            Field::new(
                "allowed_origins",
                Kind::List(&Kind::Text),
                Default::Texts(&[]),
                "Which origins; `*` is any.",
            ),
        ],
        "Cross-origin rules of the whole server.",
    ),
    Field::object(
        "basic_auth",
        &[
            Field::new("enabled", Kind::Bool, Default::Bool(false), "Ask for a name and a password."),
            Field::new("realm", Kind::Text, Default::Text("restricted"), "The realm that clients are told."),
            Field::new("username", Kind::Text, Default::Text(""), "The name."),
            Field::new(
                "password_hash",
                Kind::Text,
                Default::Text(""),
                "The hash of the password, in base64.",
            ),
            Field::new(
                "algorithm",
                Kind::Choice(&["md5", "sha256", "bcrypt", "scrypt"]),
                Default::Text("sha256"),
                "How the hash was made. `md5` and `sha256` are quickly guessed from the hash: prefer the others.",
            ),
            Field::new(
                "salt",
                Kind::Text,
                Default::Text(""),
                "The salt of `scrypt` (N 32768, r 8, p 1), in base64.",
            ),
        ],
        "Who may ask the server, for any of its paths.",
    ),
];

/// What the section `http` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Whether there is a server.
    pub enabled: bool,
    /// Where it listens.
    pub address: String,
    /// Whether somebody wrote the address.
    pub address_written: bool,
    /// The path below which everything is served again; empty: nowhere.
    pub root_path: String,
    /// Certificate and key files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Origins whose pages may ask; `None`: no rules.
    pub origins: Option<Vec<String>>,
    /// Who may ask.
    pub password: Option<Password>,
}

/// Name and password that every request must bring.
#[derive(Clone, PartialEq, Eq)]
pub struct Password {
    /// What clients are told.
    pub realm: String,
    /// The name.
    pub username: String,
    /// How the hash was made.
    pub algorithm: PasswordHash,
    /// The hash.
    pub hash: Vec<u8>,
}

/// How the hash of a password is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordHash {
    /// MD5, unsalted.
    Md5,
    /// SHA-256, unsalted.
    Sha256,
    /// bcrypt: the hash is text and holds cost and salt.
    Bcrypt,
    /// scrypt with N 32768, r 8, p 1 and 32 bytes.
    Scrypt {
        /// Its salt.
        salt: Vec<u8>,
    },
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Password").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Http {
    /// Reads the section; null when it is not written.
    ///
    /// # Errors
    /// What of it cannot be used, with its place below `pointer`.
    pub fn read(section: &Json, pointer: &str) -> Result<Http, Fault> {
        let node = Node::new(section, Kind::Object(HTTP), pointer);
        let cors = node.get("cors");
        let root_path = node.text("root_path")?.trim_end_matches('/').to_owned();
        if !root_path.is_empty() && !root_path.starts_with('/') {
            return Err(node.field_fault("root_path", "a path begins with `/`"));
        }
        Ok(Http {
            enabled: node.boolean("enabled")?,
            address: node.text("address")?.into_owned(),
            address_written: section.get("address").is_some(),
            root_path,
            tls: tls(&node)?,
            origins: if cors.boolean("enabled")? { Some(cors.texts("allowed_origins")?) } else { None },
            password: password(&node.get("basic_auth"))?,
        })
    }
}

fn tls(node: &Node<'_>) -> Result<Option<(PathBuf, PathBuf)>, Fault> {
    let (certificate, key) = (node.text("cert_file")?, node.text("key_file")?);
    match (certificate.is_empty(), key.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some((PathBuf::from(&*certificate), PathBuf::from(&*key)))),
        (true, false) => Err(node.field_fault("cert_file", "`key_file` needs a `cert_file`")),
        (false, true) => Err(node.field_fault("key_file", "`cert_file` needs a `key_file`")),
    }
}

fn password(node: &Node<'_>) -> Result<Option<Password>, Fault> {
    if !node.boolean("enabled")? {
        return Ok(None);
    }
    let decoded = |name| {
        let text = node.text(name)?;
        BASE64_STANDARD.decode(text.as_bytes()).map_err(|_| node.field_fault(name, "base64 is expected"))
    };
    for name in ["username", "password_hash"] {
        if node.text(name)?.is_empty() {
            return Err(node.field_fault(name, format!("`basic_auth` needs a `{name}`")));
        }
    }
    let hash = decoded("password_hash")?;
    let bytes = |length: usize| {
        if hash.len() == length {
            return Ok(());
        }
        let text = format!("a hash of {length} bytes is expected, here are {}", hash.len());
        Err(node.field_fault("password_hash", text))
    };
    let algorithm = match &*node.text("algorithm")? {
        "md5" => bytes(16).map(|()| PasswordHash::Md5)?,
        "bcrypt" if !hash.starts_with(b"$2") => {
            return Err(node.field_fault("password_hash", "base64 of a hash such as `$2y$10$…` is expected"));
        }
        "bcrypt" => PasswordHash::Bcrypt,
        "scrypt" => {
            bytes(32)?;
            let salt = decoded("salt")?;
            if salt.is_empty() {
                return Err(node.field_fault("salt", "`scrypt` needs a salt"));
            }
            PasswordHash::Scrypt { salt }
        }
        _ => bytes(32).map(|()| PasswordHash::Sha256)?,
    };
    Ok(Some(Password {
        realm: node.text("realm")?.into_owned(),
        username: node.text("username")?.into_owned(),
        algorithm,
        hash,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_written_has_a_default() {
        let http = Http::read(&Json::Null, "/http").unwrap();
        assert_eq!((http.enabled, &*http.address, http.address_written), (true, "0.0.0.0:4195", false));
        assert_eq!((&*http.root_path, http.tls, http.origins, http.password), ("/bento", None, None, None));
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_place() {
        let auth = |more: Json| {
            let mut auth =
                json!({"enabled": true, "username": "u", "password_hash": BASE64_STANDARD.encode([0; 32])});
            for (name, value) in more.as_object().unwrap() {
                auth[name] = value.clone();
            }
            json!({"basic_auth": auth})
        };
        assert!(Http::read(&auth(json!({})), "/http").unwrap().password.is_some());
        for (section, pointer) in [
            (json!({"root_path": "x"}), "/http/root_path"),
            (json!({"cert_file": "x"}), "/http/key_file"),
            (json!({"key_file": "x"}), "/http/cert_file"),
            (auth(json!({"username": ""})), "/http/basic_auth/username"),
            (auth(json!({"password_hash": "%"})), "/http/basic_auth/password_hash"),
            (auth(json!({"algorithm": "md5"})), "/http/basic_auth/password_hash"),
            (auth(json!({"algorithm": "bcrypt"})), "/http/basic_auth/password_hash"),
            (auth(json!({"algorithm": "scrypt"})), "/http/basic_auth/salt"),
        ] {
            let fault = Http::read(&section, "/http").unwrap_err();
            assert_eq!(fault.pointer, pointer, "{section}");
        }
    }
}
