//! Where the events of a fan-out come from: the real Kafka through kcat, or POST through the gate itself.

use crate::Settings;
use crate::http::{self, invalid};
use crate::process::{Folder, Launch, Process};
use crate::report::Report;
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::ops::Range;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Posting connections. An answer may wait for the delivery, so one alone would be too slow.
const POSTERS: usize = 8;
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long filling a topic may take.
const FILLING: Duration = Duration::from_secs(120);

/// The event with a number: about 100 bytes of JSON.
pub(crate) fn event(number: u64) -> String {
    format!(
        r#"{{"seq":{number},"kind":"reading","sensor":"boiler-7","text":"the quick brown fox jumps over it"}}"#
    )
}

/// The numbers of the events in the bytes of an event stream, in the order of their arrival.
pub(crate) fn numbers(stream: &[u8]) -> Vec<u64> {
    const MARK: &[u8] = br#""seq":"#;
    let number = |at: usize| {
        let digits = stream[at + MARK.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    };
    memchr::memmem::find_iter(stream, MARK).map(number).collect()
}

/// The broker of the settings, if it answers; a warning if it does not.
pub(crate) fn broker<'a>(settings: &'a Settings, report: &mut Report, case: &str) -> Option<&'a String> {
    let Some(brokers) = &settings.kafka else {
        report.warn(format!(
            "no Kafka broker named: {case} was not measured (--kafka, or scripts/services up kafka)"
        ));
        return None;
    };
    let found = brokers.to_socket_addrs().and_then(|mut addresses| {
        let address = addresses.next().ok_or_else(|| invalid("no address"))?;
        TcpStream::connect_timeout(&address, Duration::from_secs(2))
    });
    if let Err(error) = found {
        report.warn(format!(
            "Kafka at {brokers}: {error}; {case} was not measured (scripts/services up kafka)"
        ));
        return None;
    }
    Some(brokers)
}

/// The stream component that receives from a feed.
pub(crate) fn kafka_input(brokers: &str, topic: &str) -> Value {
    json!({"kafka": {
        "addresses": [brokers], "topics": [topic], "consumer_group": topic, "start_from_oldest": true,
    }})
}

/// The stream component that receives what [`Feed::post`] sends to `/API/in`.
pub(crate) fn post_input() -> Value {
    json!({"http_server": {"path": "/in", "ws_path": "/in/ws", "timeout": "10s"}})
}

/// A way to put events in front of the gate.
#[derive(Debug)]
pub(crate) enum Feed {
    /// One kcat for each batch, one line an event; all go to one partition, so the order is kept.
    Kafka { brokers: String, topic: String, core: usize, folder: Folder, running: Option<Process> },
    /// Connections that post in turn; several are under way at a time, so the order is not kept.
    Post { posters: Vec<(Sender<u64>, JoinHandle<io::Result<()>>)> },
}

