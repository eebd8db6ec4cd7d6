//! Filters as text, translated for each test; the one of the examples is a program of the public SDK.

use std::time::Duration;

use super::*;
use crate::Hook;
use crate::testing::{RECORD, World, call, edited, spec};

/// What all modules here have: a memory, room in it, a context, and the text of the test.
fn module(text: &str) -> Vec<u8> {
    let whole = format!(
        r#"(module
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))
        (import "env" "proxy_get_header_map_value" (func $header (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_set_property" (func $tell (param i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_set_buffer_bytes" (func $set_buffer (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_send_local_response"
            (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_http_call"
            (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_continue_stream" (func $go_on (param i32) (result i32)))
        (import "env" "proxy_grpc_close" (func $unknown (param i32) (result i32)))
        (memory (export "memory") 2)
        (global $free (mut i32) (i32.const 65536))
        (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
            (global.get $free)
            (global.set $free (i32.add (global.get $free) (local.get $size))))
        (func (export "proxy_on_context_create") (param i32 i32)
            (global.set $free (i32.const 65536)))
        {text})"#
    );
    wat::parse_str(&whole).unwrap_or_else(|why| panic!("{why}"))
}

fn load(text: &str, sees: Sees, world: &Arc<World>) -> Result<Wasm, Fault> {
    let code = Code { name: "filter".into(), module: module(text).into(), sees };
    let limits = Limits { time: Duration::from_millis(300), memory: 4 << 20 };
    let world = Arc::clone(world) as Arc<dyn Outside>;
    Wasm::load(vec![code], &serde_json::json!({"k": "v"}), limits, &world)
}

#[tokio::test]
async fn requests_are_seen_and_changed() {
    let text = r#"
        (data (i32.const 0) "x-in\00x-new\00:path\00/other\00added\00request\00method\00session\00alias\00 world")
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            ;; The path is another one, a field is gone, one is new: the value of the property `request.method`.
            (drop (call $replace (i32.const 0) (i32.const 11) (i32.const 5) (i32.const 17) (i32.const 6)))
            (drop (call $remove (i32.const 0) (i32.const 0) (i32.const 4)))
            (drop (call $property (i32.const 30) (i32.const 14) (i32.const 100) (i32.const 104)))
            (drop (call $add (i32.const 0) (i32.const 5) (i32.const 5) (i32.load (i32.const 100)) (i32.load (i32.const 104))))
            (drop (call $log (i32.const 2) (i32.const 24) (i32.const 5)))
            (i32.const 1))
        (func (export "proxy_on_request_body") (param $c i32) (param $size i32) (param i32) (result i32)
            (drop (call $set_buffer (i32.const 0) (local.get $size) (i32.const 0) (i32.const 59) (i32.const 6)))
            (i32.const 0))"#;
    let world: Arc<World> = Arc::default();
    let wasm = load(text, Sees::Requests, &world).unwrap();
    // Twice: the second call meets an instance that has served one.
    for _ in 0..2 {
        let made = call!(wasm, "filter", Hook::Pre, None).unwrap().request;
        assert_eq!((&made.url[..], &made.method[..]), ("/other", "POST"));
        assert_eq!(made.set_headers, [("x-new".to_owned(), "POST".to_owned())].into());
        assert_eq!(made.delete_headers, ["x-in"]);
        assert_eq!(made.body.unwrap(), "hello world");
    }
    assert_eq!(world.lines.lock()[..], ["added", "added"]);
}

#[tokio::test]
async fn answers_are_seen_and_changed_and_filters_answer_themselves() {
    let text = r#"
        (data (i32.const 0) "server\00:status\00202\00x-after\00yes")
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (drop (call $remove (i32.const 2) (i32.const 0) (i32.const 6)))
            (drop (call $replace (i32.const 2) (i32.const 7) (i32.const 7) (i32.const 15) (i32.const 3)))
            (drop (call $add (i32.const 2) (i32.const 19) (i32.const 7) (i32.const 27) (i32.const 3)))
            ;; That of the request is not to be changed here.
            (call $add (i32.const 0) (i32.const 19) (i32.const 7) (i32.const 27) (i32.const 3))
            (i32.const 2) (i32.ne) (if (then (unreachable)))
            (i32.const 0))
        (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
            (drop (call $set_buffer (i32.const 1) (i32.const 0) (i32.const 100) (i32.const 27) (i32.const 3)))
            (i32.const 0))"#;
    let wasm = load(text, Sees::Answers, &Arc::default()).unwrap();
    let answer = call!(wasm, "filter", Hook::Response, None).unwrap().response.unwrap();
    assert_eq!((answer.status_code, &answer.body.unwrap()[..]), (202, &b"yes"[..]));
    assert_eq!(answer.set_headers, [("x-after".to_owned(), vec!["yes".to_owned()])].into());
    assert_eq!(answer.delete_headers, ["server"]);

    let text = r#"
        (data (i32.const 0) "tea")
        (data (i32.const 16) "\01\00\00\00\05\00\00\00\01\00\00\00x-pot\001\00")
        (func (export "proxy_on_request_headers") (param i32 i32) (result i32)
            (drop (call $answer (i32.const 418) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 3)
                (i32.const 16) (i32.const 20) (i32.const -1)))
            (i32.const 1))
        (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (unreachable))"#;
    let wasm = load(text, Sees::Requests, &Arc::default()).unwrap();
    let overrides = call!(wasm, "filter", Hook::Post, None).unwrap().request.return_overrides;
    assert_eq!((overrides.response_code, overrides.text(), overrides.override_error), (418, "tea", true));
    assert_eq!(overrides.response_headers["x-pot"], "1");
}

#[tokio::test]
async fn filters_send_requests_and_go_on_when_the_answer_is_there() {
    let text = r#"
        (data (i32.const 0) "there.test:80\00x-code\00:status")
        (data (i32.const 64) "\01\00\00\00\05\00\00\00\02\00\00\00:path\00/r\00")
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $call (i32.const 0) (i32.const 13) (i32.const 64) (i32.const 21) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 200)))
            (i32.const 1))
        (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (i32.const 0))
        (func (export "proxy_on_http_call_response") (param $c i32) (param $token i32) (param i32 i32 i32)
            (if (i32.ne (local.get $token) (i32.load (i32.const 200))) (then (unreachable)))
            (drop (call $header (i32.const 6) (i32.const 21) (i32.const 7) (i32.const 100) (i32.const 104)))
            (drop (call $add (i32.const 0) (i32.const 14) (i32.const 6) (i32.load (i32.const 100)) (i32.load (i32.const 104))))
            (drop (call $go_on (i32.const 0))))"#;
    let wasm = load(text, Sees::Requests, &Arc::default()).unwrap();
    let made = call!(wasm, "filter", Hook::Pre, None).unwrap().request;
    assert_eq!(made.set_headers["x-code"], "201");
}

