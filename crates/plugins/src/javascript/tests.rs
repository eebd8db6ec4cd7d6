//! Scripts as they are written for the gates that came before, and as they are written now.

use std::time::Duration;

use super::*;
use crate::testing::{World, request, spec};
use crate::{Hook, Overrides};

fn load(name: &str, text: &str, world: &Arc<World>) -> Result<Arc<Scripts>, Fault> {
    let source = Source { name: name.into(), text: text.into() };
    let limits = Limits { time: Duration::from_millis(1500), memory: 16 << 20 };
    Scripts::load(vec![source], limits, Arc::clone(world) as Arc<dyn Outside>).map(Arc::new)
}

async fn call(
    scripts: &Arc<Scripts>,
    name: &str,
    hook: Hook,
    session: Option<&Session>,
) -> Result<Outcome, Fault> {
    crate::testing::call!(scripts, name, hook, session)
}

#[tokio::test]
async fn c9_2_row_3_a_request_is_seen_and_changed() {
    let script = r#"
        var m = new TykJS.TykMiddleware.NewMiddleware({});
        m.NewProcessRequest(function (request, session, spec) {
            request.SetHeaders["X-Seen"] = [request.Headers["X-In"][1], request.Params.b[0], request.Body, request.URL,
                request.Method, request.RequestURI, request.Scheme, spec.OrgID, spec.APIID, spec.config_data.k,
                session.alias].join(" ");
            request.DeleteHeaders.push("X-In");
            request.AddParams.n = 5;
            request.ExtendedParams.l = ["1", "2"];
            request.DeleteParams.push("b");
            request.Body += " world";
            request.URL = "/other";
            return m.ReturnData(request, {"role": "admin"});
        });"#;
    let world = Arc::default();
    let scripts = load("m.js", script, &world).unwrap();
    let session = Session { alias: "me".to_owned(), ..Session::default() };
    // Twice: the second call meets an engine that has served one.
    for _ in 0..2 {
        let outcome = call(&scripts, "m", Hook::Pre, Some(&session)).await.unwrap();
        let made = outcome.request;
        assert_eq!(made.set_headers["X-Seen"], "2 c hello /a?b=c POST /listen/a?b=c http o a v me");
        assert_eq!(made.delete_headers, ["X-In"]);
        assert_eq!(
            (&made.add_params["n"][..], &made.extended_params["l"][..]),
            ("5", &["1".to_owned(), "2".to_owned()][..])
        );
        assert_eq!((made.delete_params, &made.url[..]), (vec!["b".to_owned()], "/other"));
        assert_eq!(made.body.as_deref(), Some(&b"hello world"[..]));
        assert_eq!(outcome.metadata["role"], "admin");
    }
}

#[tokio::test]
async fn names_of_any_kind_and_number_are_seen() {
    let script = r#"
        var m = new TykJS.TykMiddleware.NewMiddleware({});
        m.NewProcessRequest(function (request) {
            var many = 0;
            for (var name in request.Params) many += request.Params[name].length;
            request.SetHeaders["X-Seen"] = [many, request.Params.hasOwnProperty("__proto__"), request.Params.__proto__[0],
                request.Params.constructor[0], JSON.stringify(request.Headers)].join(" ");
        });"#;
    let scripts = load("m.js", script, &Arc::default()).unwrap();
    let mut request = request();
    request.params.clear();
    request.headers = [("__proto__".to_owned(), vec!["h".to_owned()])].into();
    for name in ["__proto__", "constructor"] {
        request.params.insert(name.to_owned(), vec![format!("of {name}")]);
    }
    request.params.insert("many".to_owned(), vec!["\u{1f980}".to_owned(); 70_000]);
    let spec = spec();
    let call = Call {
        hook: Hook::Pre,
        request: &request,
        response: None,
        session: None,
        spec: &spec,
        raw_body_only: false,
    };
    let seen = scripts.call("m", &call).await.unwrap().request.set_headers.remove("X-Seen");
    let expected = r#"70002 true of __proto__ of constructor {"__proto__":["h"]}"#;
    assert_eq!(seen.as_deref(), Some(expected));
}

