//! Merging, as a table: session and policies in, session out.

use super::*;
use serde_json::json;

/// Policies by id.
type Known<'a> = &'a [(&'a str, Value)];

fn policy(id: &str, value: Value) -> (String, Arc<Policy>) {
    let mut policy: Policy = serde_json::from_value(value).expect("policy");
    policy.id = id.to_owned();
    (id.to_owned(), Arc::new(policy))
}

fn merge(session: Value, policies: Known<'_>) -> Result<Value, String> {
    let known: BTreeMap<String, Arc<Policy>> =
        policies.iter().map(|(id, value)| policy(id, value.clone())).collect();
    let session: Session = serde_json::from_value(session).expect("session");
    apply(&session, &|id| known.get(id).cloned())
        .map(|session| serde_json::to_value(session).expect("json"))
        .map_err(|error| error.to_string())
}

#[test]
fn c6_4_merging() {
    let gold = json!({"rate": 100, "per": 1, "quota_max": 1000, "quota_renewal_rate": 60,
        "access_rights": {"a": {"versions": ["v1"], "allowed_urls": [{"url": "/x", "methods": ["GET"]}]}},
        "tags": ["gold"], "meta_data": {"plan": "gold"}});
    let free = json!({"rate": 5, "per": 10, "quota_max": -1, "quota_renewal_rate": 30,
        "access_rights": {"a": {"versions": ["v1", "v2"], "allowed_urls": [
            {"url": "/x", "methods": ["POST"]}, {"url": "/y", "methods": ["GET"]}]}},
        "tags": ["free", "gold"], "meta_data": {"plan": "free"}});
    // One policy, one API: its limits are the session's too; the session's own are gone.
    assert_eq!(
        merge(
            json!({"rate": 7, "per": 7, "quota_max": 7, "apply_policies": ["gold"], "is_inactive": true}),
            &[("gold", gold.clone())]
        ),
        Ok(json!({"rate": 100.0, "per": 1.0, "quota_max": 1000, "quota_renewal_rate": 60,
            "apply_policies": ["gold"], "tags": ["gold"], "meta_data": {"plan": "gold"},
            "access_rights": {"a": {"versions": ["v1"], "allowed_urls": [{"url": "/x", "methods": ["GET"]}],
                "limit": {"rate": 100.0, "per": 1.0, "quota_max": 1000, "quota_renewal_rate": 60}}}}))
    );
    // Two policies on one API: union of rights, best of limits, later metadata.
    assert_eq!(
        merge(
            json!({"apply_policies": ["gold", "gone", "free"], "tags": ["own"]}),
            &[("gold", gold.clone()), ("free", free)]
        ),
        Ok(json!({"rate": 100.0, "per": 1.0, "quota_max": -1, "quota_renewal_rate": 60,
            "apply_policies": ["gold", "gone", "free"], "tags": ["own", "gold", "free"], "meta_data": {"plan": "free"},
            "access_rights": {"a": {"versions": ["v1", "v2"],
                "allowed_urls": [{"url": "/x", "methods": ["GET", "POST"]}, {"url": "/y", "methods": ["GET"]}],
                "limit": {"rate": 100.0, "per": 1.0, "quota_max": -1, "quota_renewal_rate": 60}}}}))
    );
    // Different owners of different APIs: counters are apart, and the session's root stays empty.
    let other = json!({"rate": 1, "per": 1, "access_rights": {"b": {}}, "is_inactive": true});
    assert_eq!(
        merge(json!({"apply_policies": ["gold", "other"]}), &[("gold", gold.clone()), ("other", other)]),
        Ok(json!({"is_inactive": true, "apply_policies": ["gold", "other"], "tags": ["gold"],
            "meta_data": {"plan": "gold"}, "access_rights": {
            "a": {"versions": ["v1"], "allowed_urls": [{"url": "/x", "methods": ["GET"]}], "allowance_scope": "gold",
                "limit": {"rate": 100.0, "per": 1.0, "quota_max": 1000, "quota_renewal_rate": 60}},
            "b": {"allowance_scope": "other", "limit": {"rate": 1.0, "per": 1.0}}}}))
    );
    // Partitions: rights from one, rate from another, quota left to the session.
    assert_eq!(
        merge(
            json!({"apply_policies": ["acl", "rate"], "quota_max": 9, "quota_renewal_rate": 3, "rate": 1, "per": 1}),
            &[
                (
                    "acl",
                    json!({"partitions": {"acl": true}, "rate": 50, "per": 1, "access_rights": {"a": {}}})
                ),
                (
                    "rate",
                    json!({"partitions": {"rate_limit": true}, "rate": 20, "per": 1, "access_rights": {"a": {}, "c": {}}})
                )
            ]
        ),
        Ok(
            json!({"rate": 20.0, "per": 1.0, "quota_max": 9, "quota_renewal_rate": 3, "apply_policies": ["acl", "rate"],
            "access_rights": {"a": {"limit": {"rate": 20.0, "per": 1.0, "quota_max": 9, "quota_renewal_rate": 3}}}})
        )
    );
    // Per API: the entry's own limit, else the policy's, each with a counter of its own.
    assert_eq!(
        merge(
            json!({"apply_policy_id": "p"}),
            &[(
                "p",
                json!({"partitions": {"per_api": true}, "rate": 2, "per": 1, "access_rights": {
                "a": {"limit": {"rate": 8, "per": 1}}, "b": {}}})
            )]
        ),
        Ok(json!({"apply_policy_id": "p", "access_rights": {
            "a": {"allowance_scope": "a", "limit": {"rate": 8.0, "per": 1.0}},
            "b": {"allowance_scope": "p", "limit": {"rate": 2.0, "per": 1.0}}}}))
    );
    // No policies: an API with its own limit counts by itself.
    assert_eq!(
        merge(json!({"access_rights": {"a": {"limit": {"rate": 8, "per": 1}}, "b": {}}}), &[]),
        Ok(
            json!({"access_rights": {"a": {"allowance_scope": "a", "limit": {"rate": 8.0, "per": 1.0}}, "b": {}}})
        )
    );
    // Embedded policies come first.
    let embedded = json!({"meta_data": {"policies": [{"id": "e", "access_rights": {"z": {}}}]}, "apply_policies": ["x"]});
    assert!(merge(embedded, &[]).expect("embedded")["access_rights"]["z"].is_object());
}

#[test]
fn c6_4_row_12_endpoint_limits_take_the_fastest() {
    let limited = |rate: i64, per: i64| {
        json!({"access_rights": {"a": {"endpoints": [
            {"path": "/x", "methods": [{"name": "GET", "limit": {"rate": rate, "per": per}}]}]}}})
    };
    for (first, second, expected) in
        [((1, 1), (5, 1), (5.0, 1.0)), ((5, 1), (1, 1), (5.0, 1.0)), ((1, 1), (60, 60), (60.0, 60.0))]
    {
        let merged = merge(
            json!({"apply_policies": ["p", "q"]}),
            &[("p", limited(first.0, first.1)), ("q", limited(second.0, second.1))],
        )
        .expect("merged");
        let limit = &merged["access_rights"]["a"]["endpoints"][0]["methods"][0]["limit"];
        assert_eq!(limit, &json!({"rate": expected.0, "per": expected.1}));
    }
}

/// One row of contract 6.4 each: session, policies `p`, `q`, `r` in that order, and what stands at a pointer.
#[test]
fn c6_4_rules() {
    let all = |first: Value, second: Value| vec![first, second];
    let rate = |rate: i64, per: i64| json!({"rate": rate, "per": per, "access_rights": {"a": {}}});
    let depth = |depth: i64| json!({"max_query_depth": depth, "access_rights": {"a": {}}});
    let quota = |max: i64, renewal: i64| json!({"quota_max": max, "quota_renewal_rate": renewal, "access_rights": {"a": {}}});
    let right = |access: Value| json!({"access_rights": {"a": access}});
    let own = |limits: Value| {
        let mut policy = json!({"access_rights": {"a": {}}});
        policy.as_object_mut().expect("object").extend(limits.as_object().expect("object").clone());
        policy
    };
    let limit = "/access_rights/a/limit";
    let cases: Vec<(&str, Value, Vec<Value>, String, Value)> = vec![
        (
            "list: embedded before ids",
            json!({"meta_data": {"policies": [{"access_rights": {"z": {}}}]}}),
            all(rate(1, 1), rate(2, 1)),
            "/access_rights".into(),
            json!({"z": {}}),
        ),
        (
            "list: an empty embedded list is none",
            json!({"meta_data": {"policies": []}}),
            vec![right(json!({}))],
            "/access_rights".into(),
            json!({"a": {}}),
        ),
        ("rate: fastest wins", json!({}), all(rate(10, 60), rate(1, 2)), format!("{limit}/rate"), json!(1.0)),
        (
            "rate: an empty one is ignored",
            json!({}),
            all(rate(10, 60), rate(0, 0)),
            format!("{limit}/rate"),
            json!(10.0),
        ),
        (
            "rate: a negative one is ignored",
            json!({}),
            all(rate(10, 60), rate(-1, 60)),
            format!("{limit}/rate"),
            json!(10.0),
        ),
        (
            "rate: the session's own is cleared",
            json!({"rate": 99, "per": 1}),
            all(rate(1, 60), rate(1, 90)),
            "/rate".into(),
            json!(1.0),
        ),
        (
            "smoothing follows the winner",
            json!({}),
            all(
                own(json!({"rate": 1, "per": 1, "smoothing": {"enabled": true, "step": 1}})),
                own(json!({"rate": 5, "per": 1, "smoothing": {"enabled": true, "step": 7}})),
            ),
            format!("{limit}/smoothing/step"),
            json!(7),
        ),
        (
            "throttle: highest",
            json!({"throttle_interval": 9, "throttle_retry_limit": 9}),
            all(
                own(json!({"throttle_interval": 1, "throttle_retry_limit": 4})),
                own(json!({"throttle_interval": 3, "throttle_retry_limit": 2})),
            ),
            limit.into(),
            json!({"throttle_interval": 3.0, "throttle_retry_limit": 4}),
        ),
        (
            "depth: highest",
            json!({"max_query_depth": 50}),
            all(depth(3), depth(5)),
            "/max_query_depth".into(),
            json!(5),
        ),
        ("depth: -1 wins", json!({}), all(depth(-1), depth(5)), "/max_query_depth".into(), json!(-1)),
        (
            "quota: highest",
            json!({"quota_max": 100}),
            all(quota(7, 60), quota(5, 90)),
            limit.into(),
            json!({"quota_max": 7, "quota_renewal_rate": 90}),
        ),
        (
            "quota: -1 wins",
            json!({}),
            all(quota(7, 60), quota(-1, 10)),
            limit.into(),
            json!({"quota_max": -1, "quota_renewal_rate": 60}),
        ),
        (
            "acl: versions",
            json!({}),
            all(right(json!({"versions": ["1", "2"]})), right(json!({"versions": ["2", "3"]}))),
            "/access_rights/a/versions".into(),
            json!(["1", "2", "3"]),
        ),
        (
            "acl: urls keep their order",
            json!({}),
            all(
                right(
                    json!({"allowed_urls": [{"url": "/b", "methods": ["GET"]}, {"url": "/a", "methods": ["GET"]}]}),
                ),
                right(
                    json!({"allowed_urls": [{"url": "/a", "methods": ["PUT", "GET"]}, {"url": "/c", "methods": []}]}),
                ),
            ),
            "/access_rights/a/allowed_urls".into(),
            json!([{"url": "/b", "methods": ["GET"]}, {"url": "/a", "methods": ["GET", "PUT"]}, {"url": "/c"}]),
        ),
        (
            "acl: restricted types",
            json!({}),
            all(
                right(json!({"restricted_types": [{"name": "T", "fields": ["x"]}]})),
                right(
                    json!({"restricted_types": [{"name": "T", "fields": ["y", "x"]}, {"name": "U", "fields": ["z"]}]}),
                ),
            ),
            "/access_rights/a/restricted_types".into(),
            json!([{"name": "T", "fields": ["x", "y"]}, {"name": "U", "fields": ["z"]}]),
        ),
        (
            "acl: allowed types",
            json!({}),
            all(
                right(json!({"allowed_types": [{"name": "T", "fields": ["x"]}]})),
                right(json!({"allowed_types": [{"name": "T", "fields": ["y"]}]})),
            ),
            "/access_rights/a/allowed_types".into(),
            json!([{"name": "T", "fields": ["x", "y"]}]),
        ),
        (
            "acl: field limits, highest",
            json!({}),
            all(
                right(
                    json!({"field_access_rights": [{"type_name": "T", "field_name": "f", "limits": {"max_query_depth": 2}}]}),
                ),
                right(
                    json!({"field_access_rights": [{"type_name": "T", "field_name": "f", "limits": {"max_query_depth": 4}}, {"type_name": "T", "field_name": "g", "limits": {"max_query_depth": 1}}]}),
                ),
            ),
            "/access_rights/a/field_access_rights".into(),
            json!([{"type_name": "T", "field_name": "f", "limits": {"max_query_depth": 4}}, {"type_name": "T", "field_name": "g", "limits": {"max_query_depth": 1}}]),
        ),
        (
            "acl: field limits, -1 wins",
            json!({}),
            all(
                right(
                    json!({"field_access_rights": [{"type_name": "T", "field_name": "f", "limits": {"max_query_depth": -1}}]}),
                ),
                right(
                    json!({"field_access_rights": [{"type_name": "T", "field_name": "f", "limits": {"max_query_depth": 4}}]}),
                ),
            ),
            "/access_rights/a/field_access_rights/0/limits/max_query_depth".into(),
            json!(-1),
        ),
        (
            "acl: introspection",
            json!({}),
            all(right(json!({})), right(json!({"disable_introspection": true}))),
            "/access_rights/a/disable_introspection".into(),
            json!(true),
        ),
        (
            "acl: rules of MCP",
            json!({}),
            all(
                right(json!({
                    "mcp_access_rights": {"tools": {"allowed": ["x"]}},
                    "json_rpc_methods_access_rights": {"blocked": ["b"]},
                    "json_rpc_methods": [{"name": "m", "limit": {"rate": 2, "per": 1}}],
                    "mcp_primitives": [
                        {"type": "tool", "name": "t", "limit": {"rate": 1, "per": 1}},
                        {"type": "prompt", "name": "t", "limit": {"rate": 9, "per": 1}},
                    ],
                })),
                right(json!({
                    "mcp_access_rights": {
                        "tools": {"allowed": ["y", "x"], "blocked": ["z"]}, "prompts": {"blocked": ["p"]},
                    },
                    "json_rpc_methods_access_rights": {"blocked": ["c"]},
                    "json_rpc_methods": [
                        {"name": "m", "limit": {"rate": 1, "per": 1}}, {"name": "n", "limit": {"rate": 1, "per": 1}},
                    ],
                    "mcp_primitives": [{"type": "tool", "name": "t", "limit": {"rate": 3, "per": 1}}],
                })),
            ),
            "/access_rights/a".into(),
            json!({
                "mcp_access_rights": {
                    "tools": {"allowed": ["x", "y"], "blocked": ["z"]}, "prompts": {"blocked": ["p"]},
                },
                "json_rpc_methods_access_rights": {"blocked": ["b", "c"]},
                "json_rpc_methods": [
                    {"name": "m", "limit": {"rate": 2.0, "per": 1.0}}, {"name": "n", "limit": {"rate": 1.0, "per": 1.0}},
                ],
                "mcp_primitives": [
                    {"type": "tool", "name": "t", "limit": {"rate": 3.0, "per": 1.0}},
                    {"type": "prompt", "name": "t", "limit": {"rate": 9.0, "per": 1.0}},
                ],
            }),
        ),
        (
            "acl: an API that only a rate policy names is not given",
            json!({}),
            all(
                json!({"partitions": {"acl": true}, "access_rights": {"a": {}}}),
                json!({"partitions": {"rate_limit": true}, "rate": 1, "per": 1, "access_rights": {"b": {}}}),
            ),
            "/access_rights".into(),
            json!({"a": {}}),
        ),
        (
            "partitions: what none covers stays the session's",
            json!({"quota_max": 3, "rate": 4, "per": 1, "max_query_depth": 2}),
            all(
                json!({"partitions": {"acl": true}, "access_rights": {"a": {}}, "quota_max": 9, "rate": 9, "per": 1}),
                json!({"partitions": {"complexity": true}, "max_query_depth": 8, "access_rights": {"a": {}}}),
            ),
            limit.into(),
            json!({"quota_max": 3, "rate": 4.0, "per": 1.0, "max_query_depth": 8}),
        ),
        (
            "per_api: two policies, one API",
            json!({}),
            all(
                json!({"partitions": {"per_api": true}, "access_rights": {"a": {"limit": {"rate": 5, "per": 1}}}}),
                json!({"partitions": {"per_api": true}, "access_rights": {"a": {"limit": {"rate": 9, "per": 1}}}}),
            ),
            "/access_rights/a".into(),
            json!({"allowance_scope": "a", "limit": {"rate": 9.0, "per": 1.0}}),
        ),
        (
            "clear first: what policies cover is not the session's any more, where several APIs are given",
            json!({"quota_max": 9, "quota_remaining": 3, "rate": 9, "per": 9, "max_query_depth": 9,
                "throttle_interval": 9, "throttle_retry_limit": 9, "smoothing": {"enabled": true, "step": 9}}),
            vec![json!({"access_rights": {"a": {}, "b": {}}})],
            "".into(),
            json!({"apply_policies": ["p"], "access_rights": {"a": {}, "b": {}}}),
        ),
        (
            "clear first: and what they do not cover stays",
            json!({"quota_max": 9, "quota_renewal_rate": 8, "rate": 7, "per": 6, "max_query_depth": 5}),
            vec![
                json!({"partitions": {"acl": true, "rate_limit": true}, "rate": 2, "per": 1, "access_rights": {"a": {}, "b": {}}}),
            ],
            "".into(),
            json!({"apply_policies": ["p"], "quota_max": 9, "quota_renewal_rate": 8, "max_query_depth": 5, "access_rights": {
                "a": {"limit": {"rate": 2.0, "per": 1.0, "quota_max": 9, "quota_renewal_rate": 8, "max_query_depth": 5}},
                "b": {"limit": {"rate": 2.0, "per": 1.0, "quota_max": 9, "quota_renewal_rate": 8, "max_query_depth": 5}}}}),
        ),
        (
            "root values: copied where exactly one API is given",
            json!({}),
            vec![
                json!({"partitions": {"acl": true}, "access_rights": {"a": {}}}),
                json!({"partitions": {"quota": true}, "quota_max": 4, "quota_renewal_rate": 2, "access_rights": {"a": {}, "b": {}}}),
            ],
            "/quota_max".into(),
            json!(4),
        ),
        (
            "several owners: separate counters",
            json!({}),
            all(right(json!({})), json!({"access_rights": {"b": {}}})),
            "/access_rights".into(),
            json!({"a": {"allowance_scope": "p"}, "b": {"allowance_scope": "q"}}),
        ),
        (
            "one owner of several APIs: one counter, empty root",
            json!({}),
            vec![json!({"rate": 2, "per": 1, "access_rights": {"a": {}, "b": {}}})],
            "".into(),
            json!({"apply_policies": ["p"], "access_rights": {"a": {"limit": {"rate": 2.0, "per": 1.0}}, "b": {"limit": {"rate": 2.0, "per": 1.0}}}}),
        ),
        (
            "tags",
            json!({"tags": ["own"]}),
            all(own(json!({"tags": ["x", "own"]})), own(json!({"tags": ["y"]}))),
            "/tags".into(),
            json!(["own", "x", "y"]),
        ),
        (
            "metadata: later policies win over earlier ones and the key",
            json!({"meta_data": {"k": 0, "own": 1}}),
            all(own(json!({"meta_data": {"k": 1, "l": 1}})), own(json!({"meta_data": {"k": 2}}))),
            "/meta_data".into(),
            json!({"k": 2, "l": 1, "own": 1}),
        ),
        (
            "inactive: any",
            json!({}),
            all(own(json!({"is_inactive": true})), own(json!({}))),
            "/is_inactive".into(),
            json!(true),
        ),
        (
            "inactive: not the key's own",
            json!({"is_inactive": true}),
            all(own(json!({"active": false})), own(json!({}))),
            "/is_inactive".into(),
            Value::Null,
        ),
        (
            "inactive: the key's own without policies",
            json!({"is_inactive": true}),
            vec![],
            "/is_inactive".into(),
            json!(true),
        ),
        (
            "expiry of the policy where the key says nothing",
            json!({}),
            vec![own(json!({"post_expiry_action": "retain", "post_expiry_grace_period": 5}))],
            "/post_expiry_grace_period".into(),
            json!(5),
        ),
        (
            "key_expires_in is not applied here",
            json!({}),
            vec![own(json!({"key_expires_in": 5}))],
            "/expires".into(),
            Value::Null,
        ),
        (
            "at once: highest",
            json!({"concurrency": {"requests": 99}}),
            all(
                own(json!({"concurrency": {"requests": 2, "subscribers": 9}})),
                own(json!({"concurrency": {"requests": 3}})),
            ),
            format!("{limit}/concurrency"),
            json!({"requests": 3, "subscribers": 9}),
        ),
        (
            "at once: -1 wins",
            json!({}),
            all(own(json!({"concurrency": {"requests": -1}})), own(json!({"concurrency": {"requests": 3}}))),
            format!("{limit}/concurrency"),
            json!({"requests": -1}),
        ),
        (
            "subscriptions: fastest by the second, later rule",
            json!({}),
            all(
                own(
                    json!({"subscriptions": {"messages": 10, "per": 10, "bytes": 1000, "at_limit": "drop", "quota_bytes": 7}}),
                ),
                own(json!({"subscriptions": {"messages": 2, "at_limit": "close", "quota_messages": 3}})),
            ),
            format!("{limit}/subscriptions"),
            json!({"messages": 2.0, "bytes": 100.0, "at_limit": "close", "quota_messages": 3, "quota_bytes": 7}),
        ),
    ];
    for (rule, mut session, policies, pointer, expected) in cases {
        let names = ["p", "q", "r"];
        let known: Vec<(&str, Value)> = names.into_iter().zip(policies).collect();
        if !known.is_empty() {
            session["apply_policies"] = known.iter().map(|(name, _)| *name).collect();
        }
        let merged = merge(session, &known).unwrap_or_else(|error| panic!("{rule}: {error}"));
        assert_eq!(merged.pointer(&pointer).unwrap_or(&Value::Null), &expected, "{rule}: {merged}");
    }
}

#[test]
fn c6_1_row_21_contract_6_4_the_list_counts_and_without_one_the_single_id() {
    let known = [("p", json!({"access_rights": {"a": {}}})), ("q", json!({"access_rights": {"b": {}}}))];
    for (session, expected) in [
        (json!({"apply_policies": ["p"], "apply_policy_id": "q"}), json!({"a": {}})),
        (json!({"apply_policies": [], "apply_policy_id": "q"}), json!({"b": {}})),
        (json!({"apply_policies": ["none", "q"]}), json!({"b": {}})),
    ] {
        let merged = merge(session.clone(), &known).unwrap_or_else(|error| panic!("{session}: {error}"));
        assert_eq!(merged["access_rights"], expected, "{session}");
    }
}

#[test]
fn c6_4_refusals() {
    let open = json!({"access_rights": {"a": {}}});
    let per_api = json!({"partitions": {"per_api": true}, "access_rights": {"a": {}}});
    let quota = json!({"partitions": {"quota": true}, "access_rights": {"a": {}}});
    let both = json!({"partitions": {"per_api": true, "quota": true}, "access_rights": {"a": {}}});
    let foreign = json!({"org_id": "else", "access_rights": {"a": {}}});
    let cases: &[(Value, Known<'_>, &str)] = &[
        (json!({"apply_policies": ["p"]}), &[], "policy not found: \"p\""),
        (json!({"apply_policies": ["p", "q"]}), &[], "key has no valid policies to be applied"),
        (
            json!({"apply_policies": ["p"]}),
            &[("p", foreign)],
            "attempting to apply policy from different organisation to key, skipping",
        ),
        (
            json!({"apply_policies": ["p"], "org_id": "mine"}),
            &[("p", open)],
            "attempting to apply policy from different organisation to key, skipping",
        ),
        (
            json!({"apply_policies": ["p"]}),
            &[("p", both)],
            "cannot apply policy p which has per_api and any of partitions set",
        ),
        (
            json!({"apply_policies": ["p", "q"]}),
            &[("p", per_api), ("q", quota.clone())],
            "cannot apply multiple policies when some have per_api set and some are partitioned",
        ),
        (
            json!({"apply_policies": ["q"], "access_rights": {"a": {}}}),
            &[("q", quota)],
            "key has no valid policies to be applied",
        ),
        (json!({"apply_policies": ["q"]}), &[("q", json!({}))], "key has no valid policies to be applied"),
    ];
    for (session, policies, expected) in cases {
        assert_eq!(merge(session.clone(), policies), Err((*expected).to_owned()), "{session}");
    }
    assert!(merge(json!({"meta_data": {"policies": 3}}), &[]).is_err());
}
