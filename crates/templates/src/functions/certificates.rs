//! Keys and certificates: as maps with `Cert` and `Key`, both PEM.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use gotmpl::Value;
use rand::RngExt as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize,
    SerialNumber, date_time_ymd,
};

use super::slow::{KEY, LARGE_KEY, SIGNATURE, in_turn};
use super::{Made, Table, arg, int, made, str, texts};

pub(super) const TABLE: Table = &[
    ("genPrivateKey", |args| private_key(str(args, 0)?).map(made)),
    ("genCA", |args| authority(args, None)),
    ("genCAWithKey", |args| authority(args, Some(str(args, 2)?))),
    ("genSelfSignedCert", |args| of_itself(args, None)),
    ("genSelfSignedCertWithKey", |args| of_itself(args, Some(str(args, 4)?))),
    ("genSignedCert", |args| of_authority(args, None)),
    ("genSignedCertWithKey", |args| of_authority(args, Some(str(args, 5)?))),
    ("buildCustomCert", |args| given(str(args, 0)?, str(args, 1)?)),
];

/// A day, in seconds, and the longest time that a certificate may hold.
const DAY: u64 = 86_400;
const MOST_DAYS: i64 = 365_000;

/// A new key, as PEM of its own kind.
fn private_key(kind: &str) -> Result<String, String> {
    let failed = |error: rcgen::Error| error.to_string();
    match kind {
        "" | "rsa" => in_turn(LARGE_KEY, || {
            let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096).map_err(failed)?;
            pem_of(&key)
        }),
        "ecdsa" => {
            in_turn(SIGNATURE, || pem_of(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?))
        }
        "ed25519" => in_turn(SIGNATURE, || pem_of(&KeyPair::generate_for(&PKCS_ED25519).map_err(failed)?)),
        "dsa" => Err("no keys of DSA are made: use `rsa`, `ecdsa` or `ed25519`".to_owned()),
        other => Ok(format!("Unknown type {other}")),
    }
}

/// An authority: its name, the days for which it holds.
fn authority(args: &[Value], key: Option<&str>) -> Made {
    let mut params = params(str(args, 0)?, &[], int(args, 1)?)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages.push(KeyUsagePurpose::KeyCertSign);
    by_itself(&params, key)
}

/// A certificate that stands for itself: name, addresses, other names, days.
fn of_itself(args: &[Value], key: Option<&str>) -> Made {
    by_itself(&params(str(args, 0)?, &names(args)?, int(args, 3)?)?, key)
}

/// The same, signed by an authority.
fn of_authority(args: &[Value], key: Option<&str>) -> Made {
    let params = params(str(args, 0)?, &names(args)?, int(args, 3)?)?;
    let Value::Map(authority) = arg(args, 4)? else {
        return Err("the authority is no certificate".to_owned());
    };
    let part = |name: &str| match authority.get(name) {
        Some(Value::String(text)) => Ok(Arc::clone(text)),
        _ => Err(format!("the authority has no `{name}`")),
    };
    let (cert, signing) = (part("Cert")?, part("Key")?);
    let issuer = Issuer::from_ca_cert_pem(&cert, read(&signing)?).map_err(|error| error.to_string())?;
    with_key(key, |key, shown| {
        let signed = params.signed_by(key, &issuer).map_err(|error| error.to_string())?;
        Ok(pair(&signed.pem(), shown))
    })
}

/// A certificate and a key that are there, both in base64.
fn given(cert: &str, key: &str) -> Made {
    let decoded = |text: &str, what: &str| {
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| format!("unable to decode base64 {what}"))?;
        String::from_utf8(bytes).map_err(|_| format!("unable to decode {what}"))
    };
    let (cert, key) = (decoded(cert, "certificate")?, decoded(key, "private key")?);
    in_turn(SIGNATURE, || {
        Issuer::from_ca_cert_pem(&cert, read(&key)?)
            .map(drop)
            .map_err(|error| format!("error parsing certificate: {error}"))
    })?;
    Ok(pair(&cert, &key))
}

fn by_itself(params: &CertificateParams, key: Option<&str>) -> Made {
    with_key(key, |key, shown| {
        let signed = params.self_signed(key).map_err(|error| error.to_string())?;
        Ok(pair(&signed.pem(), shown))
    })
}

