//! NATS with an operator: accounts and users are JWTs, signed by keys of the test's own.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value as Json, json};

use crate::ends::{Stream, unique, until};
use crate::nats::{reading, with};
use crate::servers::{Own, numbers, write_all};

/// A claim about `subject`, signed by `issuer`.
fn jwt(issuer: &KeyPair, subject: &KeyPair, name: &str, nats: &Json) -> String {
    let part = |json: &Json| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = json!({
        "jti": unique("claim"), "iat": 1_700_000_000, "iss": issuer.public_key(), "sub": subject.public_key(), "name": name,
        "nats": nats,
    });
    let signed = format!("{}.{}", part(&json!({"typ": "JWT", "alg": "ed25519-nkey"})), part(&claims));
    let signature = issuer.sign(signed.as_bytes()).expect("signed");
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_an_account_show_their_jwt() {
    let [operator, account, system] =
        [KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account()];
    let [user, stranger] = [KeyPair::new_user(), KeyPair::new_user()];
    let limits = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1});
    let of_operator = jwt(&operator, &operator, "operator", &json!({"type": "operator", "version": 2}));
    let claims = json!({"type": "account", "version": 2, "limits": limits});
    let of_account = jwt(&operator, &account, "account", &claims);
    let of_system = jwt(&operator, &system, "system", &claims);
    let of_user = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
    let known = jwt(&account, &user, "user", &of_user);
    // By somebody who has no account there.
    let unknown = jwt(&stranger, &stranger, "stranger", &of_user);
    let seed = user.seed().expect("a seed");

    let file = std::env::temp_dir().join(unique("nats.conf"));
    let config = format!(
        "operator: {of_operator}\nresolver: MEMORY\nsystem_account: {1}\n\
         resolver_preload: {{ {0}: {of_account}, {1}: {of_system} }}\n",
        account.public_key(),
        system.public_key()
    );
    std::fs::write(&file, config).expect("written");
    let own = {
        let file = file.clone();
        tokio::task::spawn_blocking(move || {
            Own::with("nats", &[("SLUICEGATE_TEST_NATS_CONFIG", file.as_path())])
        })
    };
    let own = own.await.expect("started");
    let credentials = std::env::temp_dir().join(unique("user.creds"));
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{known}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    );
    std::fs::write(&credentials, text).expect("written");

    let subject = unique("jwt");
    let component = |auth: &Json| with("nats", own.port, json!({"subject": subject}), &json!({"auth": auth}));
    for auth in
        [json!({"user_jwt": known, "user_nkey_seed": seed}), json!({"user_credentials_file": credentials})]
    {
        let mut reader = reading(component(&auth)).await;
        let writer = Stream::writing(component(&auth));
        write_all(&writer, numbers(0..3)).await;
        assert_eq!(reader.texts(3).await, numbers(0..3));
        writer.stop().await;
        reader.stop().await;
    }
    for auth in [
        json!({"user_jwt": unknown, "user_nkey_seed": stranger.seed().expect("a seed")}),
        json!({"user_jwt": known, "user_nkey_seed": stranger.seed().expect("a seed")}),
        json!({}),
    ] {
        let writer = Stream::writing(component(&auth));
        until(|| writer.last_error().to_lowercase().contains("authorization violation")).await;
        assert!(!writer.connected());
        drop(writer);
    }
    for file in [file, credentials] {
        let _ = std::fs::remove_file(file);
    }
    tokio::task::spawn_blocking(move || drop(own)).await.expect("stopped");
}
