//! Large bodies: an upstream that gives and takes them, and connections that fetch or send one after the other.

use crate::http::{self, invalid};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long each body is.
pub(crate) const LENGTH: u64 = 64 << 20;
/// What is read or written at once.
const PIECE: usize = 256 << 10;
/// A peer that is silent for so long has failed.
const SILENCE: Duration = Duration::from_secs(5);

/// Which way the bodies go, as a client sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    Fetch,
    Send,
}

/// Answers GET with a body of [`LENGTH`], and POST when all of its body has come; stops when dropped.
#[derive(Debug)]
pub(crate) struct Store {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Store {
    pub(crate) fn start() -> io::Result<Store> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let acceptor = std::thread::Builder::new().name("store".into()).spawn(move || {
            let mut open: Vec<TcpStream> = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                let Ok(mut stream) = stream else { continue };
                let Ok(handle) = stream.try_clone() else { continue };
                open.push(handle);
                // It ends with its connection.
                std::thread::spawn(move || while serve(&mut stream).is_ok() {});
            }
            for stream in open {
                let _ = stream.shutdown(Shutdown::Both);
            }
        })?;
        Ok(Store { address, stop, acceptor: Some(acceptor) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// One request and its answer.
fn serve(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    let mut piece = vec![b'x'; PIECE];
    let end = loop {
        if let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => head.extend_from_slice(&piece[..length]),
        }
    };
    if head.starts_with(b"GET ") {
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n")?;
        return give(stream, &piece, LENGTH, &mut |_| true).map(drop);
    }
    // Whoever sends says `content-length: LENGTH`, as [`send`] does; a proxy passes that on.
    take(stream, &mut piece, LENGTH - (head.len() - end) as u64, &mut |_| true)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
}

/// Writes so many bytes; `went_on` hears of each piece, and says whether to go on. Whether it came to the end.
fn give(
    stream: &mut TcpStream,
    piece: &[u8],
    mut left: u64,
    went_on: &mut dyn FnMut(usize) -> bool,
) -> io::Result<bool> {
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        let length = stream.write(&piece[..most])?;
        left -= length as u64;
        if !went_on(length) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// As [`give`], for reading.
fn take(
    stream: &mut TcpStream,
    piece: &mut [u8],
    mut left: u64,
    went_on: &mut dyn FnMut(usize) -> bool,
) -> io::Result<bool> {
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        let length = stream.read(&mut piece[..most])?;
        if length == 0 {
            return Err(invalid("the body is shorter than was said"));
        }
        left -= length as u64;
        if !went_on(length) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Where to, which way, over how many connections, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) path: &'a str,
    pub(crate) way: Way,
    pub(crate) connections: usize,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
}

/// What was counted inside the window, between the two calls of the meter.
#[derive(Debug)]
pub(crate) struct Counted<T> {
    pub(crate) before: T,
    pub(crate) after: T,
    pub(crate) elapsed: Duration,
    pub(crate) bytes: u64,
}

/// Moves bodies over all connections at once; an error when one of them is not answered by 200.
pub(crate) fn run<T>(plan: Plan<'_>, meter: impl Fn() -> io::Result<T>) -> io::Result<Counted<T>> {
    let (moved, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let hands: Vec<_> =
            (0..plan.connections).map(|_| scope.spawn(|| transfer(plan, &moved, &stop))).collect();
        std::thread::sleep(plan.warm_up);
        let (before, opened, already) = (meter(), Instant::now(), moved.load(Ordering::Relaxed));
        std::thread::sleep(plan.window);
        let (elapsed, after) = (opened.elapsed(), meter());
        let bytes = moved.load(Ordering::Relaxed) - already;
        stop.store(true, Ordering::Release);
        for hand in hands {
            hand.join().map_err(|_| invalid("a thread that moves bodies has panicked"))??;
        }
        Ok(Counted { before: before?, after: after?, elapsed, bytes })
    })
}

fn transfer(plan: Plan<'_>, moved: &AtomicU64, stop: &AtomicBool) -> io::Result<()> {
    let mut stream = TcpStream::connect(plan.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let mut piece = vec![b'x'; PIECE];
    let mut count = |length: usize| {
        moved.fetch_add(length as u64, Ordering::Relaxed);
        !stop.load(Ordering::Acquire)
    };
    loop {
        let whole = match plan.way {
            Way::Fetch => {
                let request = http::render("GET", plan.path, plan.address, &[], "");
                stream.write_all(request.as_bytes())?;
                let (length, early) = head(&mut stream, &mut piece)?;
                if length != LENGTH {
                    return Err(invalid(format!("a body of {length} bytes")));
                }
                count(early);
                take(&mut stream, &mut piece, length - early as u64, &mut count)?
            }
            Way::Send => {
                let length = LENGTH.to_string();
                let fields = [("content-length", length.as_str())];
                let request = http::render("POST", plan.path, plan.address, &fields, "");
                stream.write_all(request.as_bytes())?;
                give(&mut stream, &piece, LENGTH, &mut count)? && {
                    head(&mut stream, &mut piece)?;
                    true
                }
            }
        };
        if !whole {
            return Ok(());
        }
    }
}

/// Reads the head of an answer: how long its body is, and how much of that has come with it.
fn head(stream: &mut TcpStream, piece: &mut [u8]) -> io::Result<(u64, usize)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(head) = http::parse_head(&bytes)? {
            if head.status != 200 {
                let text = String::from_utf8_lossy(&bytes[head.length..]);
                return Err(invalid(format!("status {}: {text}", head.status)));
            }
            let length = head.body.ok_or_else(|| invalid("answer without content-length"))?;
            return Ok((length as u64, bytes.len() - head.length));
        }
        match stream.read(piece)? {
            0 => return Err(invalid("closed before the response head")),
            length => bytes.extend_from_slice(&piece[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_go_both_ways() {
        let store = Store::start().unwrap();
        for way in [Way::Fetch, Way::Send] {
            let (address, short) = (store.address(), Duration::from_millis(100));
            let plan = Plan { address, path: "/", way, connections: 2, warm_up: short, window: short };
            assert!(run(plan, || Ok(())).unwrap().bytes > 0, "{way:?}");
        }
    }
}
