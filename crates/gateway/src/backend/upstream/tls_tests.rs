//! TLS to upstreams, against a server that is made for each case.

use std::sync::Arc;

use apidef::UpstreamTls;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::security::Security;
use super::tls::{Pin, Proof, config};
use crate::listen::tls::provider;

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

fn authority(name: &str) -> Issuer {
    let mut params = params(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate with its key, signed by an authority.
struct Leaf {
    der: CertificateDer<'static>,
    key: KeyPair,
}

fn leaf(by: &Issuer, common_name: &str, names: &[&str]) -> Leaf {
    let key = KeyPair::generate().unwrap();
    let mut params = params(common_name, names);
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Leaf { der: params.signed_by(&key, by).unwrap().der().clone(), key }
}

impl Leaf {
    fn certified(&self, others: &[&Issuer]) -> CertifiedKey {
        let chain = std::iter::once(self.der.clone()).chain(others.iter().map(|other| other.der().clone()));
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        CertifiedKey::from_der(chain.collect(), key, &provider()).unwrap()
    }
}

fn pin(key: &KeyPair) -> Pin {
    Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(key)).into()
}

fn roots(of: &[&Issuer]) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for authority in of {
        roots.add(authority.der().clone()).unwrap();
    }
    Arc::new(roots)
}

fn server(
    shown: CertifiedKey,
    versions: &[&'static rustls::SupportedProtocolVersion],
    clients: Option<&Issuer>,
) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(roots(&[authority]), provider()).build().unwrap(),
        ),
    };
    let resolver = rustls::sign::SingleCertAndKey::from(shown);
    builder.with_cert_resolver(Arc::new(resolver))
}

/// What was agreed on: version, cipher, certificate of the client; or why nothing was.
async fn shake(
    server: ServerConfig,
    client: ClientConfig,
    name: &str,
) -> Result<(String, String, bool), String> {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let accepting = tokio::spawn(async move {
        let stream =
            TlsAcceptor::from(Arc::new(server)).accept(far).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(stream.get_ref().1.peer_certificates().is_some())
    });
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream =
        TlsConnector::from(Arc::new(client)).connect(name, near).await.map_err(|error| error.to_string())?;
    let session = stream.get_ref().1;
    let version = format!("{:?}", session.protocol_version().unwrap());
    let cipher = format!("{:?}", session.negotiated_cipher_suite().unwrap().suite());
    Ok((version, cipher, accepting.await.unwrap()?))
}

fn client(tls: UpstreamTls, of: &[&Issuer], proof: &Proof) -> ClientConfig {
    let insecure = tls.insecure_skip_verify;
    config(&Security::usual(&tls, insecure), &roots(of), proof, &[]).unwrap()
}

const ALL: &[&rustls::SupportedProtocolVersion] = rustls::ALL_VERSIONS;

#[tokio::test]
async fn c12_row_7_a_pinned_key_counts_where_it_signs() {
    let (root, other) = (authority("root"), authority("other"));
    let leaf_of_root = leaf(&root, "a.test", &["a.test"]);
    let leaf_of_other = leaf(&other, "a.test", &["a.test"]);
    let nobody: Pin = [7; 32];
    for (what, pins, shown, good) in [
        ("the server's key", vec![nobody, pin(&leaf_of_root.key)], leaf_of_root.certified(&[]), true),
        ("another name", vec![pin(&leaf_of_root.key)], leaf_of_root.certified(&[]), true),
        ("another key", vec![pin(&leaf_of_root.key)], leaf_of_other.certified(&[]), false),
        ("no key", vec![], leaf_of_root.certified(&[&root]), false),
        ("the authority's key", vec![pin(root.key())], leaf_of_root.certified(&[&root]), true),
        ("the authority's key, not sent", vec![pin(root.key())], leaf_of_root.certified(&[]), false),
        // Anybody can send a certificate along that somebody pinned.
        (
            "an authority that did not sign",
            vec![pin(root.key())],
            leaf_of_other.certified(&[&other, &root]),
            false,
        ),
    ] {
        let proof = Proof { pins: Some(pins.into()), certified: None };
        let client = client(UpstreamTls::default(), &[], &proof);
        let name = if what == "another name" { "b.test" } else { "a.test" };
        let result = shake(server(shown, ALL, None), client, name).await;
        match result {
            Ok(_) => assert!(good, "{what}"),
            Err(error) => assert!(!good && error.contains("Public keys do not match"), "{what}: {error}"),
        }
    }
    // A pinned certificate without its key is worth nothing: the handshake is signed by the key.
    let stolen = CertifiedKey::new(vec![leaf_of_root.der.clone()], leaf_of_other.certified(&[]).key);
    let proof = Proof { pins: Some(Box::new([pin(&leaf_of_root.key)])), certified: None };
    let client = client(UpstreamTls::default(), &[], &proof);
    assert!(shake(server(stolen, ALL, None), client, "a.test").await.is_err());
}

