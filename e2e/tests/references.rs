//! Values that are kept elsewhere, in definitions and settings (contract 1.1, 2.9, 8.10).

use e2e::definition::{keyless, oas};
use e2e::{Authority, Gate, Reply, Setup, Upstream, Values, front, until};
use serde_json::{Value, json};

const VERSION: &str = "/version_data/versions/Default";

/// A classic API that adds these fields to requests.
fn adding(id: &str, target: &str, fields: Value) -> Value {
    let mut api = keyless(id, target);
    api.pointer_mut(VERSION).unwrap()["global_headers"] = fields;
    api
}

/// A gate that knows a Consul and a Vault at `values`, a folder, and two stores with names.
fn stores(values: &Values) -> Setup {
    let address = values.authority();
    Gate::setup()
        .conf(json!({
            "secrets": {"word": "w"},
            "kv": {
                "refresh": 0.1,
                "consul": {"address": address, "token": "env://CONSUL_TOKEN"},
                "vault": {"address": format!("http://{address}"), "token": "vault-token", "max_retries": 1},
                "file": {"base_path": "kept"},
                "stores": {
                    "main": {"type": "vault", "config": {"address": format!("http://{address}"), "token": "secrets://none"}},
                    "own": {"type": "secrets", "config": {"db": "{\"user\":\"dora\"}"}},
                },
            },
        }))
        .conf(json!({"secrets": {"none": "vault-token"}}))
        .env("CONSUL_TOKEN", "consul-token")
        .file("kept/a/token", "of a file\n")
        .file("outside", "not to be had")
}

fn sent(reply: &Reply, name: &str) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["headers"][name].clone()
}

fn filled(values: &Values) {
    values.put("tyk-apis/short", json!("of the folder"));
    values.put("team/key", json!("of a path"));
    values.put("secret/tyk-apis", json!({"short": "of the usual secret"}));
    values.put("secret/team/db", json!({"password": "p $tyk_meta.x {{.}}", "port": 5432}));
}

#[tokio::test]
async fn c2_9_row_1_references_are_put_in_when_a_definition_is_read() {
    let (upstream, values) = (Upstream::start().await, Values::start().await);
    filled(&values);
    let cases = [
        ("env://PLAIN", "of the environment"),
        ("env://FORMAL", "of a secret variable"),
        ("secrets://word", "w"),
        ("consul://short", "of the folder"),
        ("consul://team/key", "of a path"),
        ("vault://short", "of the usual secret"),
        ("vault://secret/team/db.port", "5432"),
        ("file://a/token", "of a file"),
        ("kv://main/secret/team/db#port", "5432"),
        ("kv://own/db#user", "dora"),
        ("Basic $kv{own/db#user}:$kv{env://PLAIN}!", "Basic dora:of the environment!"),
        ("Bearer secrets://word", "Bearer w"),
        ("write env://NAME like this", "write env://NAME like this"),
        // At request time.
        ("<$secret_conf.word>", "<w>"),
        ("<$secret_env.formal>", "<of a secret variable>"),
        ("<$secret_env.plain>", "<>"),
        ("<$secret_consul.team/key>", "<of a path>"),
        // Nothing in a value is ever read as a name.
        ("<$secret_vault.secret/team/db.password>", "<p $tyk_meta.x {{.}}>"),
        ("<$secret_file.a/token>", "<of a file>"),
        ("<$secret_vault.secret/none.x>", "<>"),
        ("<$secret_conf.absent>", "<>"),
    ];
    let fields: Value =
        cases.iter().enumerate().map(|(n, (text, _))| (format!("X-N{n}"), json!(text))).collect();
    let mut classic = adding("classic", "http://env://UPSTREAM", fields);
    classic["proxy"]["listen_path"] = json!("env://PATH_OF_API");
    let mut described = oas("described", "$kv{env://SCHEME}://$kv{env://UPSTREAM}/");
    described["x-tyk-api-gateway"]["middleware"] = json!({"global": {"transformRequestHeaders": {"enabled": true,
        "add": [{"name": "X-One", "value": "vault://secret/team/db.password"}]}}});
    let gate = stores(&values)
        // As in Tyk: what has no value is nothing.
        .conf(json!({"kv": {"missing_secrets_are_empty": true}}))
        .env("PLAIN", "of the environment")
        .env("TYK_SECRET_FORMAL", "of a secret variable")
        .env("UPSTREAM", &upstream.authority())
        .env("SCHEME", "http")
        .env("PATH_OF_API", "/from-env/")
        .api(classic)
        .oas(described.clone())
        .start()
        .await;
    let reply = gate.get("/from-env/x", &[]).await;
    for (number, (text, value)) in cases.iter().enumerate() {
        assert_eq!(sent(&reply, &format!("x-n{number}")), json!([value]), "{text}");
    }
    for told in
        ["there is no value for `$secret_vault.secret/none.x`: there is no such path", "$secret_conf.absent"]
    {
        assert!(gate.log().contains(told), "{told}: {}", gate.log());
    }
    let reply = gate.get("/described/x", &[]).await;
    assert_eq!(sent(&reply, "x-one").as_array().unwrap().len(), 1);

    // What is shown and written are the references.
    let shown = gate.admin().get("/apis/classic").await;
    assert!(
        shown.text().contains("http://env://UPSTREAM") && !shown.text().contains("of a path"),
        "{shown:?}"
    );
    for path in ["/apis/described", "/apis/oas/described"] {
        let shown = gate.admin().get(path).await;
        assert!(!shown.text().contains("$tyk_meta"), "{path}: {shown:?}");
        assert!(shown.text().contains("vault://secret/team/db.password"), "{path}: {shown:?}");
    }
    described["x-tyk-api-gateway"]["info"]["name"] = json!("again");
    assert_eq!(gate.admin().put("/apis/oas/described", &described).await.status, 200);
    let written = std::fs::read_to_string(gate.dir().join("apps/described.json")).unwrap();
    assert!(!written.contains("$tyk_meta") && written.contains("$kv{env://UPSTREAM}"), "{written}");
    assert_eq!(gate.get("/described/x", &[]).await.status, 200);
    assert!(!gate.log().contains("$tyk_meta.x"), "no log holds a value: {}", gate.log());
}