/// Signs with a key that is given, or with a new one of RSA.
fn with_key(key: Option<&str>, sign: impl FnOnce(&KeyPair, &str) -> Made) -> Made {
    match key {
        Some(text) => {
            let key = read(text)?;
            in_turn(SIGNATURE, || sign(&key, text))
        }
        None => in_turn(KEY, || {
            let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048);
            let key = key.map_err(|error| error.to_string())?;
            sign(&key, &pem_of(&key)?)
        }),
    }
}

fn read(key: &str) -> Result<KeyPair, String> {
    KeyPair::from_pem(key).map_err(|error| format!("error parsing private key: {error}"))
}

/// Addresses and names that a certificate is for.
fn names(args: &[Value]) -> Result<Vec<String>, String> {
    let addresses = texts(arg(args, 1)?);
    if let Some(bad) = addresses.iter().find(|address| address.parse::<IpAddr>().is_err()) {
        return Err(format!("error parsing ip: {bad}"));
    }
    Ok(addresses.into_iter().chain(texts(arg(args, 2)?)).collect())
}

fn params(name: &str, names: &[String], days: i64) -> Result<CertificateParams, String> {
    if !(0..=MOST_DAYS).contains(&days) {
        return Err(format!("a certificate holds for 0 to {MOST_DAYS} days"));
    }
    let mut params = CertificateParams::new(names.to_vec()).map_err(|error| error.to_string())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    params.not_before = date_time_ymd(1970, 1, 1) + Duration::from_secs(now);
    params.not_after = params.not_before + Duration::from_secs(days.unsigned_abs() * DAY);
    let mut serial: [u8; 16] = rand::rng().random();
    // A number above 0, of as many bytes.
    serial[0] = serial[0] & 0x7f | 1;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn pair(cert: &str, key: &str) -> Value {
    crate::map([("Cert".to_owned(), made(cert)), ("Key".to_owned(), made(key))])
}

/// A new key in the format that its kind has of its own, which is within the one that all have.
fn pem_of(key: &KeyPair) -> Result<String, String> {
    const FAILED: &str = "the key cannot be written";
    let der = key.serialized_der();
    // PKCS #8: a version, what kind it is, and the key.
    let (_, whole) = element(der, 0x30).ok_or(FAILED)?.split_at(0);
    let behind_version = behind(whole, 0x02).ok_or(FAILED)?;
    let own = element(behind(behind_version, 0x30).ok_or(FAILED)?, 0x04).ok_or(FAILED)?;
    if key.algorithm() == &PKCS_RSA_SHA256 {
        return Ok(pem("RSA PRIVATE KEY", own));
    }
    if key.algorithm() == &PKCS_ED25519 {
        let mut plain = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22];
        plain.extend(own);
        return Ok(pem("PRIVATE KEY", &plain));
    }
    // SEC 1: a version, the number, the curve, the point.
    let number =
        element(behind(element(own, 0x30).ok_or(FAILED)?, 0x02).ok_or(FAILED)?, 0x04).ok_or(FAILED)?;
    let point = key.public_key_raw();
    let mut inner = vec![2, 1, 1];
    put(&mut inner, 0x04, number);
    put(&mut inner, 0xa0, &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]);
    let mut bits = Vec::new();
    put(&mut bits, 0x03, &[&[0], point].concat());
    put(&mut inner, 0xa1, &bits);
    let mut all = Vec::new();
    put(&mut all, 0x30, &inner);
    Ok(pem("EC PRIVATE KEY", &all))
}

/// What an element of DER holds, if it is of this kind, and what comes behind it.
fn split(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut length = usize::from(*first);
    if *first >= 0x80 {
        let (digits, behind) = rest.split_at_checked(usize::from(first & 0x7f))?;
        (length, rest) = (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), behind);
    }
    (*found == kind).then(|| rest.split_at_checked(length)).flatten()
}

fn element(der: &[u8], kind: u8) -> Option<&[u8]> {
    split(der, kind).map(|(inside, _)| inside)
}

fn behind(der: &[u8], kind: u8) -> Option<&[u8]> {
    split(der, kind).map(|(_, behind)| behind)
}

/// Writes an element of at most 65535 bytes.
fn put(out: &mut Vec<u8>, kind: u8, inside: &[u8]) {
    out.push(kind);
    match inside.len() {
        length @ 0..=0x7f => out.push(length as u8),
        length @ 0x80..=0xff => out.extend([0x81, length as u8]),
        length => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(inside);
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.extend(line.iter().map(|byte| char::from(*byte)));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}
