//! Methods that encrypt, decrypt, and compare secrets with their hashes.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    self, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::alphabet::BCRYPT;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{NO_PAD, STANDARD_NO_PAD};
use blowfish::Blowfish;

use super::receive::bytes;
use super::{Example, Kind, Parameter, Spec};
use crate::Value;
use crate::run::{Arguments, Context, Evaluated, Failure};

/// Most memory that a hash of Argon2 may ask for, in KiB.
const MAX_ARGON2_MEMORY: u32 = 256 << 10;
/// Most passes that a hash of Argon2 may ask for.
const MAX_ARGON2_PASSES: u32 = 32;
/// Largest cost that a hash of bcrypt may ask for: each step doubles the time.
const MAX_BCRYPT_COST: u32 = 16;
const SCHEMES: &[&str] = &["ctr", "gcm", "ofb", "cbc"];
const AES: &[Parameter] = &[
    Parameter::required("scheme", Kind::Choice(SCHEMES), "The mode."),
    Parameter::required("key", Kind::Any, "The key: 16, 24 or 32 bytes."),
    Parameter::required("iv", Kind::Any, "The initialization vector: 16 bytes, for `gcm` 12."),
];
const SECRET: &[Parameter] =
    &[Parameter::required("hashed_secret", Kind::Text, "The hash, with its algorithm, settings and salt.")];

