//! Signed requests and signed keys (contract 5.2, 5.4), signed by openssl and sent by curl.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use e2e::definition::{keyed, oas, session};
use e2e::{Gate, Reply, Upstream};
use serde_json::{Value, json};

const REFUSED: &str = "Authorization field missing, malformed or invalid";
const SECRET: &str = "s3cret of the key";

fn with(mut definition: Value, more: Value) -> Value {
    definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    definition
}

/// What a command prints, given this to read.
fn piped(command: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = Command::new(command)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    piped("openssl", arguments, input)
}

/// A time so many seconds from now, as HTTP writes it.
fn date(seconds: i64) -> String {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let then = format!("@{}", now + seconds);
    let printed = piped("env", &["LC_ALL=C", "date", "-u", "-d", &then, "+%a, %d %b %Y %H:%M:%S GMT"], b"");
    String::from_utf8(printed).unwrap().trim().to_owned()
}

fn base64(bytes: &[u8]) -> String {
    String::from_utf8(openssl(&["base64", "-A"], bytes)).unwrap()
}

fn hmac(hash: &str, secret: &str, text: &str) -> String {
    base64(&openssl(&["dgst", &format!("-{hash}"), "-hmac", secret, "-binary"], text.as_bytes()))
}

fn field(key: &str, algorithm: &str, headers: &str, signature: &str) -> String {
    format!(
        r#"Authorization: Signature keyId="{key}",algorithm="{algorithm}",headers="{headers}",signature="{signature}""#
    )
}

fn assert_refused(reply: &Reply, status: u16, message: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.text(), format!("{{\n    \"error\": \"{message}\"\n}}"));
}

/// A key pair and a certificate over it, as files.
fn certificate(dir: &Path, kind: &[&str]) {
    let path = |name: &str| dir.join(name).display().to_string();
    let (key, certificate) = (path("client.key"), path("client.crt"));
    let arguments = [
        &["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=client", "-newkey"],
        kind,
        &["-keyout", &key, "-out", &certificate],
    ]
    .concat();
    openssl(&arguments, b"");
}

