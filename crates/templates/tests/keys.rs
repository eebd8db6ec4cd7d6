//! Templates that make keys, certificates, hashes and passwords (contract 8.3), looked at by tools that are not ours.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop at the first surprise, and waits for its files"
)]

use templates::{Template, Value};

fn run(text: &str) -> Result<String, String> {
    Template::parse("t", text).unwrap().render(&Value::Nil)
}

/// What `openssl` says of a text.
fn openssl(arguments: &[&str], input: &str) -> String {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let command = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = command.unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}\n{input}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn c8_3_keys_are_of_their_kinds_in_their_formats() {
    for (kind, label, told) in [
        ("ecdsa", "EC PRIVATE KEY", "prime256v1"),
        ("ed25519", "PRIVATE KEY", "ED25519"),
        ("rsa", "RSA PRIVATE KEY", "(4096 bit"),
    ] {
        let key = run(&format!("{{{{ genPrivateKey \"{kind}\" }}}}")).unwrap();
        assert!(key.starts_with(&format!("-----BEGIN {label}-----\n")), "{key}");
        let text = openssl(&["pkey", "-noout", "-text"], &key);
        assert!(text.contains(told), "{kind}: {text}");
    }
    assert_eq!(run("{{ genPrivateKey \"odd\" }}").unwrap(), "Unknown type odd");
    assert!(run("{{ genPrivateKey \"dsa\" }}").unwrap_err().contains("use `rsa`"));
    // One of the large ones is all that a run may make.
    let two = run("{{ $a := genPrivateKey \"rsa\" }}{{ genPrivateKey \"rsa\" }}");
    assert!(two.unwrap_err().contains("too many steps"));
}

