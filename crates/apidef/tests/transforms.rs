//! What changes requests and answers, in both formats (contract 2.5, 3.2, 8.2, 8.3).
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use apidef::{Definition, RulePlace, Transforms};
use serde_json::{Value, json};

fn classic(version: &Value, root: &Value) -> Value {
    let mut definition = json!({
        "api_id": "a", "name": "a", "use_keyless": true,
        "proxy": {"listen_path": "/a/", "target_url": "http://h/"},
        "version_data": {"not_versioned": true, "versions": {"": {"use_extended_paths": true}}},
    });
    let held = definition["version_data"]["versions"][""].as_object_mut().unwrap();
    held.extend(version.as_object().unwrap().clone());
    definition.as_object_mut().unwrap().extend(root.as_object().unwrap().clone());
    definition
}

fn oas(global: &Value, operation: &Value) -> Value {
    json!({
        "openapi": "3.0.3", "info": {"title": "a", "version": "1"},
        "paths": {"/p/{id}": {"get": {"operationId": "p"}}},
        "x-tyk-api-gateway": {
            "info": {"id": "a", "name": "a"}, "upstream": {"url": "http://h/"},
            "server": {"listenPath": {"value": "/a/"}},
            "middleware": {"global": global, "operations": {"p": operation}},
        },
    })
}

fn read(definition: &Value) -> Definition {
    Definition::parse(&definition.to_string()).unwrap_or_else(|faults| panic!("{definition}: {faults:?}"))
}

fn faults(definition: &Value) -> Vec<(String, String)> {
    let told = match Definition::parse(&definition.to_string()) {
        Ok(definition) => definition.warnings,
        Err(faults) => faults,
    };
    told.into_iter().map(|fault| (fault.pointer, fault.message)).collect()
}

#[test]
fn c3_2_rows_38_and_39_both_formats_say_the_same() {
    let at = |more: Value| {
        let mut entry = json!({"path": "/p/{id}", "method": "GET"});
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([entry])
    };
    let rule = |pattern: &str, reverse: bool| json!({"match_rx": pattern, "reverse": reverse});
    for (version, root, global, operation) in [
        (json!({}), json!({}), json!({}), json!({})),
        (
            json!({"global_headers": {"X-A": "1"}, "global_headers_remove": ["X-B"],
                "global_response_headers": {"X-C": "$tyk_meta.x"}}),
            json!({"enable_context_vars": true}),
            json!({"contextVariables": {"enabled": true},
                "transformRequestHeaders": {"enabled": true, "add": [{"name": "X-A", "value": "1"}], "remove": ["X-B"]},
                "transformResponseHeaders": {"enabled": true, "add": [{"name": "X-C", "value": "$tyk_meta.x"}]}}),
            json!({}),
        ),
        (
            json!({"global_headers": {"X-A": "1"}, "global_headers_disabled": true,
            "extended_paths": {
                "transform_headers": at(json!({"add_headers": {"X-A": "1"}, "delete_headers": ["X-B"]})),
                "transform_response_headers": at(json!({"delete_headers": ["Server"]})),
                "method_transforms": at(json!({"to_method": "put"})),
            }}),
            json!({}),
            json!({"transformRequestHeaders": {"enabled": false, "remove": ["X-A"]}}),
            json!({
                "transformRequestHeaders": {"enabled": true, "add": [{"name": "X-A", "value": "1"}], "remove": ["X-B"]},
                "transformResponseHeaders": {"enabled": true, "remove": ["Server"]},
                "transformRequestMethod": {"enabled": true, "toMethod": "PUT"},
            }),
        ),
        (
            json!({"extended_paths": {"url_rewrites": at(json!({
                "match_pattern": "/p/(.*)", "rewrite_to": "/q/$1",
                "triggers": [
                    {"on": "all", "rewrite_to": "http://o/", "options": {
                        "header_matches": {"X-A": rule("a", false)}, "query_val_matches": {"q": rule("", true)},
                        "payload_matches": {"match_rx": "", "reverse": false}}},
                    {"on": "any", "rewrite_to": "/r", "options": {"payload_matches": rule("b", true)}},
                ],
            }))}}),
            json!({}),
            json!({}),
            json!({"urlRewrite": {"enabled": true, "pattern": "/p/(.*)", "rewriteTo": "/q/$1", "triggers": [
                {"condition": "all", "rewriteTo": "http://o/", "rules": [
                    {"in": "header", "name": "X-A", "pattern": "a"},
                    {"in": "query", "name": "q", "pattern": "", "negate": true}]},
                {"condition": "any", "rewriteTo": "/r", "rules": [{"in": "requestBody", "pattern": "b", "negate": true}]},
            ]}}),
        ),
    ] {
        let (classic, oas) = (classic(&version, &root), oas(&global, &operation));
        let (from_classic, from_oas) = (read(&classic), read(&oas));
        assert_eq!((&*from_classic.warnings, &*from_oas.warnings), (&[][..], &[][..]), "{classic}");
        assert_eq!(from_classic.api.transforms, from_oas.api.transforms, "{classic}");
        let empty = *from_oas.api.transforms == Transforms::default();
        assert_eq!(empty, version == json!({}), "{classic}");
        let projected = read(&from_oas.classic());
        assert_eq!(projected.api.transforms, from_oas.api.transforms, "{}", from_oas.classic());
        assert_eq!(projected.warnings, []);
    }
}

