use super::*;
use crate::{Backend, Definition};

fn classic(versioning: Value) -> Result<Definition, Vec<Fault>> {
    let definition = json!({
        "api_id": "a", "use_keyless": true, "definition": versioning,
        "proxy": {"listen_path": "/a/", "target_url": "http://127.0.0.1:1"},
    });
    Definition::parse_classic(&definition.to_string())
}

fn oas(versioning: Value) -> Result<Definition, Vec<Fault>> {
    let definition = json!({
        "openapi": "3.0.3", "info": {"title": "a", "version": "1"}, "paths": {},
        "x-tyk-api-gateway": {
            "info": {"id": "a", "name": "a", "state": {"active": true}, "versioning": versioning},
            "upstream": {"url": "http://127.0.0.1:1"},
            "server": {"listenPath": {"value": "/a/"}},
        },
    });
    Definition::parse_oas(&definition.to_string())
}

#[test]
fn c2_4_row_1_both_formats_say_the_same() {
    let read = classic(json!({
        "enabled": true, "name": "v1", "default": "v2", "location": "url-param", "key": "v",
        "strip_versioning_data": true, "url_versioning_pattern": "^v[0-9]+$", "fallback_to_default": true,
        "versions": {"v2": "b"},
    }))
    .unwrap();
    let other = oas(json!({
        "enabled": true, "name": "v1", "default": "v2", "location": "url-param", "key": "v",
        "stripVersioningData": true, "urlVersioningPattern": "^v[0-9]+$", "fallbackToDefault": true,
        "versions": [{"name": "v2", "id": "b"}],
    }))
    .unwrap();
    assert_eq!(read.api.versioning, other.api.versioning);
    let versioning = read.api.versioning.as_ref().unwrap();
    assert_eq!(versioning.location, VersionLocation::Query("v".into()));
    assert_eq!(other.classic()["definition"]["versions"], json!({"v2": "b"}), "the projection tells it");
    let plain = classic(json!({"enabled": true})).unwrap();
    let plain = plain.api.versioning.as_ref().unwrap();
    assert_eq!(plain.location, VersionLocation::Header("x-api-version".into()));
    for none in [json!(null), json!({}), json!({"enabled": false, "versions": {}})] {
        assert_eq!(classic(none).unwrap().api.versioning, None);
    }
}

#[test]
fn what_cannot_be_followed_is_refused_with_its_place() {
    for (versioning, pointer) in [
        (json!({"enabled": true, "location": "body"}), "/definition/location"),
        (json!({"enabled": true, "key": "a b"}), "/definition/key"),
        (json!({"enabled": true, "url_versioning_pattern": "("}), "/definition/url_versioning_pattern"),
        (json!({"enabled": true, "versions": {"v": 1}}), "/definition/versions/v"),
    ] {
        let faults = classic(versioning.clone()).unwrap_err();
        assert_eq!(faults[0].pointer, pointer, "{versioning}: {faults:?}");
    }
    let faults = oas(json!({"enabled": true, "versions": [{"name": "v"}]})).unwrap_err();
    assert_eq!(faults[0].pointer, "/x-tyk-api-gateway/info/versioning/versions/0");
}

#[test]
fn versions_are_linked_and_unlinked() {
    let new = NewVersion { base_name: Some("v1"), name: "v2", api: "b", default: false };
    let linked =
        |base: &Definition, new: &NewVersion<'_>| Definition::parse(&with_version(base, new)).unwrap();
    for base in [classic(json!(null)).unwrap(), oas(json!(null)).unwrap()] {
        let first = linked(&base, &new);
        let versioning = first.api.versioning.clone().unwrap();
        assert!(versioning.enabled);
        assert_eq!((&*versioning.name, &*versioning.default), ("v1", "self"));
        assert_eq!(versioning.location, VersionLocation::Header("x-api-version".into()));
        let third = NewVersion { base_name: Some("other"), name: "v3", api: "c", default: true };
        let second = linked(&first, &third);
        let versioning = second.api.versioning.clone().unwrap();
        assert_eq!((&*versioning.name, &*versioning.default), ("v1", "v3"), "a name that is there stays");
        assert_eq!(versioning.others().len(), 2);
        let unlinked = Definition::parse(&without_version(&second, "c")).unwrap();
        let versioning = unlinked.api.versioning.clone().unwrap();
        assert_eq!((&*versioning.default, versioning.others().len()), ("self", 1));
        assert_eq!(&*versioning.others()[0].1, "b");
    }
}