#[tokio::test]
async fn c9_2_what_is_not_touched_stays() {
    let script = r#"
        var same = new TykJS.TykMiddleware.NewMiddleware({});
        same.NewProcessRequest(function (request, session) { return same.ReturnData(request, session.meta_data); });
        var ignoring = new TykJS.TykMiddleware.NewMiddleware({});
        ignoring.NewProcessRequest(function (request) {
            request.Body = "other"; request.IgnoreBody = true; return ignoring.ReturnData(request, {}); });
        var silent = new TykJS.TykMiddleware.NewMiddleware({});
        silent.NewProcessRequest(function (request) { request.SetHeaders.A = "b"; });
        const modern = (request, session, spec) => { request.SetHeaders.A = `b${spec.APIID ?? ""}`; };"#;
    let scripts = load("m.js", script, &Arc::default()).unwrap();
    for name in ["same", "ignoring", "silent", "modern"] {
        scripts.check(name).unwrap();
        let outcome = call(&scripts, name, Hook::Post, None).await.unwrap();
        assert_eq!(outcome.request.body, None, "{name}");
        assert_eq!(outcome.request.return_overrides, Overrides::default(), "{name}");
    }
    let outcome = call(&scripts, "modern", Hook::Post, None).await.unwrap();
    assert_eq!(outcome.request.set_headers["A"], "ba");
}

#[tokio::test]
async fn who_has_to_give_something_and_gives_nothing_has_failed() {
    let script = r#"
        function silent() {}
        function strange() { return function () {}; }"#;
    let scripts = load("m.js", script, &Arc::default()).expect("the scripts can be used");
    for name in ["silent", "strange"] {
        let answered = scripts.answer(name, &request(), None, &spec()).await;
        assert!(matches!(answered, Err(Fault::Shape(_))), "{name}: {answered:?}");
    }
    let edited = scripts.record("strange", "{}", &spec()).await;
    assert!(matches!(edited, Err(Fault::Shape(_))), "{edited:?}");
}

#[tokio::test]
async fn header_fields_of_any_kind_of_value_are_set_and_what_is_none_is_told() {
    let script = r#"
        function texts(request) { request.SetHeaders = { A: "1", B: "\u00e4\u{1f980}", C: "" }; }
        function mixed(request) { request.SetHeaders = { A: "1", B: 5, C: true }; request.DeleteHeaders = ["D"]; }
        function both(request) { request.SetHeaders = { A: "1" }; request.AddParams.p = "q"; return { Request: request,
            SessionMeta: { m: 1 } }; }
        function nothing(request) { request.SetHeaders = null; return { Request: request, SessionMeta: {} }; }
        function list(request) { request.SetHeaders = ["A"]; }
        function deep(request) { request.SetHeaders = { A: "1", B: {} }; }
        function number(request) { request.SetHeaders = 5; }
        function meta(request) { return { Request: request, SessionMeta: 5 }; }
        function gone(request) { request.DeleteHeaders = 5; }"#;
    let scripts = load("m.js", script, &Arc::default()).expect("the scripts can be used");
    for (name, expected, rest) in [
        ("texts", &[("A", "1"), ("B", "\u{e4}\u{1f980}"), ("C", "")][..], (0, 0, 0)),
        ("mixed", &[("A", "1"), ("B", "5"), ("C", "true")], (1, 0, 0)),
        ("both", &[("A", "1")], (0, 1, 1)),
        ("nothing", &[], (0, 0, 0)),
    ] {
        let called = call(&scripts, name, Hook::Pre, None).await;
        let outcome = called.unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let made = outcome.request;
        let set: Vec<_> = made.set_headers.iter().map(|(name, text)| (&**name, &**text)).collect();
        assert_eq!(set, expected, "{name}");
        assert_eq!(
            (made.delete_headers.len(), made.add_params.len(), outcome.metadata.len()),
            rest,
            "{name}"
        );
    }
    for name in ["list", "deep", "number", "meta", "gone"] {
        let failed = call(&scripts, name, Hook::Pre, None).await;
        assert!(matches!(failed, Err(Fault::Shape(_))), "{name}: {failed:?}");
    }
}

