//! The upstream of every comparison: keep-alive, two system calls a request, so that what is measured is the proxy.

use crate::http::{MAX_HEAD, invalid};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use parking_lot::{FairMutex, FairMutexGuard};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const LISTENER: Token = Token(usize::MAX);
/// The longest body that a path may ask for.
const MAX_BODY: usize = 1024 * 1024;

/// The longest that its thread keeps the server for itself.
const TURN: Duration = Duration::from_millis(50);

/// A thread that answers `GET …/N` with N bytes; stops when dropped.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    served: Arc<AtomicU64>,
    /// Fair, so that who waits for it gets it after the turn of the thread.
    server: Arc<FairMutex<Server>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Listens on a free loopback port; the thread keeps the caller's core.
    pub(crate) fn start() -> io::Result<Upstream> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        let (served, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let server = Arc::new(FairMutex::new(Server::new(listener, Arc::clone(&served))?));
        let (lent, stopped) = (Arc::clone(&server), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("upstream".into()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Err(error) = lent.lock().turn(TURN) {
                    crate::report::note(&format!("upstream: {error}"));
                    return;
                }
            }
        })?;
        Ok(Upstream { address, served, server, stop, thread: Some(thread) })
    }

    /// Keeps its thread from answering: whoever calls answers, by [`Server::turn`], until it drops this.
    pub(crate) fn take_over(&self) -> FairMutexGuard<'_, Server> {
        self.server.lock()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests answered so far: proves that a proxy's answers came from here.
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// The start of a request whose end has not come yet.
    partial: Vec<u8>,
    /// Answer bytes that the socket did not take yet.
    unsent: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Server {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    answers: Answers,
    buffer: Vec<u8>,
}

impl Server {
    fn new(mut listener: TcpListener, served: Arc<AtomicU64>) -> io::Result<Server> {
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Server {
            poll,
            events: Events::with_capacity(256),
            listener,
            connections: Vec::new(),
            free: Vec::new(),
            answers: Answers { made: Vec::new(), served },
            buffer: vec![0; 64 * 1024],
        })
    }

    /// Answers what has come, or comes within some time; whether anything has.
    pub(crate) fn turn(&mut self, patience: Duration) -> io::Result<bool> {
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
            done => done?,
        }
        let mut waiting = false;
        for event in &self.events {
            let index = event.token().0;
            if index == LISTENER.0 {
                waiting = true;
            } else if let Some(Some(connection)) = self.connections.get_mut(index) {
                let done = connection.serve(&mut self.buffer, &mut self.answers, event.is_read_closed());
                if done.is_err() {
                    self.connections[index] = None;
                    self.free.push(index);
                }
            }
        }
        if waiting {
            self.accept()?;
        }
        Ok(!self.events.is_empty())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let index = self.free.pop().unwrap_or(self.connections.len());
            self.poll.registry().register(
                &mut stream,
                Token(index),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            let connection = Connection { stream, partial: Vec::new(), unsent: Vec::new() };
            if index == self.connections.len() {
                self.connections.push(Some(connection));
            } else {
                self.connections[index] = Some(connection);
            }
        }
    }
}

impl Connection {
    /// Reads and answers until the socket has nothing more; an error is a reason to close.
    fn serve(&mut self, buffer: &mut [u8], answers: &mut Answers, closing: bool) -> io::Result<()> {
        self.flush()?;
        loop {
            let length = match self.stream.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if self.partial.is_empty() {
                let used = self.answer(&buffer[..length], answers)?;
                self.partial.extend_from_slice(&buffer[used..length]);
            } else {
                self.partial.extend_from_slice(&buffer[..length]);
                let bytes = std::mem::take(&mut self.partial);
                let used = self.answer(&bytes, answers)?;
                self.partial.extend_from_slice(&bytes[used..]);
            }
            if self.partial.len() > MAX_HEAD {
                return Err(invalid("request head is too long"));
            }
            // A short read has emptied the socket; what comes next wakes the poll again.
            if length < buffer.len() && !closing {
                return Ok(());
            }
        }
    }

    fn answer(&mut self, bytes: &[u8], answers: &mut Answers) -> io::Result<usize> {
        let mut used = 0;
        while let Some(end) = memchr::memmem::find(&bytes[used..], b"\r\n\r\n") {
            let head = &bytes[used..used + end];
            let length = end + 4 + body_length(head)?;
            if bytes.len() - used < length {
                break;
            }
            let answer = answers.find(head)?;
            let sent = if self.unsent.is_empty() { write(&mut self.stream, answer)? } else { 0 };
            self.unsent.extend_from_slice(&answer[sent..]);
            used += length;
        }
        Ok(used)
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.unsent.is_empty() {
            let sent = write(&mut self.stream, &self.unsent)?;
            self.unsent.drain(..sent);
        }
        Ok(())
    }
}

/// How long the body behind a head is. Most have none, and are not looked through.
fn body_length(head: &[u8]) -> io::Result<usize> {
    if head.starts_with(b"GET ") {
        return Ok(0);
    }
    let fields = head.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    });
    let mut of_length = fields.filter(|(name, _)| name.eq_ignore_ascii_case(b"content-length"));
    let Some((_, digits)) = of_length.next() else { return Ok(0) };
    let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok());
    length.filter(|length| *length <= MAX_BODY).ok_or_else(|| invalid("a body of no length"))
}

fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

/// Complete answers by body length, made once, and how many were asked for.
#[derive(Debug)]
struct Answers {
    made: Vec<(usize, Vec<u8>)>,
    served: Arc<AtomicU64>,
}

impl Answers {
    /// The answer to a request head: as many bytes as the last segment of its path says.
    fn find(&mut self, head: &[u8]) -> io::Result<&[u8]> {
        self.served.fetch_add(1, Ordering::Relaxed);
        let path = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let digits = last.iter().take_while(|byte| byte.is_ascii_digit());
        let length = digits
            .fold(0_usize, |sum, digit| sum.saturating_mul(10).saturating_add(usize::from(digit - b'0')));
        let length = length.min(MAX_BODY);
        let index = match self.made.iter().position(|(known, _)| *known == length) {
            Some(index) => index,
            None => {
                let mut answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n"
                )
                .into_bytes();
                answer.resize(answer.len() + length, b'x');
                self.made.push((length, answer));
                self.made.len() - 1
            }
        };
        self.made.get(index).map(|(_, answer)| answer.as_slice()).ok_or_else(|| invalid("no answer"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    #[test]
    fn answers_as_many_bytes_as_the_path_says() {
        let upstream = Upstream::start().unwrap();
        for (path, length) in [("/60", 60), ("/a/b/2048?q=1", 2048), ("/none", 0)] {
            let (status, body) =
                http::exchange(upstream.address(), "GET", path, &[], "", Duration::from_secs(5)).unwrap();
            assert_eq!((status, body.len()), (200, length), "{path}");
        }
        assert_eq!(upstream.served(), 3);
    }
}
