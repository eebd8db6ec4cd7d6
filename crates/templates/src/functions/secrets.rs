//! Hashes of passwords, passwords that are derived from others, and texts under a password.

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::slow::{HASH, PASSWORD, in_turn};
use super::{Table, int, made, str};
use crate::cost;

pub(super) const TABLE: Table = &[
    ("bcrypt", |args| Ok(made(hashed(str(args, 0)?)?))),
    ("htpasswd", |args| {
        let user = str(args, 0)?;
        if user.contains(':') {
            return Ok(made(format!("invalid username: {user}")));
        }
        Ok(made(format!("{user}:{}", hashed(str(args, 1)?)?)))
    }),
    ("derivePassword", |args| {
        let counter =
            u32::try_from(int(args, 0)?).map_err(|_| "the counter is no 32-bit number".to_owned())?;
        derived(counter, str(args, 1)?, str(args, 2)?, str(args, 3)?, str(args, 4)?).map(made)
    }),
    ("encryptAES", |args| encrypted(str(args, 0)?, str(args, 1)?).map(made)),
    ("decryptAES", |args| decrypted(str(args, 0)?, str(args, 1)?).map(made)),
];

/// Longest password of bcrypt, in bytes.
const LONGEST: usize = 72;
const ROUNDS: u32 = 10;

/// As bcrypt hashes it; what is wrong in its place, as the original writes it.
fn hashed(password: &str) -> Result<String, String> {
    let failed = |why: &str| format!("failed to encrypt string with bcrypt: {why}");
    if password.len() > LONGEST {
        return Ok(failed("bcrypt: password length exceeds 72 bytes"));
    }
    in_turn(HASH, || {
        Ok(match bcrypt::hash_with_result(password, ROUNDS) {
            Ok(parts) => parts.format_for_version(bcrypt::Version::TwoA),
            Err(error) => failed(&error.to_string()),
        })
    })
}

/// What the letters of passwords are made of, by kind.
const CLASSES: &[(char, &str)] = &[
    ('V', "AEIOU"),
    ('C', "BCDFGHJKLMNPQRSTVWXYZ"),
    ('v', "aeiou"),
    ('c', "bcdfghjklmnpqrstvwxyz"),
    ('A', "AEIOUBCDFGHJKLMNPQRSTVWXYZ"),
    ('a', "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"),
    ('n', "0123456789"),
    ('o', "@&%?,=[]_:-+*$#!'^~;()/."),
    ('x', "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()"),
];

/// The shapes that passwords of a kind have.
const SHAPES: &[(&str, &[&str])] = &[
    ("maximum", &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"]),
    (
        "long",
        &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
    ),
    ("medium", &["CvcnoCvc", "CvcCvcno"]),
    ("short", &["Cvcn"]),
    ("basic", &["aaanaaan", "aannaaan", "aaannaaa"]),
    ("pin", &["nnnn"]),
];

/// The password of a site, by the published algorithm "Master Password", version 3: scrypt over the user's own one, then
/// HMAC over the site.
fn derived(counter: u32, kind: &str, password: &str, user: &str, site: &str) -> Result<String, String> {
    const SCOPE: &[u8] = b"com.lyndir.masterpassword";
    let Some((_, shapes)) = SHAPES.iter().find(|(known, _)| *known == kind) else {
        return Ok(format!("cannot find password template {kind}"));
    };
    let with = |name: &str| [SCOPE, &(name.len() as u32).to_be_bytes(), name.as_bytes()].concat();
    let mut key = [0_u8; 64];
    in_turn(PASSWORD, || {
        let parameters = scrypt::Params::new(15, 8, 2).map_err(|error| error.to_string())?;
        scrypt::scrypt(password.as_bytes(), &with(user), &parameters, &mut key)
            .map_err(|error| error.to_string())
    })?;
    let message = [with(site), counter.to_be_bytes().to_vec()].concat();
    let seed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &message);
    let mut seed = seed.as_ref().iter().map(|byte| usize::from(*byte));
    let shape = shapes[seed.next().unwrap_or_default() % shapes.len()];
    let letters = shape.chars().zip(seed).filter_map(|(class, at)| {
        let (_, letters) = CLASSES.iter().find(|(known, _)| *known == class)?;
        letters.chars().nth(at % letters.len())
    });
    Ok(letters.collect())
}

/// The password is the key, with zeros behind it.
fn key(password: &str) -> Result<UnboundCipherKey, String> {
    let mut key = [0_u8; 32];
    let length = password.len().min(key.len());
    key[..length].copy_from_slice(&password.as_bytes()[..length]);
    UnboundCipherKey::new(&AES_256, &key).map_err(|_| "the password cannot be a key".to_owned())
}

/// AES in CBC mode with a random vector before the text, in base64.
fn encrypted(password: &str, text: &str) -> Result<String, String> {
    const FAILED: &str = "the text cannot be encrypted";
    cost::fits(text.len())?;
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(key(password)?).map_err(|_| FAILED)?;
    let mut bytes = text.as_bytes().to_vec();
    let context = key.encrypt(&mut bytes).map_err(|_| FAILED)?;
    let DecryptionContext::Iv128(vector) = context else { return Err(FAILED.to_owned()) };
    Ok(BASE64_STANDARD.encode([&vector.as_ref()[..], &bytes].concat()))
}

fn decrypted(password: &str, text: &str) -> Result<String, String> {
    const FAILED: &str = "this is no text under that password";
    if text.is_empty() {
        return Ok(String::new());
    }
    let bytes = BASE64_STANDARD.decode(text).map_err(|error| error.to_string())?;
    let (vector, rest) = bytes.split_first_chunk::<16>().ok_or(FAILED)?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key(password)?).map_err(|_| FAILED)?;
    let mut rest = rest.to_vec();
    let context = DecryptionContext::Iv128(FixedLength::from(vector));
    let plain = key.decrypt(&mut rest, context).map_err(|_| FAILED)?;
    Ok(String::from_utf8_lossy(plain).into_owned())
}