#[tokio::test]
async fn c12_row_8_the_common_name_may_have_to_be_the_host() {
    let (root, other) = (authority("root"), authority("other"));
    let tls = |insecure| UpstreamTls {
        common_name: true,
        insecure_skip_verify: insecure,
        ..UpstreamTls::default()
    };
    for (common_name, names, by, insecure, expected) in [
        ("a.test", &["a.test"][..], &root, false, Ok(())),
        ("A.test", &[], &root, false, Ok(())),
        ("*.test", &["a.test"], &root, false, Ok(())),
        ("a.test", &["b.test"], &root, false, Err("certificate not valid for name")),
        ("b.test", &["a.test"], &root, false, Err("certificate had CN b.test, expected a.test")),
        ("*.b.test", &["a.test"], &root, false, Err("certificate had CN *.b.test, expected a.test")),
        ("*", &["a.test"], &root, false, Err("certificate had CN *, expected a.test")),
        ("a.test", &["a.test"], &other, false, Err("UnknownIssuer")),
        ("a.test", &["b.test"], &other, true, Ok(())),
        ("b.test", &["a.test"], &other, true, Err("certificate had CN b.test, expected a.test")),
    ] {
        let shown = leaf(by, common_name, names).certified(&[]);
        let client = client(tls(insecure), &[&root], &Proof::default());
        let result = shake(server(shown, ALL, None), client, "a.test").await;
        match (result, expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.contains(part), "{common_name} {names:?}: {error}"),
            (result, _) => panic!("{common_name} {names:?} {insecure}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn c12_row_9_versions_and_ciphers_are_those_configured() {
    let root = authority("root");
    let shown = leaf(&root, "a.test", &["a.test"]);
    const CHACHA: &str = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
    for (min, max, ciphers, versions, expected) in [
        (0, 0, &[][..], ALL, Ok(("TLSv1_3", ""))),
        (771, 772, &[], ALL, Ok(("TLSv1_3", ""))),
        (0, 771, &[], ALL, Ok(("TLSv1_2", ""))),
        (0, 771, &[CHACHA], ALL, Ok(("TLSv1_2", CHACHA))),
        // Those of TLS 1.3 stay, unless some are listed.
        (0, 0, &[CHACHA], ALL, Ok(("TLSv1_3", "TLS13_"))),
        (0, 0, &["TLS_CHACHA20_POLY1305_SHA256"], ALL, Ok(("TLSv1_3", "TLS13_CHACHA20_POLY1305_SHA256"))),
        (772, 0, &[], &[&rustls::version::TLS12], Err("ProtocolVersion")),
        (0, 771, &[], &[&rustls::version::TLS13], Err("ProtocolVersion")),
    ] {
        let tls = UpstreamTls {
            min_version: min,
            max_version: max,
            ciphers: ciphers.iter().map(|name| (*name).into()).collect(),
            ..UpstreamTls::default()
        };
        let client = client(tls, &[&root], &Proof::default());
        let result = shake(server(shown.certified(&[]), versions, None), client, "a.test").await;
        match (result, expected) {
            (Ok((version, cipher, _)), Ok((wanted, suite))) => {
                assert_eq!(version, wanted, "{min} {max} {ciphers:?}");
                assert!(cipher.contains(suite), "{ciphers:?}: {cipher}");
            }
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (result, _) => panic!("{min} {max} {ciphers:?}: {result:?}"),
        }
    }
    let nothing = Security::usual(
        &UpstreamTls {
            min_version: 772,
            ciphers: Box::new([CHACHA.into()]),
            max_version: 771,
            ..UpstreamTls::default()
        },
        false,
    );
    assert!(config(&nothing, &roots(&[&root]), &Proof::default(), &[]).is_err());
}

#[tokio::test]
async fn a_certificate_is_shown_to_those_who_ask() {
    let (root, clients) = (authority("root"), authority("clients"));
    let shown = leaf(&root, "a.test", &["a.test"]);
    let own = leaf(&clients, "gate", &[]);
    let stranger = leaf(&root, "gate", &[]);
    for (certified, good) in [(Some(&own), true), (Some(&stranger), false), (None, false)] {
        let certified = certified.map(|leaf| Arc::new(leaf.certified(&[])));
        let proof = Proof { pins: None, certified };
        let client = client(UpstreamTls { max_version: 771, ..UpstreamTls::default() }, &[&root], &proof);
        let result = shake(server(shown.certified(&[]), ALL, Some(&clients)), client, "a.test").await;
        assert_eq!(result.is_ok_and(|(.., knows)| knows), good);
    }
}