#[tokio::test]
async fn c5_4_rows_1_to_6_a_request_is_known_by_its_hmac() {
    let upstream = Upstream::start().await;
    let signed = json!({"use_standard_auth": false, "enable_signature_checking": true,
        "hmac_allowed_clock_skew": 60000, "strip_auth_data": true, "auth_configs": {"hmac": {}}});
    let mut document = oas("o", &upstream.url(""));
    document["x-tyk-api-gateway"]["server"]["authentication"] = json!({"enabled": true, "hmac": {"enabled": true,
        "allowedAlgorithms": ["hmac-sha512"], "allowedClockSkew": 60000, "header": {"enabled": true, "name": "X-Sign"}}});
    let gate = Gate::setup().api(with(keyed("a", &upstream.url("")), signed)).oas(document).start().await;
    let admin = gate.admin();
    let key = with(session(&["a", "o"]), json!({"hmac_enabled": true, "hmac_string": SECRET}));
    assert_eq!(admin.post("/keys/one", &key).await.status, 200);
    let plain = with(session(&["a", "o"]), json!({"hmac_string": SECRET}));
    assert_eq!(admin.post("/keys/plain", &plain).await.status, 200);

    let now = date(0);
    let of = |text: &str| hmac("sha256", SECRET, text);
    let dated = format!("Date: {now}");
    let on_date = of(&format!("date: {now}"));
    for (hash, algorithm) in [
        ("sha1", "hmac-sha1"),
        ("sha256", "hmac-sha256"),
        ("sha384", "hmac-sha384"),
        ("sha512", "hmac-sha512"),
    ] {
        let text = format!("(request-target): get /a/x\ndate: {now}");
        let signature = hmac(hash, SECRET, &text).replace('+', "%2b").replace('/', "%2f").replace('=', "%3d");
        let field = field("one", algorithm, "(request-target) date", &signature);
        let reply = gate.get("/a/x?query=free", &["-H", &field, "-H", &dated]).await;
        assert_eq!(reply.status, 200, "{algorithm}: {reply:?}");
        assert_eq!(
            reply.json()["headers"]["authorization"],
            Value::Null,
            "the signature reached the upstream"
        );
    }
    let hits = upstream.hits();
    // A body whose digest is signed has to fit; it still reaches the upstream whole.
    let body = "hello=world&x=1";
    let digest = format!("SHA-256={}", base64(&openssl(&["dgst", "-sha256", "-binary"], body.as_bytes())));
    let text = format!("(request-target): post /a/x\ndate: {now}\ndigest: {digest}");
    let with_body = field("one", "hmac-sha256", "(request-target) date digest", &of(&text));
    let digest = format!("Digest: {digest}");
    let sent = ["-H", &with_body, "-H", &dated, "-H", &digest, "-d"];
    let reply = gate.get("/a/x", &[&sent[..], &[body]].concat()).await;
    assert_eq!((reply.status, reply.json()["body"].as_str()), (200, Some(body)), "{reply:?}");
    assert_refused(&gate.get("/a/x", &[&sent[..], &["hello=world&x=2"]].concat()).await, 400, REFUSED);
    assert_eq!(upstream.hits(), hits + 1);

    // The field of its own needs no scheme; only what is allowed there is taken.
    let over = |hash: &str| hmac(hash, SECRET, &format!("date: {now}"));
    for (hash, algorithm, status) in [("sha512", "hmac-sha512", 200), ("sha256", "hmac-sha256", 400)] {
        let own =
            field("one", algorithm, "date", &over(hash)).replace("Authorization: Signature ", "X-Sign: ");
        assert_eq!(gate.get("/o/x", &["-H", &own, "-H", &dated]).await.status, status, "{algorithm}");
    }

    let (early, late) = (date(-120), date(120));
    let at = |date: &str| {
        (field("one", "hmac-sha256", "date", &of(&format!("date: {date}"))), format!("Date: {date}"))
    };
    let ((early, early_date), (late, late_date)) = (at(&early), at(&late));
    let good = field("one", "hmac-sha256", "date", &on_date);
    let moved = format!("x-aux-date: {now}");
    let on_moved = field("one", "hmac-sha256", "date", &of(&moved));
    assert_eq!(gate.get("/a/x", &["-H", &on_moved, "-H", &moved, "-H", &early_date]).await.status, 200);
    let hits = upstream.hits();
    let cases: &[(&str, &[&str])] = &[
        ("no signature", &["-H", &dated]),
        ("no date", &["-H", &good]),
        ("another date", &["-H", &good, "-H", &early_date]),
        ("too early", &["-H", &early, "-H", &early_date]),
        ("too late", &["-H", &late, "-H", &late_date]),
        ("two dates", &["-H", &good, "-H", &dated, "-H", &dated]),
        ("an unknown key", &["-H", &good.replace("one", "two"), "-H", &dated]),
        ("a key that signs nothing", &["-H", &good.replace("one", "plain"), "-H", &dated]),
        ("another method", &["-H", &good.replace("hmac-sha256", "rsa-sha256"), "-H", &dated]),
        (
            "no secret",
            &[
                "-H",
                &field("one", "hmac-sha256", "date", &hmac("sha256", "x", &format!("date: {now}"))),
                "-H",
                &dated,
            ],
        ),
        ("the key alone", &["-H", "Authorization: one"]),
    ];
    for (what, arguments) in cases {
        let reply = gate.get("/a/x", arguments).await;
        assert_eq!(reply.status, 400, "{what}: {reply:?}");
        assert_refused(&reply, 400, REFUSED);
    }
    assert_eq!(upstream.hits(), hits, "a refused request reached the upstream");
    assert!(!gate.log().contains(SECRET), "the secret is in the log");
}

