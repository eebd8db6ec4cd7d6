//! One probe: a request that has to be answered with 200, or a talk over TCP.

use apidef::{Command, Probe, ProbeKind, Scheme};
use bytes::BytesMut;
use http::header::{HeaderName, HeaderValue};
use http::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::backend::upstream::{Client, Connector, DialError, Origin, Purpose, Security};
use crate::fetch::{self, Ask, FetchError};
use crate::gate::Gate;

/// Most that is read of an answer over HTTP, and kept of what is said over TCP.
const LARGEST: usize = 1 << 20;
const HEARD: usize = 64 << 10;

/// What is wrong with a host.
#[derive(Debug)]
pub(super) struct Ill {
    pub(super) why: String,
    /// The status of its answer; `None` where it gave none.
    pub(super) status: Option<StatusCode>,
    /// It was not asked: the egress policy denies it.
    pub(super) denied: bool,
}

impl From<FetchError> for Ill {
    fn from(error: FetchError) -> Self {
        Self { denied: matches!(error, FetchError::Denied { .. }), ..Self::from(error.to_string()) }
    }
}

impl From<DialError> for Ill {
    fn from(error: DialError) -> Self {
        Self { denied: matches!(error, DialError::Denied(_)), ..Self::from(error.to_string()) }
    }
}

impl From<String> for Ill {
    fn from(why: String) -> Self {
        Self { why, status: None, denied: false }
    }
}

/// Whether a host is well; why it is not.
pub(super) async fn run(gate: &Gate, probe: &Probe) -> Result<(), Ill> {
    match &probe.kind {
        ProbeKind::Http { method, headers, body } => {
            let method = Method::try_from(&**method).map_err(|error| error.to_string())?;
            let mut ask =
                Ask::get(probe.target.clone()).within(probe.timeout, LARGEST).sending(method, body.to_vec());
            for (name, value) in headers {
                let name = HeaderName::try_from(&**name).map_err(|error| error.to_string())?;
                let value = HeaderValue::try_from(&**value).map_err(|error| error.to_string())?;
                ask = ask.with(name, value);
            }
            let insecure = gate.upstream.common.insecure_skip_verify;
            let answer = fetch::once_only(&gate.upstream, insecure, ask).await;
            match answer?.status {
                StatusCode::OK => Ok(()),
                status => {
                    let why = format!("the answer is {}, not 200", status.as_u16());
                    Err(Ill { status: Some(status), ..Ill::from(why) })
                }
            }
        }
        ProbeKind::Tcp { tls, proxy_protocol, commands } => {
            let talk = tcp(gate, probe, *tls, *proxy_protocol, commands);
            tokio::time::timeout(probe.timeout, talk)
                .await
                .unwrap_or_else(|_| Err(format!("nothing within {:?}", probe.timeout).into()))
        }
    }
}

async fn tcp(
    gate: &Gate,
    probe: &Probe,
    tls: bool,
    proxy_protocol: bool,
    commands: &[Command],
) -> Result<(), Ill> {
    let insecure = gate.upstream.common.insecure_skip_verify;
    let settings = &gate.upstream;
    let client = tls
        .then(|| Client::Usual(if insecure { settings.insecure_tls.clone() } else { settings.tls.clone() }));
    let mut target = probe.target.clone();
    target.scheme = if tls { Scheme::Https } else { Scheme::Http };
    let origin = Origin::new(&target, Security::usual(&settings.common, insecure));
    let mut stream = Connector::new(origin, client, probe.timeout, &settings.names)?
        .under(&settings.egress)
        .dial(Purpose::Upgrade)
        .await?;
    if proxy_protocol {
        // No client is behind it.
        stream.write_all(b"PROXY UNKNOWN\r\n").await.map_err(|error| error.to_string())?;
    }
    Ok(talk(&mut stream, commands).await?)
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, commands: &[Command]) -> Result<(), String> {
    let mut heard = BytesMut::new();
    for command in commands {
        match command {
            Command::Send(text) => {
                let sent = async {
                    stream.write_all(text.as_bytes()).await?;
                    stream.flush().await
                };
                sent.await.map_err(|error| format!("it takes nothing: {error}"))?;
            }
            Command::Expect(text) => loop {
                if let Some(at) = position(&heard, text.as_bytes()) {
                    let _before = heard.split_to(at + text.len());
                    break;
                }
                if heard.len() >= HEARD || stream.read_buf(&mut heard).await.unwrap_or(0) == 0 {
                    return Err("it does not say what is expected".to_owned());
                }
            },
        }
    }
    Ok(())
}

fn position(heard: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return Some(0);
    }
    heard.windows(wanted.len()).position(|part| part == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    #[tokio::test]
    async fn a_talk_goes_as_it_is_written() {
        let send = |text: &str| Command::Send(text.into());
        let expect = |text: &str| Command::Expect(text.into());
        for (commands, says, good, said) in [
            (vec![], &b""[..], true, "EHLO"),
            (vec![send("EHLO"), expect("250")], b"220 hi\r\n250 ok\r\n", true, "EHLO"),
            (vec![expect("220"), send("EHLO"), expect("250")], b"220 hi\r\n250 ok\r\n", true, "EHLO"),
            // In this order, and each after the one before.
            (vec![expect("250"), expect("220")], b"220 hi\r\n250 ok\r\n", false, ""),
            (vec![expect("220"), expect("220")], b"220 hi\r\n", false, ""),
            (vec![expect("")], b"", true, ""),
        ] {
            let (mut near, mut far) = duplex(1 << 16);
            far.write_all(says).await.unwrap();
            far.shutdown().await.unwrap();
            assert_eq!(talk(&mut near, &commands).await.is_ok(), good, "{commands:?}");
            drop(near);
            let mut heard = String::new();
            far.read_to_string(&mut heard).await.unwrap();
            assert!(said.starts_with(&heard), "{commands:?}: {heard}");
        }
    }
}
