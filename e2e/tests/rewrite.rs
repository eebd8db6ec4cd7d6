//! URLs that are rewritten on the way (contract 8.2, 4.4 rows 36 and 44, 4.6).

use e2e::definition::{keyed, keyless, oas, session};
use e2e::{Gate, Reply, Socket, Upstream};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// A classic API on `/<id>/` with these rewrites.
fn rewriting(mut api: Value, rewrites: Value) -> Value {
    api["version_data"]["versions"]["Default"]["extended_paths"] = json!({"url_rewrites": rewrites});
    api["enable_context_vars"] = json!(true);
    api
}

fn rewrite(path: &str, pattern: &str, to: &str) -> Value {
    json!({"path": path, "method": "GET", "match_pattern": pattern, "rewrite_to": to})
}

fn seen(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["path"].clone()
}

#[tokio::test]
async fn c8_2_rows_1_2_6_urls_are_rewritten() {
    let upstream = Upstream::start().await;
    let rows = [
        // pattern, to, request below the listen path, what the upstream sees below `/base`
        (
            "(\\w+)/(\\w+)$",
            "my/service?value1=$1&value2=$2",
            "/match/me",
            "/my/service?value1=match&value2=me",
        ),
        // The whole URL is looked at: listen path and query, too.
        ("/a/(.*)", "/x/$1", "/p?q=1", "/x/p?q=1"),
        ("^/a/p\\?q=(\\d+)$", "/x/$1", "/p?q=12", "/x/12"),
        ("^/a/p\\?q=(\\d+)$", "/x/$1", "/p?q=1a", "/p?q=1a"),
        // The query is a part of what is rewritten.
        (".*", "/x", "/p?q=1", "/x"),
        // What is rewritten is not stripped, even where it begins with the listen path.
        ("(.*)", "$1", "/p", "/a/p"),
        (".*", "/a/b", "/p", "/a/b"),
        // Escapes stay; a path that fits only without them is decoded first.
        ("/a/(.*)", "/x/$1", "/%20%2Fb", "/x/%20%2Fb"),
        ("/a/(my-\\w+)", "/x/$1", "/my%2Durl", "/x/my-url"),
        ("/a/(my-.*)", "/x/$1", "/my%2D%3Fu=1?v=%41", "/x/my-%3Fu=1?v=%41"),
        // Names stand for values, escaped.
        (".*", "/x/$tyk_context.headers_X_V/$tyk_meta.none/y", "/p", "/x/a+b%2F%3Fc//y"),
        (".*", "/x?u=$tyk_context.headers_X_V&v=1", "/p", "/x?u=a+b%2F%3Fc&v=1"),
        (".*", "/x?s=$secret_conf.word", "/p", "/x?s=w"),
        // Spaces and the like are escaped, slashes stay.
        (".*", "/x y//z/", "/p", "/x%20y//z/"),
        // A class of letters and digits is one of ASCII.
        ("/a/(\\w+)$", "/x/$1", "/é", "/é"),
    ];
    let mut setup = Gate::setup().conf(json!({"secrets": {"word": "w"}}));
    for (index, (pattern, to, ..)) in rows.iter().enumerate() {
        let mut api = keyless(&format!("api{index}"), &upstream.url("/base"));
        api["proxy"]["listen_path"] = json!("/a/");
        api["domain"] = json!(format!("case{index}.test"));
        setup = setup.api(rewriting(api, json!([rewrite("/", pattern, to)])));
    }
    let gate = setup.start().await;
    for (index, (pattern, to, path, expected)) in rows.iter().enumerate() {
        let path = path.replace('é', "%C3%A9");
        let host = format!("Host: case{index}.test");
        let reply = gate.get(&format!("/a{path}"), &["-H", &host, "-H", "X-V: a b/?c"]).await;
        let expected = format!("/base{}", expected.replace('é', "%C3%A9"));
        assert_eq!(seen(&reply), *expected, "{pattern} -> {to}: {path}");
    }
}