#[test]
fn c8_3_certificates_are_signed_by_whom_they_say() {
    let made = run("{{ $key := genPrivateKey \"ecdsa\" }}{{ $ca := genCAWithKey \"Root\" 10 $key }}\
        {{ $leaf := genSignedCert \"leaf\" (list \"127.0.0.1\") (list \"a.example\" \"b.example\") 5 $ca }}\
        {{ $other := genSignedCertWithKey \"other\" nil nil 5 $ca (genPrivateKey \"ed25519\") }}\
        {{ $own := genSelfSignedCertWithKey \"own\" nil (list \"own.example\") 5 (genPrivateKey \"ecdsa\") }}\
        {{ $again := buildCustomCert (b64enc $ca.Cert) (b64enc $ca.Key) }}\
        {{ $ca.Cert }}={{ $leaf.Cert }}={{ $leaf.Key }}={{ $other.Cert }}={{ $own.Cert }}={{ eq $again.Key $ca.Key }}")
    .unwrap();
    let parts: Vec<&str> = made.split("-----\n=").collect();
    let [ca, leaf, key, other, own, same] = parts[..] else { panic!("{made}") };
    let [ca, leaf, key, other, own] = [ca, leaf, key, other, own].map(|part| format!("{part}-----\n"));
    assert_eq!(same, "true");
    let text = |cert: &str| openssl(&["x509", "-noout", "-text"], cert);
    let told = text(&leaf);
    for part in [
        "Issuer: CN=Root",
        "Subject: CN=leaf",
        "IP Address:127.0.0.1",
        "DNS:b.example",
        "TLS Web Server",
        "CA:FALSE",
    ] {
        assert!(told.replace(" = ", "=").contains(part), "{part}: {told}");
    }
    assert!(text(&ca).contains("CA:TRUE") && text(&ca).contains("Certificate Sign"));
    assert!(text(&own).replace(" = ", "=").contains("Issuer: CN=own"));
    let folder = std::env::temp_dir().join(format!("templates-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let root = folder.join("root.pem");
    std::fs::write(&root, ca).unwrap();
    for cert in [&leaf, &other] {
        assert!(openssl(&["verify", "-CAfile", root.to_str().unwrap()], cert).contains("OK"));
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let of_key = openssl(&["pkey", "-pubout"], &key);
    assert_eq!(openssl(&["x509", "-noout", "-pubkey"], &leaf), of_key);
    for (bad, why) in [
        ("genSelfSignedCert \"a\" (list \"nowhere\") nil 1", "error parsing ip"),
        ("genCA \"a\" -1", "days"),
        ("genCAWithKey \"a\" 1 \"no key\"", "error parsing private key"),
        ("genSignedCert \"a\" nil nil 1 \"no authority\"", "no certificate"),
        ("buildCustomCert \"?\" \"?\"", "unable to decode base64 certificate"),
    ] {
        let told = run(&format!("{{{{ {bad} }}}}")).unwrap_err();
        assert!(told.contains(why), "{bad}: {told}");
    }
}

#[test]
fn c8_3_hashes_of_passwords_verify() {
    let made = run("{{ htpasswd \"ann\" \"secret\" }} {{ bcrypt \"secret\" }} {{ htpasswd \"a:b\" \"c\" }}")
        .unwrap();
    let parts: Vec<&str> = made.split(' ').collect();
    let hash = parts[0].strip_prefix("ann:").unwrap();
    for hash in [hash, parts[1]] {
        assert!(hash.starts_with("$2a$10$") && bcrypt::verify("secret", hash).unwrap(), "{hash}");
    }
    assert_eq!(parts[2..].join(" "), "invalid username: a:b");
    let long = run(&format!("{{{{ bcrypt \"{}\" }}}}", "x".repeat(73))).unwrap();
    assert!(long.contains("password length exceeds 72 bytes"), "{long}");
    // A run makes few of them.
    let many = run("{{ range until 9 }}{{ bcrypt \"a\" }}{{ end }}");
    assert!(many.unwrap_err().contains("too many steps"));
}

#[test]
fn c8_3_passwords_are_derived_always_in_the_same_way_and_in_their_shape() {
    let derive = |counter: u32, kind: &str| {
        run(&format!(
            "{{{{ derivePassword {counter} \"{kind}\" \"secret of mine\" \"ann\" \"shop.example\" }}}}"
        ))
        .unwrap()
    };
    let of = |letters: &'static str| move |letter: char| letters.contains(letter);
    for (kind, length) in [("long", 14), ("pin", 4)] {
        let one = derive(1, kind);
        assert_eq!(one, derive(1, kind));
        assert_eq!(one.chars().count(), length, "{kind}: {one}");
        assert!(one.contains(of("0123456789")), "{kind}: {one}");
        let plain = one.chars().all(|letter| letter.is_ascii_alphanumeric());
        assert_eq!(plain, matches!(kind, "short" | "basic" | "pin"), "{kind}: {one}");
    }
    assert_ne!(derive(1, "long"), derive(2, "long"));
    assert_eq!(derive(1, "odd"), "cannot find password template odd");
    // A run derives two of them.
    let three = run("{{ range until 3 }}{{ derivePassword 1 \"pin\" \"p\" \"u\" \"s\" }}{{ end }}");
    assert!(three.unwrap_err().contains("too many steps"));
}

#[test]
fn c8_3_what_is_encrypted_is_had_again_with_the_password_alone() {
    for text in ["", "a", "sixteen letters!", "more than sixteen letters"] {
        let encrypt = || run(&format!("{{{{ encryptAES \"pw\" \"{text}\" }}}}")).unwrap();
        let one = encrypt();
        assert_ne!(one, encrypt(), "the vector is random");
        let decrypt = |password: &str| run(&format!("{{{{ decryptAES \"{password}\" \"{one}\" }}}}"));
        assert_eq!(decrypt("pw").unwrap(), text);
        assert!(decrypt("pq").map_or(true, |read| read != text));
        // As another one decrypts it: the key is the password with zeros behind it, the vector comes first.
        let bytes = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, &one).unwrap();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let key = format!("{:0<64}", hex(b"pw"));
        let rest = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &bytes[16..]);
        let arguments = ["enc", "-d", "-aes-256-cbc", "-K", &key, "-iv", &hex(&bytes[..16]), "-base64", "-A"];
        assert_eq!(openssl(&arguments, &rest), text);
    }
    for bad in ["????", "YQ==", "AAAAAAAAAAAAAAAAAAAAAA=="] {
        assert!(run(&format!("{{{{ decryptAES \"pw\" \"{bad}\" }}}}")).is_err(), "{bad}");
    }
}