#[tokio::test]
async fn c9_2_rows_2_4_6_plugins_answer_authenticate_and_change_answers() {
    let script = r#"
        var no = new TykJS.TykMiddleware.NewMiddleware({});
        no.NewProcessRequest(function (request, session) {
            request.ReturnOverrides.ResponseCode = 418;
            request.ReturnOverrides.ResponseBody = "tea";
            request.ReturnOverrides.ResponseHeaders = {"X-Pot": "1"};
            return no.ReturnData(request, {});
        });
        var auth = new TykJS.TykMiddleware.NewMiddleware({});
        auth.NewProcessRequest(function (request, session) {
            return auth.ReturnAuthData(request, {"rate": 5, "per": 1, "alias": "them", "meta_data": {"a": 1}});
        });
        var after = new TykJS.TykMiddleware.NewMiddleware({});
        after.NewProcessResponse(function (response, request, session, spec) {
            response.SetHeaders["X-After"] = response.StatusCode + response.Headers.Server[0] + request.Method;
            response.DeleteHeaders.push("Server");
            response.StatusCode = 202;
            response.Body = JSON.stringify({was: response.Body});
            return after.ReturnResponseData(response, session.meta_data);
        });
        function hello(request, session, config) {
            return TykJsResponse({Body: request.Body + config.config_data.k, Headers: {"X": "y"}, Code: 203}, {"m": 1});
        }"#;
    let scripts = load("m.js", script, &Arc::default()).unwrap();
    let overrides = call(&scripts, "no", Hook::Pre, None).await.unwrap().request.return_overrides;
    assert_eq!(
        (overrides.response_code, overrides.text(), &overrides.response_headers["X-Pot"][..]),
        (418, "tea", "1")
    );
    let session = call(&scripts, "auth", Hook::Auth, None).await.unwrap().session.unwrap();
    assert_eq!((session.rate, &session.alias[..], &session.meta_data["a"]), (5.0, "them", &1.into()));
    let response = call(&scripts, "after", Hook::Response, None).await.unwrap().response.unwrap();
    assert_eq!((response.status_code, &response.set_headers["X-After"][0][..]), (202, "200uPOST"));
    assert_eq!(response.delete_headers, ["Server"]);
    assert_eq!(response.body.as_deref(), Some(&br#"{"was":"answer"}"#[..]));
    let answered = scripts.answer("hello", &request(), None, &spec()).await.unwrap();
    assert_eq!((&answered.response.body[..], answered.response.code), ("hellov", 203));
    assert_eq!((&answered.response.headers["X"][..], &answered.session_meta["m"]), ("y", &1.into()));
}

#[tokio::test]
async fn c9_2_row_7_the_functions_of_the_gate() {
    let script = r#"
        function all(request) {
            var out = [];
            var answer = JSON.parse(TykMakeHttpRequest(JSON.stringify({Method: "PUT", Domain: "http://h", Resource: "/r",
                Body: "b", Headers: {"X": "y"}})));
            out.push(answer.Code, answer.code, answer.Body, answer.Headers.X[0]);
            out.push(typeof TykMakeHttpRequest("{}"), typeof TykMakeHttpRequest("nonsense"));
            out.push(JSON.parse(TykGetKeyData("known", "api")).alias, JSON.parse(TykGetKeyData("other", "api")).status);
            TykSetKeyData("k", JSON.stringify({a: 1}), 1);
            TykSetKeyData("l", {a: 2});
            out.push(TykBatchRequest("q"), b64enc("hé"), b64dec(b64enc("hé")), rawb64enc("a"), b64dec("YQ"), rawb64dec("YQ=="));
            out.push(TykStorageGet("s"), TykStorageSet("s", "t", 5), TykStorageSetNX("s", "u"), TykStorageGet("s"));
            out.push(TykStorageTTL("s"), TykStorageDel("s"), TykStorageDel("s"), TykStorageTTL("s"));
            out.push(TykStorageIncr("n"), TykStorageIncr("n", 4));
            log("a line"); rawlog("another"); console.log("an object", {a: 1});
            request.SetHeaders.Out = JSON.stringify(out);
        }"#;
    let world: Arc<World> = Arc::default();
    let scripts = load("m.js", script, &world).unwrap();
    let made = call(&scripts, "all", Hook::Post, None).await.unwrap().request;
    let expected = serde_json::json!([
        201,
        201,
        "PUT http://h/r b",
        "y",
        "undefined",
        "undefined",
        "of api",
        "error",
        "[q]",
        "aMOp",
        "hé",
        "YQ",
        "a",
        "a",
        null,
        true,
        false,
        "t",
        -1,
        true,
        false,
        -2,
        1,
        5
    ]);
    assert_eq!(serde_json::from_str::<Value>(&made.set_headers["Out"]).unwrap(), expected);
    let kept = world.kept.lock();
    assert_eq!((&kept["k"][..], &kept["l"][..]), (r#"{"a":1} true"#, r#"{"a":2} false"#));
    let lines = world.lines.lock();
    assert_eq!(lines[lines.len() - 3..], ["a line", "another", r#"an object {"a":1}"#]);
    assert!(lines[0].contains("nobody is there") && lines[1].contains("no request"), "{lines:?}");
}

#[tokio::test]
async fn c9_2_row_8_what_hangs_throws_or_eats_costs_only_its_own_call() {
    let script = r#"
        function hangs() { for (;;) {} }
        function eats() { var a = []; for (;;) a.push(new Array(1000).fill("x")); }
        function deep() { return deep(); }
        function throws() {
            throw new TypeError("no such thing");
        }
        function text() { throw "a text"; }
        function shape() { return {Request: {SetHeaders: {a: {}}}}; }
        function promises() { var again = function () { return Promise.resolve().then(again); }; again(); }
        function fine(request) { request.SetHeaders.A = "b"; }
        var odd = 5;"#;
    let scripts = load("odd.js", script, &Arc::default()).unwrap();
    let cases = [
        ("hangs", "longer than 1.5s"),
        ("eats", "more than 16777216 bytes"),
        ("deep", "stack"),
        ("throws", "TypeError: no such thing (odd.js:6)"),
        ("text", "a text"),
        ("shape", "`a` is no text"),
        ("promises", "promises"),
        ("odd", "NewProcessRequest"),
    ];
    for (name, expected) in cases {
        let fault = call(&scripts, name, Hook::Pre, None).await.unwrap_err().to_string();
        assert!(fault.contains(expected), "{name}: {fault}");
        let fine = call(&scripts, "fine", Hook::Pre, None).await.unwrap();
        assert_eq!(fine.request.set_headers["A"], "b", "after {name}");
    }
    for name in ["missing", "odd", "1 + 1", "throw 1"] {
        assert_eq!(scripts.check(name), Err(Fault::Missing(name.to_owned())));
    }
}

#[test]
fn scripts_that_cannot_be_used_are_told_of_with_their_place() {
    let world = Arc::default();
    let cases = [
        ("a.js", "var a = 1;\nvar b = ;", "a.js:2"),
        ("b.js", "\n\nnowhere();", "b.js:3"),
        ("c.js", "for (;;) {}", "longer than"),
        ("d.mjs", "export const a = ;", "d.mjs:1"),
        ("e.mjs", "import { x } from './none.mjs';", "none.mjs"),
        ("f.js", "require('fs')", "require"),
    ];
    for (name, text, expected) in cases {
        let fault = load(name, text, &world).unwrap_err().to_string();
        assert!(fault.contains(expected), "{name}: {fault}");
    }
    let fault = load("long.js", &" ".repeat(LARGEST + 1), &world).unwrap_err().to_string();
    assert!(fault.contains("longer than"), "{fault}");
}

#[tokio::test]
async fn c9_2_row_1_modules_import_each_other_and_export_hooks() {
    let sources = vec![
        Source {
            name: "lib/names.mjs".into(),
            text: "export const greet = (name) => `hello ${name}`;".into(),
        },
        Source {
            name: "main.mjs".into(),
            text: "import { greet } from './lib/names.mjs';
                   export function pre(request) { request.SetHeaders.G = greet(request.Method); }
                   export default function (request) { request.SetHeaders.D = 'default'; }"
                .into(),
        },
    ];
    let world: Arc<dyn Outside> = Arc::new(World::default());
    let scripts = Arc::new(Scripts::load(sources, Limits::default(), world).unwrap());
    let made = call(&scripts, "pre", Hook::Pre, None).await.unwrap().request;
    assert_eq!(made.set_headers["G"], "hello POST");
    let made = call(&scripts, "main", Hook::Pre, None).await.unwrap().request;
    assert_eq!(made.set_headers["D"], "default");
}

#[tokio::test]
async fn a_script_sends_so_many_requests_and_no_more() {
    let script = "function many() { for (;;) TykMakeHttpRequest(JSON.stringify({Domain: 'http://h'})); }";
    let scripts = load("m.js", script, &Arc::default()).unwrap();
    let fault = call(&scripts, "many", Hook::Pre, None).await.unwrap_err().to_string();
    assert!(fault.contains("no more than 100 requests"), "{fault}");
}

#[tokio::test]
async fn c9_1_records_are_edited_in_place_or_given_back() {
    let script = r#"
        function place(record, spec) {
            record.path = "/users/" + spec.APIID;
            delete record.api_key;
            record.response_code += 1;
            record.latency.total += 1;
            record.tags.push(spec.config_data.k);
        }
        var given = new TykJS.TykMiddleware.NewMiddleware({});
        given.NewProcessRecord(function (record, spec) { place(record, spec); return record; });
        var silent = new TykJS.TykMiddleware.NewMiddleware({});
        function broken(record) { throw new Error("no"); }"#;
    let scripts = load("m.js", script, &Arc::default()).unwrap();
    for name in ["place", "given", "place"] {
        scripts.check(name).unwrap();
        crate::testing::edited(&scripts.record(name, crate::testing::RECORD, &spec()).await.unwrap());
    }
    for (name, expected) in [("silent", "no NewProcessRecord"), ("broken", "no")] {
        let fault = scripts.record(name, crate::testing::RECORD, &spec()).await.unwrap_err().to_string();
        assert!(fault.contains(expected), "{name}: {fault}");
    }
}

#[test]
fn what_scripts_define_can_be_listed() {
    let script = "function helper() {} var m = new TykJS.TykMiddleware.NewMiddleware({}); var n = 5, o = {}; function b() {}";
    let defined = load("m.js", script, &Arc::default()).unwrap().defined().unwrap();
    assert_eq!(
        (defined.objects, defined.functions),
        (vec!["m".to_owned()], vec!["helper".to_owned(), "b".to_owned()])
    );
}
