//! The admin API, by curl.

use serde_json::Value;

use crate::{Reply, curl};

/// Calls below `/tyk`, with the secret.
#[derive(Debug, Clone)]
pub struct Admin {
    base: String,
    secret: String,
}

impl Admin {
    /// Speaks to the gate at `base` (`http://host:port`).
    pub fn new(base: String, secret: &str) -> Self {
        Self { base, secret: secret.to_owned() }
    }

    /// Any call; `path` comes after `/tyk`.
    pub async fn call(&self, method: &str, path: &str, body: Option<&str>) -> Reply {
        let secret = format!("x-tyk-authorization: {}", self.secret);
        let url = format!("{}/tyk{path}", self.base);
        let mut arguments = vec!["-k", "-X", method, "-H", &secret];
        if let Some(body) = body {
            arguments.extend(["-H", "content-type: application/json", "--data-binary", body]);
        }
        arguments.push(&url);
        curl(&arguments).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, None).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call("POST", path, Some(&body.to_string())).await
    }

    /// PUT of JSON.
    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.call("PUT", path, Some(&body.to_string())).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Reply {
        self.call("DELETE", path, None).await
    }

    /// Reloads and waits until it is done.
    ///
    /// # Panics
    /// When the gate refuses.
    pub async fn reload(&self) -> Value {
        let reply = self.get("/reload?block=true").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    /// Creates a key from a session and gives it.
    ///
    /// # Panics
    /// When the gate refuses.
    pub async fn key(&self, session: &Value) -> String {
        let reply = self.post("/keys", session).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["key"].as_str().expect("the reply holds the key").to_owned()
    }
}
