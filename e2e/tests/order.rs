//! The guards of an API refuse in the order of contract 4.4: a request that all of them would refuse is mended one fault at a
//! time, and each time the next one speaks.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use e2e::bridge::sample_pem;
use e2e::definition::{keyed, oas, session};
use e2e::issuer::Issuer;
use e2e::tokens::{now, policy, with};
use e2e::{Gate, Redis, Upstream};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

/// A plugin for each hook: it refuses where the field of its name says so, and tells the upstream that it was there.
const PLUGINS: &str = "
function hook(name, code) {
    return function (request) {
        if ((request.Headers['X-' + name] || [])[0] == 'refuse') {
            request.ReturnOverrides.ResponseCode = code;
            request.ReturnOverrides.ResponseError = name;
        }
        request.SetHeaders['X-Trail'] = (request.Headers['X-Trail'] || [''])[0] + name + ' ';
    };
}
var pre = hook('Pre', 460), auth = hook('Auth', 461), post = hook('Post', 462);
function virtual(request) {
    return TykJsResponse({Code: 463, Headers: {}, Body: request.Headers['X-Trail'][0]}, {});
}
";

struct Request {
    version: &'static str,
    address: &'static str,
    certificate: bool,
    org: &'static str,
    body: &'static str,
    key: String,
    path: &'static str,
    refuse: &'static str,
}

