//! Methods that encode, decode, hash, and read or write JSON.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::ascii85;
use super::receive::{bytes, like, text};
use super::{Example, Fixed, Kind, Parameter, Spec};
use crate::Value;
use crate::run::{Arguments, Context, Evaluated, Failure};

const CHAPTER: &str = "Encoding";
const SCHEMES: &[&str] = &["base64", "base64url", "base64rawurl", "hex", "ascii85", "z85"];
const HASHES: &[&str] = &[
    "md5",
    "sha1",
    "sha256",
    "sha512",
    "hmac_sha1",
    "hmac_sha256",
    "hmac_sha512",
    "crc32",
    "fnv32",
    "xxhash64",
];
const POLYNOMIALS: &[&str] = &["IEEE", "Castagnoli", "Koopman"];

pub(crate) static TABLE: &[Spec] = &[
    Spec::method(CHAPTER, "encode", "Text or bytes as text in an encoding.", encode)
        .parameters(&[Parameter::required("scheme", Kind::Choice(SCHEMES), "The encoding.")])
        .examples(&[
            Example(r#"root = this.a.encode("base64")"#, r#"{"a":"hello?>"}"#, r#""aGVsbG8/Pg==""#),
            Example(r#"root = this.a.encode("base64rawurl")"#, r#"{"a":"hello?>"}"#, r#""aGVsbG8_Pg""#),
            Example(r#"root = this.a.encode("hex")"#, r#"{"a":"hi"}"#, r#""6869""#),
            Example(r#"root = this.a.encode("ascii85")"#, r#"{"a":"hello"}"#, r#""BOu!rDZ""#),
            Example(r#"root = this.a.encode("z85")"#, r#"{"a":"hell"}"#, r#""xK#0@""#),
        ]),
    Spec::method(CHAPTER, "decode", "The bytes of encoded text.", decode)
        .parameters(&[Parameter::required("scheme", Kind::Choice(SCHEMES), "The encoding.")])
        .examples(&[
            Example(r#"root = this.a.decode("base64").string()"#, r#"{"a":"aGVsbG8="}"#, r#""hello""#),
            Example(
                r#"root = this.a.decode("hex").string()"#,
                r#"{"a":"6G"}"#,
                "error: failed to decode as hex",
            ),
            Example(r#"root = this.decode("ascii85").string()"#, r#""BOu!rDZ""#, r#""hello""#),
            Example(r#"root = this.decode("z85").string()"#, r#""xK#0@""#, r#""hell""#),
        ]),
    Spec::method(
        CHAPTER,
        "hash",
        "The digest of text or bytes, as bytes; of `xxhash64` as decimal text.",
        hash,
    )
    .parameters(&[
        Parameter::required("algorithm", Kind::Choice(HASHES), "The algorithm."),
        Parameter::optional("key", Kind::Any, "The key, for the `hmac` algorithms."),
        Parameter::with_default(
            "polynomial",
            Kind::Choice(POLYNOMIALS),
            Fixed::Text("IEEE"),
            "The polynomial, for `crc32`.",
        ),
    ])
    .examples(&[
        Example(
            r#"root = this.a.hash("sha256").encode("hex")"#,
            r#"{"a":"abc"}"#,
            r#""ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad""#,
        ),
        Example(r#"root = this.a.hash("crc32").encode("hex")"#, r#"{"a":"123456789"}"#, r#""cbf43926""#),
        Example(
            r#"root = this.a.hash(algorithm: "crc32", polynomial: "Castagnoli").encode("hex")"#,
            r#"{"a":"123456789"}"#,
            r#""e3069283""#,
        ),
        Example(r#"root = this.a.hash("xxhash64")"#, r#"{"a":"hello world"}"#, r#""5020219685658847592""#),
        Example(
            r#"root = this.a.hash("hmac_sha256", "key").encode("hex")"#,
            r#"{"a":"The quick brown fox jumps over the lazy dog"}"#,
            r#""f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8""#,
        ),
    ]),
    Spec::method(CHAPTER, "parse_json", "The value of a JSON text.", |_, value, _| {
        let bytes = bytes(&value)?;
        Value::parse_json(&bytes).map_err(|why| {
            Failure::new(format!(
                "failed to parse value as JSON: {}",
                why.trim_start_matches("parse as json: ")
            ))
        })
    })
    .parameters(&[Parameter::optional("use_number", Kind::Bool, "Accepted; numbers always keep 64 bits.")])
    .examples(&[
        Example("root = this.a.parse_json().b", r#"{"a":"{\"b\":[1]}"}"#, "[1]"),
        Example("root = this.a.parse_json()", r#"{"a":"{"}"#, "error: failed to parse value as JSON"),
    ]),
    Spec::method(CHAPTER, "format_json", "The value as a JSON text, in bytes.", format_json)
        .parameters(&[
            Parameter::with_default(
                "indent",
                Kind::Text,
                Fixed::Text("    "),
                "What each level is indented with.",
            ),
            Parameter::with_default(
                "no_indent",
                Kind::Bool,
                Fixed::Bool(false),
                "Whether to write one line.",
            ),
            Parameter::with_default(
                "escape_html",
                Kind::Bool,
                Fixed::Bool(true),
                "Whether `<`, `>` and `&` are escaped.",
            ),
        ])
        .examples(&[
            Example(
                "root.a = this.format_json(no_indent: true).string()",
                r#"{"b":1,"a":"<"}"#,
                r#"{"a":"{\"a\":\"\\u003c\",\"b\":1}"}"#,
            ),
            Example(
                "root.a = this.format_json(\" \").string()",
                r#"[1,{},{"a":[]}]"#,
                r#"{"a":"[\n 1,\n {},\n {\n  \"a\": []\n }\n]"}"#,
            ),
        ]),
    Spec::method(
        CHAPTER,
        "escape_html",
        "Text with `<`, `>`, `&` and quotes escaped for HTML.",
        |_, value, _| {
            let text = text(&value)?;
            let mut out = String::with_capacity(text.len());
            for c in text.chars() {
                match c {
                    '<' => out.push_str("&lt;"),
                    '>' => out.push_str("&gt;"),
                    '&' => out.push_str("&amp;"),
                    '\'' => out.push_str("&#39;"),
                    '"' => out.push_str("&#34;"),
                    c => out.push(c),
                }
            }
            Ok(like(&value, out))
        },
    )
    .examples(&[Example("root = this.escape_html()", r#""a<b""#, r#""a&lt;b""#)]),
    Spec::method(CHAPTER, "escape_url_query", "Text escaped for a URL's query.", |_, value, _| {
        let mut out = String::new();
        for byte in bytes(&value)?.iter() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    out.push(char::from(*byte))
                }
                b' ' => out.push('+'),
                byte => out.push_str(&format!("%{byte:02X}")),
            }
        }
        Ok(like(&value, out))
    })
    .examples(&[Example("root = this.escape_url_query()", r#""a b&ä""#, r#""a+b%26%C3%A4""#)]),
    Spec::method(
        CHAPTER,
        "unescape_url_query",
        "Text that was escaped for a URL's query.",
        unescape_url_query,
    )
    .examples(&[
        Example("root = this.unescape_url_query()", r#""a+b%26%C3%A4""#, r#""a b&ä""#),
        Example("root = this.unescape_url_query()", r#""a%2""#, "error: invalid URL escape"),
    ]),
];

fn encode(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let bytes = bytes(&value)?;
    Ok(Value::from(match &*arguments.text(context, 0)? {
        "base64" => STANDARD.encode(&bytes),
        "base64url" => URL_SAFE.encode(&bytes),
        "base64rawurl" => URL_SAFE_NO_PAD.encode(&bytes),
        "hex" => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        "ascii85" => ascii85::encode(&bytes),
        "z85" => ascii85::encode_z85(&bytes)
            .map_err(|why| Failure::new(format!("failed to encode as z85: {why}")))?,
        scheme => return Err(Failure::new(format!("unrecognised encoding scheme: {scheme}"))),
    }))
}

fn decode(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let scheme = arguments.text(context, 0)?;
    let bytes = bytes(&value)?;
    let decoded = match &*scheme {
        "base64" => STANDARD.decode(&bytes).map_err(|error| error.to_string()),
        "base64url" => URL_SAFE.decode(&bytes).map_err(|error| error.to_string()),
        "base64rawurl" => URL_SAFE_NO_PAD.decode(&bytes).map_err(|error| error.to_string()),
        "hex" => from_hex(&bytes).ok_or_else(|| "needs pairs of hexadecimal digits".to_owned()),
        "ascii85" => ascii85::decode(&bytes),
        "z85" => ascii85::decode_z85(&bytes),
        _ => return Err(Failure::new(format!("unrecognised encoding scheme: {scheme}"))),
    };
    decoded
        .map(|bytes| Value::Bytes(bytes.into()))
        .map_err(|why| Failure::new(format!("failed to decode as {scheme}: {why}")))
}

pub(super) fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| u8::try_from(digit(high)? * 16 + digit(low)?).ok()).collect()
}

fn hash(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let data = bytes(&value)?;
    let algorithm = arguments.text(context, 0)?;
    if algorithm.starts_with("hmac_") && !arguments.is_given(1) {
        return Err(Failure::new(format!("{algorithm} needs a key")));
    }
    let key =
        if arguments.is_given(1) { bytes(&arguments.value(context, 1)?)?.into_owned() } else { Vec::new() };
    let digest = match &*algorithm {
        "md5" => Md5::digest(&data).to_vec(),
        "sha1" => Sha1::digest(&data).to_vec(),
        "sha256" => Sha256::digest(&data).to_vec(),
        "sha512" => Sha512::digest(&data).to_vec(),
        "hmac_sha1" => hmac::<Sha1>(64, &key, &data),
        "hmac_sha256" => hmac::<Sha256>(64, &key, &data),
        "hmac_sha512" => hmac::<Sha512>(128, &key, &data),
        "crc32" => crc32(&data, polynomial(&arguments.text(context, 2)?)?).to_be_bytes().to_vec(),
        "xxhash64" => return Ok(Value::from(xxhash_rust::xxh64::xxh64(&data, 0).to_string())),
        "fnv32" => data
            .iter()
            .fold(2_166_136_261_u32, |hash, byte| hash.wrapping_mul(16_777_619) ^ u32::from(*byte))
            .to_be_bytes()
            .to_vec(),
        _ => return Err(Failure::new(format!("unrecognised hash type: {algorithm}"))),
    };
    Ok(Value::Bytes(digest.into()))
}

/// HMAC (RFC 2104) for a digest with the given block size in bytes.
fn hmac<D: Digest>(block: usize, key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut padded = if key.len() > block { D::digest(key).to_vec() } else { key.to_vec() };
    padded.resize(block, 0);
    let pad = |with: u8| padded.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = D::new().chain_update(pad(0x36)).chain_update(data).finalize();
    D::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

/// A polynomial of CRC-32, its lowest term first.
fn polynomial(name: &str) -> Evaluated<u32> {
    match name {
        "IEEE" => Ok(0xedb8_8320),
        "Castagnoli" => Ok(0x82f6_3b78),
        "Koopman" => Ok(0xeb31_d82e),
        _ => Err(Failure::new(format!("unrecognised polynomial: {name}"))),
    }
}

/// CRC-32 with a polynomial.
fn crc32(data: &[u8], polynomial: u32) -> u32 {
    !data.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ polynomial } else { crc >> 1 },
        )
    })
}

fn format_json(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let indent = arguments.text(context, 0)?;
    let indent = if arguments.boolean(context, 1)? { None } else { Some(&*indent) };
    let escape = arguments.boolean(context, 2)?;
    value.to_formatted_json(indent, escape).map(|text| Value::Bytes(text.into())).map_err(Failure::new)
}

fn unescape_url_query(_: &mut Context<'_>, value: Value, _: &Arguments) -> Evaluated {
    let bytes = bytes(&value)?;
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = &bytes[..];
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        out.push(match first {
            b'+' => b' ',
            b'%' => {
                let decoded = tail.get(..2).and_then(from_hex).and_then(|bytes| bytes.first().copied());
                rest = tail.get(2..).unwrap_or_default();
                decoded.ok_or_else(|| Failure::new("invalid URL escape"))?
            }
            byte => *byte,
        });
    }
    Ok(like(&value, String::from_utf8_lossy(&out).into_owned()))
}
