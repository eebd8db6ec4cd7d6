//! A closed loop: each connection sends its next request when the answer to the last one is complete.
//!
//! Where the load has a core to itself, it answers for the upstream too and never sleeps. To wake a core that sleeps takes
//! the sender's time, microseconds of it on a virtual machine, and a slow contender finds the core asleep more often than
//! a fast one: it would look slower than it is.

use crate::histogram::Histogram;
use crate::http::{self, invalid};
use crate::upstream::{Server, Upstream};
use crate::wire::{Tls, Wire};
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Steps through the request list so that neighbours in time are no neighbours in the list. A prime, so that every
/// list whose length it does not divide is visited whole.
const STRIDE: usize = 7919;
/// A proxy that answers nothing for so long has failed.
const SILENCE: Duration = Duration::from_secs(5);

/// What to send where, and for how long.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<&'a Tls>,
    pub(crate) connections: usize,
    /// Complete requests without body, taken in turn over all connections.
    pub(crate) requests: &'a [Vec<u8>],
    /// Answered for by the loop, which never sleeps then.
    pub(crate) upstream: Option<&'a Upstream>,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
}

/// What was counted inside the window, between the two calls of the meter.
#[derive(Debug)]
pub(crate) struct Counted<T> {
    pub(crate) before: T,
    pub(crate) after: T,
    pub(crate) elapsed: Duration,
    /// How long a loop that never sleeps had nothing to do.
    pub(crate) idle: Duration,
    pub(crate) requests: u64,
    /// Answers other than 200 with a body, and broken connections, in warm-up and window.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    /// Nanoseconds from the write of a request to the last byte of its answer.
    pub(crate) latencies: Histogram,
}

/// Runs the plan on the calling thread. `meter` is read when the window opens and when it closes.
pub(crate) fn run<T>(plan: &Plan<'_>, mut meter: impl FnMut() -> io::Result<T>) -> io::Result<Counted<T>> {
    let mut client = Client::connect(plan)?;
    let mut server = plan.upstream.map(Upstream::take_over);
    client.until(Instant::now() + plan.warm_up, server.as_deref_mut())?;
    (client.latencies, client.idle) = (Histogram::new(), Duration::ZERO);
    let (before, opened, already) = (meter()?, Instant::now(), client.completed);
    client.until(opened + plan.window, server.as_deref_mut())?;
    let (elapsed, after) = (opened.elapsed(), meter()?);
    Ok(Counted {
        before,
        after,
        elapsed,
        idle: client.idle,
        requests: client.completed - already,
        errors: client.errors,
        first_error: client.first_error,
        latencies: client.latencies,
    })
}

/// Connections that set things up at once.
const HANDS: usize = 64;

/// Sends `count` requests, each once, over some connections; an error unless each is answered by 200.
pub(crate) fn each(
    address: SocketAddr,
    count: usize,
    request: impl Fn(usize) -> Vec<u8> + Sync,
) -> io::Result<()> {
    std::thread::scope(|scope| {
        let hand = |first: usize| {
            let request = &request;
            move || {
                let mut stream = std::net::TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(SILENCE))?;
                (first..count).step_by(HANDS).try_for_each(|index| http::over(&mut stream, &request(index)))
            }
        };
        let hands: Vec<_> = (0..HANDS).map(|first| scope.spawn(hand(first))).collect();
        hands.into_iter().try_for_each(|hand| match hand.join() {
            Ok(done) => done,
            Err(_) => Err(invalid("a thread that sets things up has panicked")),
        })
    })
}

