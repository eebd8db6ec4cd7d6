//! What is told of a classic definition holds every key (contract 2): clients of the original read keys without asking whether
//! they are there.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// Every key with the value that says nothing.
static EMPTY: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("empty.json")).unwrap_or_default());
/// The same for a version …
static VERSION: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "name": "", "expires": "", "paths": {"ignored": [], "white_list": [], "black_list": []},
        "use_extended_paths": false, "extended_paths": {},
        "global_headers": {}, "global_headers_remove": [], "global_headers_disabled": false,
        "global_response_headers": {}, "global_response_headers_remove": [], "global_response_headers_disabled": false,
        "ignore_endpoint_case": false, "global_size_limit": 0, "global_size_limit_disabled": false,
        "global_enforce_timeout": "", "global_enforce_timeout_disabled": false, "override_target": "",
    })
});
/// … and for where credentials are looked for.
static AUTH: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "name": "", "auth_header_name": "", "disable_header": false, "use_param": false, "param_name": "",
        "use_cookie": false, "cookie_name": "", "use_certificate": false, "validate_signature": false,
        "signature": {"algorithm": "", "header": "", "use_param": false, "param_name": "", "secret": "",
            "allowed_clock_skew": 0, "error_code": 0, "error_message": ""},
    })
});

/// Adds the keys that are not there.
pub(crate) fn whole(definition: &mut Value) {
    all(definition, fill);
}

/// Takes out the keys that say nothing: what is written anew is to say no more than there is to say.
pub(crate) fn thin(definition: &mut Value) {
    all(definition, spare);
}

fn all(definition: &mut Value, change: fn(&mut Value, &Value)) {
    for (pointer, empty) in [("/version_data/versions", &VERSION), ("/auth_configs", &AUTH)] {
        let holder = definition.pointer_mut(pointer).and_then(Value::as_object_mut);
        holder.into_iter().flat_map(Map::values_mut).for_each(|one| change(one, empty));
    }
    change(definition, &EMPTY);
}

fn fill(value: &mut Value, empty: &Value) {
    let (Value::Object(members), Value::Object(empty)) = (value, empty) else { return };
    for (key, empty) in empty {
        match members.get_mut(key) {
            Some(there) => fill(there, empty),
            None => drop(members.insert(key.clone(), empty.clone())),
        }
    }
}

fn spare(value: &mut Value, empty: &Value) {
    let (Value::Object(members), Value::Object(empty)) = (value, empty) else { return };
    for (key, empty) in empty {
        let Some(there) = members.get_mut(key) else { continue };
        spare(there, empty);
        let says_nothing = there == empty || there.as_object().is_some_and(Map::is_empty);
        if says_nothing {
            members.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Definition;
    use crate::classic::table::ROOT;

    #[test]
    fn c2_row_3_every_key_is_there_and_says_no_more_than_before() {
        let keys = EMPTY.as_object().unwrap();
        // Not in what the original gives where they say nothing, or in nothing that it gives.
        let beside = [
            "auth",
            "jwt_jwks_uris",
            "json_rpc_version",
            "application_protocol",
            "security_requirements",
            "security_requirement_scopes",
            "x-sluicegate",
        ];
        let missing: Vec<&str> = ROOT
            .iter()
            .map(|field| field.name)
            .filter(|name| !keys.contains_key(*name) && !beside.contains(name))
            .collect();
        assert_eq!(missing, [""; 0]);
        let least = json!({"api_id": "a", "name": "a", "org_id": "o", "use_keyless": true,
            "proxy": {"listen_path": "/a/", "target_url": "http://u/"},
            "version_data": {"not_versioned": true, "versions": {"Default": {"name": "Default"}}}});
        let more = json!({"api_id": "b", "name": "b", "use_standard_auth": true, "unknown": {"kept": 1},
            "auth_configs": {"authToken": {"auth_header_name": "X-Key"}, "jwt": {"use_cookie": true, "cookie_name": "c"}},
            "auth": {"auth_header_name": "X-Older"},
            "tags": ["eu"], "proxy": {"listen_path": "/b/", "target_url": "http://u/", "strip_listen_path": true,
                "transport": {"ssl_insecure_skip_verify": true}},
            "CORS": {"enable": true, "max_age": 5}, "cache_options": {"enable_cache": true, "cache_timeout": 9},
            "global_rate_limit": {"rate": 5, "per": 1}, "session_lifetime": 60,
            "version_data": {"not_versioned": false, "default_version": "v1", "versions": {
                "v1": {"name": "v1", "use_extended_paths": true, "global_size_limit": 7,
                    "extended_paths": {"white_list": [{"path": "/x", "method": "GET"}]}},
                "v2": {"name": "v2", "paths": {"black_list": ["/y"]}}}},
            "definition": {"location": "header", "key": "X-Version"}});
        for given in [least, more] {
            let before = Definition::parse_classic(&given.to_string()).unwrap();
            let mut told = given.clone();
            whole(&mut told);
            let after = Definition::parse_classic(&told.to_string()).unwrap();
            assert_eq!(after.api, before.api);
            let warnings = |read: &Definition| -> Vec<String> {
                read.warnings.iter().map(|fault| format!("{} {}", fault.pointer, fault.message)).collect()
            };
            assert_eq!(warnings(&after), warnings(&before));
            assert!(holds(&told, &given) && holds(&told, &EMPTY), "{told}");
            let mut thin = told.clone();
            super::thin(&mut thin);
            assert!(holds(&given, &thin), "{thin}");
            assert_eq!(Definition::parse_classic(&thin.to_string()).unwrap().api, before.api);
            let of_version = told["version_data"]["versions"].as_object().unwrap().values();
            assert!(of_version.into_iter().all(|version| holds(version, &VERSION)));
        }
    }

    /// Whether every key of `part` is there, and every value of it that says something.
    fn holds(all: &Value, part: &Value) -> bool {
        match (all, part) {
            (Value::Object(all), Value::Object(part)) => {
                part.iter().all(|(key, part)| all.get(key).is_some_and(|all| holds(all, part)))
            }
            (all, part) => all == part || !crate::fields::in_use(part),
        }
    }
}
