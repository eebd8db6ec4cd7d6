//! The life of one connection that is passed through.

use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use analytics::Record;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;

use super::ports::{Served, Tenant, part};
use super::relay::{Carried, End, relay};
use super::traffic::Open;
use super::{PassThrough, header, proxy_protocol};
use crate::clock::unix_now;
use crate::gate::Gate;
use crate::limits::enter_connection;
use crate::listen::{Agreed, ClientStream};
use crate::snapshot::RunningApi;

/// How long a client may take to say where it comes from, and to shake hands.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of a connection when it is recorded.
#[derive(Default)]
struct Fate {
    refusal: &'static str,
    dialled: Duration,
    client: Option<IpAddr>,
}

/// Serves a connection to its end.
pub(super) async fn serve(gate: &Arc<Gate>, served: &Served, mut tcp: TcpStream, peer: SocketAddr) {
    let started = (Instant::now(), SystemTime::now());
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY towards a client");
    }
    let Ok(local) = tcp.local_addr() else { return };
    let begun = tokio::time::timeout(PATIENCE, begin(served, &mut tcp, (peer, local))).await;
    let (from, to) = match begun {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => {
            return tracing::debug!(%error, %peer, "a connection did not say where it comes from");
        }
        Err(_) => return tracing::debug!(%peer, "a connection took too long to say where it comes from"),
    };
    let (tenant, near) = if served.tls {
        let secured = tokio::select! {
            secured = tokio::time::timeout(PATIENCE, secure(served, tcp)) => secured,
            () = gate.closed() => return,
        };
        match secured {
            Ok(Ok(secured)) => secured,
            Ok(Err(error)) => return tracing::debug!(%error, %peer, "tls handshake failed"),
            Err(_) => return tracing::debug!(%peer, "tls handshake took too long"),
        }
    } else {
        let Some(tenant) = served.tenants.first() else { return };
        (tenant, ClientStream::Plain(tcp))
    };
    let api = &tenant.api;
    let Some(own) = part(api) else { return };
    let mut open = Open::new(gate, api);
    let carried = Arc::new(Carried { of_api: Arc::clone(&own.traffic), ..Carried::default() });
    let mut fate = Fate { client: Some(from.ip().to_canonical()), ..Fate::default() };
    if let Err(refusal) = pass(gate, api, own, near, (from, to), &carried, &mut fate).await {
        fate.refusal = refusal;
    }
    if !matches!(status(fate.refusal), StatusCode::OK) {
        open.refuse();
    }
    drop(open);
    record(gate, api, own, started, &carried, &fate);
}

/// From where and to where it is: by its header, where it has to have one.
async fn begin(
    served: &Served,
    tcp: &mut TcpStream,
    own: (SocketAddr, SocketAddr),
) -> io::Result<(SocketAddr, SocketAddr)> {
    if !served.accepts_header {
        return Ok(own);
    }
    // Byte by byte at its end: what comes behind it belongs to somebody else.
    let mut read = vec![0; 12];
    tcp.read_exact(&mut read).await?;
    loop {
        match proxy_protocol::read(&read) {
            Ok(Some(header)) => return Ok(header.addresses.unwrap_or(own)),
            Ok(None) => {
                let more = proxy_protocol::more(&read);
                let start = read.len();
                read.resize(start + more, 0);
                tcp.read_exact(&mut read[start..]).await?;
            }
            Err(why) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
        }
    }
}

/// The handshake, as the API has it whose name the client asks for.
async fn secure(served: &Served, tcp: TcpStream) -> io::Result<(&Tenant, ClientStream)> {
    let begun = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp).await?;
    let tenant = served.by_name(begun.client_hello().server_name());
    let Some((tenant, config)) = tenant.and_then(|tenant| Some((tenant, tenant.tls.clone()?))) else {
        return Err(io::Error::other("no API has the name that the client asks for"));
    };
    let stream = begun.into_stream(config).await?;
    Ok((tenant, ClientStream::Tls(Box::new(stream))))
}

/// The guards, the upstream, and what goes through; why not, in the words of records.
async fn pass(
    gate: &Arc<Gate>,
    api: &RunningApi,
    own: &PassThrough,
    mut near: ClientStream,
    (from, to): (SocketAddr, SocketAddr),
    carried: &Arc<Carried>,
    fate: &mut Fate,
) -> Result<(), &'static str> {
    let client = from.ip().to_canonical();
    if !own.admits(client) {
        return Err("EAD");
    }
    if api.model.expires.is_some_and(|end| end <= unix_now()) {
        return Err("EXP");
    }
    if let Some(allowed) = &own.certificates {
        let agreed = Agreed::on(&near);
        let Some(shown) = agreed.as_ref().and_then(Agreed::certificate) else { return Err("CRQ") };
        if let Err(refusal) = allowed.admit_shown(&gate.certificates, shown).await {
            tracing::debug!(
                api_id = &*api.identity.id,
                why = &*refusal.message,
                "a certificate of a client is not taken"
            );
            return Err("CRQ");
        }
    }
    if let Some(rates) = &own.rates
        && !rates.admit(gate, client).await
    {
        return Err("RLT");
    }
    let Some(_held) = enter_connection(gate, &api.model, client) else { return Err("RLT") };
    let asked = Instant::now();
    let dialled = tokio::select! {
        dialled = own.dial() => dialled,
        () = gate.closed() => return Err("UPE"),
    };
    fate.dialled = asked.elapsed();
    let mut far = dialled.map_err(|error| {
        tracing::warn!(api_id = &*api.identity.id, %error, "a connection cannot be passed through");
        "UCF"
    })?;
    let ahead = header(own, from, to);
    if !ahead.is_empty() && far.write_all(&ahead).await.is_err() {
        return Err("UPE");
    }
    match relay(&mut near, &mut far, own.idle, carried).await {
        End::Over => Ok(()),
        End::Broken => Err("CBR"),
        End::Idle => Err("IDL"),
    }
}

/// What a connection comes to, in the words of requests.
fn status(refusal: &str) -> StatusCode {
    match refusal {
        "EAD" | "CRQ" => StatusCode::FORBIDDEN,
        "EXP" => StatusCode::NOT_FOUND,
        "RLT" => StatusCode::TOO_MANY_REQUESTS,
        "UCF" | "UPE" => StatusCode::BAD_GATEWAY,
        // Whoever was let through has had an answer.
        _ => StatusCode::OK,
    }
}

/// Counts it, and tells of it in the access log; records are made of all together.
fn record(
    gate: &Gate,
    api: &RunningApi,
    own: &PassThrough,
    (start, at): (Instant, SystemTime),
    carried: &Carried,
    fate: &Fate,
) {
    let status = status(fate.refusal);
    let total = start.elapsed();
    let tracked = !api.model.recording.off;
    if tracked {
        api.metrics.count(status, total, fate.dialled);
    }
    if !gate.settings.access_log {
        return;
    }
    let identity = &api.identity;
    let mut record =
        Record::new(at, Arc::clone(&identity.id), Arc::clone(&identity.name), Arc::clone(&identity.org));
    record.method = Cow::Borrowed(if own.tls { "TLS" } else { "TCP" });
    record.status = status.as_u16();
    record.refusal = (!fate.refusal.is_empty()).then_some(Cow::Borrowed(fate.refusal));
    record.total = total;
    record.upstream = fate.dialled;
    record.bytes_in = carried.from_near.load(Ordering::Relaxed);
    record.bytes_out = carried.from_far.load(Ordering::Relaxed);
    record.client_ip = fate.client;
    crate::record::log(&record, matches!(fate.refusal, ""));
}
