//! Tokens that somebody made in order to be let in, or to break something. None is taken, and none is told why.

use apidef::{ClaimChecks, SigningMethod, Skews};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as B64};
use serde_json::json;

use super::key::Key;
use super::tests::{NOW, SIGNERS, admit, signed, token};
use super::token::{LONGEST, Token};

/// Signed by HMAC with this as its secret.
fn hmac_by(secret: &[u8], algorithm: &str) -> String {
    let signed = format!(
        "{}.{}",
        B64.encode(json!({"alg": algorithm, "kid": "one"}).to_string()),
        B64.encode(json!({"sub": "me"}).to_string())
    );
    let kind = match algorithm {
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    let signature = hmac::sign(&hmac::Key::new(kind, secret), signed.as_bytes());
    format!("{signed}.{}", B64.encode(signature))
}

/// No signature, or one of the right length.
fn unsigned(algorithm: &str, signature: &[u8]) -> String {
    let header = format!("{{\"alg\":{algorithm}}}");
    format!("{}.{}.{}", B64.encode(header), B64.encode(r#"{"sub":"me"}"#), B64.encode(signature))
}

/// A good token with its parts changed.
fn changed(change: impl Fn(&mut [String; 3])) -> String {
    let good = token("RS256", &json!({"sub": "me", "exp": NOW + 60}));
    let mut parts: [String; 3] = good.split('.').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    change(&mut parts);
    parts.join(".")
}

#[test]
fn no_hostile_token_is_taken() {
    let public = SIGNERS.key("RS256");
    let key = Key::written(&public).unwrap();
    let der = STANDARD
        .decode(
            String::from_utf8(public.clone())
                .unwrap()
                .lines()
                .filter(|line| !line.contains('-'))
                .collect::<String>(),
        )
        .unwrap();
    let (modulus, _) = SIGNERS.modulus();
    let header = |text: &str| signed("RS256", text, r#"{"sub":"me"}"#);
    let claims = |text: &str| signed("RS256", r#"{"alg":"RS256"}"#, text);
    let deep = format!("{}1{}", r#"{"a":"#.repeat(500), "}".repeat(500));
    let other = super::tests::signed("ES256", r#"{"alg":"RS256"}"#, r#"{"sub":"me"}"#);
    let cases: Vec<(&str, String)> = vec![
        // No signature at all.
        ("none", unsigned(r#""none""#, b"")),
        ("None", unsigned(r#""None""#, b"")),
        ("NONE", unsigned(r#""NONE""#, b"")),
        ("nOnE", unsigned(r#""nOnE""#, b"")),
        ("none with a space", unsigned(r#""none ""#, b"")),
        ("none, escaped", unsigned(r#""\u006eone""#, b"")),
        ("none with a signature", unsigned(r#""none""#, &[1; 256])),
        ("an empty algorithm", unsigned(r#""""#, b"")),
        ("null for an algorithm", unsigned("null", b"")),
        ("a list of algorithms", unsigned(r#"["none"]"#, b"")),
        ("a number for an algorithm", unsigned("0", b"")),
        ("no algorithm", header("{}")),
        ("an empty signature", unsigned(r#""RS256""#, b"")),
        ("the signature left off", changed(|parts| parts[2].clear())),
        ("a signature of zeros", unsigned(r#""RS256""#, &[0; 256])),
        ("a signature of ones", unsigned(r#""RS256""#, &[255; 256])),
        // The public key for a secret.
        ("HS256 by the PEM", hmac_by(&public, "HS256")),
        ("HS256 by the PEM without its last line end", hmac_by(public.trim_ascii_end(), "HS256")),
        ("HS384 by the PEM", hmac_by(&public, "HS384")),
        ("HS512 by the PEM", hmac_by(&public, "HS512")),
        ("HS256 by the DER", hmac_by(&der, "HS256")),
        ("HS256 by the modulus", hmac_by(&modulus, "HS256")),
        ("HS256 by nothing", hmac_by(b"", "HS256")),
        // Other kinds of keys.
        ("ES256 for RS256", token("ES256", &json!({"sub": "me"}))),
        ("ES256 that says RS256", other),
        ("a curve that does not fit", signed("ES384", r#"{"alg":"ES256"}"#, r#"{"sub":"me"}"#)),
        ("EdDSA", token("EdDSA", &json!({"sub": "me"}))),
        ("RS256 by RS512", signed("RS512", r#"{"alg":"RS256"}"#, r#"{"sub":"me"}"#)),
        ("PS256 by RS256", signed("RS256", r#"{"alg":"PS256"}"#, r#"{"sub":"me"}"#)),
        ("an unknown algorithm", header(r#"{"alg":"RS1"}"#)),
        ("an algorithm in small letters", header(r#"{"alg":"rs256"}"#)),
        ("an algorithm with a NUL", header("{\"alg\":\"RS256\\u0000\"}")),
        ("an algorithm in other letters", header("{\"alg\":\"\u{ff32}S256\"}")),
        // Keys that the token brings along, signed by another.
        ("a key of its own", signed("ES256", r#"{"alg":"RS256","jwk":{"kty":"EC"}}"#, r#"{"sub":"me"}"#)),
        (
            "keys elsewhere",
            signed("ES256", r#"{"alg":"RS256","jku":"http://127.0.0.1:1/"}"#, r#"{"sub":"me"}"#),
        ),
        (
            "a certificate elsewhere",
            signed("ES256", r#"{"alg":"RS256","x5u":"http://127.0.0.1:1/"}"#, r#"{"sub":"me"}"#),
        ),
        ("a certificate of its own", signed("ES256", r#"{"alg":"RS256","x5c":["AAAA"]}"#, r#"{"sub":"me"}"#)),
        // What must be understood, and is not.
        ("a critical extension", header(r#"{"alg":"RS256","crit":["exp"],"exp":1}"#)),
        ("nothing critical", header(r#"{"alg":"RS256","crit":[]}"#)),
        ("claims not encoded", header(r#"{"alg":"RS256","b64":false}"#)),
        ("claims not encoded, and critical", header(r#"{"alg":"RS256","b64":false,"crit":["b64"]}"#)),
        // What two readers could read in two ways.
        ("a header name twice", header(r#"{"alg":"RS256","alg":"none"}"#)),
        ("a header name twice, once escaped", header(r#"{"alg":"RS256","\u0061lg":"none"}"#)),
        ("a claim twice", claims(r#"{"sub":"me","sub":"root"}"#)),
        ("a claim twice, deep", claims(r#"{"sub":"me","a":{"b":1,"b":2}}"#)),
        ("padding", changed(|parts| parts[1].push('='))),
        ("the other alphabet", changed(|parts| parts[0] = STANDARD.encode(r#"{"alg":"RS256","x":"??>>"}"#))),
        ("bits behind the last byte", {
            // 256 bytes end with four bits that must be zero.
            changed(|parts| {
                let last = parts[2].pop().unwrap();
                let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
                let next = alphabet.find(last).unwrap() ^ 1;
                parts[2].push(alphabet.chars().nth(next).unwrap());
            })
        }),
        ("a space before", format!(" {}", changed(|_| ()))),
        ("a line end within", changed(|parts| parts[2].insert(3, '\n'))),
        ("a NUL behind", format!("{}\0", changed(|_| ()))),
        ("letters that look alike", changed(|parts| parts[2].replace_range(0..1, "\u{430}"))),
        // Other claims under the same signature.
        ("other claims", changed(|parts| parts[1] = B64.encode(r#"{"sub":"root"}"#))),
        ("another header", changed(|parts| parts[0] = B64.encode(r#"{"alg":"RS256","kid":"two"}"#))),
        ("claims and header swapped", changed(|parts| parts.swap(0, 1))),
        ("half the signature", changed(|parts| parts[2].truncate(170))),
        // Forms.
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
        ("two parts", "e30.e30".to_owned()),
        ("four parts", changed(|parts| parts[2].push_str(".e30"))),
        ("five parts, encrypted", "e30.e30.e30.e30.e30".to_owned()),
        ("a header that is a list", header(r#"["alg","RS256"]"#)),
        ("a header that is no JSON", header("alg=RS256")),
        ("a header that is no text", format!("{}.e30.AA", B64.encode(b"{\"alg\":\"RS256\",\"x\":\"\xff\"}"))),
        ("claims that are a text", claims(r#""me""#)),
        ("claims that are null", claims("null")),
        ("claims with something behind", claims(r#"{"sub":"me"}{"sub":"root"}"#)),
        ("claims too deep", claims(&deep)),
        ("a number beyond all numbers", claims(r#"{"sub":"me","exp":1e999}"#)),
        ("a time that is a text", claims(r#"{"sub":"me","exp":"9999999999"}"#)),
        ("a time that is null", claims(r#"{"sub":"me","exp":null}"#)),
        ("more than is read", claims(&json!({"sub": "x".repeat(LONGEST)}).to_string())),
    ];
    assert!(cases.len() >= 40);
    for (what, text) in cases {
        let found = admit(&text, SigningMethod::Rsa, &key, &Skews::default(), &ClaimChecks::default());
        let Err((status, told)) = found else { panic!("{what} was taken: {found:?}") };
        assert_eq!(status, 403, "{what}: {told}");
        assert!(
            matches!(&*told, "Key not authorized" | "Key not authorized: Unexpected signing method"),
            "{what} was told: {told}"
        );
    }
    // And the tokens that they are made of are good ones.
    for text in [
        changed(|_| ()),
        token("PS512", &json!({"sub": "me"})),
        header(r#"{"alg":"RS256","jku":"http://127.0.0.1:1/"}"#),
    ] {
        admit(&text, SigningMethod::Rsa, &key, &Skews::default(), &ClaimChecks::default()).unwrap();
    }
}

#[test]
fn an_id_of_a_key_is_a_plain_text_or_nothing() {
    let id = |kid: &str| {
        let text = signed("HS256", &format!(r#"{{"alg":"HS256","kid":{kid}}}"#), "{}");
        Token::read(&text).unwrap().key_id().map(str::to_owned)
    };
    for (kid, found) in [
        (r#""one""#, Some("one")),
        (r#""../../etc/passwd""#, Some("../../etc/passwd")),
        (r#""http://127.0.0.1/""#, Some("http://127.0.0.1/")),
        (r#""' OR 1=1 --""#, Some("' OR 1=1 --")),
        (r#""""#, None),
        ("null", None),
        ("1", None),
        (r#"["one"]"#, None),
        (r#"{"one":1}"#, None),
        (r#""a\u0000b""#, None),
        (r#""a\nb""#, None),
    ] {
        assert_eq!(id(kid).as_deref(), found, "{kid}: it is compared, and nothing else");
    }
    assert_eq!(id(&format!("\"{}\"", "k".repeat(1025))), None);
}