#[tokio::test]
async fn c8_2_row_8_the_first_path_that_fits_is_rewritten_and_found_again() {
    let upstream = Upstream::start().await;
    let mut api = rewriting(
        keyless("a", &upstream.url("")),
        json!([
            rewrite("/users/{id}", "/users/([0-9]+)$", "/v2/user?id=$1"),
            rewrite("/users", ".*", "/second"),
            {"path": "/off", "method": "GET", "match_pattern": ".*", "rewrite_to": "/x", "disabled": true},
        ]),
    );
    // Both are found by the path that was asked for.
    let lists = &mut api["version_data"]["versions"]["Default"]["extended_paths"];
    lists["transform_response_headers"] =
        json!([{"path": "/users/{id}", "method": "GET", "add_headers": {"X-Found": "$tyk_context.path"}}]);
    lists["method_transforms"] = json!([{"path": "/users/{id}", "method": "GET", "to_method": "PUT"}]);
    let mut described = oas("o", &upstream.url("/base/"));
    described["paths"] = json!({"/users/{id}": {"get": {"operationId": "user"}}});
    described["x-tyk-api-gateway"]["middleware"] = json!({"operations": {"user": {"urlRewrite": {
        "enabled": true, "pattern": "/users/(.*)", "rewriteTo": "/u/$1",
        "triggers": [{"condition": "any", "rules": [{"in": "header", "name": "X-Beta", "pattern": "^(.)es$"}],
            "rewriteTo": "/beta/$1/$tyk_context.trigger-0-X-Beta-0-0"}],
    }}}});
    let gate = Gate::setup().api(api).oas(described).start().await;
    let reply = gate.get("/a/users/7", &[]).await;
    assert_eq!((seen(&reply), reply.json()["method"].clone()), (json!("/v2/user?id=7"), json!("PUT")));
    assert_eq!(reply.header("x-found").as_deref(), Some("/a/users/7"));
    // The first path fits and its pattern does not: nothing is rewritten.
    assert_eq!(seen(&gate.get("/a/users/x", &[]).await), "/users/x");
    assert_eq!(seen(&gate.get("/a/users", &[]).await), "/second");
    assert_eq!(seen(&gate.get("/a/off", &[]).await), "/off");
    assert_eq!(seen(&gate.get("/a/users/7", &["-X", "POST"]).await), "/users/7");
    assert_eq!(seen(&gate.get("/o/users/7?x=1", &[]).await), "/base/u/7?x=1");
    assert_eq!(seen(&gate.get("/o/users/7", &["-H", "X-Beta: yes"]).await), "/base/beta/7/y");
}