pub(crate) static TABLE: &[Spec] = &[
    Spec::method("Encoding", "encrypt_aes", "Text or bytes encrypted with AES, as bytes. `gcm` adds a tag; `cbc` wants whole blocks of 16 bytes.", |context, value, arguments| {
        let secrets = Secrets::read(context, arguments)?;
        let data = bytes(&value)?.into_owned();
        encrypt(&secrets, data).map(|data| Value::Bytes(data.into())).map_err(Failure::new)
    })
    .parameters(AES)
    .examples(&[
        Example(
            r#"root = this.encrypt_aes("ctr", "2b7e151628aed2a6abf7158809cf4f3c".decode("hex"), "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff".decode("hex")).encode("hex")"#,
            r#""hello""#,
            r#""84e9b31ff7""#,
        ),
        Example(r#"root = this.encrypt_aes("cbc", "0123456789abcdef", "0123456789abcdef")"#, r#""hello""#, "error: is not a multiple of the block size"),
        Example(r#"root = this.encrypt_aes("ctr", "short", "0123456789abcdef")"#, r#""hello""#, "error: invalid key size 5"),
    ]),
    Spec::method("Encoding", "decrypt_aes", "What was encrypted with AES, as bytes.", |context, value, arguments| {
        let secrets = Secrets::read(context, arguments)?;
        let data = bytes(&value)?.into_owned();
        decrypt(&secrets, data).map(|data| Value::Bytes(data.into())).map_err(Failure::new)
    })
    .parameters(AES)
    .examples(&[
        Example(
            r#"root = this.encrypt_aes("gcm", "0123456789abcdef", "0123456789ab").decrypt_aes("gcm", "0123456789abcdef", "0123456789ab").string()"#,
            r#""hello""#,
            r#""hello""#,
        ),
        Example(r#"root = this.decrypt_aes("gcm", "0123456789abcdef", "0123456789ab")"#, r#""not what gcm gave""#, "error: message authentication failed"),
    ]),
    Spec::method("Encoding", "compare_argon2", "Whether a secret has a hash of Argon2, as `$argon2id$v=19$m=...,t=...,p=...$salt$hash`. At most 256 MiB and 32 passes.", |context, value, arguments| {
        let hash = arguments.text(context, 0)?;
        argon2_matches(&bytes(&value)?, &hash).map(Value::Bool).map_err(Failure::new)
    })
    .parameters(SECRET)
    .examples(&[
        Example(r#"root = this.compare_argon2("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$Ec+OjA0BoUQ5Lrv4VBhw8Q")"#, r#""guess""#, "false"),
        Example(r#"root = this.compare_argon2("plain")"#, r#""plain""#, "error: is no hash of argon2"),
    ]),
    Spec::method("Encoding", "compare_bcrypt", "Whether a secret has a hash of bcrypt, as `$2y$10$...`. The cost may be 16 at most.", |context, value, arguments| {
        let hash = arguments.text(context, 0)?;
        bcrypt_matches(&bytes(&value)?, &hash).map(Value::Bool).map_err(Failure::new)
    })
    .parameters(SECRET)
    .examples(&[
        Example(r#"root = this.compare_bcrypt("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW")"#, r#""U*U""#, "true"),
        Example(r#"root = this.compare_bcrypt("plain")"#, r#""plain""#, "error: is no hash of bcrypt"),
    ]),
];

/// How to encrypt.
struct Secrets {
    scheme: String,
    key: Vec<u8>,
    iv: Vec<u8>,
}

impl Secrets {
    fn read(context: &mut Context<'_>, arguments: &Arguments) -> Evaluated<Secrets> {
        let scheme = arguments.text(context, 0)?.to_string();
        let key = bytes(&arguments.value(context, 1)?)?.into_owned();
        let iv = bytes(&arguments.value(context, 2)?)?.into_owned();
        Ok(Secrets { scheme, key, iv })
    }

    fn cipher_key(&self) -> Result<UnboundCipherKey, String> {
        let algorithm = match self.key.len() {
            16 => &cipher::AES_128,
            24 => &cipher::AES_192,
            32 => &cipher::AES_256,
            other => return Err(wrong_key(other)),
        };
        UnboundCipherKey::new(algorithm, &self.key).map_err(|_| wrong_key(self.key.len()))
    }

    fn vector(&self) -> Result<FixedLength<16>, String> {
        let vector: &[u8; 16] = self.iv.as_slice().try_into().map_err(|_| wrong_iv(16, self.iv.len()))?;
        Ok(FixedLength::from(vector))
    }

    fn gcm(&self) -> Result<(LessSafeKey, Nonce), String> {
        let algorithm = match self.key.len() {
            16 => &aead::AES_128_GCM,
            24 => &aead::AES_192_GCM,
            32 => &aead::AES_256_GCM,
            other => return Err(wrong_key(other)),
        };
        let key = UnboundKey::new(algorithm, &self.key).map_err(|_| wrong_key(self.key.len()))?;
        let nonce = Nonce::try_assume_unique_for_key(&self.iv).map_err(|_| wrong_iv(12, self.iv.len()))?;
        Ok((LessSafeKey::new(key), nonce))
    }
}

fn wrong_key(length: usize) -> String {
    format!("invalid key size {length}: AES takes 16, 24 or 32 bytes")
}

fn wrong_iv(expected: usize, length: usize) -> String {
    format!("the initialization vector has {length} bytes; it needs {expected}")
}

fn whole_blocks(data: &[u8]) -> Result<(), String> {
    if data.len().is_multiple_of(16) {
        return Ok(());
    }
    Err(format!("the length {} is not a multiple of the block size of 16 bytes", data.len()))
}

fn encrypt(secrets: &Secrets, mut data: Vec<u8>) -> Result<Vec<u8>, String> {
    let failed = |_| "encryption failed".to_owned();
    let key = match &*secrets.scheme {
        "gcm" => {
            let (key, nonce) = secrets.gcm()?;
            key.seal_in_place_append_tag(nonce, Aad::empty(), &mut data).map_err(failed)?;
            return Ok(data);
        }
        "ctr" => EncryptingKey::ctr(secrets.cipher_key()?),
        "ofb" => EncryptingKey::ofb(secrets.cipher_key()?),
        "cbc" => {
            whole_blocks(&data)?;
            EncryptingKey::cbc(secrets.cipher_key()?)
        }
        other => return Err(format!("unrecognised encryption type: {other}")),
    };
    let context = EncryptionContext::Iv128(secrets.vector()?);
    key.and_then(|key| key.less_safe_encrypt(&mut data, context)).map_err(failed)?;
    Ok(data)
}

fn decrypt(secrets: &Secrets, mut data: Vec<u8>) -> Result<Vec<u8>, String> {
    let failed = |_| "decryption failed".to_owned();
    let key = match &*secrets.scheme {
        "gcm" => {
            let (key, nonce) = secrets.gcm()?;
            let opened = key.open_in_place(nonce, Aad::empty(), &mut data);
            let length = opened.map_err(|_| "message authentication failed".to_owned())?.len();
            data.truncate(length);
            return Ok(data);
        }
        "ctr" => DecryptingKey::ctr(secrets.cipher_key()?),
        "ofb" => DecryptingKey::ofb(secrets.cipher_key()?),
        "cbc" => {
            whole_blocks(&data)?;
            DecryptingKey::cbc(secrets.cipher_key()?)
        }
        other => return Err(format!("unrecognised decryption type: {other}")),
    };
    let context = DecryptionContext::Iv128(secrets.vector()?);
    key.and_then(|key| key.decrypt(&mut data, context).map(|_| ())).map_err(failed)?;
    Ok(data)
}

fn argon2_matches(secret: &[u8], hash: &str) -> Result<bool, String> {
    let malformed = || "this is no hash of argon2, as `$argon2id$v=19$m=65536,t=3,p=4$salt$hash`".to_owned();
    let mut parts = hash.strip_prefix('$').ok_or_else(malformed)?.split('$');
    let mut next = || parts.next().ok_or_else(malformed);
    let algorithm = match next()? {
        "argon2id" => Algorithm::Argon2id,
        "argon2i" => Algorithm::Argon2i,
        "argon2d" => Algorithm::Argon2d,
        _ => return Err(malformed()),
    };
    let mut settings = next()?;
    let mut version = Version::V0x10;
    if let Some(number) = settings.strip_prefix("v=") {
        version = match number {
            "16" => Version::V0x10,
            "19" => Version::V0x13,
            _ => return Err(malformed()),
        };
        settings = next()?;
    }
    let decode = |text: &str| STANDARD_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| malformed());
    let (salt, digest) = (decode(next()?)?, decode(next()?)?);
    let setting = |name: &str| {
        let found = settings.split(',').find_map(|setting| setting.strip_prefix(name)?.strip_prefix('='));
        found.and_then(|number| number.parse::<u32>().ok()).ok_or_else(malformed)
    };
    let (memory, passes, lanes) = (setting("m")?, setting("t")?, setting("p")?);
    if memory > MAX_ARGON2_MEMORY || passes > MAX_ARGON2_PASSES {
        return Err(format!(
            "the hash asks for more than {MAX_ARGON2_MEMORY} KiB or {MAX_ARGON2_PASSES} passes"
        ));
    }
    let params = Params::new(memory, passes, lanes, Some(digest.len())).map_err(|error| error.to_string())?;
    let mut found = vec![0; digest.len()];
    Argon2::new(algorithm, version, params)
        .hash_password_into(secret, &salt, &mut found)
        .map_err(|error| format!("failed to hash with argon2: {error}"))?;
    Ok(verify_slices_are_equal(&found, &digest).is_ok())
}

fn bcrypt_matches(secret: &[u8], hash: &str) -> Result<bool, String> {
    let malformed = || "this is no hash of bcrypt, as `$2y$10$` and 53 characters".to_owned();
    let parts: Vec<&str> = hash.split('$').collect();
    let &["", "2" | "2a" | "2b" | "2x" | "2y", cost, rest] = &parts[..] else { return Err(malformed()) };
    let cost: u32 = cost.parse().ok().filter(|cost| (4..=31).contains(cost)).ok_or_else(malformed)?;
    if cost > MAX_BCRYPT_COST {
        return Err(format!("the hash has cost {cost}; it may be {MAX_BCRYPT_COST} at most"));
    }
    let config = NO_PAD.with_decode_allow_trailing_bits(true);
    let decode = |text: Option<&str>| GeneralPurpose::new(&BCRYPT, config).decode(text?).ok();
    let (salt, digest) = (decode(rest.get(..22)), decode(rest.get(22..)));
    let (Some(salt), Some(digest)) = (salt, digest.filter(|digest| digest.len() == 23)) else {
        return Err(malformed());
    };
    let found = bcrypt(secret, &salt, cost);
    Ok(verify_slices_are_equal(found.get(..23).unwrap_or_default(), &digest).is_ok())
}

/// The digest of bcrypt: a text encrypted again and again with a key that is costly to set up.
fn bcrypt(secret: &[u8], salt: &[u8], cost: u32) -> Vec<u8> {
    // The key ends with a zero, and counts up to its 72nd byte.
    let mut key: Vec<u8> = secret.iter().copied().take(72).collect();
    if key.len() < 72 {
        key.push(0);
    }
    let mut state = Blowfish::bc_init_state();
    state.salted_expand_key(salt, &key);
    for _ in 0..1_u64 << cost {
        state.bc_expand_key(&key);
        state.bc_expand_key(salt);
    }
    let mut out = Vec::with_capacity(24);
    let (halves, _) = b"OrpheanBeholderScryDoubt".as_chunks::<8>();
    for half in halves {
        let [a, b, c, d, e, f, g, h] = *half;
        let mut pair = [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])];
        for _ in 0..64 {
            pair = state.bc_encrypt(pair);
        }
        out.extend(pair.iter().flat_map(|half| half.to_be_bytes()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_come_back_with_every_key() {
        for (scheme, iv) in [("ctr", 16), ("ofb", 16), ("cbc", 16), ("gcm", 12)] {
            for size in [16, 24, 32] {
                let secrets = Secrets { scheme: scheme.to_owned(), key: vec![7; size], iv: vec![9; iv] };
                let data = b"0123456789abcdef0123456789abcdef".to_vec();
                let sealed = encrypt(&secrets, data.clone()).unwrap();
                assert_ne!(sealed, data);
                assert_eq!(decrypt(&secrets, sealed).unwrap(), data, "{scheme} {size}");
                let wrong = Secrets { iv: vec![9; 5], ..secrets };
                assert!(encrypt(&wrong, data).unwrap_err().contains("needs"));
            }
        }
    }

    #[test]
    fn hashes_of_secrets() {
        for (secret, hash, expected) in [
            ("a", "$2y$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe", Some(true)),
            ("b", "$2y$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe", Some(false)),
            ("a", "$2y$31$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe", None),
            ("a", "$2y$06$m0CrhHm", None),
        ] {
            assert_eq!(bcrypt_matches(secret.as_bytes(), hash).ok(), expected, "{hash}");
        }
        let salt = "c29tZXNhbHQ";
        let mut digest = [0; 16];
        let params = Params::new(64, 2, 1, Some(16)).unwrap();
        Argon2::new(Algorithm::Argon2i, Version::V0x13, params)
            .hash_password_into(b"secret", b"somesalt", &mut digest)
            .unwrap();
        let hash = format!("$argon2i$v=19$m=64,t=2,p=1${salt}${}", STANDARD_NO_PAD.encode(digest));
        assert_eq!(argon2_matches(b"secret", &hash), Ok(true));
        assert_eq!(argon2_matches(b"Secret", &hash), Ok(false));
        for wrong in [
            "",
            "$",
            "$argon2x$v=19$m=64,t=2,p=1$a$b",
            "$argon2i$m=64$a$b",
            "$argon2i$v=19$m=9999999,t=2,p=1$c29tZXNhbHQ$AAAA",
        ] {
            assert!(argon2_matches(b"secret", wrong).is_err(), "{wrong}");
        }
    }
}