/// The status of one GET over TLS.
pub(crate) fn ask(address: SocketAddr, tls: &Tls, path: &str) -> io::Result<u16> {
    let mut wire = Wire::connect(address, Some(tls))?;
    wire.write(http::render("GET", path, address, &[("connection", "close")], "").as_bytes())?;
    let (mut answer, mut buffer, asked) = (Vec::new(), [0; 4096], Instant::now());
    loop {
        if let Some(head) = http::parse_head(&answer)? {
            return Ok(head.status);
        }
        match wire.read(&mut buffer) {
            Ok(0) => return Err(invalid("closed before the response head")),
            Ok(length) => answer.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && asked.elapsed() < SILENCE => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
}

#[derive(Debug)]
struct Connection {
    wire: Wire,
    sent: Instant,
    /// The start of an answer, until its head is complete.
    partial: Vec<u8>,
    /// Bytes of the body still to come; `None` before the head.
    left: Option<usize>,
}

struct Client<'a> {
    plan: &'a Plan<'a>,
    poll: Poll,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    cursor: usize,
    idle: Duration,
    completed: u64,
    errors: u64,
    first_error: Option<String>,
    latencies: Histogram,
}

impl<'a> Client<'a> {
    fn connect(plan: &'a Plan<'a>) -> io::Result<Client<'a>> {
        let mut client = Client {
            plan,
            poll: Poll::new()?,
            connections: Vec::with_capacity(plan.connections),
            buffer: vec![0; 64 * 1024],
            cursor: 0,
            idle: Duration::ZERO,
            completed: 0,
            errors: 0,
            first_error: None,
            latencies: Histogram::new(),
        };
        for index in 0..plan.connections {
            let connection = client.open(index)?;
            client.connections.push(connection);
        }
        (0..plan.connections).try_for_each(|index| client.send(index))?;
        Ok(client)
    }

    fn open(&self, index: usize) -> io::Result<Connection> {
        let mut wire = Wire::connect(self.plan.address, self.plan.tls)?;
        self.poll.registry().register(wire.source(), Token(index), Interest::READABLE)?;
        Ok(Connection { wire, sent: Instant::now(), partial: Vec::new(), left: None })
    }

    fn send(&mut self, index: usize) -> io::Result<()> {
        self.cursor = (self.cursor + STRIDE) % self.plan.requests.len();
        let request = &self.plan.requests[self.cursor];
        let connection = &mut self.connections[index];
        connection.sent = Instant::now();
        connection.wire.write(request)
    }

    /// Goes on until then, together with a server.
    fn until(&mut self, end: Instant, mut server: Option<&mut Server>) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        let mut heard = Instant::now();
        // When a turn without anything to do began.
        let mut idle_since = None;
        loop {
            let now = Instant::now();
            if let Some(since) = idle_since.take() {
                self.idle += now - since;
            }
            if now >= end {
                return Ok(());
            }
            if now > heard + SILENCE {
                let reason = self.first_error.as_deref().unwrap_or("no answer at all");
                return Err(invalid(format!(
                    "{} gave no good answer for {SILENCE:?}: {reason}",
                    self.plan.address
                )));
            }
            let (patience, served) = match &mut server {
                Some(server) => (Duration::ZERO, server.turn(Duration::ZERO)?),
                None => ((end - now).min(Duration::from_millis(100)), false),
            };
            match self.poll.poll(&mut events, Some(patience)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                done => done?,
            }
            if server.is_some() && !served && events.is_empty() {
                idle_since = Some(now);
                std::hint::spin_loop();
            }
            for event in &events {
                let index = event.token().0;
                let before = self.completed;
                if let Err(error) = self.receive(index) {
                    self.failed(error.to_string());
                    self.connections[index] = self.open(index)?;
                    self.send(index)?;
                }
                if self.completed > before {
                    heard = now;
                }
            }
        }
    }

    fn failed(&mut self, reason: String) {
        self.errors += 1;
        self.first_error.get_or_insert(reason);
    }

    /// Reads what there is; when it completes the answer, sends the next request.
    fn receive(&mut self, index: usize) -> io::Result<()> {
        loop {
            let connection = &mut self.connections[index];
            let length = match connection.wire.read(&mut self.buffer) {
                Ok(0) => return Err(invalid("the connection was closed")),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let left = match connection.left {
                Some(left) => left.checked_sub(length),
                None => {
                    connection.partial.extend_from_slice(&self.buffer[..length]);
                    let Some(head) = http::parse_head(&connection.partial)? else { continue };
                    let body = head.body.ok_or_else(|| invalid("answer without content-length"))?;
                    let have = &connection.partial[head.length..];
                    if head.status != 200 {
                        let text = String::from_utf8_lossy(have);
                        return Err(invalid(format!("status {}: {text}", head.status)));
                    }
                    let left = body.checked_sub(have.len());
                    connection.partial.clear();
                    left
                }
            };
            let left = left.ok_or_else(|| invalid("answer is longer than it said"))?;
            if left > 0 {
                connection.left = Some(left);
                continue;
            }
            connection.left = None;
            let sent = connection.sent;
            self.completed += 1;
            self.latencies.record(u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX));
            // Nothing can come before the next request, so there is no need to read until the socket is empty.
            return self.send(index);
        }
    }
}
