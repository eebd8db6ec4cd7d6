//! Hooks as they are written for the original, and what is done against the machine.

use std::time::Duration;

use apidef::Session;

use super::*;
use crate::testing::{World, call};

fn load(text: &str, names: &[&str], world: &Arc<World>) -> Result<Arc<Lua>, Fault> {
    // So long that a busy machine is no reason to fail.
    load_for(Duration::from_secs(20), text, names, world)
}

fn load_for(time: Duration, text: &str, names: &[&str], world: &Arc<World>) -> Result<Arc<Lua>, Fault> {
    let main = vec![Source { name: "hooks.lua".into(), text: text.into() }];
    let modules = vec![Source { name: "lib/names.lua".into(), text: "return {greet = 'hello'}".into() }];
    let limits = Limits { time, memory: 16 << 20 };
    let world = Arc::clone(world) as Arc<dyn Outside>;
    Lua::load(Code { main, modules }, names, limits, world).map(Arc::new)
}

#[tokio::test]
async fn c9_4_row_2_hooks_see_and_change_requests_answers_and_sessions() {
    let text = r#"
        function before(request, session, spec)
            tyk.log("seen")
            print("printed", 1)
            request.set_headers["X-Seen"] = table.concat({request.headers["X-In"], request.params.b, request.body, request.url,
                request.method, request.scheme, spec.APIID, json.decode(spec.config_data).k, session.alias}, " ")
            request.set_headers["X-Number"] = 5
            request.set_headers["X-Module"] = require("lib.names").greet .. require("cjson").encode({1, 2, {a = {}}})
            table.insert(request.delete_headers, "X-In")
            request.add_params.n = "1"
            request.body = request.body .. "\255"
            request.url = "/other"
            return request, session
        end
        function auth(request, session, metadata, spec)
            session.rate, session.per, session.alias = 5, 1.0, "them"
            session.metadata.role = "admin"
            metadata.token = "key"
            return request, session, metadata
        end
        function refuse(request)
            request.return_overrides.response_code = 418
            request.return_overrides.response_body = "tea"
            request.return_overrides.headers["X-Pot"] = "1"
        end
        function after(request, response, session, metadata, spec)
            response.headers["X-After"] = response.status_code .. request.method
            response.headers.Server = nil
            response.status_code = 202
            response.raw_body = string.reverse(response.raw_body)
            return response
        end
        function ask(request)
            tyk.store_data("name", "kept", 10)
            local answer = tyk.http({Method = "PUT", Domain = "http://h", Resource = "/r", Body = "b"})
            request.set_headers["X-Out"] = tyk.get_data("name") .. answer.Code .. answer.Body .. b64dec(b64enc("x"))
        end"#;
    let world: Arc<World> = Arc::default();
    let lua = load(text, &["before", "auth", "refuse", "after", "ask"], &world).unwrap();
    let session = Session { alias: "me".to_owned(), ..Session::default() };
    // Twice: the second call meets an engine that has served one.
    for _ in 0..2 {
        let made = call!(lua, "before", Hook::Pre, Some(&session)).unwrap().request;
        assert_eq!(made.set_headers["X-Seen"], "1 c hello /a?b=c POST http a v me");
        assert_eq!((&made.set_headers["X-Number"][..], &made.add_params["n"][..]), ("5", "1"));
        assert_eq!(made.set_headers["X-Module"], r#"hello[1,2,{"a":{}}]"#);
        assert_eq!(
            (made.delete_headers, made.body.unwrap()),
            (vec!["X-In".to_owned()], b"hello\xff"[..].into())
        );
        assert_eq!(made.url, "/other");
    }
    let outcome = call!(lua, "auth", Hook::Auth, None).unwrap();
    let session = outcome.session.unwrap();
    assert_eq!(
        (session.rate, &session.alias[..], &session.meta_data["role"]),
        (5.0, "them", &"admin".into())
    );
    assert_eq!((&outcome.metadata["token"], outcome.request.body), (&"key".into(), None));
    let overrides = call!(lua, "refuse", Hook::Post, None).unwrap().request.return_overrides;
    assert_eq!((overrides.response_code, overrides.text()), (418, "tea"));
    assert_eq!(overrides.response_headers["X-Pot"], "1");
    let answer = call!(lua, "after", Hook::Response, None).unwrap().response.unwrap();
    assert_eq!((answer.status_code, &answer.set_headers["X-After"][0][..]), (202, "200POST"));
    assert_eq!((answer.delete_headers, answer.body.unwrap()), (vec!["Server".to_owned()], "rewsna".into()));
    let made = call!(lua, "ask", Hook::Post, None).unwrap().request;
    assert_eq!(made.set_headers["X-Out"], "kept201PUT http://h/r bx");
    assert_eq!(world.lines.lock()[..2], ["seen", "printed\t1"]);
}

#[tokio::test]
async fn what_hangs_throws_or_eats_costs_only_its_own_call() {
    let text = r#"
        function hangs() while true do end end
        function caught() while true do pcall(function() while true do end end) end end
        function nested() pcall(function() while true do pcall(hangs) end end) while true do end end
        function threads() while true do coroutine.resume(coroutine.create(hangs)) end end
        function wrapped() coroutine.wrap(hangs)() end
        function eats() local t = {} while true do t[#t + 1] = string.rep("x", 10000) .. #t end end
        function large() return string.rep("x", 1 << 30) end
        function deep() local function f() return 1 + f() end return f() end
        function throws()
            error("no such thing")
        end
        function value() error({}) end
        function text() return "text" end
        function shape(request) request.set_headers = 5 end
        function endless(request) request.set_headers.a = request; request.params = request end
        function down(request) local t = {} for i = 1, 100000 do t = {t} end request.headers = t end
        function fine(request) request.set_headers.A = "b" end"#;
    let cases = [
        ("hangs", "longer than 400ms"),
        ("caught", "longer than 400ms"),
        ("nested", "longer than 400ms"),
        ("threads", "longer than 400ms"),
        ("wrapped", "longer than 400ms"),
        ("eats", "more than 16777216 bytes"),
        ("large", "more than 16777216 bytes"),
        ("deep", "more than 16777216 bytes"),
        ("throws", "hooks.lua:11: no such thing"),
        ("value", "the plugin failed"),
        ("text", "`request` is no table"),
        ("shape", "no outcome that can be used"),
        ("endless", "deeper than 100"),
        ("down", "deeper than 100"),
    ];
    let names: Vec<&str> = cases.iter().map(|(name, _)| *name).chain(["fine"]).collect();
    let brief = load_for(Duration::from_millis(400), text, &names, &Arc::default()).unwrap();
    let patient = load(text, &names, &Arc::default()).unwrap();
    for (name, expected) in cases {
        let lua = if expected.starts_with("longer") { &brief } else { &patient };
        let fault = call!(lua, name, Hook::Pre, None).unwrap_err().to_string();
        assert!(fault.contains(expected), "{name}: {fault}");
        let fine = call!(lua, "fine", Hook::Pre, None).unwrap();
        assert_eq!(fine.request.set_headers["A"], "b", "after {name}");
    }
}

#[test]
fn plugins_know_nothing_of_the_machine_and_faults_have_their_place() {
    for (text, expected) in [
        ("a = 1\nb = = 2", "hooks.lua:2"),
        ("\nerror('early')", "hooks.lua:2: early"),
        ("require('nowhere')", "no module `nowhere`"),
        ("os.exit(1)", "'os'"),
        ("io.open('/etc/passwd')", "'io'"),
        ("load('x = 1')", "'load'"),
        ("dofile('/etc/passwd')", "'dofile'"),
        ("debug.sethook()", "'debug'"),
        ("string.dump(print)", "'dump'"),
        ("while true do end", "longer than"),
        ("function other() end", "no `wanted`"),
        ("\x1bLua", "cannot be used"),
    ] {
        let fault = load(text, &["wanted"], &Arc::default()).unwrap_err().to_string();
        assert!(fault.contains(expected), "{expected}: {fault}");
    }
}

#[tokio::test]
async fn c9_1_records_are_edited_in_place_or_given_back() {
    let text = r#"
        function place(record, spec)
            record.path = "/users/" .. spec.APIID
            record.api_key = nil
            record.response_code = record.response_code + 1.0
            record.latency.total = record.latency.total + 1
            table.insert(record.tags, json.decode(spec.config_data).k)
        end
        function given(record, spec) place(record, spec) return record end
        function broken() error("no") end"#;
    let lua = load(text, &["place", "given", "broken"], &Arc::default()).unwrap();
    let spec = crate::testing::spec();
    for name in ["place", "given", "place"] {
        crate::testing::edited(&lua.record(name, crate::testing::RECORD, &spec).await.unwrap());
    }
    let fault = lua.record("broken", crate::testing::RECORD, &spec).await.unwrap_err().to_string();
    assert!(fault.contains("no"), "{fault}");
}
