//! JSON Web Tokens (RFC 7519): signing claims, and reading them with algorithm and times checked.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, RsaEncoding, RsaKeyPair, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;

use super::receive::{object, text};
use super::{Example, Kind, Parameter, Spec};
use crate::run::{Arguments, Context, Evaluated, Failure};
use crate::{Text, Value};

const CHAPTER: &str = "Tokens";
const SECRET: &[Parameter] =
    &[Parameter::required("signing_secret", Kind::Text, "The secret; for RS and ES a key in PEM.")];
const RSA: &str = "root.a = this.sign_jwt_rs256(\"no key\")";
const RSA_EXAMPLES: &[Example] = &[
    Example(
        r#"root = this.sign_jwt_rs256(file("rsa.private.pem").string()).parse_jwt_rs256(file("rsa.public.pem").string())"#,
        r#"{"sub":"a"}"#,
        r#"{"sub":"a"}"#,
    ),
    Example(RSA, r#"{"sub":"a"}"#, "error: failed to sign JWT"),
];

pub(crate) static TABLE: &[Spec] = &[
    Spec::method(CHAPTER, "sign_jwt_hs256", "An object as a token, signed with HMAC and SHA-256.", |c, v, a| sign(Algorithm::Hs256, c, v, a))
        .parameters(SECRET)
        .examples(&[Example(r#"root.t = this.sign_jwt_hs256("secret")"#, r#"{"sub":"user123"}"#, r#"{"t":"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ1c2VyMTIzIn0.PRfgtVejObUBz2QxK0zPVWK7TIcsClHUnBPKYifQCAE"}"#)]),
    Spec::method(CHAPTER, "sign_jwt_hs384", "An object as a token, signed with HMAC and SHA-384.", |c, v, a| sign(Algorithm::Hs384, c, v, a))
        .parameters(SECRET)
        .examples(&[Example(r#"root = this.sign_jwt_hs384("secret").parse_jwt_hs384("secret")"#, r#"{"sub":"a"}"#, r#"{"sub":"a"}"#)]),
    Spec::method(CHAPTER, "sign_jwt_hs512", "An object as a token, signed with HMAC and SHA-512.", |c, v, a| sign(Algorithm::Hs512, c, v, a))
        .parameters(SECRET)
        .examples(&[Example(r#"root = this.sign_jwt_hs512("secret").parse_jwt_hs512("secret")"#, r#"{"sub":"a"}"#, r#"{"sub":"a"}"#)]),
    Spec::method(CHAPTER, "sign_jwt_rs256", "An object as a token, signed with RSA and SHA-256.", |c, v, a| sign(Algorithm::Rs256, c, v, a)).parameters(SECRET).examples(RSA_EXAMPLES),
    Spec::method(CHAPTER, "sign_jwt_rs384", "An object as a token, signed with RSA and SHA-384.", |c, v, a| sign(Algorithm::Rs384, c, v, a))
        .parameters(SECRET)
        .examples(&[Example(r#"root = this.sign_jwt_rs384(file("rsa.private.pem").string()).parse_jwt_rs384(file("rsa.public.pem").string())"#, r#"{"sub":"a"}"#, r#"{"sub":"a"}"#), Example("root.a = this.sign_jwt_rs384(\"no key\")", r#"{"sub":"a"}"#, "error: failed to sign JWT")]),
    Spec::method(CHAPTER, "sign_jwt_rs512", "An object as a token, signed with RSA and SHA-512.", |c, v, a| sign(Algorithm::Rs512, c, v, a))
        .parameters(SECRET)
        .examples(&[Example(r#"root = this.sign_jwt_rs512(file("rsa.private.pem").string()).parse_jwt_rs512(file("rsa.public.pem").string())"#, r#"{"sub":"a"}"#, r#"{"sub":"a"}"#), Example("root.a = this.sign_jwt_rs512(\"no key\")", r#"{"sub":"a"}"#, "error: failed to sign JWT")]),
    Spec::method(CHAPTER, "sign_jwt_es256", "An object as a token, signed with ECDSA on P-256.", |c, v, a| sign(Algorithm::Es256, c, v, a))
        .parameters(SECRET)
        .examples(&[Example(r#"root = this.sign_jwt_es256(file("p256.private.pem").string()).parse_jwt_es256(file("p256.public.pem").string())"#, r#"{"sub":"a"}"#, r#"{"sub":"a"}"#), Example("root.a = this.sign_jwt_es256(\"no key\")", r#"{"sub":"a"}"#, "error: failed to sign JWT")]),
    Spec::method(CHAPTER, "sign_jwt_es384", "An object as a token, signed with ECDSA on P-384.", |c, v, a| sign(Algorithm::Es384, c, v, a))
        .parameters(SECRET)
        .examples(&[Example(r#"root = this.sign_jwt_es384(file("p384.private.pem").string()).parse_jwt_es384(file("p384.public.pem").string())"#, r#"{"sub":"a"}"#, r#"{"sub":"a"}"#), Example("root.a = this.sign_jwt_es384(\"no key\")", r#"{"sub":"a"}"#, "error: failed to sign JWT")]),
    Spec::method(CHAPTER, "sign_jwt_es512", "An object as a token, signed with ECDSA on P-521.", |c, v, a| sign(Algorithm::Es512, c, v, a))
        .parameters(SECRET)
        .examples(&[Example(r#"root = this.sign_jwt_es512(file("p521.private.pem").string()).parse_jwt_es512(file("p521.public.pem").string())"#, r#"{"sub":"a"}"#, r#"{"sub":"a"}"#), Example("root.a = this.sign_jwt_es512(\"no key\")", r#"{"sub":"a"}"#, "error: failed to sign JWT")]),
    Spec::method(CHAPTER, "parse_jwt_hs256", "The claims of a token that was signed with HMAC and SHA-256, and is valid now.", |c, v, a| parse(Algorithm::Hs256, c, v, a))
        .parameters(SECRET)
        .examples(&[
            Example(r#"root = this.parse_jwt_hs256("secret")"#, r#""eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ1c2VyMTIzIn0.PRfgtVejObUBz2QxK0zPVWK7TIcsClHUnBPKYifQCAE""#, r#"{"sub":"user123"}"#),
            Example(r#"root = this.sign_jwt_hs256("other").parse_jwt_hs256("secret")"#, r#"{"sub":"a"}"#, "error: failed to parse JWT string: signature is invalid"),
            Example(r#"root = this.sign_jwt_hs256("secret").parse_jwt_hs256("secret")"#, r#"{"exp":1}"#, "error: failed to parse JWT string: token is expired"),
        ]),
    Spec::method(CHAPTER, "parse_jwt_hs384", "The claims of a token that was signed with HMAC and SHA-384, and is valid now.", |c, v, a| parse(Algorithm::Hs384, c, v, a))
        .parameters(SECRET)
        .examples(&[Example(r#"root = this.sign_jwt_hs384("secret").parse_jwt_hs384("secret")"#, r#"{"sub":"a"}"#, r#"{"sub":"a"}"#), Example(r#"root = this.sign_jwt_hs256("secret").parse_jwt_hs384("secret")"#, r#"{"sub":"a"}"#, "error: failed to parse JWT string: signing method HS256 is invalid")]),
    Spec::method(CHAPTER, "parse_jwt_hs512", "The claims of a token that was signed with HMAC and SHA-512, and is valid now.", |c, v, a| parse(Algorithm::Hs512, c, v, a))
        .parameters(SECRET)
        .examples(&[Example(r#"root = this.sign_jwt_hs512("secret").parse_jwt_hs512("secret")"#, r#"{"sub":"a"}"#, r#"{"sub":"a"}"#), Example(r#"root = this.sign_jwt_hs512("secret").parse_jwt_hs512("secret")"#, r#"{"nbf":9999999999}"#, "error: failed to parse JWT string: token is not valid yet")]),
    Spec::method(CHAPTER, "parse_jwt_rs256", "The claims of a token that was signed with RSA and SHA-256, and is valid now.", |c, v, a| parse(Algorithm::Rs256, c, v, a))
        .parameters(SECRET)
        .examples(&[Example(r#"root = this.sign_jwt_rs256(file("rsa.private.pem").string()).parse_jwt_rs256(file("rsa.public.pem").string())"#, r#"{"sub":"a"}"#, r#"{"sub":"a"}"#), Example(r#"root = this.parse_jwt_rs256("no key")"#, r#""a.b.c""#, "error: failed to parse JWT string")]),
    Spec::method(CHAPTER, "parse_jwt_rs384", "The claims of a token that was signed with RSA and SHA-384, and is valid now.", |c, v, a| parse(Algorithm::Rs384, c, v, a))
        .parameters(SECRET)
        .examples(&[Example(r#"root = this.sign_jwt_rs384(file("rsa.private.pem").string()).parse_jwt_rs384(file("rsa.public.pem").string())"#, r#"{"sub":"a"}"#, r#"{"sub":"a"}"#), Example(r#"root = this.parse_jwt_rs384("no key")"#, r#""a.b.c""#, "error: failed to parse JWT string")]),
    Spec::method(CHAPTER, "parse_jwt_rs512", "The claims of a token that was signed with RSA and SHA-512, and is valid now.", |c, v, a| parse(Algorithm::Rs512, c, v, a))
        .parameters(SECRET)
        .examples(&[Example(r#"root = this.sign_jwt_rs512(file("rsa.private.pem").string()).parse_jwt_rs512(file("rsa.public.pem").string())"#, r#"{"sub":"a"}"#, r#"{"sub":"a"}"#), Example(r#"root = this.parse_jwt_rs512("no key")"#, r#""a.b.c""#, "error: failed to parse JWT string")]),
    Spec::method(CHAPTER, "parse_jwt_es256", "The claims of a token that was signed with ECDSA on P-256, and is valid now.", |c, v, a| parse(Algorithm::Es256, c, v, a))
        .parameters(SECRET)
        .examples(&[Example(r#"root = this.sign_jwt_es256(file("p256.private.pem").string()).parse_jwt_es256(file("p256.public.pem").string())"#, r#"{"sub":"a"}"#, r#"{"sub":"a"}"#), Example(r#"root = this.parse_jwt_es256("no key")"#, r#""a.b.c""#, "error: failed to parse JWT string")]),
    Spec::method(CHAPTER, "parse_jwt_es384", "The claims of a token that was signed with ECDSA on P-384, and is valid now.", |c, v, a| parse(Algorithm::Es384, c, v, a))
        .parameters(SECRET)
        .examples(&[Example(r#"root = this.sign_jwt_es384(file("p384.private.pem").string()).parse_jwt_es384(file("p384.public.pem").string())"#, r#"{"sub":"a"}"#, r#"{"sub":"a"}"#), Example(r#"root = this.parse_jwt_es384("no key")"#, r#""a.b.c""#, "error: failed to parse JWT string")]),
    Spec::method(CHAPTER, "parse_jwt_es512", "The claims of a token that was signed with ECDSA on P-521, and is valid now.", |c, v, a| parse(Algorithm::Es512, c, v, a))
        .parameters(SECRET)
        .examples(&[Example(r#"root = this.sign_jwt_es512(file("p521.private.pem").string()).parse_jwt_es512(file("p521.public.pem").string())"#, r#"{"sub":"a"}"#, r#"{"sub":"a"}"#), Example(r#"root = this.parse_jwt_es512("no key")"#, r#""a.b.c""#, "error: failed to parse JWT string")]),
];

/// An algorithm by which tokens are signed (RFC 7518, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Es256,
    Es384,
    Es512,
}

/// What an algorithm signs and checks with.
enum Method {
    Hmac(hmac::Algorithm),
    Rsa(&'static dyn RsaEncoding, &'static dyn VerificationAlgorithm),
    Ecdsa(&'static EcdsaSigningAlgorithm, &'static dyn VerificationAlgorithm),
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::Es512 => "ES512",
        }
    }

    fn method(self) -> Method {
        match self {
            Algorithm::Hs256 => Method::Hmac(hmac::HMAC_SHA256),
            Algorithm::Hs384 => Method::Hmac(hmac::HMAC_SHA384),
            Algorithm::Hs512 => Method::Hmac(hmac::HMAC_SHA512),
            Algorithm::Rs256 => {
                Method::Rsa(&signature::RSA_PKCS1_SHA256, &signature::RSA_PKCS1_2048_8192_SHA256)
            }
            Algorithm::Rs384 => {
                Method::Rsa(&signature::RSA_PKCS1_SHA384, &signature::RSA_PKCS1_2048_8192_SHA384)
            }
            Algorithm::Rs512 => {
                Method::Rsa(&signature::RSA_PKCS1_SHA512, &signature::RSA_PKCS1_2048_8192_SHA512)
            }
            Algorithm::Es256 => Method::Ecdsa(
                &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                &signature::ECDSA_P256_SHA256_FIXED,
            ),
            Algorithm::Es384 => Method::Ecdsa(
                &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
                &signature::ECDSA_P384_SHA384_FIXED,
            ),
            Algorithm::Es512 => Method::Ecdsa(
                &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
                &signature::ECDSA_P521_SHA512_FIXED,
            ),
        }
    }

    fn sign(self, secret: &str, data: &[u8]) -> Result<Vec<u8>, String> {
        let rejected = |_| "the key is not one for this algorithm".to_owned();
        match self.method() {
            Method::Hmac(algorithm) => {
                Ok(hmac::sign(&hmac::Key::new(algorithm, secret.as_bytes()), data).as_ref().to_vec())
            }
            Method::Rsa(encoding, _) => {
                let (label, der) = pem(secret)?;
                let key = match label {
                    "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der),
                    _ => RsaKeyPair::from_pkcs8(&der),
                };
                let key = key.map_err(rejected)?;
                let mut out = vec![0; key.public_modulus_len()];
                let random = SystemRandom::new();
                key.sign(encoding, &random, data, &mut out).map_err(|_| "signing failed".to_owned())?;
                Ok(out)
            }
            Method::Ecdsa(algorithm, _) => {
                let (_, der) = pem(secret)?;
                let key = EcdsaKeyPair::from_private_key_der(algorithm, &der).map_err(rejected)?;
                let signed = key.sign(&SystemRandom::new(), data);
                Ok(signed.map_err(|_| "signing failed".to_owned())?.as_ref().to_vec())
            }
        }
    }

    fn check(self, secret: &str, data: &[u8], signature: &[u8]) -> Result<(), String> {
        let invalid = |_| "signature is invalid".to_owned();
        match self.method() {
            Method::Hmac(algorithm) => {
                hmac::verify(&hmac::Key::new(algorithm, secret.as_bytes()), data, signature).map_err(invalid)
            }
            Method::Rsa(_, verification) | Method::Ecdsa(_, verification) => {
                let (_, der) = pem(secret)?;
                UnparsedPublicKey::new(verification, der).verify(data, signature).map_err(invalid)
            }
        }
    }
}

/// The label and content of the first block of a PEM text.
fn pem(text: &str) -> Result<(&str, Vec<u8>), String> {
    let missing = || "the key must be a PEM block".to_owned();
    let (_, rest) = text.split_once("-----BEGIN ").ok_or_else(missing)?;
    let (label, rest) = rest.split_once("-----").ok_or_else(missing)?;
    let (body, _) = rest.split_once("-----END").ok_or_else(missing)?;
    let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    let der = STANDARD.decode(body).map_err(|_| "the PEM block of the key is not valid base64".to_owned())?;
    Ok((label, der))
}

fn sign(algorithm: Algorithm, context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let secret: Text = arguments.text(context, 0)?;
    let claims = Value::Object(object(value)?).to_json();
    let head = format!(r#"{{"alg":"{}","typ":"JWT"}}"#, algorithm.name());
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
    let signature = algorithm
        .sign(&secret, signed.as_bytes())
        .map_err(|why| Failure::new(format!("failed to sign JWT with {}: {why}", algorithm.name())))?;
    Ok(Value::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

fn parse(algorithm: Algorithm, context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let secret = arguments.text(context, 0)?;
    claims(algorithm, &secret, &text(&value)?, Timestamp::now().as_second())
        .map_err(|why| Failure::new(format!("failed to parse JWT string: {why}")))
}

fn claims(algorithm: Algorithm, secret: &str, token: &str, now: i64) -> Result<Value, String> {
    let malformed = || "token is malformed".to_owned();
    let parts: Vec<&str> = token.split('.').collect();
    let &[head, body, signature] = &parts[..] else { return Err(malformed()) };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
    let json = |part: &str| Value::parse_json(&decode(part)?).map(Value::settled).map_err(|_| malformed());
    let named = json(head)?;
    let named = named.get("alg").and_then(Value::as_str).ok_or_else(malformed)?;
    if named != algorithm.name() {
        return Err(format!("signing method {named} is invalid: expected {}", algorithm.name()));
    }
    let signed = format!("{head}.{body}");
    algorithm.check(secret, signed.as_bytes(), &decode(signature)?)?;
    let claims = json(body)?;
    if claims.as_object().is_none() {
        return Err(malformed());
    }
    let time = |name: &str| match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Int(number)) => Ok(Some(*number as f64)),
        Some(Value::Float(number)) => Ok(Some(*number)),
        Some(_) => Err(format!("claim `{name}` is not a number")),
    };
    let now = now as f64;
    if time("exp")?.is_some_and(|expiry| now >= expiry) {
        return Err("token is expired".to_owned());
    }
    if time("nbf")?.is_some_and(|start| now < start) {
        return Err("token is not valid yet".to_owned());
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::KeyPair;

    fn block(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    }

    fn token(algorithm: Algorithm, secret: &str, claims: &str) -> String {
        let head = format!(r#"{{"alg":"{}"}}"#, algorithm.name());
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
        let signature = algorithm.sign(secret, signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn keys_of_pem_sign_and_check() {
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8 = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&rsa).unwrap();
        let public = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(rsa.public_key()).unwrap();
        let mut keys = vec![];
        for algorithm in [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512] {
            keys.push((
                algorithm,
                block("PRIVATE KEY", pkcs8.as_ref()),
                block("PUBLIC KEY", public.as_ref()),
            ));
        }
        for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Es512] {
            let Method::Ecdsa(signing, _) = algorithm.method() else { unreachable!() };
            let key = EcdsaKeyPair::generate(signing).unwrap();
            let private = key.to_pkcs8v1().unwrap();
            let public =
                AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(key.public_key()).unwrap();
            keys.push((
                algorithm,
                block("PRIVATE KEY", private.as_ref()),
                block("PUBLIC KEY", public.as_ref()),
            ));
        }
        for (algorithm, private, public) in keys {
            let signed = token(algorithm, &private, r#"{"sub":"a"}"#);
            assert_eq!(
                claims(algorithm, &public, &signed, 0).unwrap().to_json(),
                r#"{"sub":"a"}"#,
                "{algorithm:?}"
            );
            let other = signed.replacen('.', ".A", 1);
            assert!(claims(algorithm, &public, &other, 0).is_err(), "{algorithm:?}");
        }
    }

    #[test]
    fn times_and_algorithms_are_enforced() {
        let check = |claims_text: &str, now| {
            claims(Algorithm::Hs256, "k", &token(Algorithm::Hs256, "k", claims_text), now)
        };
        assert!(check(r#"{"exp":100,"nbf":50,"iat":50}"#, 99).is_ok());
        assert_eq!(check(r#"{"exp":100}"#, 100).unwrap_err(), "token is expired");
        assert_eq!(check(r#"{"nbf":100}"#, 99).unwrap_err(), "token is not valid yet");
        assert!(check(r#"{"exp":"soon"}"#, 1).is_err());
        assert!(check("[]", 1).is_err());
        // A public key must never serve as a shared secret, nor may a token choose to be unsigned.
        let confused = token(Algorithm::Hs256, "public", "{}");
        assert!(claims(Algorithm::Rs256, "public", &confused, 0).unwrap_err().contains("HS256"));
        let none =
            format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode("{}"));
        assert!(claims(Algorithm::Hs256, "k", &none, 0).is_err());
        for broken in ["", "a.b", "..", "a.b.c.d", "e30.e30.e30"] {
            assert!(claims(Algorithm::Hs256, "k", broken, 0).is_err(), "{broken}");
        }
    }
}
