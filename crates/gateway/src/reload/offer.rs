//! The certificates that APIs name for their domains, offered to those who connect.

use std::sync::Arc;

use rustls::sign::CertifiedKey;
use tokio::sync::Notify;

use crate::gate::Gate;

/// Offers the certificates of domains again when asked to, until the gate closes. Several who ask share one look.
pub(super) async fn offer(gate: Arc<Gate>, asked: Arc<Notify>) {
    loop {
        tokio::select! {
            () = asked.notified() => gate.offer_domains().await,
            () = gate.closed() => return,
        }
    }
}

impl Gate {
    /// Offers the certificates that APIs name for their domains, as they are now.
    pub(crate) async fn offer_domains(&self) {
        if let Some(offered) = &self.offered {
            let (domains, unknown) = domains(self).await;
            offered.swap_domains(domains, &unknown);
        }
        if !self.snapshot().passed.is_empty() {
            self.ports_wanted.notify_one();
        }
    }
}

/// What there is to offer, and the domains of which that cannot be told now, because the store is away.
async fn domains(gate: &Gate) -> (Vec<(String, CertifiedKey)>, Vec<String>) {
    let apis: Vec<_> = gate.snapshot().apis.values().cloned().collect();
    let (mut domains, mut unknown) = (Vec::new(), Vec::new());
    for api in apis.iter().filter(|_| gate.settings.custom_domains) {
        let Some(domain) = &api.model.domain else { continue };
        for reference in &api.model.certificates {
            let api_id = &*api.model.id;
            match gate.certificates.get(reference).await {
                Ok(Some(certificate)) => match certificate.certified_key() {
                    Some(key) => domains.push((domain.to_string(), key)),
                    None => tracing::error!(
                        api_id,
                        certificate = &**reference,
                        "the certificate of a domain has no private key; it is not offered"
                    ),
                },
                Ok(None) => tracing::error!(
                    api_id,
                    certificate = &**reference,
                    "the certificate of a domain does not exist; add it over the admin API"
                ),
                Err(away) => {
                    tracing::error!(
                        api_id,
                        %away,
                        "the certificate of a domain cannot be read; what was offered before stays"
                    );
                    unknown.push(domain.to_string());
                }
            }
        }
    }
    (domains, unknown)
}
