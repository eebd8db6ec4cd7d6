//! The ports of running APIs: opened and closed as definitions come and go. A connection that is open stays as it began.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, client::verify_server_name, pki_types::ServerName, server::ParsedCertificate};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, oneshot};

use super::{PassThrough, connection, traffic};
use crate::backend::Backend;
use crate::gate::Gate;
use crate::listen::AnyClient;
use crate::listen::tls::provider;
use crate::snapshot::RunningApi;

/// How soon a port is tried again that somebody else has.
const AGAIN: Duration = Duration::from_secs(1);

/// The ports that are open.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    open: Mutex<HashMap<u16, Port>>,
}

#[derive(Debug)]
struct Port {
    served: Arc<ArcSwap<Served>>,
    /// Listening ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

/// Who is behind a port.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) tenants: Vec<Tenant>,
    pub(super) accepts_header: bool,
    pub(super) tls: bool,
}

/// One API behind a port.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) api: Arc<RunningApi>,
    /// What TLS clients are shown.
    pub(super) tls: Option<Arc<ServerConfig>>,
}

/// The part of an API that is passed through.
pub(super) fn part(api: &RunningApi) -> Option<&PassThrough> {
    match &api.backend {
        Backend::PassThrough(part) => Some(part),
        _ => None,
    }
}

/// The APIs behind each port.
type ByPort<'a> = BTreeMap<u16, Vec<&'a Arc<RunningApi>>>;

/// Who is behind which port, and who cannot be, with the reason: in clear one API has a port, over TLS each name one.
pub(crate) fn tenants<'a>(
    apis: impl IntoIterator<Item = &'a Arc<RunningApi>>,
) -> (ByPort<'a>, Vec<(&'a Arc<RunningApi>, String)>) {
    let mut by_port = ByPort::new();
    let mut refused = Vec::new();
    for api in apis {
        let Some(own) = part(api) else { continue };
        let there = by_port.entry(own.port).or_default();
        let clash = there.iter().find_map(|other| {
            let other_part = part(other)?;
            let id = &other.identity.id;
            if other_part.tls != own.tls {
                return Some(format!(
                    "port {} is that of API `{id}`, which speaks another protocol",
                    own.port
                ));
            }
            if other_part.accepts_header != own.accepts_header {
                return Some(format!(
                    "API `{id}` on port {} and this one differ in the PROXY protocol",
                    own.port
                ));
            }
            (!own.tls || other.model.domain == api.model.domain)
                .then(|| format!("port {} is that of API `{id}`", own.port))
        });
        match clash {
            Some(reason) => refused.push((api, reason)),
            None => there.push(api),
        }
    }
    (by_port, refused)
}

impl Served {
    /// Whose name a client asked for; that of an API without a domain where it asked for none that is known.
    pub(super) fn by_name(&self, name: Option<&str>) -> Option<&Tenant> {
        let of = |wanted: Option<&str>| {
            self.tenants.iter().find(move |tenant| tenant.api.model.domain.as_deref() == wanted)
        };
        let by_pattern =
            |name: &str| self.tenants.iter().find(|tenant| tenant.api.listens.is_domain_of(name));
        let name = name.map(str::to_ascii_lowercase);
        name.as_deref().and_then(|name| of(Some(name)).or_else(|| by_pattern(name))).or_else(|| of(None))
    }
}

impl Gate {
    /// Opens and closes ports as the running APIs have them. Tells whether all are open.
    pub(crate) async fn settle_ports(self: &Arc<Self>) -> bool {
        let mut open = self.ports.open.lock().await;
        // Behind the lock: who waits for it must not bring back what ran before.
        let snapshot = Arc::clone(&self.snapshot());
        let (wanted, _) = tenants(&snapshot.passed);
        open.retain(|port, _| wanted.contains_key(port));
        let mut all = true;
        for (port, apis) in wanted {
            let mut tenants = Vec::with_capacity(apis.len());
            for api in apis {
                let tls = if part(api).is_some_and(|part| part.tls) {
                    Some(self.server_tls(api).await)
                } else {
                    None
                };
                match tls {
                    None => tenants.push(Tenant { api: Arc::clone(api), tls: None }),
                    Some(Some(tls)) => tenants.push(Tenant { api: Arc::clone(api), tls: Some(tls) }),
                    Some(None) => all = false,
                }
            }
            // What they must have in common they have, or one of them has been refused.
            let first = tenants.iter().find_map(|tenant| part(&tenant.api));
            let (accepts_header, tls) = first.map_or((false, false), |part| (part.accepts_header, part.tls));
            let served = Arc::new(Served { tenants, accepts_header, tls });
            if let Some(known) = open.get(&port) {
                known.served.store(served);
                continue;
            }
            let address = SocketAddr::new(self.settings.ports.address, port);
            match TcpListener::bind(address).await {
                Ok(listener) => {
                    tracing::info!(%address, "listening for connections that are passed through");
                    let (stop, stopped) = oneshot::channel();
                    let served = Arc::new(ArcSwap::new(served));
                    tokio::spawn(accept(Arc::clone(self), listener, Arc::clone(&served), stopped));
                    open.insert(port, Port { served, _stop: stop });
                }
                Err(error) => {
                    all = false;
                    tracing::error!(%address, %error, "cannot listen for connections that are passed through; trying again");
                }
            }
        }
        all
    }