#[tokio::test]
async fn c8_2_rows_3_to_5_triggers_choose_another_url() {
    let upstream = Upstream::start().await;
    let on = |on: &str, options: Value, to: &str| json!({"on": on, "options": options, "rewrite_to": to});
    let rx = |pattern: &str| json!({"match_rx": pattern});
    let not = |pattern: &str| json!({"match_rx": pattern, "reverse": true});
    let triggers = json!([
        on(
            "all",
            json!({"header_matches": {"x-team": rx("^b(lu)e$")}, "query_val_matches": {"q": rx("^1$")}}),
            "/all?t=$tyk_context.trigger-0-X-Team-0-0&q=$tyk_context.trigger-0-q-0"
        ),
        on(
            "any",
            json!({"header_matches": {"X-A": rx("1"), "X-B": rx("2")}}),
            "/any/$tyk_context.trigger-1-X-A-0/$tyk_context.trigger-1-X-B-0"
        ),
        on(
            "all",
            json!({"path_part_matches": {"id": rx("^[0-9]+$")}}),
            "/part/$tyk_context.trigger-2-id-0/$1"
        ),
        on(
            "any",
            json!({"session_meta_matches": {"plan": rx("^(g)old")}}),
            "/meta/$tyk_context.trigger-3-plan"
        ),
        on("any", json!({"request_context_matches": {"remote_addr": rx("^9\\.")}}), "/context"),
        on("all", json!({"header_matches": {"X-Not": not("^no")}}), "/not"),
        on(
            "any",
            json!({"payload_matches": rx("\"kind\": ?\"(\\w+)\"")}),
            "/body/$tyk_context.trigger-6-payload-0-0"
        ),
        // A pattern in which a value of the request stands, to the letter.
        on("any", json!({"query_val_matches": {"same": rx("^$tyk_context.headers_X_Same$")}}), "/same"),
    ]);
    let rewriting_keyed = |id: &str| {
        let rewrites: Vec<Value> = ["GET", "POST"]
            .iter()
            .map(|method| {
                json!({"path": "/", "method": method, "match_pattern": "([^/?]*)(\\?.*)?$", "rewrite_to": "/usual",
                    "triggers": triggers})
            })
            .collect();
        rewriting(keyed(id, &upstream.url("")), json!(rewrites))
    };
    let gate = Gate::setup().api(rewriting_keyed("a")).start().await;
    let mut gold = session(&["a"]);
    gold["meta_data"] = json!({"plan": "gold"});
    let (gold, plain) = (gate.admin().key(&gold).await, gate.admin().key(&session(&["a"])).await);
    let (gold, plain) = (format!("Authorization: {gold}"), format!("Authorization: {plain}"));
    for (key, path, arguments, expected) in [
        (&plain, "/a/x", &[][..], "/usual"),
        (&plain, "/a/x?q=1", &["-H", "X-Team: blue"], "/all?t=lu&q=1"),
        (&plain, "/a/x?q=2", &["-H", "X-Team: blue"], "/usual"),
        (&plain, "/a/x", &["-H", "X-A: 1"], "/any/1/"),
        (&plain, "/a/x", &["-H", "X-B: 12"], "/any//2"),
        (&plain, "/a/42/x", &[], "/part/42/x"),
        (&gold, "/a/x", &[], "/meta/gold"),
        (&plain, "/a/x", &["-H", "X-Real-IP: 9.1.1.1"], "/context"),
        (&plain, "/a/x", &["-H", "X-Not: yes"], "/not"),
        (&plain, "/a/x", &["-H", "X-Not: no"], "/usual"),
        (&plain, "/a/x", &["-d", "{\"kind\": \"order\"}"], "/body/order"),
        (&plain, "/a/x", &["-d", "{\"kind\": 1}"], "/usual"),
        (&plain, "/a/x?same=a.b", &["-H", "X-Same: a.b"], "/same"),
        (&plain, "/a/x?same=axb", &["-H", "X-Same: a.b"], "/usual"),
        (&plain, "/a/x?same=axb", &["-H", "X-Same: (.*"], "/usual"),
    ] {
        let reply = gate.get(path, &[&["-H", key], arguments].concat()).await;
        assert_eq!(seen(&reply), expected, "{path} {arguments:?}");
        if let ["-d", body] = arguments {
            assert_eq!(reply.json()["body"], **body, "what was looked at goes on");
        }
    }
}

#[tokio::test]
async fn c8_2_row_7_other_hosts() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let with_credentials = |id: &str, to: &str| {
        let mut api =
            rewriting(keyless(id, &upstream.url("/base?own=1")), json!([rewrite("/", "/x(.*)", to)]));
        api["upstream_auth"] =
            json!({"enabled": true, "basic_auth": {"enabled": true, "username": "u", "password": "p"}});
        api
    };
    let mut keeping = with_credentials("keeping", &other.url("/o$1"));
    keeping["proxy"]["preserve_host_header"] = json!(true);
    let mut several = with_credentials("several", &other.url("/o$1"));
    several["proxy"]["enable_load_balancing"] = json!(true);
    several["proxy"]["target_list"] = json!([upstream.url("/1"), upstream.url("/2")]);
    let gate = Gate::setup()
        .api(with_credentials("fixed", &other.url("/o$1")))
        .api(with_credentials("named", "$tyk_context.headers_X_To/n$1"))
        .api(keeping)
        .api(several)
        .start()
        .await;
    for (path, host) in [
        ("/fixed/x/y?q=1", other.authority()),
        ("/keeping/x/y?q=1", "asked.test".to_owned()),
        ("/several/x/y?q=1", other.authority()),
    ] {
        let before = (upstream.hits(), other.hits());
        let reply = gate.get(path, &["-H", "Host: asked.test"]).await;
        // All of the URL is the new one: what the target says is not added.
        assert_eq!(seen(&reply), "/o/y?q=1", "{path}");
        assert_eq!(reply.json()["headers"]["host"], json!([host]), "{path}");
        assert_eq!(reply.json()["headers"]["authorization"], json!(["Basic dTpw"]), "{path}");
        assert_eq!((upstream.hits(), other.hits()), (before.0, before.1 + 1), "{path}");
    }
    let to = format!("X-To: {}", other.url(""));
    let reply = gate.get("/named/x/y", &["-H", &to, "-H", "Authorization: own"]).await;
    assert_eq!(seen(&reply), "/n/y");
    // A host that the request chose gets nothing of the gate's.
    assert_eq!(reply.json()["headers"]["authorization"], json!(["own"]));
    let mut socket = Socket::open(gate.port(), "/fixed/x/ws", &[]).await.expect("the other host agrees");
    socket.send(Message::text("hello")).await;
    assert_eq!(socket.next().await, Some(Message::text("hello")));
    assert_eq!(upstream.hits(), 0);
    for (name, status) in [("X-To: http://u:p@h", 400), ("X-To: httpx://h", 400), ("X-To: http://h h", 400)] {
        assert_eq!(gate.get("/named/x/y", &["-H", name]).await.status, status, "{name}");
    }
    // No host is read out of a path.
    let reply = gate.get("/named/x/y", &["-H", "X-To: //evil.example"]).await;
    assert_eq!(seen(&reply), "/base/%2F%2Fevil.example/n/y?own=1");
}