impl Request {
    async fn send(&self, gate: &Gate) -> (u16, String) {
        let mut arguments: Vec<String> = ["-X", "POST", "--data-binary", self.body].map(str::to_owned).into();
        let mut field = |name: &str, value: &str| {
            arguments.extend(["-H".to_owned(), format!("{name}: {value}")]);
        };
        field("X-Version", self.version);
        field("X-Real-IP", self.address);
        field("Authorization", &self.key);
        for name in self.refuse.split(' ') {
            field(&format!("X-{name}"), "refuse");
        }
        if self.certificate {
            arguments.extend(["--cert".to_owned(), gate.dir().join("client.pem").display().to_string()]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let reply = gate.get(&format!("/{}{}", self.org, self.path), &arguments).await;
        let told: Value = serde_json::from_str(reply.text()).unwrap_or(Value::Null);
        let error = told["error"].as_str().map_or_else(|| reply.text().to_owned(), str::to_owned);
        (reply.status, error)
    }
}

/// The API of one organisation; that of the organisation is all in which the two differ.
fn api(org: &str, target: &str, certificate: &str) -> Value {
    let mut api = keyed(org, target);
    let code = BASE64_STANDARD.encode(PLUGINS);
    let plugin = |name: &str| json!([{"name": name, "code": code}]);
    // `/all` has everything, `/rated` all but a rate of its own that is used up; the later ones leave out what came before.
    let at = |paths: &[&str], more: Value| {
        let entry = |path: &&str| {
            let mut entry = json!({"path": path, "method": "POST"});
            entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            entry
        };
        Value::Array(paths.iter().map(entry).collect())
    };
    let made = BASE64_STANDARD.encode("{\"made\": {{.n}}}");
    let more = json!({
        "org_id": org,
        "definition": {"location": "header", "key": "X-Version"},
        "allowed_ips": ["10.0.0.0/8"],
        "use_mutual_tls_auth": true,
        "client_certificates": [certificate],
        "custom_middleware": {"driver": "javascript", "pre": plugin("pre"), "post_key_auth": plugin("auth"),
            "post": plugin("post")},
        "version_data": {"not_versioned": false, "versions": {"v1": {"name": "v1", "use_extended_paths": true,
            "extended_paths": {
                "black_list": at(&["/blocked"], json!({})),
                "size_limits": at(&["/all", "/blocked"], json!({"size_limit": 60})),
                "rate_limit": at(&["/all"], json!({"rate": 1, "per": 600})),
                "validate_json": at(&["/all", "/checked"], json!({"schema": {"type": "object", "required": ["n"]}})),
                "transform": at(&["/all", "/checked"],
                    json!({"template_data": {"input_type": "json", "template_mode": "blob", "template_source": made}})),
                "transform_jq": at(&["/all", "/checked"],
                    json!({"filter": "if .body.made > 1 then error(\"jq\") else {body: .body} end"})),
                "virtual": at(&["/all", "/checked"], json!({"response_function_name": "virtual",
                    "function_source_type": "blob", "function_source_uri": code})),
            }}}},
    });
    api.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api
}

#[tokio::test]
async fn c4_4_the_guards_of_an_api_speak_in_the_order_of_the_contract() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    redis.call(&["SET", "orgkey.off", r#"{"is_inactive": true}"#]);
    let mut gate = Gate::setup()
        .file("gate.pem", &sample_pem("api"))
        .conf(redis.conf())
        .conf(json!({
            "enable_jsvm": true, "enforce_org_quotas": true,
            "http_server_options": {"use_ssl": true, "ssl_certificates": ["gate.pem"]},
        }))
        .prepare();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["client".to_owned()]).unwrap().self_signed(&key).unwrap();
    gate.write("client.pem", &format!("{}{}", certificate.pem(), key.serialize_pem()));
    let file = gate.dir().join("client.pem").display().to_string();
    for org in ["off", "org"] {
        gate.write(&format!("apps/{org}.json"), &api(org, &upstream.url(""), &file).to_string());
    }
    gate.start().await;

    let versions = |mut session: Value| {
        for (_, right) in session["access_rights"].as_object_mut().into_iter().flatten() {
            right["versions"] = json!(["v1"]);
        }
        session
    };
    // Each of these has the faults of those behind it.
    let mut good = versions(session(&["org"]));
    let free = gate.admin().key(&good).await;
    good["rate"] = json!(1);
    good["per"] = json!(600);
    let rated = gate.admin().key(&good).await;
    let mut narrow = good.clone();
    narrow["access_rights"]["org"]["allowed_urls"] = json!([{"url": "/nothing", "methods": ["POST"]}]);
    let elsewhere = versions(session(&["another"]));
    let mut inactive = elsewhere.clone();
    inactive["is_inactive"] = json!(true);
    let narrow = gate.admin().key(&narrow).await;
    let (elsewhere, inactive) = (gate.admin().key(&elsewhere).await, gate.admin().key(&inactive).await);
    // Their rates are used up, and that of the path.
    let mut request = Request {
        version: "v1",
        address: "10.0.0.1",
        certificate: true,
        org: "org",
        body: r#"{"n": 1}"#,
        key: rated.clone(),
        path: "/all",
        refuse: "Nothing",
    };
    assert_eq!(request.send(&gate).await, (463, "Pre Auth ".to_owned()), "a good request");
    assert_eq!(request.send(&gate).await.0, 429);

    request = Request {
        version: "none",
        address: "11.0.0.1",
        certificate: false,
        org: "off",
        body: r#"{"more than there may be": "................................................"}"#,
        key: "unknown".to_owned(),
        path: "/blocked",
        refuse: "Pre Auth Post",
    };
    let before = upstream.hits();
    let expect = async |row: &str, request: &Request, status: u16, told: &str| {
        let (seen, text) = request.send(&gate).await;
        assert_eq!((seen, text.as_str()), (status, told), "{row}");
    };
    expect("3, version", &request, 403, "This API version does not seem to exist").await;
    request.version = "v1";
    expect("3, lists", &request, 403, "Requested endpoint is forbidden").await;
    request.path = "/all";
    expect("5, pre plugins", &request, 460, "Pre").await;
    request.refuse = "Auth Post";
    expect("7, addresses", &request, 403, "access from this IP has been disallowed").await;
    request.address = "10.0.0.1";
    expect("9, certificates", &request, 403, "Client TLS certificate is required").await;
    request.certificate = true;
    expect(
        "10, organisations",
        &request,
        403,
        "this organisation access has been disabled, please contact your API administrator",
    )
    .await;
    request.org = "org";
    expect("11, sizes", &request, 400, "Request is too large").await;
    request.body = r#"{"no": 1}"#;
    expect("16, who is calling", &request, 403, "Access to this API has been disallowed").await;
    request.key = inactive;
    expect("17, plugins after that", &request, 461, "Auth").await;
    request.refuse = "Post";
    expect("19, keys that have ended", &request, 403, "Key is inactive, please renew").await;
    request.key = elsewhere;
    expect("20, rights to APIs", &request, 403, "Access to this API has been disallowed").await;
    request.key = narrow;
    expect("21, rights to paths", &request, 403, "Access to this resource has been disallowed").await;
    request.key = rated;
    expect("22, rates of keys", &request, 429, "Rate Limit Exceeded").await;
    request.key = free;
    expect("25, rates of paths", &request, 429, "API Rate Limit Exceeded").await;
    request.path = "/checked";
    expect("30, bodies", &request, 422, "(root): n is required").await;
    request.body = r#"{"n": 2}"#;
    let (seen, text) = request.send(&gate).await;
    assert!(
        seen == 415 && text.contains("jq"),
        "33 and 34, a program sees what a template made: {seen} {text}"
    );
    request.body = r#"{"n": 1}"#;
    expect("40, functions in the place of the upstream", &request, 463, "Pre Auth ").await;
    request.path = "/x";
    expect("43, the last plugins", &request, 462, "Post").await;
    assert_eq!(upstream.hits(), before, "nothing of it reached the upstream");
    request.refuse = "Nothing";
    let (seen, text) = request.send(&gate).await;
    let echo: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((seen, &echo["headers"]["x-trail"][0]), (200, &json!("Pre Auth Post")), "44, the upstream");
}

#[tokio::test]
async fn c4_4_row_24_a_request_that_is_refused_for_its_scope_spends_nothing_of_the_rate_of_the_api() {
    let (upstream, issuer, redis) = (Upstream::start().await, Issuer::start().await, Redis::start().await);
    let mut document = oas("a", &upstream.url(""));
    let scopes = json!({"all": ""});
    document["components"] = json!({"securitySchemes": {
        "jwt": {"type": "http", "scheme": "bearer"},
        "idp": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://i/t", "scopes": scopes}}},
    }});
    document["security"] = json!([{"idp": []}]);
    document["paths"] = json!({"/x": {"get": {"operationId": "x", "security": [{"idp": ["all"]}]}}});
    let exchange = json!({"enabled": true, "providers": [{
        "name": "i", "issuers": ["https://i"], "tokenEndpoint": issuer.url("/exchange"),
        "clientAuth": {"clientId": "gate", "clientSecret": "s"}, "defaultTarget": {"audience": "orders"},
    }]});
    let extension = &mut document["x-tyk-api-gateway"];
    extension["upstream"]["rateLimit"] = json!({"enabled": true, "rate": 2, "per": "10m"});
    extension["server"]["authentication"] = json!({"enabled": true, "securitySchemes": {
        "jwt": {"enabled": true, "signingMethod": "ecdsa", "subjectClaims": ["sub"], "defaultPolicies": ["gold"],
            "jwksURIs": [{"url": issuer.url("/keys")}]},
        "idp": {"enabled": true, "scopeCheck": {"enabled": true}, "tokenExchange": exchange},
    }});
    // The rate of the key has room for six: those who are refused for their scope are counted by it.
    let gold = policy("gold", &["a"], json!({"rate": 6, "per": 600}));
    for limiter in [json!({}), redis.conf()] {
        let rolls = json!({"enable_redis_rolling_limiter": limiter != json!({})});
        let told = json!({"rate_limit_response_headers": "rate_limits"});
        let setup = Gate::setup().conf(limiter.clone()).conf(rolls).conf(told);
        let gate = setup.oas(document.clone()).policy(gold.clone()).start().await;
        let token = |scope: &str| {
            issuer.token(&json!({"iss": "https://i", "sub": "me", "scope": scope, "exp": now() + 600}))
        };
        let (good, narrow) = (token("all"), token("some"));
        issuer.exchanges(400, json!({"error": "invalid_grant"}));
        for _ in 0..2 {
            let reply = with(&gate, "/a/x", &narrow).await;
            assert_eq!(
                (reply.status, &reply.json()["error"]),
                (403, &json!("insufficient_scope")),
                "{limiter}"
            );
        }
        assert_eq!(with(&gate, "/a/x", &good).await.status, 403, "nor does one whose token is not exchanged");
        issuer.exchanges(200, json!({"access_token": "new", "expires_in": 60}));
        let mut left = Vec::new();
        for _ in 0..4 {
            let reply = with(&gate, "/a/x", &good).await;
            let error = serde_json::from_str::<Value>(reply.text()).unwrap_or_default()["error"].clone();
            let number = |name: &str| reply.header(name).and_then(|value| value.parse::<u64>().ok());
            left.push((reply.status, number("x-ratelimit-limit"), number("x-ratelimit-remaining"), error));
        }
        let full = |remaining, text: &str| (429, Some(6), Some(remaining), json!(text));
        assert_eq!(
            left,
            [
                (200, Some(6), Some(2), Value::Null),
                (200, Some(6), Some(1), Value::Null),
                full(0, "API Rate Limit Exceeded"),
                full(0, "Rate Limit Exceeded"),
            ],
            "{limiter}"
        );
    }
}

#[tokio::test]
async fn c4_4_rows_35_to_37_fields_are_changed_before_the_url_and_that_before_the_method() {
    let upstream = Upstream::start().await;
    let mut api = e2e::definition::keyless("a", &upstream.url(""));
    api["enable_context_vars"] = json!(true);
    // Written the other way around: it is not the order of the definition that counts.
    api["version_data"]["versions"]["Default"]["extended_paths"] = json!({
        "method_transforms": [{"path": "/t", "method": "GET", "to_method": "PUT"}],
        "url_rewrites": [{"path": "/t", "method": "GET", "match_pattern": "/t", "rewrite_to": "/plain", "triggers": [
            {"on": "all", "options": {"header_matches": {"X-Flag": {"match_rx": "^on$"}}}, "rewrite_to": "/flagged"},
        ]}],
        "transform_headers": [{"path": "/t", "method": "GET", "add_headers": {"X-Flag": "on", "X-Was": "$tyk_context.path"}}],
    });
    let gate = Gate::setup().api(api).start().await;
    let seen = gate.get("/a/t", &[]).await;
    assert_eq!(seen.status, 200, "{seen:?}");
    let seen = seen.json();
    assert_eq!((&seen["method"], &seen["path"]), (&json!("PUT"), &json!("/flagged")), "{seen}");
    assert_eq!(seen["headers"]["x-was"], json!(["/a/t"]), "{seen}");
}
