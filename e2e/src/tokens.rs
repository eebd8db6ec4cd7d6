//! Callers that bring a token, and what they are told.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::definition::session;
use crate::{Gate, Reply};

/// Unix seconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A policy that opens these APIs, with what is added to it.
pub fn policy(id: &str, apis: &[&str], more: Value) -> Value {
    let mut policy = session(apis);
    policy["id"] = json!(id);
    policy["active"] = json!(true);
    policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    policy
}

/// Asks with a token.
pub async fn with(gate: &Gate, path: &str, token: &str) -> Reply {
    gate.get(path, &["-H", &format!("Authorization: Bearer {token}")]).await
}

/// The refusal of a guard, and nothing else.
///
/// # Panics
/// When it is another answer.
pub fn assert_refused(reply: &Reply, status: u16, message: &str) {
    assert_eq!(
        (reply.status, reply.text()),
        (status, format!("{{\n    \"error\": \"{message}\"\n}}").as_str()),
        "{reply:?}"
    );
}