impl Feed {
    /// Makes the topic, which kcat does by asking for it; the gate finds it there when it starts.
    pub(crate) fn kafka(brokers: &str, topic: &str, core: usize) -> io::Result<Feed> {
        let folder = Folder::create("kcat")?;
        let arguments = ["-L", "-b", brokers, "-t", topic];
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let said = kcat(&arguments, Stdio::null(), core, &folder)?.finish(TIMEOUT)?;
            if said.contains("partition 0, leader") && !said.contains("leader -1") {
                break;
            }
            if Instant::now() > deadline {
                return Err(invalid(format!("the topic {topic} was not made within {TIMEOUT:?}:\n{said}")));
            }
        }
        Ok(Feed::Kafka { brokers: brokers.into(), topic: topic.into(), core, folder, running: None })
    }

    /// Opens the posting connections to `/API/in`.
    pub(crate) fn post(gate: SocketAddr, api: &str) -> io::Result<Feed> {
        let target = format!("/{api}/in");
        let posters = (0..POSTERS).map(|_| {
            let (sender, events) = channel();
            let target = target.clone();
            let mut stream = TcpStream::connect_timeout(&gate, TIMEOUT)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            let thread = std::thread::Builder::new().name("poster".into()).spawn(move || {
                events.iter().try_for_each(|number| {
                    let headers = [("content-type", "application/json")];
                    stream.write_all(
                        http::render("POST", &target, gate, &headers, &event(number)).as_bytes(),
                    )?;
                    accepted(&mut stream)
                })
            })?;
            Ok((sender, thread))
        });
        Ok(Feed::Post { posters: posters.collect::<io::Result<Vec<_>>>()? })
    }

    /// Puts the same line into the topic so many times, spread over its partitions.
    pub(crate) fn fill(&self, line: &str, count: u64) -> io::Result<()> {
        let Feed::Kafka { brokers, topic, core, folder, .. } = self else {
            return Err(invalid("only a topic can be filled"));
        };
        let arguments = ["-P", "-b", brokers, "-t", topic];
        let mut process = kcat(&arguments, Stdio::piped(), *core, folder)?;
        let mut stdin = process.stdin().ok_or_else(|| invalid("kcat has no standard input"))?;
        const CHUNK: u64 = 1_000;
        let chunk = format!("{line}\n").repeat(CHUNK as usize);
        (0..count.div_ceil(CHUNK)).try_for_each(|_| stdin.write_all(chunk.as_bytes()))?;
        drop(stdin);
        process.finish(FILLING).map(drop)
    }

    /// Fewer events than this at a time are not worth the effort.
    pub(crate) fn least(&self) -> u64 {
        match self {
            Feed::Kafka { .. } => 128,
            Feed::Post { .. } => 1,
        }
    }

    /// Hands the events with these numbers over.
    pub(crate) fn push(&mut self, mut numbers: Range<u64>) -> io::Result<()> {
        match self {
            Feed::Kafka { brokers, topic, core, folder, running } => {
                // The batch before has long been delivered; should kcat not have ended yet, the order waits for it.
                if let Some(last) = running.take() {
                    last.finish(TIMEOUT)?;
                }
                let arguments = ["-P", "-b", brokers, "-t", topic, "-p", "0", "-X", "linger.ms=0"];
                let mut process = kcat(&arguments, Stdio::piped(), *core, folder)?;
                let mut stdin = process.stdin().ok_or_else(|| invalid("kcat has no standard input"))?;
                let lines: String = numbers.map(|number| event(number) + "\n").collect();
                stdin.write_all(lines.as_bytes())?;
                *running = Some(process);
                Ok(())
            }
            Feed::Post { posters } => numbers.try_for_each(|number| {
                let index = number as usize % posters.len();
                if posters[index].0.send(number).is_ok() {
                    return Ok(());
                }
                let (_, thread) = posters.swap_remove(index);
                Err(match thread.join() {
                    Ok(Err(error)) => invalid(format!("posting an event failed: {error}")),
                    _ => invalid("a posting thread ended"),
                })
            }),
        }
    }

    /// Whether each subscriber must see the events in the order in which they were pushed.
    pub(crate) fn keeps_order(&self) -> bool {
        matches!(self, Feed::Kafka { .. })
    }
}

fn kcat(arguments: &[&str], stdin: Stdio, core: usize, folder: &Folder) -> io::Result<Process> {
    let (program, folder) = (Path::new("kcat"), folder.path());
    Process::start(Launch { name: "kcat", program, arguments, core, folder, stdin })
}

/// Reads one answer; an error unless it is a 200.
fn accepted(stream: &mut TcpStream) -> io::Result<()> {
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Err(invalid("the gate closed a posting connection"));
        }
        answer.extend_from_slice(&buffer[..length]);
        let Some(head) = http::parse_head(&answer)? else { continue };
        if head.status != 200 {
            return Err(invalid(format!(
                "status {}: {}",
                head.status,
                String::from_utf8_lossy(&answer[head.length..])
            )));
        }
        let body = &answer[head.length..];
        let complete = match head.body {
            Some(expected) => body.len() >= expected,
            None => head.chunked && body.ends_with(b"0\r\n\r\n"),
        };
        if complete {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_stream() {
        let stream: String = [7, 0, 12].map(|number| format!("id: 1\ndata: {}\n\n", event(number))).concat();
        assert_eq!(numbers(stream.as_bytes()), [7, 0, 12]);
    }
}
