//! Listeners that streams open for themselves (streams contract 2.4, `address`). Nobody else's endpoints are there.

use std::collections::HashMap;
use std::sync::Arc;

use document::Fault;
use http::{Request, Response, StatusCode};
use parking_lot::Mutex;
use streams::OwnListener;
use tokio::task::JoinHandle;

use crate::body::{Body, RequestBody};
use crate::exchange::Peer;
use crate::gate::Gate;
use crate::listen::tls::{CertificateFiles, CertificateSet, ServerTlsSettings, server_tls};
use crate::listen::{Listener, resolve};
use crate::respond;
use crate::serve;

/// Those that are open, by their addresses as they are written.
#[derive(Debug, Default)]
pub(super) struct Open(Mutex<HashMap<Arc<str>, One>>);

#[derive(Debug)]
struct One {
    stream: Arc<str>,
    as_written: Arc<OwnListener>,
    task: JoinHandle<()>,
}

impl Drop for One {
    fn drop(&mut self) {
        // Accepting ends; who is connected already finds no stream there any more, or its new version.
        self.task.abort();
    }
}

/// Opens what a stream wants and does not have yet.
///
/// # Errors
/// The first that cannot be opened.
pub(super) async fn bind(
    open: &Open,
    stream: &str,
    wanted: &[Arc<OwnListener>],
) -> Result<Vec<(Arc<OwnListener>, Listener)>, Vec<Fault>> {
    let mut new = Vec::new();
    for listener in wanted {
        let other = {
            let mut open = open.0.lock();
            match open.get(&*listener.address) {
                Some(one) if *one.stream == *stream && one.as_written == *listener => continue,
                Some(one) if *one.stream == *stream => open.remove(&*listener.address),
                _ => None,
            }
        };
        // The same address with another certificate: its socket must be free first.
        if let Some(mut other) = other {
            other.task.abort();
            let _ = (&mut other.task).await;
        }
        let bound = bind_one(listener).await.map_err(|error| vec![Fault::error("", error)])?;
        new.push((Arc::clone(listener), bound));
    }
    Ok(new)
}

async fn bind_one(listener: &OwnListener) -> Result<Listener, String> {
    let told = |error: String| format!("the listener `{}` cannot be opened: {error}", listener.address);
    let tls = match &listener.tls {
        None => None,
        Some((certificate, key)) => {
            let files = CertificateFiles { certificate: certificate.clone(), key: key.clone() };
            let certificates = CertificateSet { defaults: vec![files], ..CertificateSet::default() };
            let settings = ServerTlsSettings { certificates, http2: true, ..ServerTlsSettings::default() };
            let made = tokio::task::spawn_blocking(move || server_tls(&settings)).await;
            let made = made.map_err(|error| told(error.to_string()))?;
            Some(Arc::new(made.map_err(|error| told(error.to_string()))?))
        }
    };
    let address = resolve(&listener.address).await.map_err(told)?;
    let encrypted = tls.is_some();
    let bound = Listener::bind(address, tls, false).await.map_err(|error| told(error.to_string()))?;
    let shown = bound.address().map_err(|error| told(error.to_string()))?;
    tracing::info!(own = %shown, tls = encrypted, "listening for a stream");
    Ok(bound.own(listener.address.as_str().into()))
}

/// Serves what was opened for a stream, and closes what it wants no more.
pub(super) fn serve(
    gate: &Arc<Gate>,
    open: &Open,
    stream: &str,
    new: Vec<(Arc<OwnListener>, Listener)>,
    wanted: &[Arc<OwnListener>],
) {
    let mut open = open.0.lock();
    for (as_written, listener) in new {
        let task = tokio::spawn(listener.serve(Arc::clone(gate)));
        let address = as_written.address.as_str().into();
        open.insert(address, One { stream: stream.into(), as_written, task });
    }
    open.retain(|address, one| {
        *one.stream != *stream || wanted.iter().any(|wanted| *wanted.address == **address)
    });
}

/// Closes those of a stream.
pub(super) fn close(open: &Open, stream: &str) {
    open.0.lock().retain(|_, one| *one.stream != *stream);
}

/// Answers a request that came in through one of them.
pub(super) async fn answer(
    gate: &Arc<Gate>,
    open: &Open,
    own: &str,
    peer: &Arc<Peer>,
    request: Request<RequestBody>,
) -> Response<Body> {
    let stream = open.0.lock().get(own).map(|one| Arc::clone(&one.stream));
    let api = stream.and_then(|stream| gate.snapshot().apis.get(&stream).cloned());
    match api {
        Some(api) => serve::serve_own(gate, peer, api, request).await,
        None => respond::text(StatusCode::NOT_FOUND, "Not Found"),
    }
}
