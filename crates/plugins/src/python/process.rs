//! One process that runs plugins in Python, and how the gate speaks with it.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::outside::shortened;
use crate::{Fault, Outside};

/// Reads the runner itself from the socket, so that no file of it has to lie anywhere.
const BEGIN: &str = "import os
def read(n):
    b = b''
    while len(b) < n:
        c = os.read(0, n - len(b))
        if not c: os._exit(0)
        b += c
    return b
exec(compile(read(int(read(8))), '<sluicegate>', 'exec'))";
const RUNNER: &str = include_str!("runner.py");
/// Largest part of a frame, in bytes.
const LARGEST: u32 = 64 << 20;
const HEAD: usize = 13;
/// What begins so in the environment is for the gate: its settings, and its secrets.
const OF_THE_GATE: [&str; 2] = ["TYK_GW_", "TYK_SECRET_"];

/// What is sent and received: a letter for what it is, a JSON text, and the bodies of a request and of an answer.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Frame {
    pub(super) kind: u8,
    pub(super) text: Vec<u8>,
    pub(super) bodies: [Vec<u8>; 2],
}

/// A process, ready for calls.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    stream: UnixStream,
    outside: Arc<dyn Outside>,
    /// It is in the middle of something, or gone.
    broken: bool,
}

/// What a runner asks for during a call.
#[derive(Deserialize)]
struct Wish {
    #[serde(rename = "do")]
    what: String,
    name: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    seconds: u64,
}

impl Process {
    /// Starts a process. Blocks.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(program: &str, outside: Arc<dyn Outside>) -> Result<Self, Fault> {
        let away = |why: io::Error| {
            let hint = "install Python 3, or name its version in `coprocess_options.python_version`";
            Fault::Away(format!("`{program}` cannot be started: {why}; {hint}"))
        };
        let (stream, theirs) = UnixStream::pair().map_err(away)?;
        let other = theirs.try_clone().map_err(away)?;
        let mut command = Command::new(program);
        let of_the_gate = std::env::vars_os().map(|(name, _)| name);
        let is_ours = |name: &std::ffi::OsString| {
            let name = name.to_string_lossy();
            OF_THE_GATE.iter().any(|prefix| name.starts_with(prefix))
        };
        for name in of_the_gate.filter(is_ours) {
            command.env_remove(name);
        }
        command.args(["-u", "-c", BEGIN]);
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::from(OwnedFd::from(other)));
        let child = command.spawn().map_err(away)?;
        let mut process = Self { child, stream, outside, broken: false };
        let begun = process.stream.write_all(format!("{:08}{RUNNER}", RUNNER.len()).as_bytes());
        begun.map_err(|why| Fault::Away(format!("`{program}` does not run: {why}")))?;
        Ok(process)
    }

    pub(super) const fn is_sound(&self) -> bool {
        !self.broken
    }

    /// Sends a frame and waits for the outcome; what is asked for in between is answered. Blocks.
    ///
    /// # Errors
    /// The plugin failed, or the process did: then it is of no use any more.
    pub(super) fn ask(&mut self, frame: &Frame, longest: Duration) -> Result<Frame, Fault> {
        self.broken = true;
        let until = Instant::now() + longest;
        let fault = |why: io::Error| match why.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Fault::Late(longest),
            _ => Fault::Away(format!("the process of Python is gone: {why}")),
        };
        self.send(frame, until).map_err(fault)?;
        loop {
            let given = self.receive(until).map_err(fault)?;
            match given.kind {
                b'O' => {
                    self.broken = false;
                    return Ok(given);
                }
                b'F' => {
                    self.broken = false;
                    let value: Value = serde_json::from_slice(&given.text).unwrap_or_default();
                    return Err(Fault::Thrown(value["text"].as_str().unwrap_or_default().to_owned()));
                }
                b'G' => {
                    let value: Value = serde_json::from_slice(&given.text).unwrap_or_default();
                    self.outside.log(value["line"].as_str().unwrap_or_default());
                }
                b'S' => {
                    let text = self.fulfil(&given.text).to_string().into_bytes();
                    self.send(&Frame { kind: b'R', text, ..Frame::default() }, until).map_err(fault)?;
                }
                _ => return Err(Fault::Shape("the process of Python says what nobody knows".to_owned())),
            }
        }
    }

    fn fulfil(&self, wish: &[u8]) -> Value {
        let done = match serde_json::from_slice::<Wish>(wish) {
            Ok(wish) if wish.what == "store" => {
                self.outside.store(&wish.name, &wish.text, wish.seconds, false).map(|_| Value::Null)
            }
            Ok(wish) if wish.what == "trigger" => {
                self.outside.trigger(&wish.name, shortened(&wish.text));
                Ok(Value::Null)
            }
            Ok(wish) => self.outside.stored(&wish.name).map(|text| json!(text)),
            Err(why) => Err(why.to_string()),
        };
        done.unwrap_or_else(|why| {
            self.outside.log(&format!("data of plugins: {why}"));
            Value::Null
        })
    }

    fn send(&mut self, frame: &Frame, until: Instant) -> io::Result<()> {
        let parts = [&frame.text, &frame.bodies[0], &frame.bodies[1]];
        let mut head = vec![frame.kind];
        for part in parts {
            let length = u32::try_from(part.len()).map_err(io::Error::other)?;
            head.extend(length.to_be_bytes());
        }
        for part in [&head].into_iter().chain(parts) {
            let mut rest = &part[..];
            while !rest.is_empty() {
                self.stream.set_write_timeout(Some(left(until)?))?;
                match self.stream.write(rest)? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    written => rest = &rest[written..],
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, until: Instant) -> io::Result<Frame> {
        let mut head = [0; HEAD];
        self.fill(&mut head, until)?;
        let length = |at: usize| {
            let length = u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
            match length > LARGEST {
                true => Err(io::Error::other(format!("it gives more than {LARGEST} bytes"))),
                false => Ok(vec![0; length as usize]),
            }
        };
        let (mut text, mut first, mut second) = (length(1)?, length(5)?, length(9)?);
        for part in [&mut text, &mut first, &mut second] {
            self.fill(part, until)?;
        }
        Ok(Frame { kind: head[0], text, bodies: [first, second] })
    }

    fn fill(&mut self, mut space: &mut [u8], until: Instant) -> io::Result<()> {
        while !space.is_empty() {
            self.stream.set_read_timeout(Some(left(until)?))?;
            match self.stream.read(space)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => space = &mut space[read..],
            }
        }
        Ok(())
    }
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Whatever it does; then it is gone at once, and waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
