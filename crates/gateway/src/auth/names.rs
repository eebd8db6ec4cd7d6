//! What keys are called in the state store: their hashes, by whatever function keys are or were hashed (contract 5.1).

use apidef::Session;
use apidef::keys::{self, Algorithm};
use aws_lc_rs::hmac;

use crate::hex::hex;
use crate::settings::KeySettings;

/// The hash of a key: by `algorithm`, else by the one that the key names, else by the oldest.
pub(crate) fn hash(settings: &KeySettings, key: &str, algorithm: Option<Algorithm>) -> String {
    match algorithm.or_else(|| keys::algorithm_of(key)) {
        Some(Algorithm::HmacSha256) => {
            let secret = hmac::Key::new(hmac::HMAC_SHA256, settings.hash_secret.expose().as_bytes());
            hex(hmac::sign(&secret, key.as_bytes()).as_ref())
        }
        other => keys::hash(key, Some(other.unwrap_or(Algorithm::Murmur32))),
    }
}

/// Whether a session is stored under a key that is made of its certificate, in whatever form keys had then.
pub(super) fn is_of_certificate(settings: &KeySettings, session: &Session, name: &str) -> bool {
    if session.certificate.is_empty() {
        return false;
    }
    let forms = [None].into_iter().chain(Algorithm::ALL.map(Some));
    let mut keys = forms.map(|form| keys::generate(&session.org_id, Some(&session.certificate), form));
    keys.any(|key| {
        name == key
            || settings.hashed
                && (name == hash(settings, &key, None)
                    || Algorithm::ALL.iter().any(|algorithm| name == hash(settings, &key, Some(*algorithm))))
    })
}

/// The name under which the session of a full key is stored.
pub(crate) fn store_name(settings: &KeySettings, key: &str) -> String {
    if settings.hashed { hash(settings, key, None) } else { key.to_owned() }
}

/// The names under which a presented token may be stored, most likely first (contract 5.1, "Session lookup").
pub(super) fn store_names(settings: &KeySettings, org: &str, token: &str) -> Vec<String> {
    let mut names = Vec::with_capacity(2 + settings.fallbacks.len());
    if keys::org_of(token) != org && !settings.whole_only {
        names.push(store_name(settings, &keys::generate(org, Some(token), settings.algorithm)));
    }
    names.push(store_name(settings, token));
    if settings.hashed {
        names.extend(settings.fallbacks.iter().map(|algorithm| hash(settings, token, Some(*algorithm))));
    }
    names.dedup();
    names
}

/// The names under which the session of a user may be stored: that of the key as it is made now, that of the older form,
/// and what older hashes make of both.
pub(super) fn user_names(settings: &KeySettings, org: &str, user: &str, key: &str) -> Vec<String> {
    let mut names = vec![store_name(settings, key)];
    let legacy = keys::generate(org, Some(user), None);
    if legacy != key {
        names.push(store_name(settings, &legacy));
    }
    if settings.hashed {
        for algorithm in &settings.fallbacks {
            names.extend([hash(settings, key, Some(*algorithm)), hash(settings, &legacy, Some(*algorithm))]);
        }
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn settings(algorithm: Option<Algorithm>, fallbacks: &[Algorithm], secret: &str) -> KeySettings {
        let hash_secret = state::Secret::from(secret.to_owned());
        let fallbacks = fallbacks.to_vec();
        KeySettings { hashed: true, algorithm, fallbacks, hash_secret, ..Settings::default().keys }
    }

    #[test]
    fn the_keyed_hash_is_that_of_rfc_4231_and_needs_its_secret() {
        let of = |secret: &str| {
            let settings = settings(None, &[], secret);
            hash(&settings, "what do ya want for nothing?", Some(Algorithm::HmacSha256))
        };
        assert_eq!(of("Jefe"), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert_ne!(of("other"), of("Jefe"));
    }

    #[test]
    fn c5_1_row_9_a_key_is_found_by_the_function_that_it_names_and_by_older_ones() {
        let keyed = settings(Some(Algorithm::HmacSha256), &[Algorithm::Murmur128], "s");
        let new = keys::generate("org", Some("id"), Some(Algorithm::HmacSha256));
        let name = store_name(&keyed, &new);
        assert_eq!(name, hash(&keyed, &new, Some(Algorithm::HmacSha256)));
        assert_eq!(store_names(&keyed, "org", &new)[0], name);
        assert_eq!(user_names(&keyed, "org", "id", &new)[0], name);
        // One that was made before names its own function, and one of the plain form the oldest.
        for algorithm in [None, Some(Algorithm::Murmur64), Some(Algorithm::Sha256)] {
            let old = keys::generate("org", Some("id"), algorithm);
            assert!(store_names(&keyed, "org", &old).contains(&keys::hash(&old, None)), "{algorithm:?}");
        }
        let plain = store_names(&keyed, "org", "plain");
        assert!(plain.contains(&keys::hash("plain", Some(Algorithm::Murmur128))), "{plain:?}");
        // And back again.
        let back = settings(Some(Algorithm::Murmur64), &[], "s");
        assert!(store_names(&back, "org", &new).contains(&name));
        // What is stored is no key: a name that was listed opens nothing.
        assert!(!store_names(&keyed, "org", &name).contains(&name));
    }

    #[test]
    fn a_key_can_be_asked_for_whole() {
        for hashed in [true, false] {
            let by_id = KeySettings { hashed, ..settings(None, &[], "s") };
            let whole = KeySettings { whole_only: true, ..by_id.clone() };
            let key = keys::generate("org", Some("ann"), None);
            assert_eq!(store_names(&by_id, "org", "ann")[0], store_name(&by_id, &key));
            assert!(!store_names(&whole, "org", "ann").contains(&store_name(&whole, &key)));
            assert!(store_names(&whole, "org", &key).contains(&store_name(&whole, &key)));
        }
    }

    #[test]
    fn a_key_that_is_made_of_a_certificate_is_known_in_every_form() {
        let session = Session { org_id: "org".into(), certificate: "orgprint".into(), ..Session::default() };
        let forms = || [None].into_iter().chain(Algorithm::ALL.map(Some));
        for hashed in [true, false] {
            let settings = KeySettings { hashed, ..settings(None, &[], "s") };
            for form in forms() {
                let key = keys::generate("org", Some("orgprint"), form);
                assert!(is_of_certificate(&settings, &session, &store_name(&settings, &key)), "{form:?}");
                let other = keys::generate("org", Some("chosen"), form);
                assert!(!is_of_certificate(&settings, &session, &store_name(&settings, &other)), "{form:?}");
            }
        }
        assert!(!is_of_certificate(&settings(None, &[], "s"), &Session::default(), "x"));
    }
}
