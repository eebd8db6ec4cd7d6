//! Upstreams behind a proxy: the way through it is asked for, after which its connection is the upstream's.

use std::io;
use std::net::IpAddr;

use apidef::{OutboundProxy, ProxyKind};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest answer of a proxy to `CONNECT`.
const LONGEST: usize = 8 << 10;

/// Why a proxy does not let us through.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ThroughError {
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("it answers {0}")]
    Status(Box<str>),
    #[error("its answer cannot be read")]
    Malformed,
    #[error("it wants other credentials")]
    Credentials,
    #[error("the host's name is too long")]
    Host,
}

/// Asks for the way to a host.
pub(super) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    proxy: &OutboundProxy,
    host: &str,
    port: u16,
) -> Result<(), ThroughError> {
    match proxy.kind {
        ProxyKind::Http | ProxyKind::Https => connect(stream, proxy, host, port).await,
        ProxyKind::Socks5 => socks5(stream, proxy, host, port).await,
    }
}

/// What goes into `Proxy-Authorization`.
pub(super) fn authorization(proxy: &OutboundProxy) -> Option<String> {
    let (user, password) = proxy.credentials.as_ref()?;
    Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.0))))
}

/// RFC 9110 section 9.3.6.
async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    proxy: &OutboundProxy,
    host: &str,
    port: u16,
) -> Result<(), ThroughError> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    if let Some(credentials) = authorization(proxy) {
        request.push_str(&format!("Proxy-Authorization: {credentials}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(256);
    // Nothing comes behind the answer before we have said more.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= LONGEST || stream.read_buf(&mut answer).await? == 0 {
            return Err(ThroughError::Malformed);
        }
    }
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| ThroughError::Malformed)?;
    let status =
        line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..)).ok_or(ThroughError::Malformed)?;
    match status.as_bytes().first() {
        Some(b'2') => Ok(()),
        _ => Err(ThroughError::Status(status.chars().take(80).collect::<String>().into())),
    }
}

