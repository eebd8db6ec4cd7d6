//! One connection of the load generator: TCP, or TLS over it.

use crate::http::invalid;
use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A handshake takes no longer.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How to speak TLS: under which name, trusting whom, and showing which certificate.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(crate) name: ServerName<'static>,
    pub(crate) config: Arc<ClientConfig>,
}

/// A connection that is open, its handshake done.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr, tls: Option<&Tls>) -> io::Result<Wire> {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut session = None;
        if let Some(Tls { name, config }) = tls {
            stream.set_read_timeout(Some(HANDSHAKE))?;
            let mut connection =
                ClientConnection::new(config.clone(), name.clone()).map_err(io::Error::other)?;
            while connection.is_handshaking() {
                connection.complete_io(&mut stream)?;
            }
            session = Some(Box::new(connection));
        }
        stream.set_nonblocking(true)?;
        Ok(Wire { stream: TcpStream::from_std(stream), tls: session })
    }

    /// What is to be polled.
    pub(crate) fn source(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Sends a whole request. Nothing else is under way on this socket, so one of a few hundred bytes always fits.
    pub(crate) fn write(&mut self, request: &[u8]) -> io::Result<()> {
        let partial = || invalid("the socket took only a part of a request");
        let Some(tls) = &mut self.tls else {
            return if self.stream.write(request)? == request.len() { Ok(()) } else { Err(partial()) };
        };
        tls.writer().write_all(request)?;
        while tls.wants_write() {
            if tls.write_tls(&mut self.stream)? == 0 {
                return Err(partial());
            }
        }
        Ok(())
    }

    /// Reads what there is, as [`Read::read`] of a socket that does not block.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.stream.read(buffer) };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if tls.read_tls(&mut self.stream)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }
}
