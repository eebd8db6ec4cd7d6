//! Scripts that are plugins of an API by the folder that they are in (contract 9.1), and of single paths (4.4 row 42).

use e2e::definition::{keyed, keyless, oas, session};
use e2e::{Gate, Upstream};
use serde_json::{Value, json};

/// A plugin that adds its name to a header; with the alias of the session, where it is given one.
fn adds(name: &str) -> String {
    format!(
        r#"var {name} = new TykJS.TykMiddleware.NewMiddleware({{}});
        {name}.NewProcessRequest(function (request, session) {{
            var before = request.Headers["X-Seen"] ? request.Headers["X-Seen"][0] + " " : "";
            request.SetHeaders["X-Seen"] = before + "{name}" + (session && session.alias ? "=" + session.alias : "");
            return {name}.ReturnData(request, {{}});
        }});"#
    )
}

const WHO: &str = r#"
    var who = new TykJS.TykMiddleware.NewMiddleware({});
    who.NewProcessRequest(function (request, session) {
        var key = request.Headers.Authorization ? request.Headers.Authorization[0] : "";
        if (key !== "friend") {
            request.ReturnOverrides = {ResponseCode: 401, ResponseError: "friends only"};
            return who.ReturnAuthData(request, {});
        }
        session.alias = key;
        return who.ReturnAuthData(request, session);
    });"#;

fn seen(echo: &Value) -> Value {
    echo["headers"]["x-seen"][0].clone()
}

#[tokio::test]
async fn c9_1_row_8_scripts_in_the_folders_of_an_api_are_its_plugins() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let mut guarded = keyless("guarded", &target);
    guarded["use_keyless"] = json!(false);
    guarded["custom_plugin_auth_enabled"] = json!(true);
    guarded["custom_middleware"] = json!({"driver": "otto"});
    let mut both = keyless("both", &target);
    both["custom_middleware"] =
        json!({"driver": "javascript", "pre": [{"name": "named", "path": "named.js"}]});
    let gate = Gate::setup()
        .conf(json!({"enable_jsvm": true}))
        .file("middleware/keyed/pre/b.js", &adds("b"))
        .file("middleware/keyed/pre/a.v2.js", &adds("a"))
        .file("middleware/keyed/pre/notes.txt", "no script")
        .file("middleware/keyed/post_auth/c_with_session.js", &adds("c_with_session"))
        .file("middleware/keyed/post/d.js", &adds("d"))
        .file("middleware/guarded/auth/who.js", WHO)
        .file("middleware/guarded/post/e_with_session.js", &adds("e_with_session"))
        .file("middleware/both/pre/f.js", &adds("f"))
        .file("middleware/named.js", &adds("named"))
        .api(keyed("keyed", &target))
        .api(guarded)
        .api(both)
        .api(keyless("later", &target))
        .start()
        .await;
    let mut ann = session(&["keyed"]);
    ann["alias"] = json!("ann");
    let key = gate.admin().key(&ann).await;
    let reply = gate.get("/keyed/x", &["-H", &format!("Authorization: {key}")]).await;
    assert_eq!(
        (reply.status, seen(&reply.json())),
        (200, json!("a b c_with_session=ann d")),
        "{}",
        gate.log()
    );
    let stranger = gate.get("/guarded/x", &["-H", "Authorization: stranger"]).await;
    assert_eq!((stranger.status, stranger.json()), (401, json!({"error": "friends only"})));
    let friend = gate.get("/guarded/x", &["-H", "Authorization: friend"]).await;
    assert_eq!(
        (friend.status, seen(&friend.json())),
        (200, json!("e_with_session=friend")),
        "{}",
        gate.log()
    );
    assert_eq!(seen(&gate.get("/both/x", &[]).await.json()), "named f");

    // What comes and goes is seen at the next reload.
    assert_eq!(seen(&gate.get("/later/x", &[]).await.json()), Value::Null);
    std::fs::create_dir_all(gate.dir().join("middleware/later/post")).unwrap();
    gate.write("middleware/later/post/g.js", &adds("g"));
    gate.admin().reload().await;
    assert_eq!(seen(&gate.get("/later/x", &[]).await.json()), "g");
    std::fs::remove_file(gate.dir().join("middleware/later/post/g.js")).unwrap();
    gate.admin().reload().await;
    assert_eq!(seen(&gate.get("/later/x", &[]).await.json()), Value::Null);
}

