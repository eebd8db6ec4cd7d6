//! What OAuth servers of other gates have written to the store they share is good here, and what this one writes has the
//! names that they look for (contract 5.1, 5.6).

use std::time::{SystemTime, UNIX_EPOCH};

use e2e::definition::{keyless, session};
use e2e::{Gate, Redis, Reply, Upstream, curl};
use serde_json::{Value, json};

const CALLBACK: &str = "https://app.example/cb";
/// A token as others make it: organisation and 32 digits.
const TOKEN: &str = "org0123456789abcdef0123456789abcdef";

struct Shared {
    gate: Gate,
    redis: Redis,
    #[expect(dead_code, reason = "lives as long as the gate")]
    upstream: Upstream,
}

/// A time as others write it, so many seconds from now.
fn at(seconds: i64) -> String {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let when = format!("@{}", now + seconds);
    let printed = std::process::Command::new("date")
        .args(["-u", "-d", &when, "+%Y-%m-%dT%H:%M:%S.123456789Z"])
        .output()
        .unwrap();
    String::from_utf8(printed.stdout).unwrap().trim().to_owned()
}

/// A client as others store it.
fn client() -> Value {
    json!({"id": "c", "secret": "hush", "redirecturi": CALLBACK, "meta_data": {"team": "blue"}, "policyid": "gold", "description": "an app"})
}

impl Shared {
    async fn start() -> Self {
        let (upstream, redis) = (Upstream::start().await, Redis::start().await);
        let mut api = keyless("a", &upstream.url(""));
        let object = api.as_object_mut().unwrap();
        object.remove("use_keyless");
        object.insert("use_oauth2".to_owned(), json!(true));
        let meta = json!({
            "allowed_access_types": ["authorization_code", "refresh_token", "client_credentials"],
            "allowed_authorize_types": ["code"], "auth_login_redirect": "https://login.example/in",
        });
        object.insert("oauth_meta".to_owned(), meta);
        let mut policy = session(&["a"]);
        policy["id"] = json!("gold");
        policy["active"] = json!(true);
        // Names in the store are those of tokens, so that this test can write them.
        let plain = json!({"hash_keys": false, "hash_key_function": ""});
        let gate = Gate::setup().conf(redis.conf()).conf(plain).api(api).policy(policy).start().await;
        Self { gate, redis, upstream }
    }

    /// Writes a record of the API.
    fn write(&self, name: &str, record: &Value) {
        self.redis.call(&["SET", &format!("oauth-data.a.{name}"), &record.to_string()]);
    }

