//! Many SSE clients on one thread: they read as fast as they can, count events, and a few keep what they saw.

use crate::http::{self, Chunks, invalid};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// So many connections are opened before their answers are awaited: below any sensible listen backlog.
const BATCH: usize = 64;
/// The first so many subscribers keep the bytes of their events, to be checked afterwards.
const WITNESSES: usize = 3;
/// A gate that lets a new subscriber wait longer for the response head has failed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Open subscriptions.
pub(crate) struct Subscribers {
    poll: Poll,
    events: Events,
    all: Vec<Subscriber>,
    buffer: Vec<u8>,
    received: u64,
    closed: usize,
}

struct Subscriber {
    stream: TcpStream,
    body: Body,
    counter: Counter,
    witnessed: Option<Vec<u8>>,
    open: bool,
}

enum Body {
    /// The head has not come whole yet.
    Head(Vec<u8>),
    Chunked(Chunks),
    Plain,
}

/// Counts lines that start with `d`, as only `data:` lines do (WHATWG HTML, server-sent events).
#[derive(Default)]
struct Counter {
    /// A line has been begun, and whether it is a `data:` line.
    line: Option<bool>,
    events: u64,
}

impl Counter {
    fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(&first) = bytes.first() {
            let data = *self.line.get_or_insert(first == b'd');
            let Some(end) = memchr::memchr(b'\n', bytes) else { return };
            self.events += u64::from(data);
            self.line = None;
            bytes = &bytes[end + 1..];
        }
    }
}

impl Subscribers {
    /// Opens `count` subscriptions and waits until each has its response head.
    pub(crate) fn open(address: SocketAddr, request: &[u8], count: usize) -> io::Result<Subscribers> {
        let mut subscribers = Subscribers {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            all: Vec::with_capacity(count),
            buffer: vec![0; 64 * 1024],
            received: 0,
            closed: 0,
        };
        while subscribers.all.len() < count {
            let first = subscribers.all.len();
            for index in first..count.min(first + BATCH) {
                subscribers
                    .add(index, address, request)
                    .map_err(|error| invalid(format!("subscriber {index} cannot connect: {error}")))?;
            }
            let deadline = Instant::now() + HEAD_TIMEOUT;
            while subscribers.all[first..].iter().any(|one| matches!(one.body, Body::Head(_))) {
                subscribers.pump(Duration::from_millis(10))?;
                if Instant::now() > deadline {
                    return Err(invalid(format!("a subscriber after the {first}th got no response head")));
                }
                if subscribers.closed > 0 {
                    return Err(invalid(format!("a subscriber after the {first}th was closed at once")));
                }
            }
        }
        Ok(subscribers)
    }

    fn add(&mut self, index: usize, address: SocketAddr, request: &[u8]) -> io::Result<()> {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.write_all(request)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        self.poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
        let witnessed = (index < WITNESSES).then(Vec::new);
        let body = Body::Head(Vec::new());
        self.all.push(Subscriber { stream, body, counter: Counter::default(), witnessed, open: true });
        Ok(())
    }

    /// Waits at most so long for something to read, and reads it.
    pub(crate) fn pump(&mut self, wait: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            done => done?,
        }
        for event in &self.events {
            let subscriber = &mut self.all[event.token().0];
            let before = subscriber.counter.events;
            let open = subscriber.read(&mut self.buffer, event.is_read_closed())?;
            self.received += subscriber.counter.events - before;
            if !open && subscriber.open {
                subscriber.open = false;
                self.closed += 1;
            }
        }
        Ok(())
    }

    /// Events received by all together.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Events received by the one that has the fewest.
    pub(crate) fn slowest(&self) -> u64 {
        self.all.iter().map(|one| one.counter.events).min().unwrap_or(0)
    }

    /// Subscriptions that the gate has ended.
    pub(crate) fn closed(&self) -> usize {
        self.closed
    }

    /// What the witnesses received, for each the bytes of its event stream.
    pub(crate) fn witnesses(&self) -> impl Iterator<Item = &[u8]> {
        self.all.iter().filter_map(|one| one.witnessed.as_deref())
    }
}

impl Subscriber {
    /// Reads until the socket is empty; false when the gate has closed it.
    fn read(&mut self, buffer: &mut [u8], closing: bool) -> io::Result<bool> {
        loop {
            let length = match self.stream.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error),
            };
            self.take(&buffer[..length])?;
            // A short read has emptied the socket; what comes next wakes the poll again.
            if length < buffer.len() && !closing {
                return Ok(true);
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (counter, witnessed) = (&mut self.counter, &mut self.witnessed);
        let mut content = |bytes: &[u8]| {
            counter.feed(bytes);
            if let Some(kept) = witnessed {
                kept.extend_from_slice(bytes);
            }
        };
        match &mut self.body {
            Body::Head(partial) => {
                partial.extend_from_slice(bytes);
                let Some(head) = http::parse_head(partial)? else { return Ok(()) };
                let rest = partial.split_off(head.length);
                if head.status != 200 {
                    let text = String::from_utf8_lossy(&rest).into_owned();
                    return Err(invalid(format!("a subscriber was answered {}: {text}", head.status)));
                }
                self.body = if head.chunked { Body::Chunked(Chunks::default()) } else { Body::Plain };
                if rest.is_empty() { Ok(()) } else { self.take(&rest) }
            }
            Body::Chunked(chunks) => chunks.feed(bytes, &mut content).map(|_| ()),
            Body::Plain => {
                content(bytes);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_data_lines_cut_anywhere() {
        let text = b"retry: 5\n\n: heartbeat\n\nid: 7\ndata: {\"dad\":1}\n\ndata: 2\n\n";
        for cut in 0..text.len() {
            let mut counter = Counter::default();
            counter.feed(&text[..cut]);
            counter.feed(&text[cut..]);
            assert_eq!(counter.events, 2, "cut at {cut}");
        }
    }
}
