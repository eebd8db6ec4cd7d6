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
fn merging() {
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
fn endpoint_limits_take_the_fastest() {
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

#[test]
fn refusals() {
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