#[test]
fn every_place_is_read_in_both_formats() {
    for (group, place, expected) in [
        ("header_matches", "header", RulePlace::Header),
        ("query_val_matches", "query", RulePlace::Query),
        ("path_part_matches", "path", RulePlace::Path),
        ("session_meta_matches", "sessionMetadata", RulePlace::Meta),
        ("request_context_matches", "requestContext", RulePlace::Context),
    ] {
        let options = json!({group: {"n": {"match_rx": "x"}}});
        let triggers = json!([{"on": "any", "options": options, "rewrite_to": "/x"}]);
        let rewrites = json!([{"path": "/", "method": "GET", "match_pattern": ".", "rewrite_to": "/", "triggers": triggers}]);
        let classic = classic(&json!({"extended_paths": {"url_rewrites": rewrites}}), &json!({}));
        let rules = json!([{"in": place, "name": "n", "pattern": "x"}]);
        let triggers = json!([{"condition": "any", "rules": rules, "rewriteTo": "/x"}]);
        let oas = oas(
            &json!({}),
            &json!({"urlRewrite": {"enabled": true, "pattern": ".", "rewriteTo": "/", "triggers": triggers}}),
        );
        for definition in [read(&classic), read(&oas)] {
            let rule = &definition.api.transforms.rewrites[0].value.triggers[0].rules[0];
            assert_eq!((rule.place, &*rule.name), (expected, "n"), "{group}");
        }
    }
}

#[test]
fn what_cannot_work_is_told_at_its_place() {
    const E: &str = "/version_data/versions//extended_paths";
    const O: &str = "/x-tyk-api-gateway/middleware/operations/p";
    let listed = |list: &str, entry: Value| {
        let mut entry = entry;
        (entry["path"], entry["method"]) = (json!("/p"), json!("GET"));
        classic(&json!({"extended_paths": {list: [entry]}}), &json!({}))
    };
    let to = |more: Value| {
        let mut rewrite = json!({"match_pattern": ".", "rewrite_to": "/x"});
        rewrite.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        listed("url_rewrites", rewrite)
    };
    let trigger = |trigger: Value| to(json!({"triggers": [trigger]}));
    for (definition, at, text) in [
        (
            to(json!({"match_pattern": "("})),
            format!("{E}/url_rewrites/0/match_pattern"),
            "regular expression",
        ),
        (to(json!({"match_pattern": ""})), format!("{E}/url_rewrites/0/match_pattern"), "is missing"),
        (to(json!({"rewrite_to": ""})), format!("{E}/url_rewrites/0/rewrite_to"), "is missing"),
        (to(json!({"rewrite_to": "/a\nb"})), format!("{E}/url_rewrites/0/rewrite_to"), "control characters"),
        (
            trigger(
                json!({"on": "all", "rewrite_to": "/x", "options": {"header_matches": {"X": {"match_rx": "("}}}}),
            ),
            format!("{E}/url_rewrites/0/triggers/0/options/header_matches/X/match_rx"),
            "regular expression",
        ),
        (
            trigger(
                json!({"on": "some", "rewrite_to": "/x", "options": {"header_matches": {"X": {"match_rx": "."}}}}),
            ),
            format!("{E}/url_rewrites/0/triggers/0/on"),
            "how many rules",
        ),
        (
            trigger(json!({"on": "any", "rewrite_to": "/x", "options": {}})),
            format!("{E}/url_rewrites/0/triggers/0"),
            "never counts",
        ),
        (
            oas(
                &json!({}),
                &json!({"urlRewrite": {"enabled": true, "pattern": ".", "rewriteTo": "/", "triggers": [
                {"condition": "any", "rewriteTo": "/", "rules": [{"in": "body", "pattern": "x"}]}]}}),
            ),
            format!("{O}/urlRewrite/triggers/0/rules/0/in"),
            "no place",
        ),
        (
            listed("method_transforms", json!({"to_method": "HEAD"})),
            format!("{E}/method_transforms/0/to_method"),
            "405",
        ),
        (listed("method_transforms", json!({})), format!("{E}/method_transforms/0/to_method"), "is missing"),
        (
            listed("transform_headers", json!({"add_headers": {"x y": "1"}})),
            format!("{E}/transform_headers/0/add_headers/x y"),
            "no name of a header",
        ),
        (
            listed("transform_headers", json!({"add_headers": {"x": "a\r\nb"}})),
            format!("{E}/transform_headers/0/add_headers/x"),
            "control characters",
        ),
        (
            classic(&json!({"global_headers_remove": ["a", "Content-Length"]}), &json!({})),
            "/version_data/versions//global_headers_remove/1".to_owned(),
            "by the gate itself",
        ),
        (
            oas(
                &json!({"transformResponseHeaders": {"enabled": true, "add": [{"name": "Transfer-Encoding", "value": "x"}]}}),
                &json!({}),
            ),
            "/x-tyk-api-gateway/middleware/global/transformResponseHeaders/add/0/name".to_owned(),
            "by the gate itself",
        ),
        (
            classic(&json!({}), &json!({"response_processors": [{"name": "mystery"}]})),
            "/response_processors/0/name".to_owned(),
            "not supported",
        ),
    ] {
        let told = faults(&definition);
        let found = told.iter().any(|(pointer, message)| *pointer == at && message.contains(text));
        assert!(found, "{definition}: {at} {text} in {told:?}");
    }
}
