//! The process around streams that stand in no catalog: its HTTP server, its signals, its end.

use std::sync::Arc;
use std::time::Duration;

use apidef::UpstreamTls;
use gateway::listen::tls::{CertificateFiles, CertificateSet, ServerTlsSettings, server_tls};
use gateway::listen::{Listener, resolve};
use gateway::{Gate, KeepAlive, Parts, Settings, UpstreamSettings};
use serde_json::Value as Json;
use state::{Catalog, PolicySource, Secret, State};
use streams::{Http, Logger, units};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

/// How long answers that are under way may take after the streams have stopped.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// How long stopping may take when the configuration does not say.
const PATIENCE: Duration = Duration::from_secs(20);

/// Does the work of the process: with its log, on worker threads, and with the time that stopping may take.
pub(super) fn work<F, E>(config: &Json, logger: Logger, work: impl FnOnce(Duration) -> F) -> Result<(), E>
where
    F: Future<Output = Result<(), E>>,
    E: From<String>,
{
    let log =
        crate::logging::start_alone(logger).map_err(|error| format!("cannot start the log: {error}"))?;
    let patience = config["shutdown_timeout"].as_str().and_then(|text| units::duration(text).ok());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start worker threads: {error}"))?;
    let outcome = runtime.block_on(work(patience.unwrap_or(PATIENCE)));
    // A read of standard input cannot be interrupted, and does not hold the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    drop(log);
    outcome
}

/// Streams and their server, which does not serve yet.
pub(super) struct Service {
    pub(super) gate: Arc<Gate>,
    listener: Option<Listener>,
}

/// The server serves.
pub(super) struct Serving {
    gate: Arc<Gate>,
    task: Option<JoinHandle<()>>,
}

impl Service {
    /// Opens the server that the section `http` asks for. Where it `may_lack` one and nobody wrote an address, it does
    /// without when the default address is taken.
    ///
    /// # Errors
    /// Why there is no server.
    pub(super) async fn open(
        http: &Http,
        streams: streams::Settings,
        many: bool,
        may_lack: bool,
        secret: Option<Secret>,
    ) -> Result<Service, String> {
        let listener = match bind(http).await {
            Ok(listener) => listener,
            Err(error) if may_lack && !http.address_written => {
                tracing::warn!(%error, "no HTTP server: set `http.address` to have one, or `http.enabled` to false");
                None
            }
            Err(error) => return Err(format!("{error}; set `http.address` to another one")),
        };
        let settings = Settings {
            service: Some(Arc::new(gateway::Service::new(http, many))),
            secret,
            control_apart: true,
            generator_header: false,
            analytics: false,
            ..Settings::default()
        };
        let parts = Parts {
            answers: None,
            settings,
            state: State::embedded(None).map_err(|error| error.to_string())?,
            catalog: Catalog::files("", PolicySource::None),
            stores: Arc::default(),
            upstream: no_upstream()?,
            streams,
            offered: None,
            acme: None,
            authenticators: gateway::Authenticators::default(),
            records: None,
            tracer: None,
        };
        // Nothing is ever reloaded: streams come by hand.
        let (gate, _) = Gate::new(parts);
        Ok(Service { gate, listener })
    }

    /// Begins to serve.
    pub(super) fn serve(self) -> Serving {
        let Service { gate, listener } = self;
        let task = listener.map(|listener| tokio::spawn(listener.serve(Arc::clone(&gate))));
        Serving { gate, task }
    }
}

impl Serving {
    /// Stops the streams, then the server: what producers sent is answered when it is delivered.
    pub(super) async fn stop(self, patience: Duration) {
        self.gate.stop_hosted(patience).await;
        self.gate.close();
        let Some(task) = self.task else { return };
        let _ = task.await;
        let drained = async {
            while self.gate.connections.count() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(LAST_ANSWERS, drained).await.is_err() {
            tracing::warn!(
                left = self.gate.connections.count(),
                "some connections did not end in time and are cut"
            );
        }
    }
}

/// Streams have no upstreams.
fn no_upstream() -> Result<UpstreamSettings, String> {
    let (timeout, tls) = (Duration::from_secs(30), UpstreamTls::default());
    // Endpoints may be WebSockets: there is no setting that could switch them off.
    UpstreamSettings::new(timeout, KeepAlive::default(), true, false, tls).map_err(|error| error.to_string())
}

async fn bind(http: &Http) -> Result<Option<Listener>, String> {
    if !http.enabled {
        return Ok(None);
    }
    let tls = match &http.tls {
        None => None,
        Some((certificate, key)) => {
            let files = CertificateFiles { certificate: certificate.clone(), key: key.clone() };
            let certificates = CertificateSet { defaults: vec![files], ..CertificateSet::default() };
            let options = ServerTlsSettings { certificates, http2: true, ..ServerTlsSettings::default() };
            Some(Arc::new(server_tls(&options).map_err(|error| format!("http: {error}"))?))
        }
    };
    let encrypted = tls.is_some();
    let address = resolve(&http.address).await.map_err(|error| format!("`http.address`: {error}"))?;
    let listener = Listener::bind(address, tls, false).await;
    let listener = listener.map_err(|error| error.to_string())?;
    let bound = listener.address().map_err(|error| error.to_string())?;
    tracing::info!(address = %bound, tls = encrypted, "listening");
    Ok(Some(listener))
}

/// The signals that end the process.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on: until then they would end the process at once.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn listen() -> Result<Signals, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
