//! The price of knowing who calls: each way beside the same gate keyless, its sessions known.

use crate::Settings;
use crate::compare::{Behind, Measured, alternate};
use crate::gate::Setup;
use crate::http::invalid;
use crate::report::{Bound, Metric, Report};
use crate::upstream::Upstream;
use crate::wire::Tls;
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

const CASE: &str = "who calls, 60 B";
const TLS_CASE: &str = "who calls over TLS, 60 B";
/// Under which the gate shows its certificate.
const NAME: &str = "bench.test";
/// Signatures that are checked to know what one costs.
const SIGNATURES: u32 = 2_000;

/// Token and JWT, beside keyless.
pub(crate) fn plain(settings: &Settings, report: &mut Report) -> io::Result<()> {
    let upstream = Upstream::start()?;
    let issuer = Issuer::new()?;
    let setup = Setup::new("auth", false)?;
    setup.proxy("open", false, upstream.address())?;
    setup.proxy("token", true, upstream.address())?;
    let jwt = json!({
        "use_keyless": false, "enable_jwt": true, "jwt_signing_method": "rsa", "jwt_source": issuer.source(),
        "jwt_identity_base_field": "sub", "jwt_default_policies": ["all"],
    });
    setup.api("jwt", upstream.address(), jwt)?;
    setup.policy("all", "jwt")?;
    let gate = setup.start(&settings.gate, settings.gate_core)?;
    let keys = gate.unlimited_keys("token", settings.connections)?;
    let tokens =
        (0..settings.connections).map(|index| issuer.token(index)).collect::<io::Result<Vec<_>>>()?;
    let with_key = |key: &String| gate.get("token", "60", &[("authorization", key)]);
    let with_token = |token: &String| gate.get("jwt", "60", &[("authorization", &format!("Bearer {token}"))]);
    let contenders = [
        gate.contender("keyless", vec![gate.get("open", "60", &[])]),
        gate.contender("token", keys.iter().map(with_key).collect()),
        gate.contender("JWT RS256, seen before", tokens.iter().map(with_token).collect()),
    ];
    let measured = alternate(CASE, &contenders, Behind::Inside(&upstream), settings, report)?;
    tell(report, CASE, &measured, &[1.10, 1.15]);
    let signature = Metric { name: "CPU µs/request", decimals: 2 };
    report.figure(CASE, "the signature of a token that is new", signature, issuer.check(&tokens[0])?);
    Ok(())
}

/// Client certificates on connections that stay open, beside keyless ones.
pub(crate) fn tls(settings: &Settings, report: &mut Report) -> io::Result<()> {
    let upstream = Upstream::start()?;
    let (server, client) = (Certificate::new(NAME)?, Certificate::new("client.test")?);
    let tls = client.shown_to(&server)?;
    let setup = Setup::new("auth-tls", false)?.tls(&tls);
    let (file, allowed) =
        (setup.file("gate.pem", &server.pem)?, setup.file("client.pem", &client.certificate)?);
    let setup = setup.conf(json!({"http_server_options": {"use_ssl": true, "ssl_certificates": [file]}}));
    setup.api("open", upstream.address(), json!({}))?;
    let mutual = json!({"use_mutual_tls_auth": true, "client_certificates": [allowed]});
    setup.api("mutual", upstream.address(), mutual)?;
    let gate = setup.start(&settings.gate, settings.gate_core)?;
    let contenders = [
        gate.over_tls("TLS, keyless", &tls, vec![gate.get("open", "60", &[])]),
        gate.over_tls("mutual TLS", &tls, vec![gate.get("mutual", "60", &[])]),
    ];
    let measured = alternate(TLS_CASE, &contenders, Behind::Inside(&upstream), settings, report)?;
    tell(report, TLS_CASE, &measured, &[1.10]);
    Ok(())
}

/// The first is what the others are held against.
fn tell(report: &mut Report, case: &str, measured: &[Measured], bounds: &[f64]) {
    let Some((keyless, others)) = measured.split_first() else { return };
    keyless.report(report, case, None);
    for (other, bound) in others.iter().zip(bounds) {
        other.report(report, case, Some(keyless));
        let what = format!("{}: CPU / {}", other.name, keyless.name);
        report.target(&what, other.ratio(keyless), 2, Bound::AtMost(*bound));
    }
}

/// Signs tokens.
struct Issuer {
    key: RsaKeyPair,
}

impl Issuer {
    fn new() -> io::Result<Issuer> {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| invalid("no RSA key could be made"))?;
        Ok(Issuer { key })
    }

    /// Its public key as a definition names it: PEM, in base64.
    fn source(&self) -> String {
        let der: Result<PublicKeyX509Der<'_>, _> = self.key.public_key().as_der();
        let der = der.map(|der| STANDARD.encode(der.as_ref())).unwrap_or_default();
        STANDARD.encode(format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n"))
    }

    fn token(&self, index: usize) -> io::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?.as_secs();
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({"sub": format!("user-{index}"), "iss": "bench", "exp": now + 3600});
        let signed = format!("{}.{}", part(json!({"alg": "RS256", "typ": "JWT"})), part(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| invalid("a token could not be signed"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Microseconds that checking the signature of a token takes.
    fn check(&self, token: &str) -> io::Result<f64> {
        let wrong = || invalid("a token of the bench does not hold");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(wrong)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| wrong())?;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.key.public_key().as_ref());
        let key = key.parse().map_err(|_| wrong())?;
        let begun = Instant::now();
        for _ in 0..SIGNATURES {
            key.verify_sig(signed.as_bytes(), &signature).map_err(|_| wrong())?;
        }
        Ok(begun.elapsed().as_secs_f64() * 1e6 / f64::from(SIGNATURES))
    }
}

/// A self-signed certificate with its key.
struct Certificate {
    certificate: String,
    pem: String,
    made: rcgen::Certificate,
    key: KeyPair,
}

impl Certificate {
    fn new(name: &str) -> io::Result<Certificate> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let params = CertificateParams::new(vec![name.to_owned()]).map_err(io::Error::other)?;
        let made = params.self_signed(&key).map_err(io::Error::other)?;
        let certificate = made.pem();
        let pem = format!("{certificate}{}", key.serialize_pem());
        Ok(Certificate { certificate, pem, made, key })
    }

    /// How a client that shows this certificate speaks to that server.
    fn shown_to(&self, server: &Certificate) -> io::Result<Tls> {
        let mut roots = RootCertStore::empty();
        roots.add(server.made.der().clone()).map_err(io::Error::other)?;
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![self.made.der().clone()], key)
            .map_err(io::Error::other)?;
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        Ok(Tls { name, config: Arc::new(config) })
    }
}
