//! Tokens as they are taken, and what the others are told.

use apidef::{ClaimCheck, ClaimChecks, ClaimRule, SigningMethod, Skews};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{encoding::AsDer, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as B64};
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::Duration;

use super::claims::{Claims, check, check_times};
use super::jwk::JwkSet;
use super::key::Key;
use super::{read, source};

pub(super) const NOW: i64 = 1_800_000_000;

/// Keys that are made once for all tests.
pub(super) struct Signers {
    pub(super) rsa: RsaKeyPair,
    pub(super) ec256: EcdsaKeyPair,
    pub(super) ec384: EcdsaKeyPair,
    pub(super) ec521: EcdsaKeyPair,
    pub(super) edwards: Ed25519KeyPair,
}

pub(super) static SIGNERS: LazyLock<Signers> = LazyLock::new(|| {
    let curve = |algorithm: &'static EcdsaSigningAlgorithm| EcdsaKeyPair::generate(algorithm).unwrap();
    Signers {
        rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        ec256: curve(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        ec384: curve(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        ec521: curve(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
        edwards: Ed25519KeyPair::generate().unwrap(),
    }
});

pub(super) const SECRET: &[u8] = b"a shared secret of more than 32 bytes";

impl Signers {
    /// A signature as the algorithm of this name makes it.
    pub(super) fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let rsa = |encoding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
            signature
        };
        let shared = |kind| hmac::sign(&hmac::Key::new(kind, SECRET), message).as_ref().to_vec();
        let curve = |key: &EcdsaKeyPair| key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec();
        match algorithm {
            "HS256" => shared(hmac::HMAC_SHA256),
            "HS384" => shared(hmac::HMAC_SHA384),
            "HS512" => shared(hmac::HMAC_SHA512),
            "RS256" => rsa(&signature::RSA_PKCS1_SHA256),
            "RS384" => rsa(&signature::RSA_PKCS1_SHA384),
            "RS512" => rsa(&signature::RSA_PKCS1_SHA512),
            "PS256" => rsa(&signature::RSA_PSS_SHA256),
            "PS384" => rsa(&signature::RSA_PSS_SHA384),
            "PS512" => rsa(&signature::RSA_PSS_SHA512),
            "ES256" => curve(&self.ec256),
            "ES384" => curve(&self.ec384),
            "ES512" => curve(&self.ec521),
            "EdDSA" => self.edwards.sign(message).as_ref().to_vec(),
            other => panic!("{other}"),
        }
    }

    /// The public key for the algorithm as PEM, or the secret.
    pub(super) fn key(&self, algorithm: &str) -> Vec<u8> {
        let der = match algorithm {
            _ if algorithm.starts_with("HS") => return SECRET.to_vec(),
            "ES256" => self.ec256.public_key().as_der().unwrap().as_ref().to_vec(),
            "ES384" => self.ec384.public_key().as_der().unwrap().as_ref().to_vec(),
            "ES512" => self.ec521.public_key().as_der().unwrap().as_ref().to_vec(),
            "EdDSA" => self.edwards.public_key().as_der().unwrap().as_ref().to_vec(),
            _ => self.rsa.public_key().as_der().unwrap().as_ref().to_vec(),
        };
        pem("PUBLIC KEY", &der).into_bytes()
    }

    /// The same as a JWK.
    fn jwk(&self, algorithm: &str) -> Value {
        let point = |key: &EcdsaKeyPair, name: &str| {
            let point = key.public_key().as_ref();
            let (x, y) = point[1..].split_at(point.len() / 2);
            json!({"kty": "EC", "crv": name, "x": B64.encode(x), "y": B64.encode(y)})
        };
        match algorithm {
            _ if algorithm.starts_with("HS") => json!({"kty": "oct", "k": B64.encode(SECRET)}),
            "ES256" => point(&self.ec256, "P-256"),
            "ES384" => point(&self.ec384, "P-384"),
            "ES512" => point(&self.ec521, "P-521"),
            "EdDSA" => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": B64.encode(self.edwards.public_key().as_ref())})
            }
            _ => {
                let (n, e) = self.modulus();
                json!({"kty": "RSA", "n": B64.encode(n), "e": B64.encode(e)})
            }
        }
    }

    pub(super) fn modulus(&self) -> (Vec<u8>, Vec<u8>) {
        // `RSAPublicKey`: a sequence of two numbers, the first of 257 bytes of which one is zero.
        let der = self.rsa.public_key().as_ref();
        (der[9..265].to_vec(), der[267..].to_vec())
    }
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A token of these texts, signed.
pub(super) fn signed(algorithm: &str, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", B64.encode(header), B64.encode(claims));
    let signature = SIGNERS.sign(algorithm, signed.as_bytes());
    format!("{signed}.{}", B64.encode(signature))
}

pub(super) fn token(algorithm: &str, claims: &Value) -> String {
    signed(algorithm, &json!({"alg": algorithm, "typ": "JWT", "kid": "one"}).to_string(), &claims.to_string())
}

/// All that is checked of a token, without its session: its claims, or what its client is told.
pub(super) fn admit(
    text: &str,
    method: SigningMethod,
    key: &Key,
    skews: &Skews,
    checks: &ClaimChecks,
) -> Result<Value, (u16, String)> {
    let outcome = || {
        let token = read(text, method)?;
        source::check(key, &token)?;
        let claims = Claims { header: token.header, payload: token.claims };
        check_times(&claims, skews, NOW)?;
        check(&claims, checks)?;
        Ok(claims.payload.into())
    };
    outcome()
        .map_err(|refusal: crate::respond::Refusal| (refusal.status.as_u16(), refusal.message.into_owned()))
}

const ALGORITHMS: [(&str, SigningMethod); 13] = [
    ("HS256", SigningMethod::Hmac),
    ("HS384", SigningMethod::Hmac),
    ("HS512", SigningMethod::Hmac),
    ("RS256", SigningMethod::Rsa),
    ("RS384", SigningMethod::Rsa),
    ("RS512", SigningMethod::Rsa),
    ("PS256", SigningMethod::Rsa),
    ("PS384", SigningMethod::Rsa),
    ("PS512", SigningMethod::Rsa),
    ("ES256", SigningMethod::Ecdsa),
    ("ES384", SigningMethod::Ecdsa),
    ("ES512", SigningMethod::Ecdsa),
    ("EdDSA", SigningMethod::Eddsa),
];

#[test]
fn c5_5_row_2_a_key_takes_its_own_algorithms_and_no_others() {
    let plain = (Skews::default(), ClaimChecks::default());
    for (of_key, _) in ALGORITHMS {
        let published = |extra: Value| {
            let mut jwk = SIGNERS.jwk(of_key);
            jwk["kid"] = json!("one");
            jwk.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            JwkSet::read(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap()
        };
        let any = published(json!({"use": "sig"}));
        let only = published(json!({"alg": of_key, "key_ops": ["verify"]}));
        let written = Key::written(&SIGNERS.key(of_key)).unwrap();
        for (of_token, method) in ALGORITHMS {
            let text = token(of_token, &json!({"sub": "me", "exp": NOW + 60}));
            let takes = |key: &Key| admit(&text, method, key, &plain.0, &plain.1).is_ok();
            let kin = |name: &str| match &name[..2] {
                "PS" => "RS".to_owned(),
                "ES" => name.to_owned(),
                other => other.to_owned(),
            };
            let good = kin(of_key) == kin(of_token);
            assert_eq!(takes(&written), good, "{of_token} with {of_key} as PEM");
            assert_eq!(any.named("one").any(takes), good, "{of_token} with {of_key} as JWK");
            assert_eq!(only.named("one").any(takes), of_key == of_token, "{of_token} with {of_key} alone");
            // What the definition chooses is the only thing that counts.
            for (_, other) in ALGORITHMS.iter().filter(|(_, other)| *other != method) {
                assert_eq!(
                    admit(&text, *other, &written, &plain.0, &plain.1),
                    Err((403, "Key not authorized: Unexpected signing method".to_owned()))
                );
            }
        }
    }
}

#[test]
fn c5_5_row_4_keys_are_read_in_every_form_they_are_written_in() {
    let certified = rcgen::generate_simple_self_signed(vec!["issuer".to_owned()]).unwrap();
    let certificate = certified.cert.der().to_vec();
    let pkcs1 = SIGNERS.rsa.public_key().as_ref().to_vec();
    let spki = |algorithm: &str| String::from_utf8(SIGNERS.key(algorithm)).unwrap();
    let small = {
        // 1024 bits.
        let n = [&[0xc1][..], &[0x11; 127]].concat();
        json!({"kty": "RSA", "n": B64.encode(n), "e": "AQAB", "kid": "k"})
    };
    for (what, text, good) in [
        ("a secret", "secret".to_owned(), true),
        ("nothing", String::new(), false),
        ("RSA", spki("RS256"), true),
        ("RSA, with text around it", format!("\n{}trailing", spki("RS256")), true),
        ("RSA as PKCS #1", pem("RSA PUBLIC KEY", &pkcs1), true),
        ("P-256", spki("ES256"), true),
        ("P-521", spki("ES512"), true),
        ("Ed25519", spki("EdDSA"), true),
        ("a certificate", pem("CERTIFICATE", &certificate), true),
        ("a private key", pem("PRIVATE KEY", &pkcs1), false),
        ("half a block", spki("RS256").replace("-----END", "-----end"), false),
        (
            "rubbish in a block",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----".to_owned(),
            false,
        ),
    ] {
        assert_eq!(Key::written(text.as_bytes()).is_ok(), good, "{what}");
    }
    let (n, e) = SIGNERS.modulus();
    let rsa = |n: &[u8], e: &[u8]| json!({"kty": "RSA", "n": B64.encode(n), "e": B64.encode(e), "kid": "k"});
    let x5c = json!([STANDARD.encode(&certificate)]);
    let with = |mut jwk: Value, name: &str, value: Value| {
        jwk[name] = value;
        jwk
    };
    for (what, jwk, good) in [
        ("RSA", rsa(&n, &e), true),
        ("RSA with leading zeros", rsa(&[&[0], n.as_slice()].concat(), &e), true),
        ("RSA with padding", with(rsa(&n, &e), "e", json!("AQAB=")), true),
        ("RSA of 1024 bits", small, false),
        ("an exponent of one", rsa(&n, &[1]), false),
        ("an exponent of zero", rsa(&n, &[0]), false),
        ("an endless exponent", rsa(&n, &[3; 200]), false),
        ("for encryption", with(rsa(&n, &e), "use", json!("enc")), false),
        ("for other operations", with(rsa(&n, &e), "key_ops", json!(["encrypt"])), false),
        ("for another algorithm", with(rsa(&n, &e), "alg", json!("RSA-OAEP")), false),
        ("without an id", with(rsa(&n, &e), "kid", Value::Null), false),
        ("with a number for an id", with(rsa(&n, &e), "kid", json!(1)), false),
        ("by its certificate alone", json!({"kty": "EC", "kid": "k", "x5c": x5c}), true),
        ("by a broken certificate", json!({"kty": "EC", "kid": "k", "x5c": ["AAAA"]}), false),
        (
            "a point off its curve",
            json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": B64.encode([1; 32]), "y": B64.encode([1; 32])}),
            false,
        ),
        ("a short coordinate", json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": "AQ", "y": "AQ"}), false),
        ("an unknown curve", json!({"kty": "EC", "crv": "P-999", "kid": "k", "x": "AQ", "y": "AQ"}), false),
        ("an unknown kind", json!({"kty": "AKP", "kid": "k"}), false),
    ] {
        let set = JwkSet::read(json!({"keys": [jwk, 7]}).to_string().as_bytes()).unwrap();
        assert_eq!(set.named("k").count(), usize::from(good), "{what}");
        assert_eq!(set.unusable, 2 - usize::from(good), "{what}");
    }
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(JwkSet::read(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn c5_5_rows_5_and_6_times_are_kept_with_their_skews() {
    let skews = Skews {
        expires_at: Duration::from_secs(10),
        issued_at: Duration::from_secs(20),
        not_before: Duration::from_secs(30),
    };
    let none = Skews::default();
    let key = Key::written(SECRET).unwrap();
    let expired = Err((401, "Key not authorized: token has expired"));
    let early = Err((401, "Key not authorized: token used before issued"));
    let sleeping = Err((401, "Key not authorized: token is not valid yet"));
    let no_time = Err((403, "Key not authorized"));
    for (claims, skews, expected) in [
        (json!({}), &none, Ok(())),
        (json!({"exp": NOW + 1, "iat": NOW, "nbf": NOW}), &none, Ok(())),
        (json!({"exp": NOW}), &none, expired),
        (json!({"exp": NOW - 9}), &skews, Ok(())),
        (json!({"exp": NOW - 10}), &skews, expired),
        (json!({"iat": NOW + 1}), &none, early),
        (json!({"iat": NOW + 20}), &skews, Ok(())),
        (json!({"iat": NOW + 21}), &skews, early),
        (json!({"nbf": NOW + 1}), &none, sleeping),
        (json!({"nbf": NOW + 30}), &skews, Ok(())),
        (json!({"nbf": NOW + 31}), &skews, sleeping),
        (json!({"exp": NOW as f64 + 0.5}), &none, expired),
        (json!({"exp": 1e300}), &none, Ok(())),
        (json!({"exp": -1}), &none, expired),
        (json!({"exp": 0}), &none, expired),
        (json!({"exp": (NOW + 60).to_string()}), &none, no_time),
        (json!({"exp": null}), &none, no_time),
        (json!({"exp": true}), &none, no_time),
        (json!({"nbf": "now"}), &none, no_time),
        (json!({"iat": []}), &none, no_time),
        (json!({"nbf": -1e300, "iat": i64::MIN}), &none, Ok(())),
    ] {
        let found =
            admit(&token("HS256", &claims), SigningMethod::Hmac, &key, skews, &ClaimChecks::default());
        let found = found.map(|_| ());
        assert_eq!(found, expected.map_err(|(status, text)| (status, text.to_owned())), "{claims}");
    }
}

#[test]
fn c5_5_row_7_claims_are_checked_and_told_apart() {
    let texts = |texts: &[&str]| texts.iter().map(|text| Box::from(*text)).collect::<Box<[Box<str>]>>();
    let custom = |path: &str, rule, non_blocking| ClaimChecks {
        custom: [ClaimCheck { path: path.into(), rule, non_blocking }].into(),
        ..ClaimChecks::default()
    };
    let values = |value: Value| value.as_array().unwrap().as_slice().into();
    let issuers = ClaimChecks { issuers: texts(&["a", "b"]), ..ClaimChecks::default() };
    let audiences = ClaimChecks { audiences: texts(&["x", "y"]), ..ClaimChecks::default() };
    let subjects = ClaimChecks { subjects: texts(&["me"]), ..ClaimChecks::default() };
    let id = ClaimChecks { id: true, ..ClaimChecks::default() };
    let required = custom("user.role", ClaimRule::Required, false);
    let lax = custom("user.role", ClaimRule::Required, true);
    let equals = custom("user.role", ClaimRule::Equals(values(json!(["admin", 7, true]))), false);
    let contains = custom("user.role", ClaimRule::Contains(values(json!(["adm", 7]))), false);
    let dotted = custom("https://issuer/role", ClaimRule::Required, false);
    let cases = [
        (&issuers, json!({"iss": "b"}), ""),
        (&issuers, json!({}), "issuer claim is required but not present in token"),
        (&issuers, json!({"iss": ["a"]}), "issuer claim is required but not present in token"),
        (&issuers, json!({"iss": "c"}), "invalid issuer claim: c"),
        (&audiences, json!({"aud": "y"}), ""),
        (&audiences, json!({"aud": ["z", "y"]}), ""),
        (&audiences, json!({}), "audience claim is required but not present in token"),
        (&audiences, json!({"aud": []}), "audience claim is required but not present in token"),
        (&audiences, json!({"aud": ["z", "w"]}), "no matching audience found in token: [z w]"),
        (&id, json!({"jti": "1"}), ""),
        (&id, json!({"jti": ""}), "JWT ID (jti) claim is required but not present in token"),
        (&subjects, json!({"sub": "me"}), ""),
        (&subjects, json!({}), "subject claim is required but not present in token"),
        (&subjects, json!({"sub": "you"}), "invalid subject value: you"),
        (&required, json!({"user": {"role": 0}}), ""),
        (&required, json!({"user.role": "x"}), ""),
        (
            &required,
            json!({"user": {"role": null}}),
            "custom claim user.role is required but not present in token",
        ),
        (&required, json!({"user": "role"}), "custom claim user.role is required but not present in token"),
        (&lax, json!({}), ""),
        (&dotted, json!({"https://issuer/role": 1}), ""),
        (&equals, json!({"user": {"role": "admin"}}), ""),
        (&equals, json!({"user": {"role": 7.0}}), ""),
        (&equals, json!({"user": {"role": true}}), ""),
        (
            &equals,
            json!({"user": {"role": "administrator"}}),
            "claim user.role value does not match any expected values",
        ),
        (&equals, json!({"user": {"role": "7"}}), "claim user.role value does not match any expected values"),
        (&contains, json!({"user": {"role": "administrator"}}), ""),
        (&contains, json!({"user": {"role": ["x", 7]}}), ""),
        (
            &contains,
            json!({"user": {"role": ["administrator"]}}),
            "claim user.role value does not contain any expected values",
        ),
        (&contains, json!({}), "custom claim user.role is required but not present in token"),
    ];
    let key = Key::written(SECRET).unwrap();
    for (checks, claims, expected) in cases {
        let found = admit(&token("HS256", &claims), SigningMethod::Hmac, &key, &Skews::default(), checks);
        let expected = if expected.is_empty() {
            Ok(claims.clone())
        } else {
            Err((401, format!("Key not authorized: {expected}")))
        };
        assert_eq!(found, expected, "{claims}");
    }
    let long = json!({"iss": "i".repeat(10_000)});
    let (_, told) =
        admit(&token("HS256", &long), SigningMethod::Hmac, &key, &Skews::default(), &issuers).unwrap_err();
    assert!(told.len() < 300, "a client gets back no more than it needs");
}