fn several(version_data: Value, definition: Value) -> Result<Definition, Vec<Fault>> {
    let definition = json!({
        "api_id": "a", "use_keyless": true, "definition": definition, "version_data": version_data, "slug": "/s/",
        "proxy": {"listen_path": "/a/", "target_url": "http://127.0.0.1:1"},
    });
    Definition::parse_classic(&definition.to_string())
}

#[test]
fn an_api_serves_its_versions_in_shapes_of_its_own() {
    let data = json!({"not_versioned": false, "default_version": "v1", "versions": {
        "v1": {"name": "v1", "expires": "2030-01-31 12:00", "global_enforce_timeout": "2s", "use_extended_paths": true,
            "extended_paths": {"rate_limit": [{"path": "/x", "method": "GET", "rate": 1, "per": 1}]}},
        "v2": {"name": "v2", "expires": "-1", "override_target": "http://127.0.0.1:2/other"},
    }});
    let read = several(data, json!({"location": "url", "strip_path": true})).unwrap();
    assert_eq!(read.warnings, []);
    let versioning = read.api.versioning.as_ref().unwrap();
    assert!(versioning.enabled && versioning.strip && !versioning.fallback_to_default);
    assert_eq!((&*versioning.default, &*versioning.slug), ("v1", "s"));
    assert_eq!(versioning.location, VersionLocation::Path);
    let Versions::Own(own) = &versioning.versions else { panic!("{versioning:?}") };
    let told: Vec<_> = own
        .iter()
        .map(|api| {
            let Backend::Upstream(upstream) = &api.backend else { panic!("{api:?}") };
            let timeout = upstream.timeout.map(|timeout| timeout.as_secs());
            (
                &*api.version,
                upstream.target.to_string(),
                timeout,
                api.limits.endpoints.len(),
                api.version_expires,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("v1", "http://127.0.0.1:1".to_owned(), Some(2), 1, Some(1_896_091_200)),
            ("v2", "http://127.0.0.1:2/other".to_owned(), None, 0, None),
        ]
    );
}

#[test]
fn versions_of_its_own_that_cannot_be_followed() {
    for (data, definition, pointer) in [
        (json!({"versions": {"v": {}}, "default_version": "w"}), json!({}), "/version_data/default_version"),
        (
            json!({"versions": {"v": {"override_target": "x"}}}),
            json!({}),
            "/version_data/versions/v/override_target",
        ),
        (json!({"versions": {"v": {"expires": "soon"}}}), json!({}), "/version_data/versions/v/expires"),
        (json!({"versions": {"v": {}}}), json!({"enabled": true}), "/version_data/not_versioned"),
        (json!({"not_versioned": true, "versions": {"v": {}, "w": {}}}), json!({}), "/version_data/versions"),
    ] {
        let faults = several(data.clone(), definition).unwrap_err();
        assert_eq!(faults[0].pointer, pointer, "{data}: {faults:?}");
    }
    // One version, or one that is called so, is that of everybody.
    for (versions, timeout) in [
        (json!({"w": {"global_enforce_timeout": "1s"}}), 1),
        (json!({"Default": {"global_enforce_timeout": "2s"}, "a": {"global_enforce_timeout": "1s"}}), 2),
    ] {
        let read = several(json!({"not_versioned": true, "versions": versions}), json!({})).unwrap();
        let Backend::Upstream(upstream) = &read.api.backend else { panic!("{read:?}") };
        assert_eq!(upstream.timeout.map(|timeout| timeout.as_secs()), Some(timeout));
        assert_eq!(read.api.versioning, None);
    }
    let target = json!({"not_versioned": true, "versions": {"v": {"override_target": "http://127.0.0.1:2"}}});
    let read = several(target, json!({})).unwrap();
    assert_eq!(read.warnings.len(), 1, "{:?}", read.warnings);
}

#[test]
fn an_api_may_end_and_its_projection_says_when() {
    let mut text: Value = serde_json::from_str(&oas(json!(null)).unwrap().text).unwrap();
    text["x-tyk-api-gateway"]["info"]["expiration"] = json!("2030-01-31 12:00");
    let read = Definition::parse_oas(&text.to_string()).unwrap();
    assert_eq!(read.api.expires, Some(1_896_091_200));
    let classic = read.classic();
    assert_eq!(classic["expiration"], "2030-01-31 12:00");
    assert_eq!(Definition::parse_classic(&classic.to_string()).unwrap().api, read.api);
}
