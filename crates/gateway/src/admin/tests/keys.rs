//! Keys (contract 7.3).

use apidef::keys::{self, Algorithm};
use serde_json::{Value, json};

use super::{Admin, api, count_quota, session};
use crate::clock::unix_now;

async fn with_api(adjust: impl FnOnce(&mut crate::Settings)) -> Admin {
    let admin = Admin::start(adjust).await;
    admin.add("/apis", &api("a")).await;
    admin
}

fn with(more: &Value) -> Value {
    let mut session = session(&["a"]);
    session.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    session
}

#[tokio::test]
async fn c7_3_every_refusal() {
    let admin = with_api(|settings| settings.keys.min_length = 5).await;
    let wanted = session(&["a"]).to_string();
    let unbound = with(&json!({"certificate": "orgabc"})).to_string();
    let no_policy = json!({"org_id": "org", "apply_policies": ["none"]}).to_string();
    let insecure = "Failed to create key, ensure security settings are correct.";
    let no_certificate = "Key must be used with an existent certificate";
    admin.add("/keys/bound", &session(&["a"])).await;
    admin
        .table(&[
            ("POST", "/keys", "{nonsense", 400, json!("Request malformed")),
            ("POST", "/keys", r#"{"rate":"ten"}"#, 400, json!("Request malformed")),
            ("POST", "/keys", "{}", 500, json!(insecure)),
            ("POST", "/keys", &no_policy, 500, json!(insecure)),
            ("POST", "/keys", &unbound, 400, json!(no_certificate)),
            ("POST", "/keys/create", &unbound, 400, json!(no_certificate)),
            (
                "POST",
                "/keys/four",
                &wanted,
                400,
                json!("custom key ID length 4 is less than min_token_length (5); choose a longer one"),
            ),
            (
                "POST",
                "/keys/someone?hashed=1",
                &wanted,
                400,
                json!("Key requested by hash but key hashing is not enabled"),
            ),
            ("POST", "/keys/create", "{nonsense", 500, json!("Unmarshalling failed")),
            (
                "POST",
                "/keys/create",
                &no_policy,
                500,
                json!("Failed to create key - policy not found: \"none\""),
            ),
            (
                "POST",
                "/keys/create",
                "{}",
                400,
                json!("Failed to create key, keys must have at least one Access Rights record set."),
            ),
            ("POST", "/keys/preview", "{nonsense", 500, json!("Unmarshalling failed")),
            ("POST", "/keys/preview", &no_policy, 400, json!("policy not found: \"none\"")),
            ("POST", "/keys/policy/x", "[]", 400, json!("Couldn't decode instruction")),
            ("POST", "/keys/policy/x", "{}", 404, json!("Key not found")),
            ("POST", "/keys/policy/orgbound", r#"{"policy":"none"}"#, 500, json!("Could not write key data")),
            ("GET", "/keys/nobody", "", 404, json!("Key not found")),
            (
                "GET",
                "/keys/x?hashed=true",
                "",
                400,
                json!("Key requested by hash but key hashing is not enabled"),
            ),
            ("PUT", "/keys/nobody", &wanted, 404, json!("Key is not found")),
            ("PUT", "/keys/nobody", "{nonsense", 400, json!("Request malformed")),
            ("PUT", "/keys/orgbound", "{}", 500, json!(insecure)),
            ("PUT", "/keys/orgbound", &unbound, 400, json!(no_certificate)),
            ("DELETE", "/keys/nobody", "", 404, json!("There is no such key found")),
            (
                "GET",
                "/keys?api_id=a",
                "",
                400,
                json!(
                    "The 'filter' parameter (Org ID) is required when filtering by 'api_id' in legacy mode"
                ),
            ),
        ])
        .await;
    let hashing = with_api(|settings| settings.keys.hashed = true).await;
    hashing
        .table(&[(
            "GET",
            "/keys",
            "",
            404,
            json!("Hashed key listing is disabled in config (enable_hashed_keys_listing)"),
        )])
        .await;
}

#[tokio::test]
async fn a_refusal_says_why_beside_its_message() {
    let admin = Admin::plain().await;
    let reply = admin.post("/keys", &json!({"org_id": "org", "apply_policies": ["none"]})).await.json();
    assert_eq!(reply["errors"][0]["message"], "policy not found: \"none\"");
}

#[tokio::test]
async fn c5_1_rows_3_and_8_a_key_is_named_in_every_way() {
    for (hashed, algorithm) in
        [(false, None), (true, None), (false, Some(Algorithm::Murmur64)), (true, Some(Algorithm::Sha256))]
    {
        let admin = with_api(|settings| {
            settings.keys.hashed = hashed;
            settings.keys.algorithm = algorithm;
            settings.keys.list_hashed = true;
        })
        .await;
        let about = format!("hashed: {hashed}, algorithm: {algorithm:?}");
        let key = keys::generate("org", Some("mine"), algorithm);
        let hash = keys::hash(&key, None);
        let stored = if hashed { &hash } else { &key };

        let reply = admin.post("/keys/mine", &session(&["a"])).await;
        let mut expected = json!({"key": key, "status": "ok", "action": "added"});
        if hashed {
            expected["key_hash"] = json!(hash);
        }
        assert_eq!(reply.json(), expected, "{about}");
        assert_eq!(admin.get("/keys").await.json(), json!({"keys": [stored]}), "{about}");
        assert_eq!(admin.get("/keys?filter=org").await.json(), json!({"keys": [stored]}), "{about}");
        let by_api = admin.get("/keys?api_id=a&filter=org").await;
        assert_eq!(by_api.json(), json!({"keys": [stored]}), "{about}");
        let by_api = admin.get("/keys?api_id=b&filter=org").await;
        assert_eq!(by_api.json(), json!({"keys": []}), "{about}");
        if !hashed {
            assert_eq!(admin.get("/keys?filter=other").await.json(), json!({"keys": []}), "{about}");
        }

        // As one segment of a path.
        let segment = key.replace('/', "%2F").replace('+', "%2B");
        let mut ways = vec![
            segment,
            "mine?org_id=org".to_owned(),
            "mine?api_id=a".to_owned(),
            "mine?username=true&org_id=org".to_owned(),
        ];
        if hashed {
            ways.push(format!("{hash}?hashed=true"));
        }
        for way in &ways {
            let reply = admin.get(&format!("/keys/{way}")).await;
            assert_eq!(reply.status, 200, "{about}: {way}: {reply:?}");
            let reply = admin.put(&format!("/keys/{way}"), &with(&json!({"alias": way}))).await;
            let shown = way.split('?').next().unwrap().replace("%2F", "/").replace("%2B", "+");
            assert_eq!(reply.json(), json!({"key": shown, "status": "ok", "action": "modified"}), "{about}");
            let changed = admin.gate.state.session(stored).await.unwrap().unwrap();
            assert_eq!(changed.alias, *way, "{about}: the same session is written, not another");
        }
        assert_eq!(admin.get("/keys/mine?org_id=other&username=true").await.status, 404, "{about}");
        for way in &ways {
            let reply = admin.delete(&format!("/keys/{way}")).await;
            assert_eq!(reply.json()["action"], "deleted", "{about}: {way}");
            assert_eq!(admin.delete(&format!("/keys/{way}")).await.status, 404, "{about}: {way}");
            admin.add("/keys/mine", &session(&["a"])).await;
        }
    }
}

#[tokio::test]
async fn c7_3_row_21_a_key_by_its_hash_and_one_deleted_everywhere() {
    let admin = with_api(|settings| settings.keys.hashed = true).await;
    let reply = admin.post("/keys/cafe1234?hashed=true", &session(&["a"])).await;
    let expected = json!({"key": "cafe1234", "status": "ok", "action": "added", "key_hash": "cafe1234"});
    assert_eq!(reply.json(), expected);
    assert_eq!(admin.get("/keys/cafe1234?hashed=1").await.status, 200);
    let reply = admin.delete("/keys/cafe1234?hashed=1&api_id=-1").await;
    assert_eq!((reply.status, reply.text.as_str()), (200, "null\n"));
    assert_eq!(admin.get("/keys/cafe1234?hashed=1").await.status, 404);
}

#[tokio::test]
async fn c7_3_rows_22_and_49_keys_that_open_everything_need_leave() {
    let admin = with_api(|settings| settings.keys.allow_master = true).await;
    for path in ["/keys", "/keys/create", "/keys/master"] {
        assert_eq!(admin.post(path, &json!({"org_id": "org"})).await.status, 200, "{path}");
    }
    let listed = admin.get("/keys?filter=org&api_id=a").await.json();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 3, "a master key opens every API: {listed}");
}

#[tokio::test]
async fn c6_1_row_17_a_user_keeps_the_password_and_nobody_reads_it() {
    let admin = with_api(|_| {}).await;
    let user = with(&json!({"basic_auth_data": {"password": "canary"}}));
    let reply = admin.post("/keys/someone", &user).await;
    assert_eq!(reply.json(), json!({"key": "", "status": "ok", "action": "added"}), "no key to tell");
    let read = admin.get("/keys/someone?username=true&org_id=org").await;
    assert_eq!(read.status, 200, "{read:?}");
    assert!(!read.text.contains("canary"), "{read:?}");
    // Read, changed, written back.
    let mut session = read.json();
    session["alias"] = json!("changed");
    assert_eq!(admin.put("/keys/someone?username=true&org_id=org", &session).await.status, 200);
    let stored = admin.gate.state.session("orgsomeone").await.unwrap().unwrap();
    assert_eq!(stored.alias, "changed");
    assert!(!stored.basic_auth_data.password.0.is_empty(), "the user has lost the password");
}

#[tokio::test]
async fn c6_1_rows_6_9_10_26_what_stays_when_a_key_is_replaced() {
    let admin = with_api(|_| {}).await;
    let limited = with(&json!({"quota_max": 10, "quota_renewal_rate": 3600}));
    admin.add("/keys/mine", &limited).await;
    let made = admin.get("/keys/orgmine").await.json();
    assert_eq!(made["quota_remaining"], 10);
    assert!((unix_now() + 3590..=unix_now() + 3600).contains(&made["quota_renews"].as_i64().unwrap()));

    count_quota(&admin.gate, "orgmine", 3600).await;
    count_quota(&admin.gate, "orgmine", 3600).await;
    assert_eq!(admin.get("/keys/orgmine").await.json()["quota_remaining"], 8, "shown as it is now");

    admin.put("/keys/orgmine?suppress_reset=1", &limited).await;
    let kept = admin.get("/keys/orgmine").await.json();
    assert_eq!(kept["quota_remaining"], 8);
    assert_eq!(kept["last_updated"], made["last_updated"], "the rate goes on as well");
    admin.put("/keys/orgmine", &limited).await;
    let anew = admin.get("/keys/orgmine").await.json();
    assert_eq!((&anew["quota_remaining"], &anew["date_created"]), (&json!(10), &made["date_created"]));

    // What the body does not name is gone.
    admin.put("/keys/orgmine", &with(&json!({"alias": "only"}))).await;
    let replaced = admin.get("/keys/orgmine").await.json();
    assert_eq!((replaced.get("quota_max"), &replaced["alias"]), (None, &json!("only")));

    // An API may ask for quotas to be left alone.
    let mut calm = api("calm");
    calm["dont_set_quota_on_create"] = json!(true);
    admin.add("/apis", &calm).await;
    let mut limited = limited;
    limited["access_rights"] = json!({"calm": {"api_id": "calm"}});
    admin.add("/keys/calm", &limited).await;
    count_quota(&admin.gate, "orgcalm", 60).await;
    admin.put("/keys/orgcalm", &limited).await;
    assert_eq!(admin.get("/keys/orgcalm").await.json()["quota_remaining"], 9);
}

#[tokio::test]
async fn c6_1_row_10_quotas_of_apis_are_shown_as_they_are() {
    let admin = with_api(|_| {}).await;
    let mut two = session(&["a", "b"]);
    two["access_rights"]["a"]["limit"] =
        json!({"rate": 1, "per": 1, "quota_max": 5, "quota_renewal_rate": 60});
    admin.add("/keys/mine", &two).await;
    count_quota(&admin.gate, "a-orgmine", 60).await;
    let shown = admin.get("/keys/orgmine").await.json();
    assert_eq!(shown["access_rights"]["a"]["limit"]["quota_remaining"], 4);
    admin.put("/keys/orgmine", &two).await;
    let shown = admin.get("/keys/orgmine").await.json();
    assert_eq!(shown["access_rights"]["a"]["limit"]["quota_remaining"], 5, "a reset covers every scope");
}

#[tokio::test]
async fn c7_3_rows_23_24_51_policies_give_a_key_its_life() {
    let admin = with_api(|_| {}).await;
    let policy = |id: &str, life: i64| {
        json!({
            "id": id, "org_id": "org", "rate": 7, "per": 1, "key_expires_in": life,
            "access_rights": {"a": {"api_id": "a", "versions": ["Default"]}},
        })
    };
    for (id, life) in [("short", 60), ("long", 600), ("none", 0)] {
        admin.add("/policies", &policy(id, life)).await;
    }
    for (policies, own, expected) in [
        (vec!["short"], 0, Some(60)),
        (vec!["short", "long"], 0, Some(600)),
        (vec!["none"], 0, None),
        (vec!["short"], unix_now() + 5000, Some(5000)),
    ] {
        let session = json!({"org_id": "org", "apply_policies": policies, "expires": own});
        let reply = admin.post("/keys", &session).await.json();
        let key = reply["key"].as_str().unwrap();
        let shown = admin.get(&format!("/keys/{key}")).await.json();
        let left = shown["expires"].as_i64().map(|at| at - unix_now());
        match expected {
            None => assert_eq!(left, None, "{policies:?}"),
            Some(life) => assert!((life - 5..=life).contains(&left.unwrap()), "{policies:?}: {left:?}"),
        }
        assert_eq!(shown["rate"], 7, "policies are applied to what is shown");
    }

    // Other policies for a key that is there.
    admin.add("/keys/mine", &session(&["a"])).await;
    for (body, applied) in [
        (json!({"policy": "short"}), json!(["short"])),
        (json!({"apply_policies": ["none", "long"]}), json!(["none", "long"])),
        (json!({"policy": "short", "apply_policies": ["none"]}), json!(["none"])),
    ] {
        let reply = admin.post("/keys/policy/orgmine", &body).await;
        assert_eq!(reply.json(), json!({"key": "orgmine", "status": "ok", "action": "updated"}), "{body}");
        assert_eq!(admin.get("/keys/orgmine").await.json()["apply_policies"], applied, "{body}");
    }
    let preview = admin.post("/keys/preview", &json!({"org_id": "org", "apply_policies": ["short"]})).await;
    assert_eq!((preview.status, &preview.json()["rate"]), (200, &json!(7)));
    assert_eq!(
        admin.get("/keys").await.json()["keys"].as_array().unwrap().len(),
        5,
        "a preview stores nothing"
    );
}

#[tokio::test]
async fn c6_2_row_8_a_key_deleted_while_it_is_replaced_stays_deleted() {
    let admin = with_api(|_| {}).await;
    admin.add("/keys/mine", &session(&["a"])).await;
    // Hashing a password takes long enough to delete the key meanwhile.
    let slow = with(&json!({"basic_auth_data": {"password": "new"}}));
    let (replaced, deleted) = tokio::join!(admin.put("/keys/orgmine", &slow), admin.delete("/keys/orgmine"));
    assert_eq!((deleted.status, replaced.status), (200, 404), "{replaced:?}");
    assert_eq!(replaced.json()["message"], "Key is not found");
    assert_eq!(admin.get("/keys/orgmine").await.status, 404);
}

#[tokio::test]
async fn c7_3_rows_19_and_20_certificates_bind_keys() {
    let admin = with_api(|_| {}).await;
    let made = rcgen::generate_simple_self_signed(vec!["client".to_owned()]).unwrap();
    let pem = pem::encode(&pem::Pem::new("CERTIFICATE", made.cert.der().to_vec()));
    let id = admin.gate.certificates.add("org", pem.as_bytes()).await.unwrap().id.to_string();
    let bound = with(&json!({"certificate": id}));
    admin.add("/keys/bound", &bound).await;
    let free = session(&["a"]).to_string();
    let other = with(&json!({"certificate": "orgother"})).to_string();
    admin
        .table(&[
            ("PUT", "/keys/orgbound", &free, 400, json!("Key cannot be used without a certificate")),
            ("PUT", "/keys/orgbound", &other, 400, json!("Key must be used with an existent certificate")),
        ])
        .await;
    // A key that is not chosen is made of the certificate, so that its client needs no other.
    for path in ["/keys", "/keys/create"] {
        let reply = admin.post(path, &bound).await;
        assert_eq!((reply.status, &reply.json()["key"]), (200, &json!(id)), "{path}");
    }
    admin.gate.certificates.remove("org", &id).await.unwrap();
    assert_eq!(admin.put("/keys/orgbound", &bound).await.status, 200, "what is bound already may stay");
    let gone = bound.to_string();
    let no_certificate = json!("Key must be used with an existent certificate");
    admin.table(&[("POST", "/keys", &gone, 400, no_certificate)]).await;
}