/// RFC 1928, with names and passwords as RFC 1929 has them. Names are looked up by the proxy.
async fn socks5<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    proxy: &OutboundProxy,
    host: &str,
    port: u16,
) -> Result<(), ThroughError> {
    let methods: &[u8] = if proxy.credentials.is_some() { &[5, 2, 0, 2] } else { &[5, 1, 0] };
    stream.write_all(methods).await?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await?;
    match (chosen, &proxy.credentials) {
        ([5, 0], _) => {}
        ([5, 2], Some((user, password))) => {
            let length = |text: &str| u8::try_from(text.len()).map_err(|_| ThroughError::Credentials);
            let mut request = vec![1, length(user)?];
            request.extend_from_slice(user.as_bytes());
            request.push(length(&password.0)?);
            request.extend_from_slice(password.0.as_bytes());
            stream.write_all(&request).await?;
            let mut verdict = [0; 2];
            stream.read_exact(&mut verdict).await?;
            if verdict[1] != 0 {
                return Err(ThroughError::Credentials);
            }
        }
        ([5, _], _) => return Err(ThroughError::Credentials),
        _ => return Err(ThroughError::Malformed),
    }
    let mut request = vec![5, 1, 0];
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            request.push(1);
            request.extend_from_slice(&address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(4);
            request.extend_from_slice(&address.octets());
        }
        Err(_) => {
            request.extend_from_slice(&[3, u8::try_from(host.len()).map_err(|_| ThroughError::Host)?]);
            request.extend_from_slice(host.as_bytes());
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&request).await?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    if head[0] != 5 {
        return Err(ThroughError::Malformed);
    }
    if head[1] != 0 {
        return Err(ThroughError::Status(format!("SOCKS error {}", head[1]).into()));
    }
    let address = match head[3] {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await?),
        _ => return Err(ThroughError::Malformed),
    };
    let mut rest = [0; 257];
    stream.read_exact(&mut rest[..address + 2]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use apidef::Secret;
    use tokio::io::duplex;

    fn proxy(kind: ProxyKind, credentials: Option<(&str, &str)>) -> OutboundProxy {
        let credentials = credentials.map(|(user, password)| (user.into(), Secret(password.to_owned())));
        OutboundProxy { kind, host: "proxy".into(), port: 1, credentials }
    }

    /// What we say to a proxy that says this, piece after piece, and what becomes of it.
    async fn talk(proxy: &OutboundProxy, host: &str, answers: &[&[u8]]) -> (Vec<u8>, Result<(), String>) {
        let (mut near, mut far) = duplex(1 << 16);
        for answer in answers {
            far.write_all(answer).await.unwrap();
        }
        far.shutdown().await.unwrap();
        let result = ask(&mut near, proxy, host, 443).await.map_err(|error| error.to_string());
        drop(near);
        let mut said = Vec::new();
        far.read_to_end(&mut said).await.unwrap();
        (said, result)
    }

    #[tokio::test]
    async fn http_proxies_are_asked_to_connect() {
        let plain = proxy(ProxyKind::Http, None);
        let named = proxy(ProxyKind::Http, Some(("u", "p")));
        let asked = "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n";
        let (said, result) = talk(&plain, "a.test", &[b"HTTP/1.1 200 OK\r\n", b"X: y\r\n\r\n"]).await;
        assert_eq!((String::from_utf8(said).unwrap().as_str(), result), (asked, Ok(())));
        let (said, _) = talk(&named, "::1", &[b"HTTP/1.0 200\r\n\r\n"]).await;
        let said = String::from_utf8(said).unwrap();
        assert!(
            said.starts_with("CONNECT [::1]:443 ") && said.contains("Proxy-Authorization: Basic dTpw\r\n")
        );
        let long = [b'x'; LONGEST + 1];
        for (answer, expected) in [
            (
                &b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..],
                "it answers 407 Proxy Authentication Required",
            ),
            (b"HTTP/1.1 502 \r\n\r\n", "it answers 502 "),
            (b"HTTP/1.1 200 OK\r\n", "its answer cannot be read"),
            (b"HTTP/2 200 OK\r\n\r\n", "its answer cannot be read"),
            (b"SSH-2.0-x\r\n\r\n", "its answer cannot be read"),
            (b"HTTP/1.1 200 OK\r\n\r\nmore", "its answer cannot be read"),
            (b"", "its answer cannot be read"),
            (&long, "its answer cannot be read"),
        ] {
            assert_eq!(talk(&plain, "a.test", &[answer]).await.1, Err(expected.to_owned()));
        }
    }

    #[tokio::test]
    async fn socks_proxies_are_asked_to_connect() {
        let plain = proxy(ProxyKind::Socks5, None);
        let named = proxy(ProxyKind::Socks5, Some(("u", "pw")));
        let done = [5, 0, 0, 1, 1, 2, 3, 4, 0, 80];
        let (said, result) = talk(&plain, "a.b", &[&[5, 0], &done]).await;
        assert_eq!(said, b"\x05\x01\x00\x05\x01\x00\x03\x03a.b\x01\xbb");
        assert_eq!(result, Ok(()));
        let (said, result) =
            talk(&named, "1.2.3.4", &[&[5, 2], &[1, 0], &[5, 0, 0, 3, 1, b'x', 0, 80]]).await;
        assert_eq!(said, b"\x05\x02\x00\x02\x01\x01u\x02pw\x05\x01\x00\x01\x01\x02\x03\x04\x01\xbb");
        assert_eq!(result, Ok(()));
        for (answer, expected) in [
            (&[5, 2][..], "it wants other credentials"),
            (&[5, 255], "it wants other credentials"),
            (&[4, 0], "its answer cannot be read"),
            (&[5, 0, 5, 5, 0, 1, 0, 0, 0, 0, 0, 0], "it answers SOCKS error 5"),
            (&[5, 0, 5, 0, 0, 9, 0, 0], "its answer cannot be read"),
            (&[5, 0, 4], "the connection broke: early eof"),
        ] {
            assert_eq!(talk(&plain, "a.b", &[answer]).await.1, Err(expected.to_owned()), "{answer:?}");
        }
        let (_, result) = talk(&named, "a.b", &[&[5, 2], &[1, 1]]).await;
        assert_eq!(result, Err("it wants other credentials".to_owned()));
    }
}
