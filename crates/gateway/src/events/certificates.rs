//! Certificates whose time is over, or soon will be (contract 12, "Expiry monitor"). They are looked through every so often,
//! and only where somebody wants to know.

use std::sync::Arc;
use std::time::Duration;

use apidef::{Backend, Event};
use serde_json::json;

use super::fire;
use crate::certificates::{Certificate, summary};
use crate::clock::unix_now;
use crate::gate::Gate;
use crate::snapshot::RunningApi;

/// Before this there is no configuration that could name certificates.
const UNTIL_LOADED: Duration = Duration::from_millis(200);
const DAY: i64 = 86_400;
/// Where the state remembers that one was told of (contract 5.1).
const TOLD: &str = "cert-cooldown:cert_expiry_event_cooldown:";

/// When certificates are looked through, and when they are told of (`security.certificate_expiry_monitor`).
#[derive(Debug, Clone)]
pub struct ExpirySettings {
    /// They are told of when there are no more days left.
    pub days: i64,
    /// They are looked through so often.
    pub every: Duration,
    /// The same is not told again for so long.
    pub silence: Duration,
    /// Those of the gate's own listeners: ids, or PEM files.
    pub of_listeners: Box<[Box<str>]>,
}

impl Default for ExpirySettings {
    fn default() -> Self {
        let (every, silence) = (Duration::from_secs(3600), Duration::from_secs(86_400));
        Self { days: 30, every, silence, of_listeners: Box::default() }
    }
}

/// Looks through them until the gate closes.
pub(super) async fn watch(gate: &Gate) {
    let mut pause = UNTIL_LOADED;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = gate.closed() => return,
        }
        if gate.snapshot().generation > 0 {
            pause = gate.settings.events.expiry.every.max(Duration::from_secs(1));
            look(gate).await;
        }
    }
}

async fn look(gate: &Gate) {
    let wanted = |api| {
        gate.events.wants(api, Event::CertificateExpired)
            || gate.events.wants(api, Event::CertificateExpiringSoon)
    };
    if wanted(None) {
        for reference in &gate.settings.events.expiry.of_listeners {
            judge(gate, None, reference, "server").await;
        }
    }
    let apis: Vec<Arc<RunningApi>> =
        gate.snapshot().apis.values().filter(|api| wanted(Some(api))).cloned().collect();
    for api in apis {
        for (reference, role) in references(&api) {
            judge(gate, Some(&api), &reference, role).await;
        }
    }
}

/// The certificates that an API names, and what for.
fn references(api: &RunningApi) -> Vec<(Box<str>, &'static str)> {
    let model = &api.model;
    let mut all: Vec<(Box<str>, &'static str)> = Vec::new();
    all.extend(model.certificates.iter().map(|id| (id.clone(), "server")));
    all.extend(model.client_certificates.iter().flatten().map(|id| (id.clone(), "client")));
    if let Backend::Upstream(upstream) = &model.backend {
        let shown = upstream.manner.tls.certificates.iter();
        all.extend(shown.map(|(_, id)| (id.clone(), "upstream")));
    }
    all
}

async fn judge(gate: &Gate, api: Option<&RunningApi>, reference: &str, role: &'static str) {
    let Ok(Some(certificate)) = gate.certificates.get(reference).await else { return };
    let settings = &gate.settings.events.expiry;
    let Some((event, days)) = state_of(certificate.not_after, unix_now(), settings.days) else { return };
    if !gate.events.wants(api, event) {
        return;
    }
    let api_id = api.map(|api| &*api.identity.id).unwrap_or_default();
    let record = format!("{TOLD}{}:{}:{role}:{api_id}", certificate.fingerprint, event.name());
    // Another gate has told it. Where nobody can be asked it is told twice rather than never.
    if gate.state.put_new_record(&record, b"1", Some(settings.silence)).await == Ok(false) {
        return;
    }
    let made = || fire::told(api, event, meta(&certificate, event, days, api_id, role));
    if !gate.events.fire(api, event, made) {
        // Nobody hears of it now: the next look shall tell.
        drop(gate.state.delete_record(&record).await);
    }
}

fn meta(
    certificate: &Certificate,
    event: Event,
    days: i64,
    api_id: &str,
    role: &'static str,
) -> serde_json::Value {
    let known = summary(certificate);
    let name = known["subject_cn"].as_str().unwrap_or_default();
    let message = match event {
        Event::CertificateExpired => format!("Certificate {name} has expired"),
        _ => format!("Certificate {name} expires in {days} days"),
    };
    json!({
        "Message": message,
        "OriginatingRequest": "",
        "CertID": certificate.id,
        "CertName": name,
        "CertRole": role,
        "ExpiresAt": known["not_after"],
        "DaysRemaining": days,
        "APIID": api_id,
    })
}

/// What is to be told of a certificate that ends at `ends`, and in how many whole days that is.
fn state_of(ends: i64, now: i64, days: i64) -> Option<(Event, i64)> {
    let left = ends.saturating_sub(now);
    match ends {
        0 => None,
        _ if left < 0 => Some((Event::CertificateExpired, left.div_euclid(DAY) + 1)),
        _ if left <= days.saturating_mul(DAY) => Some((Event::CertificateExpiringSoon, left / DAY)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c12_row_11_certificates_are_told_of_before_and_after_their_end() {
        for (ends, told) in [
            (0, None),
            (1_000_000 + 31 * DAY, None),
            (1_000_000 + 30 * DAY, Some((Event::CertificateExpiringSoon, 30))),
            (1_000_000 + DAY - 1, Some((Event::CertificateExpiringSoon, 0))),
            (1_000_000, Some((Event::CertificateExpiringSoon, 0))),
            (1_000_000 - 1, Some((Event::CertificateExpired, 0))),
            (1_000_000 - 2 * DAY, Some((Event::CertificateExpired, -1))),
        ] {
            assert_eq!(state_of(ends, 1_000_000, 30), told, "{ends}");
        }
    }
}
