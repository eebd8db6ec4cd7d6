//! Wiring: the configuration becomes a gate that runs until it is told to stop.

mod settings;
mod stores;
mod traces;
mod upstream;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateway::listen::tls::{CertificateFiles, CertificateSet, ServerTlsSettings, server_tls};
use gateway::listen::{Listener, ServerTls};
use gateway::{Gate, Parts, reload};
use state::State;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::acme;
use crate::catalog;
use crate::components;
use crate::config::{Config, Egress};
use crate::pid_file::PidFile;

/// How often what has ended is looked for: idle connections to upstreams, sessions and counters.
const SWEEP: Duration = Duration::from_secs(5);

/// Telling other nodes that this one ends takes no longer.
const GIVING_AWAY: Duration = Duration::from_secs(1);

/// Runs the gate until it is told to stop.
///
/// # Errors
///
/// Why it could not start, or why it ended, as one line.
pub(crate) fn run(config: Config) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start worker threads: {error}"))?;
    let outcome = runtime.block_on(serve(config));
    // What still runs (a look-up of a name, a write to a disk) does not hold the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve(config: Config) -> Result<(), String> {
    let mut signals = Signals::listen()?;
    let state = stores::state(&config)?;
    let records = stores::records(&config)?;
    let catalog = catalog::open(&config)?;
    let streams = streams(&config)?;
    let tls = tls(&config)?;
    let upstream = upstream::of(&config)?;
    let parts = Parts {
        settings: settings::of(&config)?,
        state: state.clone(),
        answers: stores::answers(&config)?,
        catalog,
        acme: acme::open(&config, &upstream)?,
        stores: Arc::new(crate::stores::open(&config)?),
        upstream,
        streams,
        offered: tls.clone(),
        authenticators: gateway::Authenticators::default(),
        records,
        tracer: traces::of(&config)?,
    };
    let (gate, requests) = Gate::new(parts);
    tokio::spawn(gateway::events::run(&gate)?);
    tokio::spawn(gateway::traces::run(Arc::clone(&gate)));
    let telling = tokio::spawn(gateway::aside::run(Arc::clone(&gate)));
    let reloader = tokio::spawn(reload::run(Arc::clone(&gate), requests));
    let listeners = bind(&config, tls.filter(|_| config.http_server_options.use_ssl)).await?;
    let named = Some(config.pid_file_location.as_str()).filter(|path| !path.is_empty());
    let _pid_file = named.and_then(|path| PidFile::write(Path::new(path)));

    // Watching begins before the first load, so that no change falls between them.
    let follow_nodes = !config.suppress_redis_signal_reload;
    tokio::spawn(reload::follow(Arc::clone(&gate), gate.catalog.watch(), follow_nodes));
    if gate.reload().await.is_none() {
        return Err("the first load of definitions did not happen".to_owned());
    }
    tokio::spawn(sweep(Arc::clone(&gate)));
    let probing = tokio::spawn(gateway::uptime::run(Arc::clone(&gate)));
    tokio::spawn(gateway::stores::run(Arc::clone(&gate)));
    tokio::spawn(gateway::pass_through::run(Arc::clone(&gate)));
    tokio::spawn(reload_on_signal(Arc::clone(&gate), signals.reload));
    gateway::acme::offer_kept(&gate).await;
    tokio::spawn(gateway::acme::run(Arc::clone(&gate)));
    let mut serving = tokio::task::JoinSet::new();
    for listener in listeners {
        serving.spawn(listener.serve(Arc::clone(&gate)));
    }
    tracing::info!(apis = gate.snapshot().apis.len(), "ready");

    stopped(&mut signals.stop).await;
    shut_down(&gate, &mut serving).await;
    if reloader.await.is_err() {
        tracing::error!("the task that applies changes broke; streams may not have been drained");
    }
    // The place of a node that probes for others is given away, and what others are to know is told.
    let ending = async { tokio::join!(probing, telling) };
    drop(tokio::time::timeout(GIVING_AWAY, ending).await);
    gate.leave_memory();
    state.flush().await.map_err(|error| format!("counters could not be saved: {error}"))
}

/// Announces the end, waits for exchanges to be over, and closes what is left.
async fn shut_down(gate: &Arc<Gate>, serving: &mut tokio::task::JoinSet<()>) {
    tracing::info!("shutting down");
    gate.announce_closing();
    tokio::time::sleep(gate.settings.drain_delay).await;
    gate.close();
    while serving.join_next().await.is_some() {}
    let drained = async {
        while gate.connections.count() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(gate.settings.drain, drained).await.is_err() {
        tracing::warn!(left = gate.connections.count(), "some connections did not end in time and are cut");
    }
    gate.settle_records().await;
    gate.settle_traces().await;
}

/// The signals that the gate acts on. Listened to before anything else is done: until then they would end the process.
struct Signals {
    stop: [Signal; 3],
    reload: [Signal; 2],
}

impl Signals {
    fn listen() -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
        Ok(Self {
            stop: [
                listen(SignalKind::terminate())?,
                listen(SignalKind::interrupt())?,
                listen(SignalKind::quit())?,
            ],
            reload: [listen(SignalKind::hangup())?, listen(SignalKind::user_defined2())?],
        })
    }
}

async fn stopped([terminate, interrupt, quit]: &mut [Signal; 3]) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = quit.recv() => {}
    }
}

