//! Bundles: the files of plugins and what of them is a plugin, in one archive (gateway contract 9.5).

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use crate::Fault;
use crate::call::nullable;

/// The name of the list in the archive.
const MANIFEST: &str = "manifest.json";
/// Largest content of a bundle, unpacked, in bytes.
const LARGEST: u64 = 64 << 20;
/// Most files of a bundle.
const MOST: usize = 1000;

/// What a bundle has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// Its files, in the order in which they are counted into the checksum.
    #[serde(deserialize_with = "nullable")]
    pub file_list: Vec<String>,
    /// Which of them are plugins, as definitions say it.
    pub custom_middleware: Value,
    /// MD5 of the files, one behind the other, in hexadecimal digits.
    #[serde(deserialize_with = "nullable")]
    pub checksum: String,
    /// Signature of the same by RSA with SHA-256, in Base64; empty = none.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub signature: String,
}

/// A bundle whose checksum is right, and whose signature is, where one is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// What it has.
    pub manifest: Manifest,
    /// Its files by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Who must have signed bundles.
#[derive(Debug, Clone)]
pub struct Signer(Vec<u8>);

impl Signer {
    /// From a public key in PEM (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    /// It is none.
    pub fn new(pem: &str) -> Result<Self, Fault> {
        let unusable = |why: &dyn std::fmt::Display| {
            Fault::Unusable(format!("this is no public key in PEM (`BEGIN PUBLIC KEY`): {why}"))
        };
        let block = pem::parse(pem).map_err(|why| unusable(&why))?;
        match block.tag() {
            "PUBLIC KEY" => Ok(Self(block.into_contents())),
            tag => Err(unusable(&format_args!("it is a {tag}"))),
        }
    }
}

/// Reads a bundle; with a signer, only one that it has signed.
///
/// # Errors
/// What is wrong with it.
pub fn read(archive: &[u8], signer: Option<&Signer>) -> Result<Bundle, Fault> {
    let mut archive = ZipArchive::new(Cursor::new(archive)).map_err(|why| unusable(&why))?;
    if archive.len() > MOST {
        return Err(unusable(&format_args!("it has more than {MOST} files")));
    }
    let mut left = LARGEST;
    let manifest = file(&mut archive, MANIFEST, &mut left)?;
    let manifest: Manifest = serde_json::from_slice(&manifest)
        .map_err(|why| unusable(&format_args!("its {MANIFEST} cannot be read: {why}")))?;
    let mut files = BTreeMap::new();
    let mut digest = Md5::new();
    for name in &manifest.file_list {
        if !is_plain(name) {
            return Err(unusable(&format_args!("`{name}` is no name of a file in it")));
        }
        let content = file(&mut archive, name, &mut left)?;
        digest.update(&content);
        files.insert(name.clone(), content);
    }
    if hexadecimal(&digest.finalize()) != manifest.checksum.to_ascii_lowercase() {
        return Err(unusable(
            &"its files have another checksum than its manifest says: it is damaged or was changed",
        ));
    }
    if let Some(Signer(key)) = signer {
        let content: Vec<u8> = manifest.file_list.iter().flat_map(|name| &files[name]).copied().collect();
        let signature = STANDARD.decode(&manifest.signature).unwrap_or_default();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
            .verify(&content, &signature)
            .map_err(|_| unusable(&"it is not signed by the key of `public_key_path`"))?;
    }
    Ok(Bundle { manifest, files })
}

/// Makes the archive of a bundle from files in an order, signed where there is a key (PEM, PKCS #8 or PKCS #1).
///
/// # Errors
/// Why it cannot be made.
pub fn make(
    files: &[(String, Vec<u8>)],
    custom_middleware: Value,
    key: Option<&str>,
) -> Result<Vec<u8>, Fault> {
    if let Some((name, _)) = files.iter().find(|(name, _)| !is_plain(name)) {
        return Err(Fault::Unusable(format!(
            "`{name}` cannot be a file of a bundle: write a path below its folder"
        )));
    }
    let content: Vec<u8> = files.iter().flat_map(|(_, content)| content).copied().collect();
    let manifest = Manifest {
        file_list: files.iter().map(|(name, _)| name.clone()).collect(),
        custom_middleware,
        checksum: hexadecimal(&Md5::digest(&content)),
        signature: key.map(|key| sign(key, &content)).transpose()?.unwrap_or_default(),
    };
    let text = serde_json::to_vec_pretty(&manifest).map_err(|why| Fault::Unusable(why.to_string()))?;
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let write = |archive: &mut ZipWriter<_>, name: &str, content: &[u8]| -> Result<(), String> {
        archive.start_file(name, SimpleFileOptions::default()).map_err(|why| why.to_string())?;
        archive.write_all(content).map_err(|why| why.to_string())
    };
    let all = files.iter().map(|(name, content)| (&name[..], &content[..]));
    for (name, content) in all.chain([(MANIFEST, &text[..])]) {
        write(&mut archive, name, content).map_err(Fault::Unusable)?;
    }
    archive.finish().map(Cursor::into_inner).map_err(|why| Fault::Unusable(why.to_string()))
}