#[tokio::test]
async fn c2_9_row_1_what_cannot_be_found_refuses_the_definition_at_its_place() {
    let (upstream, values) = (Upstream::start().await, Values::start().await);
    filled(&values);
    let gate = stores(&values).api(keyless("good", &upstream.url(""))).start().await;
    for (reference, why) in [
        ("env://NOT_SET", "neither NOT_SET nor TYK_SECRET_NOT_SET is set in the environment"),
        ("secrets://nobody", "`secrets` holds no `nobody`"),
        ("consul://nowhere", "there is no such path"),
        ("vault://secret/none.x", "there is no such path"),
        ("vault://secret/team/db.none", "what is there has no field `none`"),
        ("vault://secret/team/db", "it names no field"),
        ("file://../outside", "that is no path"),
        ("file://none", "there is no such file"),
        ("kv://unknown/a#b", "no store is called `unknown`"),
        ("kv://own/db#none", "has no field `none`"),
        // Those that are put in later are looked for at once, too.
        ("<$secret_conf.absent>", "`secrets` holds no `absent`"),
        ("$secret_env.absent", "TYK_SECRET_ABSENT is not set in the environment"),
        ("$secret_consul.nowhere", "there is no such path"),
        ("$secret_vault.secret/none.x", "there is no such path"),
        ("$secret_file.none", "there is no such file"),
    ] {
        let api = adding("bad", &upstream.url(""), json!({"X-A": reference}));
        let reply = gate.admin().post("/apis", &api).await;
        assert_eq!(reply.status, 400, "{reference}: {reply:?}");
        let fault = &reply.json()["errors"][0];
        assert_eq!(fault["pointer"], "/version_data/versions/Default/global_headers/X-A", "{reference}");
        assert!(fault["place"]["line"].is_u64() && fault["place"]["column"].is_u64(), "{fault}");
        let message = fault["message"].as_str().unwrap();
        let named = reference.trim_matches(['<', '>']);
        assert!(message.contains(&format!("`{named}`")) && message.contains(why), "{message}");
    }
    assert_eq!(gate.get("/good/x", &[]).await.status, 200);
}

#[tokio::test]
async fn values_that_change_are_taken_up_and_those_of_a_store_that_is_away_stay() {
    let (upstream, values) = (Upstream::start().await, Values::start().await);
    filled(&values);
    let both = json!({"X-One": "consul://team/key", "X-Two": "$secret_vault.secret/team/db.port"});
    let late = json!({"X-One": "consul://late"});
    let gate = stores(&values)
        .api(adding("a", &upstream.url(""), both))
        .api(adding("late", &upstream.url(""), late))
        .start()
        .await;
    let now = async |path: &str, name: &str| {
        let reply = gate.get(path, &[]).await;
        if reply.status == 200 { sent(&reply, name) } else { json!(reply.status) }
    };
    assert_eq!(now("/late/", "x-one").await, json!(404), "{}", gate.log());
    values.put("team/key", json!("another"));
    values.put("secret/team/db", json!({"port": 1}));
    values.put("tyk-apis/late", json!("at last"));
    until("new values", async || now("/a/", "x-one").await == json!(["another"])).await;
    until("new secrets", async || now("/a/", "x-two").await == json!(["1"])).await;
    until("a definition that waited", async || now("/late/", "x-one").await == json!(["at last"])).await;

    values.away(true);
    let hello = async || gate.get("/hello", &[]).await.json();
    until("a store that is away", async || hello().await["details"]["values (consul)"]["status"] == "fail")
        .await;
    assert_eq!(hello().await["status"], "warn");
    assert!(gate.log().contains("a store of values is away"), "{}", gate.log());
    gate.admin().reload().await;
    assert_eq!(now("/a/", "x-one").await, json!(["another"]));
    assert_eq!(now("/a/", "x-two").await, json!(["1"]));
    values.put("team/key", json!("third"));
    values.away(false);
    until("a store that is back", async || now("/a/", "x-one").await == json!(["third"])).await;
    until("what is said of it", async || hello().await["details"]["values (consul)"]["status"] == "pass")
        .await;

    gate.write("kept/a/token", "1");
    gate.write(
        "apps/f.json",
        &adding("f", &upstream.url(""), json!({"X-One": "file://a/token"})).to_string(),
    );
    until("a new definition", async || now("/f/", "x-one").await == json!(["1"])).await;
    gate.write("kept/a/token", "2");
    until("a new file", async || now("/f/", "x-one").await == json!(["2"])).await;
}