    /// A record of the API; `Null`: there is none.
    fn read(&self, name: &str) -> Value {
        let text = self.redis.call(&["GET", &format!("oauth-data.a.{name}")]);
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The only key that begins so.
    fn only(&self, name: &str) -> String {
        let keys = self.redis.call(&["KEYS", &format!("oauth-data.a.{name}*")]);
        assert_eq!(keys.lines().count(), 1, "{keys}");
        keys.strip_prefix("oauth-data.a.").unwrap().to_owned()
    }

    /// Makes a client be known as others do it.
    fn write_client(&self) {
        self.write("oauth-clientid.c", &client());
        self.redis.call(&["RPUSH", "oauth-data.a.oauth-client-index.org", "oauth-clientid.c"]);
        let set = "oauth-data.a.oauth-clientset.oauth-clientid.";
        self.redis.call(&["SADD", set, &client().to_string()]);
    }

    /// Makes a token as others do it: its session, its records, its place in the list of its client.
    fn write_token(&self, token: &str, refresh: &str, created: &str) {
        let mut session = session(&["a"]);
        session["oauth_client_id"] = json!("c");
        session["apply_policies"] = json!(["gold"]);
        session["expires"] = json!(4_102_444_800_i64);
        self.redis.call(&["SET", &format!("apikey-{token}"), &session.to_string()]);
        let record = json!({
            "Client": client(), "AuthorizeData": null, "AccessData": null, "AccessToken": token, "RefreshToken": refresh,
            "ExpiresIn": 3600, "Scope": "", "RedirectUri": CALLBACK, "CreatedAt": created, "UserData": session.to_string(),
        });
        self.write(&format!("oauth-access.{token}"), &record);
        self.write(&format!("oauth-refresh.{refresh}"), &record);
        self.redis.call(&["ZADD", "oauth-data.a.oauth-client-tokens.c", "4102444800", token]);
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut arguments = vec!["-X", "POST", "-u", "c:hush"];
        for field in &fields {
            arguments.extend(["--data-urlencode", field]);
        }
        let url = self.gate.url(path);
        arguments.push(&url);
        curl(&arguments).await
    }

    async fn refresh(&self, token: &str) -> Reply {
        self.post("/a/oauth/token/", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    async fn with(&self, token: &str) -> u16 {
        self.gate.get("/a/x", &["-H", &format!("Authorization: Bearer {token}")]).await.status
    }
}

fn text(reply: &Reply, name: &str) -> String {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()[name].as_str().unwrap_or_else(|| panic!("{name}: {reply:?}")).to_owned()
}

#[tokio::test]
async fn c5_1_contract_5_6_what_another_gate_has_given_is_good_here() {
    let shared = Shared::start().await;
    shared.write_client();
    let admin = shared.gate.admin();
    let shown = json!({
        "client_id": "c", "redirect_uri": CALLBACK, "policy_id": "gold", "secret": "hush",
        "meta_data": {"team": "blue"}, "description": "an app",
    });
    assert_eq!(admin.get("/oauth/clients/a").await.json(), json!([shown]));

    // A code.
    let code = json!({
        "Client": client(), "Code": "code-1", "ExpiresIn": 250, "Scope": "read", "RedirectUri": CALLBACK, "State": "s",
        "CreatedAt": at(0), "UserData": "", "CodeChallenge": "", "CodeChallengeMethod": "",
    });
    shared.write("oauth-authorize.code-1", &code);
    let asked = [("grant_type", "authorization_code"), ("code", "code-1"), ("redirect_uri", CALLBACK)];
    let given = shared.post("/a/oauth/token/", &asked).await;
    assert_eq!(shared.with(&text(&given, "access_token")).await, 200);
    assert_eq!(given.json()["scope"], "read");
    assert_eq!(shared.read("oauth-authorize.code-1"), Value::Null, "a code is good once");

    // A token, and what refreshes it.
    shared.write_token(TOKEN, "refresh-1", &at(-60));
    assert_eq!(shared.with(TOKEN).await, 200);
    let given = shared.refresh("refresh-1").await;
    assert_eq!(shared.with(&text(&given, "access_token")).await, 200);
    assert_ne!(text(&given, "refresh_token"), "refresh-1");
    assert_eq!(shared.with(TOKEN).await, 403, "the renewed token is taken back");
    assert_eq!(shared.read(&format!("oauth-access.{TOKEN}")), Value::Null);

    // All of them are listed, and go together.
    let listed = admin.get("/oauth/clients/a/c/tokens").await.json();
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    shared.write_token(TOKEN, "refresh-2", &at(-60));
    let fields = [("client_id", "c"), ("client_secret", "hush")];
    assert_eq!(shared.post("/a/oauth/revoke_all", &fields).await.status, 200);
    e2e::until("the token is refused", async || shared.with(TOKEN).await == 403).await;
    assert_eq!(shared.refresh("refresh-2").await.status, 403, "it was given before all were taken back");
    // What another gate gives after that is good.
    shared.write_token(TOKEN, "refresh-3", &at(60));
    assert_eq!(shared.refresh("refresh-3").await.status, 200);
}

#[tokio::test]
async fn c5_1_rows_22_to_28_contract_5_1_records_are_written_under_the_names_that_other_gates_read() {
    let shared = Shared::start().await;
    let asked = json!({
        "client_id": "c", "secret": "hush", "api_id": "a", "policy_id": "gold", "redirect_uri": CALLBACK,
        "meta_data": {"team": "blue"}, "description": "an app",
    });
    let made = shared.gate.admin().post("/oauth/clients/create", &asked).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(shared.read("oauth-clientid.c"), client());
    let index = shared.redis.call(&["LRANGE", "oauth-data.a.oauth-client-index.org", "0", "-1"]);
    assert_eq!(index, "oauth-clientid.c");
    let set = shared.redis.call(&["SMEMBERS", "oauth-data.a.oauth-clientset.oauth-clientid."]);
    assert_eq!(serde_json::from_str::<Value>(&set).unwrap(), client());

    let fields = [("response_type", "code"), ("client_id", "c"), ("redirect_uri", CALLBACK), ("state", "s")];
    let mut arguments = vec!["-X", "POST"];
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    for field in &fields {
        arguments.extend(["--data-urlencode", field]);
    }
    let secret = format!("x-tyk-authorization: {}", Gate::SECRET);
    let url = shared.gate.url("/a/tyk/oauth/authorize-client/");
    arguments.extend(["-H", &secret, &url]);
    let code = text(&curl(&arguments).await, "code");
    let name = format!("oauth-authorize.{code}");
    let record = shared.read(&name);
    assert_eq!(record["Client"], client());
    for (member, value) in
        [("Code", json!(code)), ("RedirectUri", json!(CALLBACK)), ("State", json!("s")), ("Scope", json!(""))]
    {
        assert_eq!(record[member], value, "{record}");
    }
    let life: i64 = shared.redis.call(&["TTL", &format!("oauth-data.a.{name}")]).parse().unwrap();
    assert_eq!(record["ExpiresIn"], 250);
    assert!((200..=250).contains(&life), "{life}");

    let asked = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
    let given = shared.post("/a/oauth/token/", &asked).await;
    let (token, refresh) = (text(&given, "access_token"), text(&given, "refresh_token"));
    for name in [format!("oauth-access.{token}"), format!("oauth-refresh.{refresh}")] {
        let record = shared.read(&name);
        assert_eq!(record["Client"], client(), "{name}");
        for (member, value) in [
            ("AccessToken", json!(token)),
            ("RefreshToken", json!(refresh)),
            ("RedirectUri", json!(CALLBACK)),
            ("Scope", json!("")),
            ("AuthorizeData", Value::Null),
            ("AccessData", Value::Null),
        ] {
            assert_eq!(record.get(member), Some(&value), "{name} {member}: {record}");
        }
        assert!(record["ExpiresIn"].as_i64() > Some(0), "{record}");
        let created = record["CreatedAt"].as_str().unwrap();
        assert!(created.contains('T') && created.ends_with('Z'), "{created}");
    }
    let life: i64 =
        shared.redis.call(&["TTL", &format!("oauth-data.a.oauth-refresh.{refresh}")]).parse().unwrap();
    assert!((1_209_000..=1_209_600).contains(&life), "14 days: {life}");
    let tokens = shared.only("oauth-client-tokens.");
    assert_eq!(tokens, "oauth-client-tokens.c");
    let listed = shared.redis.call(&["ZRANGE", &format!("oauth-data.a.{tokens}"), "0", "-1"]);
    assert_eq!(listed, token);
    let session: Value =
        serde_json::from_str(&shared.redis.call(&["GET", &format!("apikey-{token}")])).unwrap();
    assert_eq!(session["oauth_client_id"], "c");
    assert_eq!(session["meta_data"]["team"], "blue");
}
