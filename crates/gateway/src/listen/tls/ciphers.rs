//! Which cipher suites are offered (contract 1.3, `ssl_ciphers`): named as in the registry of IANA, in any letters. Those of
//! TLS 1.3 are all good and cannot be chosen, as with the original.

use std::sync::Arc;

use rustls::SupportedCipherSuite;
use rustls::crypto::CryptoProvider;

use super::provider;

/// The provider that offers suites of TLS 1.2 out of these alone; all that there are, where none is named.
pub(super) fn chosen(names: &[String], warnings: &mut Vec<String>) -> Arc<CryptoProvider> {
    if names.is_empty() {
        return provider();
    }
    let mut chosen = CryptoProvider::clone(&provider());
    for name in names {
        if !chosen.cipher_suites.iter().any(|suite| is_named(suite, name)) {
            let known: Vec<_> =
                chosen.cipher_suites.iter().filter(|suite| suite.tls13().is_none()).map(name_of).collect();
            warnings.push(format!(
                "the tls cipher suite `{name}` is unknown or too weak, and not offered; use some of {}",
                known.join(", ")
            ));
        }
    }
    chosen
        .cipher_suites
        .retain(|suite| suite.tls13().is_some() || names.iter().any(|name| is_named(suite, name)));
    Arc::new(chosen)
}

/// Whether anything can be agreed on with a client of TLS 1.2.
pub(super) fn serve_tls12(provider: &CryptoProvider) -> bool {
    provider.cipher_suites.iter().any(|suite| suite.tls13().is_none())
}

fn name_of(suite: &SupportedCipherSuite) -> &'static str {
    suite.suite().as_str().unwrap_or_default()
}

fn is_named(suite: &SupportedCipherSuite, name: &str) -> bool {
    let known = name_of(suite).replacen("TLS13_", "TLS_", 1);
    let name = name.trim();
    known.eq_ignore_ascii_case(name)
        // Two suites had shorter names once.
        || known.strip_suffix("_SHA256").is_some_and(|short| {
            short.ends_with("POLY1305") && short.eq_ignore_ascii_case(name)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_chosen_by_name_and_the_rest_is_told() {
        let all = provider().cipher_suites.len();
        for (names, of_tls12, told) in [
            (&[][..], all - 3, 0),
            (&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"], 1, 0),
            (&[" tls_ecdhe_ecdsa_with_aes_256_gcm_sha384", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"], 2, 0),
            (&["TLS_AES_128_GCM_SHA256"], 0, 0),
            (&["TLS_RSA_WITH_AES_128_CBC_SHA", "nonsense"], 0, 2),
            (&["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"], 1, 1),
        ] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut warnings = Vec::new();
            let chosen = chosen(&names, &mut warnings);
            let of_tls13 = chosen.cipher_suites.iter().filter(|suite| suite.tls13().is_some()).count();
            let of_older = chosen.cipher_suites.len() - of_tls13;
            assert_eq!((of_tls13, of_older, warnings.len()), (3, of_tls12, told), "{names:?}");
            assert_eq!(serve_tls12(&chosen), of_tls12 > 0);
        }
    }
}