#[tokio::test]
async fn no_request_asks_a_store() {
    let (upstream, values) = (Upstream::start().await, Values::start().await);
    filled(&values);
    let gate = stores(&values)
        .conf(json!({"kv": {"refresh": 3600}}))
        .api(adding("a", &upstream.url(""), json!({"X-One": "$secret_consul.team/key"})))
        .start()
        .await;
    let asked = values.hits("team/key");
    for _ in 0..5 {
        assert_eq!(sent(&gate.get("/a/", &[]).await, "x-one"), json!(["of a path"]));
    }
    assert_eq!((asked, values.hits("team/key")), (1, 1));
}

#[tokio::test]
async fn c1_1_settings_are_kept_in_stores_too() {
    let values = Values::start().await;
    values.put("secret/gate", json!({"admin": "from-the-vault"}));
    let gate =
        stores(&values).conf(json!({"secret": "vault://secret/gate.admin", "node_secret": "file://a/token"}));
    let gate = gate.start().await;
    let reply = gate.get("/tyk/apis", &["-H", "x-tyk-authorization: from-the-vault"]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(!gate.log().contains("from-the-vault"));

    for (secret, told) in [
        ("vault://secret/none.admin", "`secret`: there is no value for `vault://secret/none.admin`"),
        ("kv://nobody/a#b", "no store is called `nobody`"),
    ] {
        let mut gate = stores(&values).conf(json!({"secret": secret})).prepare();
        gate.spawn();
        assert_ne!(gate.ended().await, Some(0));
        assert!(gate.log().contains(told), "{}", gate.log());
    }
}

#[tokio::test]
async fn contract_1_3_a_consul_behind_tls_is_known_by_its_authorities_and_its_name() {
    let (upstream, values) = (Upstream::start().await, Values::start().await);
    values.put("team/key", json!("of a path"));
    let authority = Authority::new();
    let port = front(&values.authority(), &authority.sign(&["consul.internal"]), None).await;
    let with = |tls: Value| {
        let consul = json!({"address": format!("127.0.0.1:{port}"), "scheme": "https", "token": "consul-token", "tls_config": tls});
        Gate::setup()
            .conf(json!({"kv": {"refresh": 0.1, "consul": consul}}))
            .file("authorities/one.pem", &authority.pem())
            .file("authorities/other.pem", &Authority::new().pem())
            .file("other.pem", &Authority::new().pem())
            .file("nothing/below/it", "")
            .api(adding("a", &upstream.url(""), json!({"X-One": "consul://team/key"})))
    };
    for (tls, known) in [
        (json!({"ca_path": "authorities", "address": "consul.internal:8501"}), true),
        (json!({"ca_file": "authorities/one.pem", "address": "consul.internal"}), true),
        // Not by its name, by no authority, by another one, which comes before the folder.
        (json!({"ca_path": "authorities"}), false),
        (json!({"address": "consul.internal"}), false),
        (json!({"ca_file": "other.pem", "ca_path": "authorities", "address": "consul.internal"}), false),
    ] {
        let gate = with(tls.clone()).start().await;
        let hello = gate.get("/hello", &[]).await.json();
        let told = &hello["details"]["values (consul)"]["status"];
        assert_eq!(told, if known { "pass" } else { "fail" }, "{tls}: {hello}");
        if known {
            assert_eq!(sent(&gate.get("/a/x", &[]).await, "x-one"), json!(["of a path"]), "{tls}");
        }
    }
    let mut gate = with(json!({"ca_path": "nothing"})).prepare();
    gate.spawn();
    assert_ne!(gate.ended().await, Some(0));
    assert!(gate.log().contains("nothing: cannot read: there is no certificate in it"), "{}", gate.log());
}
