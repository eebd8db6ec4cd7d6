//! One client connection: which protocol it speaks, and on to that.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use http::header::{HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode};
use tokio::io::AsyncReadExt;

use super::agreed::Agreed;
use super::http1::{Host, Limits};
use super::takeover::Takeover;
use super::{ClientStream, Door, http1, http2};
use crate::acme;
use crate::body::{Body, RequestBody};
use crate::exchange::Peer;
use crate::gate::Gate;
use crate::http1::{Breach, may_open_http2, opens_http2};
use crate::respond::{self, Refusal};
use crate::serve::serve;

/// Serves a connection until it ends, is closed by its peer, or the gate shuts down and its last exchange is over.
pub(super) async fn run(gate: Arc<Gate>, mut stream: ClientStream, peer: SocketAddr, door: Door) {
    let mut read = BytesMut::new();
    if door.proofs {
        return http1::run(&Prover { gate }, stream, read, &Takeover::default()).await;
    }
    let http2 = match &stream {
        ClientStream::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => true,
        _ => tokio::select! {
            biased;
            opening = tokio::time::timeout(gate.settings.read_timeout, opening(&mut stream, &mut read)) => {
                match opening {
                    Ok(Ok(http2)) => http2,
                    Ok(Err(_)) | Err(_) => return,
                }
            }
            // Who has said nothing yet does not hold up the end.
            () = door.closed(&gate) => return,
        },
    };
    let address = peer.ip().to_canonical();
    let text =
        HeaderValue::try_from(address.to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
    let tls = Agreed::on(&stream);
    let (control, own) = (door.control, door.own.clone());
    let port = door.stays.as_ref().map(|stays| stays.port);
    if http2 {
        let peer = Peer { address, text, control, own, port, tls, takeover: None, cut: Some(Arc::default()) };
        return http2::run(gate, stream, read, Arc::new(peer), &door).await;
    }
    let takeover = Takeover::default();
    let peer = Peer { address, text, control, own, port, tls, takeover: Some(takeover.clone()), cut: None };
    http1::run(&Client { gate, peer: Arc::new(peer), door }, stream, read, &takeover).await;
}

/// Reads until it is clear whether the client speaks HTTP/2. One that says nothing, or goes away, counts as HTTP/1.
async fn opening(stream: &mut ClientStream, read: &mut BytesMut) -> std::io::Result<bool> {
    loop {
        if stream.read_buf(read).await? == 0 || !may_open_http2(read) {
            return Ok(false);
        }
        if opens_http2(read) {
            return Ok(true);
        }
    }
}

/// A client of the gate, over HTTP/1.
struct Client {
    gate: Arc<Gate>,
    peer: Arc<Peer>,
    door: Door,
}

impl Host for Client {
    fn answer(&self, request: Request<RequestBody>) -> impl Future<Output = Response<Body>> + Send {
        serve(&self.gate, &self.peer, request)
    }

    fn refuse(&self, breach: &Breach) -> Response<Body> {
        self.gate.metrics.refused("IHD");
        let refusal = Refusal::client(breach.status, "IHD", breach.message);
        respond::refusal(&refusal, &HeaderMap::new(), &self.gate.settings, None)
    }

    fn closed(&self) -> impl Future<Output = ()> + Send {
        self.door.closed(&self.gate)
    }

    fn may_be_closed(&self) -> bool {
        self.door.may_be_closed(&self.gate)
    }

    fn limits(&self) -> Limits {
        limits(&self.gate)
    }
}

/// Answers what an ACME directory asks, over HTTP/1, and nothing else.
struct Prover {
    gate: Arc<Gate>,
}

impl Host for Prover {
    async fn answer(&self, request: Request<RequestBody>) -> Response<Body> {
        let proof = acme::answer(&self.gate, &request).await;
        proof.unwrap_or_else(|| respond::text(StatusCode::NOT_FOUND, "Not Found"))
    }

    fn refuse(&self, breach: &Breach) -> Response<Body> {
        respond::text(breach.status, breach.message)
    }

    fn closed(&self) -> impl Future<Output = ()> + Send {
        self.gate.closed()
    }

    fn may_be_closed(&self) -> bool {
        self.gate.is_closing()
    }

    fn limits(&self) -> Limits {
        limits(&self.gate)
    }
}

fn limits(gate: &Gate) -> Limits {
    let settings = &gate.settings;
    Limits { read: settings.read_timeout, write: settings.write_timeout, body: settings.max_request_body }
}