#[tokio::test]
async fn c9_1_scripts_that_cannot_run_refuse_their_api() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let mut asking = keyless("asking", &target);
    asking["use_keyless"] = json!(false);
    asking["custom_plugin_auth_enabled"] = json!(true);
    asking["custom_middleware"] = json!({"driver": "javascript"});
    let mut lua = keyless("lua", &target);
    lua["custom_middleware"] = json!({"driver": "lua", "pre": [{"name": "b", "path": "b.lua"}]});
    let gate = Gate::setup()
        .conf(json!({"enable_jsvm": true}))
        .file("middleware/bad/pre/a.js", "var a = ;")
        .file("middleware/none/pre/a.js", "var b = 1;")
        .file("middleware/lua/post/a.js", &adds("a"))
        .api(keyless("bad", &target))
        .api(keyless("none", &target))
        .api(lua)
        .api(asking)
        .start()
        .await;
    let log = gate.log();
    for (id, said) in [
        ("bad", "bad/pre/a.js"),
        ("none", "`none/pre/a.js`"),
        ("lua", "are run by `lua`"),
        ("asking", "put its file into the folder `asking/auth`"),
    ] {
        assert_eq!(gate.get(&format!("/{id}/x"), &[]).await.status, 404, "{id}");
        assert!(log.contains(said), "{said}: {log}");
    }
    let off =
        Gate::setup().file("middleware/a/pre/a.js", &adds("a")).api(keyless("a", &target)).start().await;
    assert_eq!(off.get("/a/x", &[]).await.status, 404);
    assert!(off.log().contains("set `enable_jsvm`"), "{}", off.log());
}

#[tokio::test]
async fn c4_4_row_42_a_path_may_have_a_script_before_the_backend() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let hook = |path: &str| json!({"path": path, "method": "GET", "plugin_path": "of_path.js", "func_name": "of_path"});
    let mut classic = keyless("classic", &target);
    classic["version_data"]["versions"]["Default"]["extended_paths"] = json!({"go_plugin": [hook("/a")]});
    classic["custom_middleware"] =
        json!({"driver": "javascript", "post": [{"name": "last", "path": "last.js"}]});
    let mut described = oas("described", &target);
    described["paths"] = json!({"/a": {"get": {"operationId": "a"}}, "/b": {"get": {"operationId": "b"}}});
    described["x-tyk-api-gateway"]["middleware"] = json!({"operations": {
        "a": {"postPlugins": [{"enabled": true, "functionName": "of_path", "path": "of_path.js"}]},
        "b": {"postPlugins": [{"enabled": false, "functionName": "of_path", "path": "of_path.js"}]},
    }});
    let mut compiled = keyless("compiled", &target);
    compiled["version_data"]["versions"]["Default"]["extended_paths"] =
        json!({"go_plugin": [{"path": "/a", "method": "GET", "plugin_path": "a.so", "func_name": "a"}]});
    let script = r#"
        var of_path = new TykJS.TykMiddleware.NewMiddleware({});
        of_path.NewProcessRequest(function (request) {
            if (request.Params.no) request.ReturnOverrides = {ResponseCode: 403, ResponseError: "not that"};
            request.SetHeaders["X-Seen"] = "of_path";
            return of_path.ReturnData(request, {});
        });"#;
    let gate = Gate::setup()
        .conf(json!({"enable_jsvm": true}))
        .file("middleware/of_path.js", script)
        .file("middleware/last.js", &adds("last"))
        .api(classic)
        .api(compiled)
        .oas(described)
        .start()
        .await;
    for (path, found) in [
        ("/classic/a", json!("of_path last")),
        ("/classic/b", json!("last")),
        ("/described/a", json!("of_path")),
        ("/described/b", Value::Null),
    ] {
        let reply = gate.get(path, &[]).await;
        assert_eq!((reply.status, seen(&reply.json())), (200, found), "{path}: {}", gate.log());
    }
    let refused = gate.get("/described/a?no=1", &[]).await;
    assert_eq!((refused.status, refused.json()), (403, json!({"error": "not that"})));
    // What nothing here runs may have been there to refuse.
    assert_eq!(gate.get("/compiled/a", &[]).await.status, 404);
    assert!(gate.log().contains("`a.so` is no script"), "{}", gate.log());
}
