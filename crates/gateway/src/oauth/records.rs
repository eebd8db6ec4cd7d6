//! What is stored of codes and tokens (contract 5.1), in the shape in which other gates read and write it, with members of our
//! own that they pass over.

use apidef::{Secret, Session};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::Client;

/// A code that a user's authorisation led to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Authorization {
    pub(super) client: Option<Client>,
    pub(super) code: Secret,
    /// Seconds.
    pub(super) expires_in: i64,
    pub(super) scope: String,
    pub(super) redirect_uri: String,
    pub(super) state: String,
    /// RFC 3339.
    pub(super) created_at: String,
    /// The session that the token is to have, as text; nothing: that of the client's policy.
    pub(super) user_data: Value,
    pub(super) code_challenge: String,
    pub(super) code_challenge_method: String,
    /// Ours: Unix milliseconds.
    pub(super) issued: i64,
    /// Ours: the request named its redirect_uri, so the next one has to.
    pub(super) redirect_given: bool,
}

/// A token, of either sort.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Access {
    pub(super) client: Option<Client>,
    /// Not used here; others expect it.
    pub(super) authorize_data: Value,
    /// Not used here; others expect it.
    pub(super) access_data: Value,
    pub(super) access_token: Secret,
    pub(super) refresh_token: Secret,
    /// Seconds.
    pub(super) expires_in: i64,
    pub(super) scope: String,
    pub(super) redirect_uri: String,
    /// RFC 3339.
    pub(super) created_at: String,
    /// As in [`Authorization`].
    pub(super) user_data: Value,
    /// Ours: Unix milliseconds.
    pub(super) issued: i64,
    /// Ours: what it belongs together with.
    pub(super) family: String,
    /// Ours: under which name the session of the user is stored whose rights it has.
    pub(super) user: String,
}

impl Authorization {
    /// When it was made, in milliseconds of Unix time.
    pub(super) fn made(&self) -> i64 {
        made(self.issued, &self.created_at)
    }
}

impl Access {
    /// When it was made, in milliseconds of Unix time.
    pub(super) fn made(&self) -> i64 {
        made(self.issued, &self.created_at)
    }
}

/// What others wrote tells its time in words alone. What tells none is older than everything.
fn made(issued: i64, created_at: &str) -> i64 {
    if issued > 0 {
        return issued;
    }
    created_at.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_millisecond)
}

/// What is alive of one authorisation: when a code or a refresh token is used again, all of it is taken back.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Family {
    /// Name of the access token.
    pub(super) access: String,
    pub(super) refresh: Secret,
    pub(super) client: String,
}

/// Reads a record; what cannot be read counts as not there.
pub(super) fn read<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Option<T> {
    // A list of nothing would be taken for a record without members.
    if bytes.trim_ascii_start().starts_with(b"{") { serde_json::from_slice(bytes).ok() } else { None }
}

/// Writes a record. Nothing here has keys that are no texts, so it cannot fail.
pub(super) fn write(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).unwrap_or_default()
}

/// The session that is stored with a code or token.
pub(super) fn session_of(user_data: &Value) -> Option<Session> {
    match user_data {
        Value::String(text) => serde_json::from_str(text).ok(),
        Value::Object(_) => Session::deserialize(user_data).ok(),
        _ => None,
    }
}

/// The same as it is stored.
pub(super) fn user_data(session: &Session) -> Value {
    serde_json::to_string(session).map_or(Value::Null, Value::String)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c5_1_row_26_what_other_gates_wrote_is_read() {
        let written = br#"{"Client":{"id":"c","secret":"s","redirecturi":"http://a/","meta_data":null,"policyid":"p","description":""},
            "AuthorizeData":null,"AccessData":{"AccessToken":"before"},"AccessToken":"t","RefreshToken":"r","ExpiresIn":3600,"Scope":"",
            "RedirectUri":"http://a/","CreatedAt":"2024-05-01T10:00:00.123456789Z","UserData":"{\"rate\":5,\"org_id\":\"o\"}"}"#;
        let access: Access = read(written).unwrap();
        assert_eq!((access.access_token.0.as_str(), access.refresh_token.0.as_str()), ("t", "r"));
        assert_eq!(access.client.as_ref().unwrap().id, "c");
        assert_eq!(session_of(&access.user_data).unwrap().org_id, "o");
        assert_eq!(access.made(), 1_714_557_600_123);
        assert!(!format!("{access:?}").contains("\"t\""), "{access:?}");
        let again: Value = serde_json::from_slice(&write(&access)).unwrap();
        let first: Value = serde_json::from_slice(written).unwrap();
        for (name, value) in first.as_object().unwrap() {
            assert_eq!(&again[name], value, "{name}");
        }
        let code = br#"{"Client":{"id":"c"},"Code":"x","ExpiresIn":250,"Scope":"","RedirectUri":"http://a/","State":"","CreatedAt":"2024-05-01T10:00:00Z","UserData":null}"#;
        let code: Authorization = read(code).unwrap();
        assert_eq!((code.code.0.as_str(), code.code_challenge.as_str()), ("x", ""));
        assert!(session_of(&code.user_data).is_none());
        assert_eq!(code.made(), 1_714_557_600_000);
        assert_eq!(Authorization { issued: 7, ..code.clone() }.made(), 7);
        assert_eq!(Authorization { created_at: "yesterday".to_owned(), ..code }.made(), 0);
        assert!(read::<Access>(b"[]").is_none() && read::<Access>(b"").is_none());
    }
}