#[tokio::test]
async fn c5_4_rows_3_4_7_a_request_is_known_by_the_certificate_of_its_signature() {
    let upstream = Upstream::start().await;
    let signed = json!({"use_standard_auth": false, "enable_signature_checking": true, "hmac_allowed_clock_skew": 60000});
    let gate = Gate::setup().api(with(keyed("a", &upstream.url("")), signed)).start().await;
    let admin = gate.admin();
    certificate(gate.dir(), &["rsa:2048"]);
    let text = std::fs::read_to_string(gate.dir().join("client.crt")).unwrap();
    let stored = admin.call("POST", "/certs?org_id=org", Some(&text)).await;
    assert_eq!(stored.status, 200, "{stored:?}");
    let id = stored.json()["id"].as_str().unwrap().to_owned();
    let public = gate.dir().join("client.pub");
    let key_file = gate.dir().join("client.key").display().to_string();
    openssl(&["pkey", "-in", &key_file, "-pubout", "-out", &public.display().to_string()], b"");
    let keys = [
        ("cert", json!({"enable_http_signature_validation": true, "rsa_certificate_id": id})),
        (
            "file",
            json!({"enable_http_signature_validation": true, "rsa_certificate_id": public, "hmac_string": SECRET}),
        ),
        ("gone", json!({"enable_http_signature_validation": true, "rsa_certificate_id": "gone"})),
        ("none", json!({"enable_http_signature_validation": true})),
        ("off", json!({"rsa_certificate_id": id})),
    ];
    for (name, more) in keys {
        assert_eq!(
            admin.post(&format!("/keys/{name}"), &with(session(&["a"]), more)).await.status,
            200,
            "{name}"
        );
    }
    let now = date(0);
    let text = format!("(request-target): get /a/x\ndate: {now}");
    let signature = base64(&openssl(&["dgst", "-sha256", "-sign", &key_file], text.as_bytes()));
    let dated = format!("Date: {now}");
    let ask = async |name: &str, path: &str| {
        let field = field(name, "rsa-sha256", "(request-target) date", &signature);
        gate.get(path, &["-H", &field, "-H", &dated]).await
    };
    assert_eq!(ask("cert", "/a/x").await.status, 200);
    assert_eq!(ask("file", "/a/x?free=1").await.status, 200);
    assert_refused(&ask("cert", "/a/y").await, 400, REFUSED);
    assert_refused(&ask("none", "/a/x").await, 400, REFUSED);
    assert_refused(&ask("off", "/a/x").await, 400, REFUSED);
    assert_refused(&ask("gone", "/a/x").await, 500, "Certificate not found");
    // A public key is public: it is no secret to sign with.
    let public = std::fs::read_to_string(&public).unwrap();
    let forged = field("file", "hmac-sha256", "(request-target) date", &hmac("sha256", public.trim(), &text));
    assert_refused(&gate.get("/a/x", &["-H", &forged, "-H", &dated]).await, 400, REFUSED);

    certificate(gate.dir(), &["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    let curve = gate.dir().join("client.crt");
    let more = json!({"enable_http_signature_validation": true, "rsa_certificate_id": curve});
    assert_eq!(admin.post("/keys/curve", &with(session(&["a"]), more)).await.status, 200);
    assert_refused(&ask("curve", "/a/x").await, 500, "Certificate doesn't contain RSA Public key");
}

#[tokio::test]
async fn c2_2_row_12_a_key_may_need_a_signature_beside_it() {
    let upstream = Upstream::start().await;
    let api = |id: &str, signature: Value| {
        let token =
            json!({"auth_header_name": "Authorization", "validate_signature": true, "signature": signature});
        with(keyed(id, &upstream.url("")), json!({"auth_configs": {"authToken": token}}))
    };
    let gate = Gate::setup()
        .api(api("md5", json!({"algorithm": "MasheryMD5", "header": "X-Sig", "secret": "pepper", "allowed_clock_skew": 30})))
        .api(api("sha", json!({"algorithm": "MasherySHA256", "use_param": true, "param_name": "sig", "header": "X-Sig",
            "secret": "$tyk_meta.pepper", "allowed_clock_skew": 30, "error_code": 418, "error_message": "unsigned"})))
        .start()
        .await;
    let key = with(session(&["md5", "sha"]), json!({"meta_data": {"pepper": "own"}}));
    assert_eq!(gate.admin().post("/keys/one", &key).await.status, 200);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let sum = |hash: &str, text: String| {
        let printed = openssl(&["dgst", &format!("-{hash}"), "-r"], text.as_bytes());
        String::from_utf8(printed).unwrap().split(' ').next().unwrap().to_owned()
    };
    let md5 = |second: u64| format!("X-Sig: {}", sum("md5", format!("onepepper{second}")));
    let sha = sum("sha256", format!("oneown{now}"));
    let token = ["-H", "Authorization: one", "-H"];
    let ask = async |path: &str, header: &str| gate.get(path, &[&token[..], &[header]].concat()).await;
    assert_eq!(ask("/md5/x", &md5(now)).await.status, 200);
    assert_eq!(ask("/md5/x", &md5(now - 20)).await.status, 200);
    assert_eq!(ask(&format!("/sha/x?sig={sha}"), "X: y").await.status, 200);
    assert_eq!(ask("/sha/x", &format!("X-Sig: {sha}")).await.status, 200);
    const TEXT: &str = "Request signature verification failed";
    for header in
        ["X: y".to_owned(), "X-Sig: x".to_owned(), md5(now - 300), md5(now + 300), format!("X-Sig: {sha}")]
    {
        assert_refused(&ask("/md5/x", &header).await, 401, TEXT);
    }
    assert_refused(&ask("/sha/x?sig=1", &format!("X-Sig: {sha}")).await, 418, "unsigned");
    let unknown = gate.get("/md5/x", &["-H", "Authorization: two", "-H", &md5(now)]).await;
    assert_refused(&unknown, 403, "Access to this API has been disallowed");
}
