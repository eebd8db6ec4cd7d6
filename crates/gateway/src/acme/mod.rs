//! Certificates for the names of listeners, obtained from an ACME directory and renewed (RFC 8555). Nothing here is waited
//! for: a task of its own looks after the names, and what it obtains goes to the store of certificates, where every node
//! and the next start find it.

mod challenge;
mod client;
mod kept;
mod order;
mod pace;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::sign::CertifiedKey;
use state::{Secret, Signal, Unavailable};
use tokio::sync::broadcast;

pub(crate) use challenge::{answer, asks, is_question, proof};

use self::client::Wire;
use self::kept::{ATTEMPT, Obtained};
use self::order::Failed;
use crate::backend::upstream::UpstreamSettings;
use crate::clock::unix_now;
use crate::gate::Gate;
use crate::listen::tls::{TlsError, is_valid_for};

/// The longest time between two looks at what is due.
const LOOK: i64 = 3600;
/// The same while another node obtains a certificate, or the state is away.
const SOON: i64 = 10;

/// What is obtained, and where from.
#[derive(Debug, Clone)]
pub struct AcmeSettings {
    /// The address of the directory.
    pub directory: String,
    /// Names of hosts, in lower case; each gets a certificate of its own. At least one.
    pub domains: Vec<Box<str>>,
    /// Whom the directory writes to.
    pub email: Option<Box<str>>,
    /// How names are proved.
    pub challenge: Challenge,
    /// PEM file of the authorities of a private directory.
    pub roots: Option<PathBuf>,
    /// How long before its end a certificate is renewed; `None`: after two thirds of its time.
    pub renew_before: Option<Duration>,
    /// The account elsewhere that the one of the directory belongs to: its id, and its key as base64url.
    pub external: Option<(Box<str>, Secret)>,
}

/// How a name is proved to be ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// By the TLS listener, `tls-alpn-01` (RFC 8737).
    TlsAlpn,
    /// By a page, `http-01` (RFC 8555 section 8.3).
    Http,
}

impl Challenge {
    /// As directories call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TlsAlpn => "tls-alpn-01",
            Self::Http => "http-01",
        }
    }
}

/// Looks after the certificates of names.
#[derive(Debug)]
pub struct Acme {
    settings: AcmeSettings,
    wire: Wire,
    told: Mutex<BTreeMap<Box<str>, Told>>,
}

/// What is told of a name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// When its certificate ends, in Unix seconds; `None`: there is none.
    pub(crate) not_after: Option<i64>,
    /// Why there is no newer one.
    pub(crate) error: Option<String>,
}

impl Acme {
    /// Blocking: reads the file of authorities.
    ///
    /// # Errors
    /// A file that cannot be read or holds no certificate.
    pub fn new(settings: AcmeSettings, upstream: &UpstreamSettings) -> Result<Self, TlsError> {
        let secure = settings.directory.starts_with("https:");
        let wire = Wire::new(upstream, settings.roots.as_deref(), secure)?;
        let told = settings.domains.iter().map(|domain| (domain.clone(), Told::default())).collect();
        Ok(Self { settings, wire, told: Mutex::new(told) })
    }

    /// What is known of each name.
    pub(crate) fn told(&self) -> Vec<(Box<str>, Told)> {
        self.told.lock().iter().map(|(domain, told)| (domain.clone(), told.clone())).collect()
    }

    fn tell(&self, domain: &str, change: impl FnOnce(&mut Told)) {
        if let Some(told) = self.told.lock().get_mut(domain) {
            change(told);
        }
    }
}

/// Offers the certificates that are kept, before anybody connects.
pub async fn offer_kept(gate: &Arc<Gate>) {
    if let Some(acme) = &gate.acme {
        acme.offer(gate).await;
    }
}

/// Obtains and renews certificates until the gate closes.
pub async fn run(gate: Arc<Gate>) {
    let Some(acme) = &gate.acme else { return };
    let mut signals = gate.state.signals();
    loop {
        let seconds = tokio::select! {
            seconds = acme.round(&gate) => seconds,
            () = gate.closed() => return,
        };
        let pause = Duration::from_secs(u64::try_from(seconds.clamp(1, LOOK)).unwrap_or(1));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = changed(&mut signals) => {}
            () = gate.closed() => return,
        }
    }
}