    /// What TLS clients of an API are shown: its certificates, else those of the gate.
    async fn server_tls(&self, api: &RunningApi) -> Option<Arc<ServerConfig>> {
        let api_id = &*api.identity.id;
        let mut keys = Vec::new();
        for reference in &api.model.certificates {
            match self.certificates.get(reference).await {
                Ok(Some(certificate)) => match certificate.certified_key() {
                    Some(key) => keys.push(Arc::new(key)),
                    None => tracing::error!(
                        api_id,
                        certificate = &**reference,
                        "the certificate has no private key"
                    ),
                },
                Ok(None) => {
                    tracing::error!(
                        api_id,
                        certificate = &**reference,
                        "the certificate does not exist; add it over the admin API"
                    );
                }
                Err(away) => {
                    tracing::error!(api_id, certificate = &**reference, %away, "the certificate cannot be read")
                }
            }
        }
        let resolver: Arc<dyn ResolvesServerCert> = match (&self.offered, keys.is_empty()) {
            (_, false) => Arc::new(Keys(keys)),
            (Some(offered), true) if api.model.certificates.is_empty() => {
                let offered: Arc<dyn ResolvesServerCert> = offered.clone();
                offered
            }
            _ => {
                tracing::error!(
                    api_id,
                    "there is no certificate to show to clients; name one in `certificates`"
                );
                return None;
            }
        };
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        match builder {
            Ok(builder) => {
                let builder = match &api.model.client_certificates {
                    None => builder.with_no_client_auth(),
                    // Whether it is one that may pass is asked when it has been shown.
                    Some(_) => builder.with_client_cert_verifier(Arc::new(AnyClient::new(provider(), true))),
                };
                Some(Arc::new(builder.with_cert_resolver(resolver)))
            }
            Err(error) => {
                tracing::error!(api_id, %error, "cannot set up tls");
                None
            }
        }
    }
}

/// The certificates of one API: that which is valid for the name, else the first.
#[derive(Debug)]
struct Keys(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for Keys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let fits = |key: &&Arc<CertifiedKey>| {
            let certificate = key.cert.first().and_then(|first| ParsedCertificate::try_from(first).ok());
            certificate.zip(name.as_ref()).is_some_and(|(cert, name)| verify_server_name(&cert, name).is_ok())
        };
        self.0.iter().find(fits).or_else(|| self.0.first()).cloned()
    }
}

/// Accepts connections until the gate closes, or nobody is behind the port any more.
async fn accept(
    gate: Arc<Gate>,
    listener: TcpListener,
    served: Arc<ArcSwap<Served>>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut closed = std::pin::pin!(gate.closed());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => return,
            () = &mut closed => return,
        };
        match accepted {
            Ok((tcp, peer)) => {
                let open = gate.connections.open();
                let (gate, served) = (Arc::clone(&gate), served.load_full());
                tokio::spawn(async move {
                    connection::serve(&gate, &served, tcp, peer).await;
                    drop(open);
                });
            }
            Err(error) => {
                // Out of descriptors or the like: those being served must be able to finish and free some.
                tracing::warn!(%error, "cannot accept a connection; trying again");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// All ports of APIs, whatever becomes of some.
pub(crate) async fn settle(gate: &Arc<Gate>) -> bool {
    let (own, passed) = (gate.settle_own_ports().await, gate.settle_ports().await);
    own && passed
}

/// Tries again to open ports that somebody else had, until the gate closes.
pub async fn run(gate: Arc<Gate>) {
    tokio::spawn(traffic::run(Arc::clone(&gate)));
    loop {
        tokio::select! {
            () = gate.ports_wanted.notified() => {}
            () = gate.closed() => return,
        }
        while !settle(&gate).await {
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = gate.ports_wanted.notified() => {}
                () = gate.closed() => return,
            }
        }
    }
}