#[tokio::test]
async fn values_lead_no_path_upwards() {
    let upstream = Upstream::start().await;
    let api = rewriting(
        keyless("a", &upstream.url("/base")),
        json!([
            rewrite("/up", ".*", "/users/$tyk_context.headers_X_V/x"),
            rewrite("/", "/a/(.*)", "/users/$1")
        ]),
    );
    let gate = Gate::setup().api(api).start().await;
    for (path, value, status) in [
        ("/a/up", "..", 400),
        ("/a/up", ".", 400),
        ("/a/up", "%2e%2e", 200),
        ("/a/up", "../..", 400),
        ("/a/up", "..a", 200),
        ("/a/ok", "", 200),
    ] {
        let reply = gate.get(path, &["-H", &format!("X-V: {value}")]).await;
        assert_eq!(reply.status, status, "{path} {value}: {reply:?}");
    }
}

#[tokio::test]
async fn c8_2_row_9_apis_of_the_gate() {
    let upstream = Upstream::start().await;
    let mut inner = keyless("inner", &upstream.url("/inner"));
    inner["internal"] = json!(true);
    let outer = rewriting(
        keyless("outer", &upstream.url("/outer")),
        json!([
            rewrite("/other", "/other/([^?]*)", "tyk://inner/$1?q=1&method=PUT"),
            rewrite("/self", "/self/(.*)", "tyk://self/$1"),
            rewrite("/loop", ".*", "tyk://self/loop"),
            rewrite("/named", ".*", "tyk://$tyk_context.headers_X_Api/n"),
        ]),
    );
    let mut behind =
        rewriting(keyless("behind", "tyk://inner/deep"), json!([rewrite("/", "/behind/(.*)", "/b/$1")]));
    behind["version_data"]["versions"]["Default"]["extended_paths"]["method_transforms"] =
        json!([{"path": "/", "method": "GET", "to_method": "DELETE"}]);
    let gate = Gate::setup().api(inner).api(outer).api(behind).start().await;
    let reply = gate.get("/outer/other/x?q=2", &[]).await;
    assert_eq!((seen(&reply), reply.json()["method"].clone()), (json!("/inner/x?q=1"), json!("PUT")));
    assert_eq!(seen(&gate.get("/outer/self/x", &[]).await), "/outer/x");
    let reply = gate.get("/outer/loop", &[]).await;
    assert_eq!(reply.status, 500, "{reply:?}");
    assert!(reply.text().contains("Loop level too deep. Found more than 5 loops"), "{reply:?}");
    assert_eq!(seen(&gate.get("/outer/named", &["-H", "X-Api: inner"]).await), "/inner/n");
    let reply = gate.get("/outer/named", &["-H", "X-Api: nobody"]).await;
    assert!(reply.status == 500 && reply.text().contains("Can't detect loop target"), "{reply:?}");
    let reply = gate.get("/behind/x?y=1", &[]).await;
    assert_eq!(
        (seen(&reply), reply.json()["method"].clone()),
        (json!("/inner/deep/b/x?y=1"), json!("DELETE"))
    );
}
