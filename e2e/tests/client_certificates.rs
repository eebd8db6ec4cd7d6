//! Certificates of clients as OpenAPI definitions ask for them (contract 3.1 `clientCertificates`, 3.3, 4.4 row 9, 5.2, 5.9).

use e2e::bridge::sample_pem;
use e2e::definition::{keyed, oas, session};
use e2e::{Admin, Authority, Gate, Upstream};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

/// A self-signed certificate, and both it and its key.
fn own(name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    let both = format!("{certificate}{}", key.serialize_pem());
    (certificate, both)
}

async fn added(admin: &Admin, pem: &str) -> String {
    let reply = admin.call("POST", "/certs?org_id=org", Some(pem)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["id"].as_str().unwrap().to_owned()
}

/// Status and error of a request with this certificate and key.
async fn ask(gate: &Gate, path: &str, client: Option<&str>, key: Option<&str>) -> (u16, String) {
    let mut arguments = Vec::new();
    if let Some(client) = client {
        gate.write("client.pem", client);
        arguments.extend(["--cert".to_owned(), gate.dir().join("client.pem").display().to_string()]);
    }
    arguments.extend(key.map(|key| ["-H".to_owned(), format!("X-Key: {key}")]).into_iter().flatten());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let reply = gate.get(path, &arguments).await;
    let told = serde_json::from_str(reply.text()).unwrap_or(Value::Null);
    (reply.status, told["error"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn c3_1_client_certificates_of_the_list_and_those_of_keys() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .file("gate.pem", &sample_pem("api"))
        .conf(json!({"http_server_options": {"use_ssl": true, "ssl_certificates": ["gate.pem"]}}))
        .start()
        .await;
    let admin = gate.admin();
    let ((known, known_both), (stranger, stranger_both)) = (own("known"), own("stranger"));
    let authority = Authority::new();
    let vouched = authority.sign(&["vouched"]);
    let vouched = format!("{}{}", vouched.0.pem(), vouched.1.serialize_pem());
    let (id, root) = (added(&admin, &known).await, added(&admin, &authority.pem()).await);
    let mutual = |name: &str, enabled: bool| {
        let mut api = oas(name, &upstream.url(""));
        api["x-tyk-api-gateway"]["server"]["clientCertificates"] =
            json!({"enabled": enabled, "allowlist": [id, root]});
        api
    };
    // A key in a field of its own, and the certificate that it is bound to.
    let mut bound = oas("bound", &upstream.url(""));
    bound["components"] =
        json!({"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}});
    bound["security"] = json!([{"key": []}]);
    bound["x-tyk-api-gateway"]["server"]["authentication"] = json!({
        "enabled": true, "securitySchemes": {"key": {"enabled": true, "enableClientCertificate": true}},
    });
    for api in [mutual("listed", true), mutual("off", false), bound] {
        let reply = admin.post("/apis/oas", &api).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    admin.reload().await;
    let passed = (200, String::new());

    assert_eq!(ask(&gate, "/listed/x", Some(&known_both), None).await, passed);
    assert_eq!(ask(&gate, "/listed/x", Some(&vouched), None).await, passed, "by an authority of the list");
    let before = upstream.hits();
    let (status, told) = ask(&gate, "/listed/x", Some(&stranger_both), None).await;
    assert!(
        status == 403 && told.starts_with("Certificate with SHA256 ") && told.ends_with(" not allowed"),
        "{told}"
    );
    let required = (403, "Client TLS certificate is required".to_owned());
    assert_eq!(ask(&gate, "/listed/x", None, None).await, required);
    assert_eq!(upstream.hits(), before, "who is refused reaches nobody");
    for client in [None, Some(&*stranger_both)] {
        assert_eq!(ask(&gate, "/off/x", client, None).await, passed, "a list that is switched off");
    }

    let mut session = session(&["bound"]);
    let free = admin.key(&session).await;
    session["certificate"] = json!(id);
    let key = admin.key(&session).await;
    let required = (401, "Client certificate required".to_owned());
    let disallowed = (401, "Access to this API has been disallowed".to_owned());
    added(&admin, &stranger).await;
    for (client, key, expected) in [
        (Some(&*known_both), Some(&*key), &passed),
        (Some(&*known_both), None, &passed),
        (None, Some(&*key), &required),
        (None, None, &required),
        (Some(&*stranger_both), Some(&*key), &disallowed),
        (Some(&*known_both), Some(&*free), &disallowed),
    ] {
        assert_eq!(&ask(&gate, "/bound/x", client, key).await, expected, "{} {key:?}", client.is_some());
    }
    assert_eq!(ask(&gate, "/bound/x", Some(&stranger_both), None).await.0, 403, "no key is bound to it");
}

#[tokio::test]
async fn c4_2_row_1_refusals_of_certificates_can_have_other_words() {
    let upstream = Upstream::start().await;
    let ids = ["auth.cert_required", "auth.cert_mismatch", "auth.cert_expired", "auth.cert_not_found"];
    let words: serde_json::Map<String, Value> = ids
        .iter()
        .map(|id| ((*id).to_owned(), json!({"code": 451, "message": format!("says {id}")})))
        .collect();
    let mut api = keyed("d", &upstream.url(""));
    api["auth_configs"]["authToken"] = json!({"auth_header_name": "X-Key", "use_certificate": true});
    let gate = Gate::setup()
        .file("gate.pem", &sample_pem("api"))
        .conf(json!({"http_server_options": {"use_ssl": true, "ssl_certificates": ["gate.pem"]}}))
        .conf(json!({"override_messages": words}))
        .api(api)
        .start()
        .await;
    let admin = gate.admin();
    let ((mine, mine_both), (_, other_both)) = (own("mine"), own("other"));
    let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::new(Vec::new()).unwrap());
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let ended = format!("{}{}", params.self_signed(&key).unwrap().pem(), key.serialize_pem());
    let id = added(&admin, &mine).await;
    let mut bound = session(&["d"]);
    bound["certificate"] = json!(id);
    let key = admin.key(&bound).await;
    assert_eq!(ask(&gate, "/d/x", Some(&mine_both), Some(&key)).await.0, 200);
    for (id, client) in [
        ("auth.cert_required", None),
        ("auth.cert_mismatch", Some(&other_both)),
        ("auth.cert_expired", Some(&ended)),
        ("auth.cert_not_found", Some(&mine_both)),
    ] {
        if id == "auth.cert_not_found" {
            admin.delete(&format!("/certs/{}?org_id=org", bound["certificate"].as_str().unwrap())).await;
        }
        let seen = ask(&gate, "/d/x", client.map(String::as_str), Some(&key)).await;
        assert_eq!(seen, (451, format!("says {id}")));
    }
}