fn sign(key: &str, content: &[u8]) -> Result<String, Fault> {
    let unusable =
        |why: &dyn std::fmt::Display| Fault::Unusable(format!("this is no private RSA key in PEM: {why}"));
    let block = pem::parse(key).map_err(|why| unusable(&why))?;
    let pair = match block.tag() {
        "RSA PRIVATE KEY" => KeyPair::from_der(block.contents()),
        _ => KeyPair::from_pkcs8(block.contents()),
    };
    let pair = pair.map_err(|why| unusable(&why))?;
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), content, &mut signature)
        .map_err(|why| unusable(&why))?;
    Ok(STANDARD.encode(signature))
}

/// One file of the archive, counted against what may be unpacked still.
fn file(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str, left: &mut u64) -> Result<Vec<u8>, Fault> {
    let file = archive.by_name(name).map_err(|why| unusable(&format_args!("`{name}`: {why}")))?;
    let mut content = Vec::new();
    // What an archive says of sizes is not to be believed.
    let read = file.take(*left + 1).read_to_end(&mut content);
    let read = read.map_err(|why| unusable(&format_args!("`{name}` cannot be unpacked: {why}")))?;
    *left = left
        .checked_sub(read as u64)
        .ok_or_else(|| unusable(&format_args!("it is larger than {LARGEST} bytes when unpacked")))?;
    Ok(content)
}

/// A path below a folder, whatever becomes of it.
fn is_plain(name: &str) -> bool {
    !name.contains(['\\', '\0', ':'])
        && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        && name != MANIFEST
}

fn unusable(why: &dyn std::fmt::Display) -> Fault {
    Fault::Unusable(format!("the bundle cannot be used: {why}"))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::KeyPair as _;
    use serde_json::json;

    fn files() -> Vec<(String, Vec<u8>)> {
        [("b.js", "second"), ("lib/a.js", "first")].map(|(name, text)| (name.to_owned(), text.into())).into()
    }

    /// A private and a public key in PEM.
    fn keys() -> (String, String) {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        (
            pem::encode(&pem::Pem::new("PRIVATE KEY", private.as_ref())),
            pem::encode(&pem::Pem::new("PUBLIC KEY", public.as_ref())),
        )
    }

    #[test]
    fn c9_5_row_1_what_is_made_is_read() {
        let middleware = json!({"driver": "otto", "pre": [{"name": "m", "path": "b.js"}]});
        let bundle = read(&make(&files(), middleware.clone(), None).unwrap(), None).unwrap();
        assert_eq!(bundle.files, files().into_iter().collect());
        assert_eq!(bundle.manifest.file_list, ["b.js", "lib/a.js"]);
        assert_eq!(bundle.manifest.custom_middleware, middleware);
        // MD5 of "secondfirst".
        assert_eq!(bundle.manifest.checksum, hexadecimal(&Md5::digest(b"secondfirst")));
    }

    #[test]
    fn c9_5_row_4_signatures_are_asked_for_where_a_key_is() {
        let (private, public) = keys();
        let signer = Signer::new(&public).unwrap();
        let signed = make(&files(), Value::Null, Some(&private)).unwrap();
        assert!(read(&signed, Some(&signer)).is_ok() && read(&signed, None).is_ok());
        let other = Signer::new(&keys().1).unwrap();
        for (archive, signer) in [(&signed, &other), (&make(&files(), Value::Null, None).unwrap(), &signer)] {
            let fault = read(archive, Some(signer)).unwrap_err().to_string();
            assert!(fault.contains("not signed"), "{fault}");
        }
        assert!(Signer::new(&private).is_err() && Signer::new("no key").is_err());
        assert!(make(&files(), Value::Null, Some(&public)).is_err());
    }

    #[test]
    fn c9_5_row_1_what_cannot_be_trusted_is_refused() {
        let zip = |entries: &[(&str, &str)]| {
            let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
            for (name, text) in entries {
                archive.start_file(*name, SimpleFileOptions::default()).unwrap();
                archive.write_all(text.as_bytes()).unwrap();
            }
            archive.finish().unwrap().into_inner()
        };
        let of = |text: &str| hexadecimal(&Md5::digest(text));
        let listing = |names: &str, sum: &str| format!(r#"{{"file_list": {names}, "checksum": "{sum}"}}"#);
        let bomb = " ".repeat((LARGEST + 1) as usize);
        let cases = [
            (b"no archive".to_vec(), "cannot be used"),
            (zip(&[("a.js", "x")]), "manifest.json"),
            (zip(&[("manifest.json", "{")]), "cannot be read"),
            (zip(&[("a.js", "x"), ("manifest.json", &listing(r#"["a.js"]"#, &of("y")))]), "another checksum"),
            (zip(&[("manifest.json", &listing(r#"["a.js"]"#, &of("")))]), "a.js"),
            (zip(&[("../a.js", "x"), ("manifest.json", &listing(r#"["../a.js"]"#, &of("x")))]), "no name"),
            (zip(&[("/a.js", "x"), ("manifest.json", &listing(r#"["/a.js"]"#, &of("x")))]), "no name"),
            (zip(&[("a.js", &bomb), ("manifest.json", &listing(r#"["a.js"]"#, &of(&bomb)))]), "larger than"),
        ];
        for (archive, expected) in cases {
            let fault = read(&archive, None).unwrap_err().to_string();
            assert!(fault.contains(expected), "{expected}: {fault}");
        }
        assert!(
            read(
                &zip(&[("a.js", "x"), ("manifest.json", &listing(r#"["a.js"]"#, &of("x").to_uppercase()))]),
                None
            )
            .is_ok()
        );
    }
}
