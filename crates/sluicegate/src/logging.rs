//! The log: standard error, as text or as JSON lines. Whoever logs never waits: lines go through a bounded queue to a
//! thread of their own. When it is full, lines are dropped, and the log says how many.

mod file;
mod lines;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogFormat;

/// Lines that may wait for standard error.
const QUEUE: usize = 8192;

/// How long the end of the process waits for the lines that are left.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Our own rooms. What they depend on is logged from `info` up even when these say more.
const ROOMS: &[&str] = &[
    "sluicegate",
    "gateway",
    "streams",
    "codecs",
    "connectors",
    "state",
    "analytics",
    "apidef",
    "bloblang",
    "document",
];

/// Say of every lost connection that they give up, or of every call to a cluster that a node is away: several lines a
/// request. What made them, a connector or the state, tells what matters.
const QUIET: &str = "async_nats=off,redis::cluster_handling=error";

/// Keeps the log going; dropping it writes what is left.
#[derive(Debug)]
#[must_use]
pub(crate) struct Log(SyncSender<Item>);

impl Drop for Log {
    fn drop(&mut self) {
        let (done, written) = sync_channel(1);
        if self.0.try_send(Item::Flush(done)).is_ok() {
            let _ = written.recv_timeout(LAST_LINES); // whatever happened, the process ends now
        }
    }
}

/// Starts the log. `level` is one of the words of the setting `log_level`; the variable `RUST_LOG` replaces it.
///
/// # Errors
///
/// When the system gives no thread.
pub(crate) fn start(level: &str, format: LogFormat) -> io::Result<Log> {
    let (log, queue) = queue(io::stderr())?;
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| directives(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(queue)
        .with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.init(),
    }
    Ok(log)
}

/// Starts the log of a process whose only work is one stream, as its section `logger` has it. The variable `RUST_LOG`
/// replaces the level.
///
/// # Errors
///
/// When the file cannot be opened, or the system gives no thread.
pub(crate) fn start_alone(logger: streams::Logger) -> io::Result<Log> {
    let (log, queue) = match logger.file.clone() {
        Some(file) => {
            let name = file.path.display().to_string();
            let open = file::Rotating::open(file);
            queue(open.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?)?
        }
        None => queue(io::stderr())?,
    };
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| directives(logger.level));
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(queue)
        .event_format(lines::Lines(logger))
        .init();
    Ok(log)
}

/// A queue with a thread that writes what comes through it.
fn queue(mut out: impl Write + Send + 'static) -> io::Result<(Log, Queue)> {
    let (sender, lines) = sync_channel(QUEUE);
    let queue = Queue { sender: sender.clone(), dropped: Arc::default() };
    let dropped = Arc::clone(&queue.dropped);
    std::thread::Builder::new().name("log".into()).spawn(move || drain(&lines, &dropped, &mut out))?;
    Ok((Log(sender), queue))
}

fn directives(level: &str) -> String {
    let level = match level {
        "trace" | "debug" => {
            ROOMS.iter().fold("info".to_owned(), |all, room| format!("{all},{room}={level}"))
        }
        _ => level.to_owned(),
    };
    format!("{level},{QUIET}")
}

enum Item {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

#[derive(Clone)]
struct Queue {
    sender: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Queue;

    fn make_writer(&'a self) -> Queue {
        self.clone()
    }
}

impl Write for Queue {
    /// Takes a whole line; the subscriber hands over each in one piece.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.sender.try_send(Item::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes lines until nobody can send any more. A standard error that is closed is no reason to stop serving.
fn drain(lines: &Receiver<Item>, dropped: &AtomicU64, out: &mut dyn Write) {
    for item in lines {
        match item {
            Item::Line(line) => drop(out.write_all(&line)),
            Item::Flush(done) => drop(done.try_send(())),
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            drop(writeln!(out, "{lost} log lines were dropped: standard error takes them too slowly"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_lines_and_says_so() {
        let (sender, lines) = sync_channel(2);
        let mut queue = Queue { sender, dropped: Arc::default() };
        for line in ["a\n", "b\n", "c\n", "d\n"] {
            queue.write_all(line.as_bytes()).unwrap();
        }
        let dropped = Arc::clone(&queue.dropped);
        drop(queue);
        let mut out = Vec::new();
        drain(&lines, &dropped, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "a\n2 log lines were dropped: standard error takes them too slowly\nb\n");
    }

    #[test]
    fn more_detail_is_asked_of_our_own_rooms_only() {
        assert_eq!(directives("warn"), format!("warn,{QUIET}"));
        assert!(directives("debug").starts_with("info,sluicegate=debug,"));
    }
}
