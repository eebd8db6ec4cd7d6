//! Certificates from a directory, as the configuration asks for them.

use gateway::UpstreamSettings;
use gateway::acme::{Acme, AcmeSettings, Challenge};

use crate::config::{AcmeChallenge, Config, StorageKind};

/// What obtains certificates, where names are given.
///
/// # Errors
/// Names and addresses that are none, and what does not fit together.
pub(crate) fn open(config: &Config, upstream: &UpstreamSettings) -> Result<Option<Acme>, String> {
    let given = &config.acme;
    if given.domains.is_empty() {
        return Ok(None);
    }
    if !config.http_server_options.use_ssl {
        return Err("`acme.domains` needs a listener with tls: set `http_server_options.use_ssl`".into());
    }
    if given.http_port != 0 && [config.listen_port, config.control_api_port].contains(&given.http_port) {
        return Err("`acme.http_port` is a port of its own, and not that of another listener".into());
    }
    if !["https://", "http://"].iter().any(|scheme| given.directory.starts_with(scheme)) {
        return Err("`acme.directory` is no address; use one of `https`".into());
    }
    let external = &given.external_account;
    if external.id.is_empty() != external.key.is_empty() {
        return Err("`acme.external_account` needs both `id` and `key`".into());
    }
    if config.storage.kind == StorageKind::Embedded && config.storage.path.is_empty() {
        tracing::warn!(
            "certificates are obtained anew with every start, which directories do not allow often: set `storage.path`"
        );
    }
    let mut domains: Vec<Box<str>> =
        given.domains.iter().map(|name| domain(name)).collect::<Result<_, _>>()?;
    domains.sort_unstable();
    domains.dedup();
    let text = |text: &str| (!text.is_empty()).then(|| text.into());
    let settings = AcmeSettings {
        directory: given.directory.clone(),
        domains,
        email: text(&given.email),
        challenge: match given.challenge {
            AcmeChallenge::TlsAlpn => Challenge::TlsAlpn,
            AcmeChallenge::Http => Challenge::Http,
        },
        roots: (!given.ca_file.is_empty()).then(|| given.ca_file.clone().into()),
        renew_before: (!given.renew_before.is_zero()).then_some(given.renew_before),
        external: text(&external.id).map(|id: Box<str>| (id, external.key.clone())),
    };
    Acme::new(settings, upstream).map(Some).map_err(|error| format!("`acme.ca_file`: {error}"))
}

/// A name of a host, in lower case.
fn domain(name: &str) -> Result<Box<str>, String> {
    let wrong = |why: &str| Err(format!("`acme.domains`: `{name}` {why}"));
    if name.starts_with('*') {
        return wrong(
            "is for many hosts; neither `tls-alpn-01` nor `http-01` proves that, so name each host",
        );
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_address =
        name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if name.len() > 253 || is_address || !name.split('.').all(label) {
        return wrong("is no name of a host; use one such as `api.example.com`, in its ASCII form");
    }
    Ok(name.to_ascii_lowercase().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_names_of_hosts() {
        let long = format!("{}.test", "a".repeat(64));
        for (name, expected) in [
            ("api.example.com", Some("api.example.com")),
            ("API.Example.com", Some("api.example.com")),
            ("localhost", Some("localhost")),
            ("xn--bcher-kva.example", Some("xn--bcher-kva.example")),
            ("*.example.com", None),
            ("b\u{fc}cher.example", None),
            ("10.0.0.1", None),
            ("api.example.com:443", None),
            ("https://api.example.com", None),
            ("a..b", None),
            ("-a.test", None),
            ("", None),
            (&long, None),
        ] {
            assert_eq!(domain(name).ok().as_deref(), expected, "{name}");
        }
    }
}