#[tokio::test]
async fn c9_1_row_2_filters_say_who_is_calling_by_properties() {
    let text = r#"
        (data (i32.const 0) "metadata\00tokenthe-keysession\00aliasannsession\00rate5")
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $tell (i32.const 0) (i32.const 14) (i32.const 14) (i32.const 7)))
            (drop (call $tell (i32.const 21) (i32.const 13) (i32.const 34) (i32.const 3)))
            (drop (call $tell (i32.const 37) (i32.const 12) (i32.const 49) (i32.const 1)))
            (i32.const 0))"#;
    let wasm = load(text, Sees::Requests, &Arc::default()).unwrap();
    let outcome = call!(wasm, "filter", Hook::Auth, None).unwrap();
    let session = outcome.session.unwrap();
    assert_eq!(
        (outcome.metadata["token"].as_str(), &*session.alias, session.rate),
        (Some("the-key"), "ann", 5.0)
    );
    // Elsewhere properties say nothing of the caller.
    let outcome = call!(wasm, "filter", Hook::Pre, None).unwrap();
    assert_eq!((outcome.session, outcome.metadata.len()), (None, 0));
}

#[tokio::test]
async fn c9_1_row_7_filters_edit_records_by_properties() {
    let text = r#"
        (data (i32.const 0) "record\00path/users/a")
        (data (i32.const 32) "record\00api_key")
        (data (i32.const 64) "record\00response_code201")
        (data (i32.const 96) "record\00latency\00total13")
        (data (i32.const 128) "record\00tags[\22gold\22,\22v\22]")
        (func (export "proxy_on_log") (param i32)
            ;; The path as it was is there to be read; fields of requests are not.
            (if (i32.ne (call $property (i32.const 0) (i32.const 11) (i32.const 200) (i32.const 204)) (i32.const 0))
                (then (unreachable)))
            (if (i32.ne (i32.load (i32.const 204)) (i32.const 8)) (then (unreachable)))
            (drop (call $tell (i32.const 0) (i32.const 11) (i32.const 11) (i32.const 8)))
            (drop (call $tell (i32.const 32) (i32.const 14) (i32.const 0) (i32.const 0)))
            (drop (call $tell (i32.const 64) (i32.const 20) (i32.const 84) (i32.const 3)))
            (drop (call $tell (i32.const 96) (i32.const 20) (i32.const 116) (i32.const 2)))
            (drop (call $tell (i32.const 128) (i32.const 11) (i32.const 139) (i32.const 12))))"#;
    let wasm = load(text, Sees::Records, &Arc::default()).unwrap();
    for _ in 0..2 {
        edited(&wasm.record("filter", RECORD, &spec()).await.unwrap());
    }
    // One that does not look stays as it is.
    let wasm = load(r#"(func (export "proxy_on_log") (param i32))"#, Sees::Records, &Arc::default()).unwrap();
    let given: serde_json::Value =
        serde_json::from_str(&wasm.record("filter", RECORD, &spec()).await.unwrap()).unwrap();
    assert_eq!(given, serde_json::from_str::<serde_json::Value>(RECORD).unwrap());
    let fault = load("", Sees::Records, &Arc::default()).unwrap_err().to_string();
    assert!(fault.contains("exports no `proxy_on_log`"), "{fault}");
}

#[tokio::test]
async fn what_hangs_traps_or_eats_costs_only_its_own_call() {
    let headers = |body: &str| {
        format!(r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {body})"#)
    };
    let cases = [
        ("(loop (br 0)) (i32.const 0)", "longer than 300ms"),
        ("(unreachable)", "the plugin failed"),
        ("(drop (memory.grow (i32.const 1000))) (i32.const 0)", "more than 4194304 bytes"),
        ("(i32.const 1)", "nothing that it waits for"),
        ("(drop (i32.load (i32.const -4))) (i32.const 0)", "out of bounds"),
    ];
    for (body, expected) in cases {
        // The answer to what has no memory of its own is an error, too, and no fault of the gate.
        let wasm = load(&headers(body), Sees::Requests, &Arc::default()).unwrap();
        for _ in 0..2 {
            let fault = call!(wasm, "filter", Hook::Pre, None).unwrap_err().to_string();
            assert!(fault.contains(expected), "{body}: {fault}");
        }
    }
    // Places outside of the memory are refused by the functions themselves.
    let text = "(call $log (i32.const 2) (i32.const -8) (i32.const 100)) (i32.const 6) (i32.ne) \
        (if (then (unreachable))) (call $unknown (i32.const 0)) (i32.const 12) (i32.ne) \
        (if (then (unreachable))) (i32.const 0)";
    let wasm = load(&headers(text), Sees::Requests, &Arc::default()).unwrap();
    call!(wasm, "filter", Hook::Pre, None).unwrap();
}

#[test]
fn what_is_no_filter_is_refused() {
    let world: Arc<dyn Outside> = Arc::new(World::default());
    let refuse = r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
            (i32.ne (local.get 1) (i32.const 9)))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))"#;
    let cases = [
        (b"no module".to_vec(), "this is no module"),
        (wat::parse_str("(module)").unwrap(), "no filter of proxy-wasm"),
        (wat::parse_str(r#"(module (import "other" "thing" (func)))"#).unwrap(), "thing"),
        (module(""), "exports no `proxy_on_request_headers`"),
        (module(refuse), "`proxy_on_configure` says no"),
    ];
    for (module, expected) in cases {
        let code = Code { name: "f".into(), module: module.into(), sees: Sees::Requests };
        let configuration = serde_json::json!({"k": "v"});
        let fault =
            Wasm::load(vec![code], &configuration, Limits::default(), &world).unwrap_err().to_string();
        assert!(fault.contains(expected), "{expected}: {fault}");
    }
}
