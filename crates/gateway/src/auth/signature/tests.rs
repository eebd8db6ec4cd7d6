//! Signatures as clients make them, and those that somebody made in order to be let in.

use std::time::Duration;

use apidef::SignatureAlgorithm::{self, *};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RsaKeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as B64;
use http::Request;
use http::request::Parts;

use super::sign::{self, Signs};
use super::{Check, params};
use crate::certificates::rsa;

const NOW: Duration = Duration::from_secs(1_388_957_500);
const DATE: &str = "Sun, 05 Jan 2014 21:31:40 GMT";
const SECRET: &[u8] = b"a secret";
const TEXT: &str = "(request-target): post /foo\nhost: example.com\ndate: Sun, 05 Jan 2014 21:31:40 GMT";

fn request(uri: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::post(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// The request that `TEXT` is of.
fn usual() -> Parts {
    request("/foo?param=value", &[("host", "example.com"), ("date", DATE)])
}

fn any(skew: Option<u64>) -> Check {
    Check { algorithms: Box::default(), skew: skew.map(Duration::from_millis) }
}

fn field(algorithm: &str, headers: &str, signature: &str) -> String {
    format!(r#"Signature keyId="one",algorithm="{algorithm}",headers="{headers}",signature="{signature}""#)
}

/// `TEXT`, signed with the secret.
fn signed(algorithm: SignatureAlgorithm) -> String {
    let signature = sign::by_secret(algorithm, SECRET, TEXT.as_bytes()).unwrap();
    field(algorithm.name(), "(request-target) host date", &B64.encode(signature))
}

#[test]
fn c5_4_rows_1_and_3_what_openssl_signs_is_taken_in_every_spelling() {
    // printf '%s' "$TEXT" | openssl dgst -sha1 -hmac 'a secret' -binary | base64 (-sha256, -sha384, -sha512).
    let signatures = [
        (HmacSha1, "Qjkw62BU+593dOeE5Q9QzKNzE68="),
        (HmacSha256, "O9U8tl07xZVuXFWbpj8A5kkXJ8xVrFheXNGY9yXUP4Q="),
        (HmacSha384, "l43TH0Mj8g4rLpzc1dFeWiLx/DULjzPPOYb7FhEOyxLFeqSUwCC2dgUvOAfoENI9"),
        (
            HmacSha512,
            "WlkOVk4872kkWCqr4/DnS+zGwFh+6UI8HNZI2jwYUBOkF9PPVP9tVUkuKCggxIPpLR/OVsoBOF/pY8ovhZZBaw==",
        ),
    ];
    let upper = |text: &str| text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let lower = |text: &str| text.replace('+', "%2b").replace('/', "%2f").replace('=', "%3d");
    for (algorithm, signature) in signatures {
        for signature in [signature.to_owned(), upper(signature), lower(signature)] {
            let field = field(algorithm.name(), "(request-target) host date", &signature);
            let claimed = any(Some(1000)).read(&field, &usual(), NOW).unwrap();
            assert_eq!(claimed.params.key, "one");
            assert!(claimed.is_by_secret(SECRET), "{field}");
            assert!(!claimed.is_by_secret(b"another secret") && !claimed.is_by_secret(b""), "{field}");
        }
    }
    // The date alone is signed where nothing is said; the scheme may be written in any case, or left off.
    let date = "nRbEazv/gLo/Ul3ZaeQyvLqT3v/M5wmxNxmlBrvTPn8=";
    for field in [
        format!(r#"signature keyId="one",algorithm="hmac-sha256",signature="{date}""#),
        format!(r#"keyId="one", algorithm="hmac-sha256" , signature="{date}""#),
        format!(
            r#"SIGNATURE  signature="{date}",headers="",created=1,x="y",algorithm="hmac-sha256",keyId="one""#
        ),
    ] {
        assert!(any(Some(1)).read(&field, &usual(), NOW).unwrap().is_by_secret(SECRET), "{field}");
    }
}

#[test]
fn rsa_keys_sign_what_their_certificates_check() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let key = rsa(AsDer::as_der(pair.public_key()).unwrap().as_ref()).unwrap();
    let pkcs8 = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let signs = Signs::new(pkcs8.as_ref()).unwrap();
    let signature = signs.sign(TEXT.as_bytes()).unwrap();
    let claim = |algorithm: &str, signature: &[u8]| {
        let field = field(algorithm, "(request-target) host date", &B64.encode(signature));
        any(None).read(&field, &usual(), NOW).unwrap()
    };
    assert!(claim("rsa-sha256", &signature).is_by_key(&key));
    let mut broken = signature.clone();
    broken[7] ^= 1;
    assert!(!claim("rsa-sha256", &broken).is_by_key(&key));
    assert!(!claim("rsa-sha256", &signature[1..]).is_by_key(&key));
    // No secret checks what an RSA key has to sign, whatever the secret is: the public key least of all.
    let public = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    let by_public = sign::by_secret(HmacSha256, public.as_ref(), TEXT.as_bytes()).unwrap();
    assert!(!claim("rsa-sha256", &by_public).is_by_secret(public.as_ref()));
    assert!(!claim("rsa-sha256", &by_public).is_by_key(&key));
    assert!(sign::by_secret(RsaSha256, SECRET, b"").is_none());
    // Keys that are too short, and what is no RSA key.
    for der in [&b""[..], b"no key", &public.as_ref()[..40]] {
        assert!(rsa(der).is_none());
    }
}

#[test]
fn only_what_an_api_allows_is_looked_at() {
    let some = Check { algorithms: Box::new([HmacSha256]), skew: None };
    assert!(some.read(&signed(HmacSha256), &usual(), NOW).is_ok());
    for algorithm in [HmacSha1, HmacSha384, HmacSha512] {
        assert!(some.read(&signed(algorithm), &usual(), NOW).is_err());
    }
}

#[test]
fn c5_4_row_5_a_request_is_good_only_around_its_date() {
    let at = |milliseconds: i64| {
        let now = i64::try_from(NOW.as_millis()).unwrap() + milliseconds;
        Duration::from_millis(u64::try_from(now).unwrap())
    };
    for (skew, apart, good) in [
        (Some(500), 0, true),
        (Some(500), 500, true),
        (Some(500), -500, true),
        (Some(500), 501, false),
        (Some(500), -501, false),
        (Some(500), 86_400_000, false),
        (None, 86_400_000, true),
    ] {
        let read = any(skew).read(&signed(HmacSha256), &usual(), at(apart));
        assert_eq!(read.is_ok(), good, "{skew:?} {apart}");
    }
    // A date that is not signed proves nothing, and a second one hides the first.
    let undated = "(request-target): post /foo\nhost: example.com";
    let signature = B64.encode(sign::by_secret(HmacSha256, SECRET, undated.as_bytes()).unwrap());
    let undated = field("hmac-sha256", "(request-target) host", &signature);
    assert!(any(Some(500)).read(&undated, &usual(), NOW).is_err());
    assert!(any(None).read(&undated, &usual(), NOW).unwrap().is_by_secret(SECRET));
    let old = "Sun, 05 Jan 2014 20:31:40 GMT";
    for fields in [
        &[("host", "example.com")][..],
        &[("host", "example.com"), ("date", old), ("date", DATE)],
        &[("host", "example.com"), ("date", old)],
        &[("host", "example.com"), ("date", "now")],
        &[("host", "example.com"), ("date", DATE), ("x-aux-date", old)],
        &[("host", "example.com"), ("date", DATE), ("x-aux-date", "")],
    ] {
        assert!(
            any(Some(500)).read(&signed(HmacSha256), &request("/foo", fields), NOW).is_err(),
            "{fields:?}"
        );
    }
    // A later date beside the signed one does not renew the request.
    let moved = request("/foo", &[("host", "example.com"), ("date", old), ("x-aux-date", DATE)]);
    let claimed = any(Some(500)).read(&signed(HmacSha256), &moved, NOW).unwrap();
    assert!(!claimed.is_by_secret(SECRET));
}

#[test]
fn the_path_counts_as_it_was_sent() {
    let mut versioned = request("/", &[("host", "example.com"), ("date", DATE)]);
    assert!(!any(None).read(&signed(HmacSha256), &versioned, NOW).unwrap().is_by_secret(SECRET));
    versioned.extensions.insert(crate::exchange::AsSent("/foo".parse().unwrap()));
    assert!(any(None).read(&signed(HmacSha256), &versioned, NOW).unwrap().is_by_secret(SECRET));
}

#[test]
fn a_changed_request_does_not_fit() {
    let changes: Vec<(&str, Parts)> = vec![
        ("another path", request("/bar", &[("host", "example.com"), ("date", DATE)])),
        ("a longer path", request("/foo/", &[("host", "example.com"), ("date", DATE)])),
        ("an escaped path", request("/f%6Fo%2F", &[("host", "example.com"), ("date", DATE)])),
        ("another host", request("/foo", &[("host", "example.org"), ("date", DATE)])),
        ("a second host", request("/foo", &[("host", "example.com"), ("host", "b"), ("date", DATE)])),
        (
            "another date",
            request("/foo", &[("host", "example.com"), ("date", "Sun, 05 Jan 2014 21:31:41 GMT")]),
        ),
        ("another method", {
            let mut parts = usual();
            parts.method = http::Method::PUT;
            parts
        }),
    ];
    for (what, parts) in changes {
        let claimed = any(None).read(&signed(HmacSha256), &parts, NOW).unwrap();
        assert!(!claimed.is_by_secret(SECRET), "{what}");
    }
}

#[test]
fn no_hostile_field_is_taken() {
    let good = signed(HmacSha256);
    assert!(any(None).read(&good, &usual(), NOW).unwrap().is_by_secret(SECRET));
    let signature = good.split("signature=").nth(1).unwrap().trim_matches('"').to_owned();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let many = |count: usize| (0..count).map(|n| format!("x{n}")).collect::<Vec<_>>().join(" ");
    let cases: Vec<(&str, String)> = vec![
        ("nothing", String::new()),
        ("the scheme alone", "Signature".to_owned()),
        ("the scheme and a space", "Signature ".to_owned()),
        ("another scheme", with("Signature ", "Bearer ")),
        ("no list", "Signature abc".to_owned()),
        ("commas alone", "Signature ,,,".to_owned()),
        ("a comma at the end", format!("{good},")),
        ("a comma at the start", with("Signature ", "Signature ,")),
        ("an open quote", good.trim_end_matches('"').to_owned()),
        ("a quote too many", format!("{good}\"")),
        ("an escaped quote", with("one", "o\\\"ne")),
        ("no quotes around spaces", with("\"(request-target) host date\"", "(request-target) host date")),
        ("a NUL in a name", with("algorithm", "algor\0ithm")),
        ("no key", with("keyId", "keyid")),
        ("an empty key", with("\"one\"", "\"\"")),
        ("two keys", format!("{good},keyId=\"two\"")),
        ("two signatures", format!("{good},signature=\"{signature}\"")),
        ("two algorithms", format!("{good},algorithm=\"rsa-sha256\"")),
        ("two lists", format!("{good},headers=\"date\"")),
        ("no algorithm", with("algorithm=\"hmac-sha256\",", "")),
        ("an empty algorithm", with("hmac-sha256", "")),
        ("none for an algorithm", with("hmac-sha256", "none")),
        ("an algorithm of a later draft", with("hmac-sha256", "hs2019")),
        ("an algorithm in capitals", with("hmac-sha256", "HMAC-SHA256")),
        ("HMAC with MD5", with("hmac-sha256", "hmac-md5")),
        ("another HMAC", with("hmac-sha256", "hmac-sha512")),
        ("RSA with the secret's signature", with("hmac-sha256", "rsa-sha256")),
        ("RSA with SHA-1", with("hmac-sha256", "rsa-sha1")),
        ("no signature", field("hmac-sha256", "(request-target) host date", "")),
        ("a signature that is none", field("hmac-sha256", "(request-target) host date", "!!!!")),
        ("a signature without its end", with(&signature, &signature[..40])),
        ("a signature without padding", with(&signature, signature.trim_end_matches('='))),
        ("the other alphabet", with(&signature, &"_".repeat(44))),
        ("a cut escape", with(&signature, &format!("{}%3", signature.trim_end_matches('=')))),
        ("an escape of nothing", with(&signature, &format!("{}%zz", signature.trim_end_matches('=')))),
        ("an escape that is escaped", with(&signature, &signature.replace('=', "%253D"))),
        ("a signature of zeros", field("hmac-sha256", "(request-target) host date", &B64.encode([0; 32]))),
        ("a signature that is too long", field("hmac-sha256", "date", &B64.encode([0; 1025]))),
        (
            "more after the signature",
            with(&signature, &B64.encode([&B64.decode(&signature).unwrap()[..], &[0]].concat())),
        ),
        ("less signed", with("(request-target) host date", "host date")),
        ("another order", with("(request-target) host date", "host (request-target) date")),
        ("more signed", with("host date", "host date user-agent")),
        ("signed twice", with("host date", "host date host")),
        ("signed twice in capitals", with("host date", "host date Host")),
        ("a pseudo field of a later draft", with("host date", "host date (created)")),
        ("the target in another spelling", with("(request-target)", "request-target")),
        ("a field that is none", with("host date", "host date a:b")),
        ("a line break", with("host date", "host\ndate")),
        ("too many fields", with("host date", &many(65))),
        ("too many parameters", format!("{good}{}", ",x=\"y\"".repeat(70))),
        ("too long a field", format!("{good},x=\"{}\"", "y".repeat(9000))),
    ];
    assert!(cases.len() >= 40);
    for (what, field) in cases {
        let claimed = any(None).read(&field, &usual(), NOW);
        assert!(!claimed.is_ok_and(|claimed| claimed.is_by_secret(SECRET)), "{what}: {field}");
    }
}

#[test]
fn whatever_is_read_is_what_was_written() {
    let read = params::read(&signed(HmacSha256)).unwrap();
    assert_eq!(read.algorithm, "hmac-sha256");
    assert_eq!(read.signed, ["(request-target)", "host", "date"]);
    assert_eq!(read.signature.len(), 32);
}