async fn reload_on_signal(gate: Arc<Gate>, [mut hangup, mut user]: [Signal; 2]) {
    loop {
        tokio::select! {
            _ = hangup.recv() => {}
            _ = user.recv() => {}
        }
        tracing::info!("reload asked for by signal");
        gate.reload_soon();
    }
}

async fn sweep(gate: Arc<Gate>) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                gate.pools.sweep();
                gate.upstream.names.sweep();
                gate.state.tidy();
            }
            () = gate.closed() => return,
        }
    }
}

/// What TLS clients are offered, where there is TLS.
fn tls(config: &Config) -> Result<Option<Arc<ServerTls>>, String> {
    let options = &config.http_server_options;
    let certificates = certificates(config);
    // In clear themselves, they are for APIs with ports of their own.
    if !options.use_ssl && certificates.is_empty() {
        return Ok(None);
    }
    let tls = server_tls(&ServerTlsSettings {
        certificates,
        http2: options.enable_http2,
        min_version: options.min_version,
        max_version: options.max_version,
        ciphers: options.ssl_ciphers.clone(),
    })
    .map_err(|error| error.to_string());
    let tls = match tls {
        Err(error) if !options.use_ssl => {
            tracing::warn!(%error, "the certificates of `http_server_options` cannot be used: no API can speak `https` on a port of its own");
            return Ok(None);
        }
        tls => tls?,
    };
    for warning in &tls.warnings {
        tracing::warn!("{warning}");
    }
    Ok(Some(Arc::new(tls)))
}

async fn bind(config: &Config, tls: Option<Arc<ServerTls>>) -> Result<Vec<Listener>, String> {
    let address = listen_address(config)?;
    let mut ports = vec![(config.listen_port, false)];
    if config.control_api_port != 0 && config.control_api_port != config.listen_port {
        ports.push((config.control_api_port, true));
    }
    let mut listeners = Vec::new();
    for (port, control) in ports {
        let listener = Listener::bind(SocketAddr::new(address, port), tls.clone(), control)
            .await
            .map_err(|error| format!("{error}; choose another `listen_port`"))?;
        let bound = listener.address().map_err(|error| error.to_string())?;
        tracing::info!(address = %bound, tls = tls.is_some(), control, "listening");
        listeners.push(listener);
    }
    if config.acme.http_port != 0 && !config.acme.domains.is_empty() {
        let listener = Listener::bind(SocketAddr::new(address, config.acme.http_port), None, false).await;
        let listener = listener.map_err(|error| format!("{error}; choose another `acme.http_port`"))?;
        listeners.push(listener.for_proofs());
    }
    Ok(listeners)
}

fn listen_address(config: &Config) -> Result<IpAddr, String> {
    Ok(match config.listen_address.as_str() {
        "" => Ipv4Addr::UNSPECIFIED.into(),
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        text => text.parse().map_err(|_| format!("`listen_address`: `{text}` is no IP address"))?,
    })
}

fn certificates(config: &Config) -> CertificateSet {
    let options = &config.http_server_options;
    let mut set =
        CertificateSet { may_be_empty: !config.acme.domains.is_empty(), ..CertificateSet::default() };
    for path in &options.ssl_certificates {
        set.defaults.push(CertificateFiles { certificate: path.into(), key: path.into() });
    }
    for entry in &options.certificates {
        let files = CertificateFiles {
            certificate: entry.cert_file.clone().into(),
            key: entry.key_file.clone().into(),
        };
        if entry.domain_name.is_empty() || entry.domain_name == "*" {
            set.defaults.push(files);
        } else {
            set.domains.push((entry.domain_name.clone(), files));
        }
    }
    set
}

/// A gate with this configuration that serves nothing and reads no definitions: it judges them as one that runs does.
///
/// # Errors
/// Why one could not start.
pub(crate) fn judge(config: &Config) -> Result<Arc<Gate>, String> {
    let parts = Parts {
        answers: None,
        settings: settings::of(config)?,
        state: State::embedded(None).map_err(|error| error.to_string())?,
        catalog: state::Catalog::files("", state::PolicySource::None),
        stores: Arc::new(crate::stores::open(config)?),
        upstream: upstream::of(config)?,
        streams: streams(config)?,
        offered: None,
        acme: None,
        authenticators: gateway::Authenticators::default(),
        records: None,
        tracer: None,
    };
    Ok(Gate::new(parts).0)
}

/// What streams are built with.
fn streams(config: &Config) -> Result<streams::Settings, String> {
    let mut streams = streams::Settings::new(components::registry());
    streams.lines = Arc::new(components::StandardOutput);
    streams.egress = Arc::new(egress(config)?);
    streams.environment = crate::mappings::environment(&config.streaming.mappings)?;
    let named = config.named_secrets.iter();
    let named = named.map(|(name, secret)| (name.clone(), secret.expose().to_owned()));
    streams.secrets = Arc::new(named.collect());
    if !config.streaming.environment.is_empty() {
        streams.variables = streams::Variables::Named(config.streaming.environment.clone());
    }
    Ok(streams)
}

fn egress(config: &Config) -> Result<streams::Egress, String> {
    let Egress { allow, deny, deny_private } = &config.streaming.egress;
    streams::Egress::read("streaming.egress", allow, deny, *deny_private)
}