/// Waits until a certificate may have changed elsewhere.
async fn changed(signals: &mut broadcast::Receiver<Signal>) {
    loop {
        match signals.recv().await {
            Ok(Signal::CertificateChanged(_) | Signal::Missed) => return,
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Acme {
    /// Looks at every name once; gives the seconds until that is worth while again.
    async fn round(&self, gate: &Arc<Gate>) -> i64 {
        let mut next = LOOK;
        for (domain, state) in self.offer(gate).await {
            let wait = match state {
                Kept::Good(due) if due > unix_now() => {
                    self.tell(&domain, |told| told.error = None);
                    due - unix_now()
                }
                Kept::Good(_) | Kept::None => self.renew(gate, &domain).await.unwrap_or_else(|away| {
                    self.tell(&domain, |told| told.error = Some(away.to_string()));
                    SOON
                }),
                Kept::Unknown => SOON,
            };
            next = next.min(wait);
        }
        next
    }

    /// Offers what is kept to those who connect; tells of each name how it is.
    async fn offer(&self, gate: &Arc<Gate>) -> Vec<(Box<str>, Kept)> {
        let (mut found, mut offered, mut before) = (Vec::new(), Vec::new(), Vec::new());
        for domain in &self.settings.domains {
            let state = match self.kept(gate, domain).await {
                Ok(None) => {
                    // Somebody threw it away: better the old one until there is another than none.
                    before.push(domain.to_string());
                    Kept::None
                }
                Ok(Some((obtained, key))) => {
                    offered.push((domain.to_string(), key));
                    self.tell(domain, |told| told.not_after = Some(obtained.not_after));
                    Kept::Good(self.due(&obtained))
                }
                Err(away) => {
                    tracing::warn!(%domain, %away, "the certificate of a name cannot be read; what was offered before stays");
                    self.tell(domain, |told| told.error = Some(away.to_string()));
                    before.push(domain.to_string());
                    Kept::Unknown
                }
            };
            found.push((domain.clone(), state));
        }
        if let Some(listeners) = &gate.offered {
            listeners.swap_obtained(offered, &before);
        }
        found
    }

    async fn kept(&self, gate: &Gate, domain: &str) -> Result<Option<(Obtained, CertifiedKey)>, Unavailable> {
        let Some(obtained) = kept::obtained(gate, domain).await? else { return Ok(None) };
        let certificate = gate.certificates.stored(&obtained.id).await?;
        Ok(certificate.and_then(|certificate| certificate.certified_key()).map(|key| (obtained, key)))
    }

    /// Obtains a certificate unless something speaks against it now; gives the seconds until the next look.
    async fn renew(&self, gate: &Arc<Gate>, domain: &str) -> Result<i64, Unavailable> {
        if let Some(wait) = self.held_back(gate, domain).await? {
            return Ok(wait);
        }
        let Some(place) = kept::place(gate, domain).await? else { return Ok(SOON) };
        // Another node may have been at it until a moment ago.
        let wait = match self.held_back(gate, domain).await {
            Ok(None) => self.attempt(gate, domain).await,
            Ok(Some(wait)) => Ok(wait),
            Err(away) => Err(away),
        };
        place.leave().await;
        wait
    }

    /// The seconds until it is worth while to try, if it is not now.
    async fn held_back(&self, gate: &Gate, domain: &str) -> Result<Option<i64>, Unavailable> {
        if let Some(failure) = kept::failure(gate, domain, &self.settings.directory).await?
            && failure.until > unix_now()
        {
            self.tell(domain, |told| told.error = Some(failure.error));
            return Ok(Some(failure.until - unix_now()));
        }
        let kept = self.kept(gate, domain).await?;
        Ok(kept.is_some_and(|(obtained, _)| self.due(&obtained) > unix_now()).then_some(1))
    }

    /// When the next certificate is due. One of another directory is replaced at once.
    fn due(&self, obtained: &Obtained) -> i64 {
        if obtained.directory != self.settings.directory {
            return 0;
        }
        pace::due(obtained.at, obtained.not_after, self.settings.renew_before)
    }

    async fn attempt(&self, gate: &Arc<Gate>, domain: &str) -> Result<i64, Unavailable> {
        let directory = &self.settings.directory;
        tracing::info!(domain, %directory, "obtaining a certificate");
        let attempt = tokio::time::timeout(ATTEMPT, self.obtain(gate, domain));
        let outcome = attempt
            .await
            .unwrap_or_else(|_| Err(Failed::Other(format!("it took longer than {} s", ATTEMPT.as_secs()))));
        match outcome {
            Ok(obtained) => {
                tracing::info!(domain, certificate = obtained.id, "obtained a certificate");
                self.tell(domain, |told| *told = Told { not_after: Some(obtained.not_after), error: None });
                Ok(1)
            }
            Err(error) => {
                let error = error.to_string();
                self.tell(domain, |told| told.error = Some(error.clone()));
                let noted = kept::put_failure(gate, domain, directory, &error).await;
                let wait = noted.map(|failure| failure.until - unix_now());
                let again_in = *wait.as_ref().unwrap_or(&SOON);
                tracing::error!(domain, %directory, error, again_in, "no certificate was obtained; what is offered stays");
                wait
            }
        }
    }

    /// From the order to the store, and on to every node.
    async fn obtain(&self, gate: &Arc<Gate>, domain: &str) -> Result<Obtained, Failed> {
        let before = kept::obtained(gate, domain).await?;
        let text = order::obtain(gate, self, domain).await?;
        let refused =
            |error: &dyn std::fmt::Display| Failed::Other(format!("the certificate cannot be used: {error}"));
        let read = gate.certificates.read("", text.as_bytes()).map_err(|error| refused(&error))?;
        if !read.certified_key().is_some_and(|key| is_valid_for(&key, domain)) {
            return Err(refused(&"it is for another name"));
        }
        let added = gate.certificates.add("", text.as_bytes()).await.map_err(|error| refused(&error))?;
        let obtained = Obtained {
            id: added.id.to_string(),
            directory: self.settings.directory.clone(),
            at: unix_now(),
            not_after: added.not_after,
        };
        kept::put_obtained(gate, domain, &obtained).await?;
        self.offer(gate).await;
        // Only now is it the name's certificate; the others were told of it before.
        gate.state.publish(Signal::CertificateChanged(obtained.id.clone())).await?;
        if let Some(before) = before
            && let Err(error) = gate.certificates.remove("", &before.id).await
        {
            tracing::warn!(certificate = before.id, %error, "a certificate that was replaced stays in the store");
        }
        Ok(obtained)
    }
}

/// How it stands with a name's certificate.
enum Kept {
    /// It is there, and due for renewal then.
    Good(i64),
    None,
    /// The state is away.
    Unknown,
}
