//! Clients: curl, and bare TCP where no proper client would do what is tested.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::{Gate, soon};

/// An answer, as curl shows it.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// Status, or 0 when there was no answer.
    pub status: u16,
    /// `HTTP/1.1`, `HTTP/2` ...
    pub version: String,
    /// Header fields in order, and behind them the trailers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// curl's exit code: 0 when all went well.
    pub exit: i32,
    /// What curl said to its standard error.
    pub error: String,
}

impl Reply {
    /// The value of a header; several of them are joined by `, `.
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> =
            self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

/// Runs curl with `-sS -i` and more arguments, and reads the final answer that it prints.
pub async fn curl(arguments: &[&str]) -> Reply {
    let output = Command::new("curl")
        .args(["-sS", "-i", "--max-time", "30", "--noproxy", "*"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("curl is installed");
    let mut reply = parse(&output.stdout);
    reply.exit = output.status.code().unwrap_or(-1);
    reply.error = String::from_utf8_lossy(&output.stderr).into_owned();
    reply
}

fn parse(mut bytes: &[u8]) -> Reply {
    let mut reply = Reply::default();
    // Interim answers come first.
    while bytes.starts_with(b"HTTP/") {
        let end =
            bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |end| end + 4);
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes = &bytes[end..];
        let mut lines = head.lines();
        let mut words = lines.next().unwrap_or_default().split(' ');
        reply.version = words.next().unwrap_or_default().to_owned();
        reply.status = words.next().and_then(|status| status.parse().ok()).unwrap_or(0);
        reply.headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        if reply.status >= 200 {
            break;
        }
    }
    reply.body = bytes.to_vec();
    reply
}

/// A bare TCP connection to a port of this machine.
pub async fn raw_socket(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.expect("something listens there")
}

/// Sends bytes and gives all that comes back until the other side closes.
pub async fn raw(port: u16, bytes: &[u8]) -> String {
    let mut socket = raw_socket(port).await;
    let mut answer = Vec::new();
    soon("the end of the answer", async {
        // The other side may answer and close before it has read everything.
        let _ = socket.write_all(bytes).await;
        let _ = socket.read_to_end(&mut answer).await;
    })
    .await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Posts a form to a gate, with further arguments of curl.
pub async fn post_form(gate: &Gate, path: &str, fields: &[(&str, &str)], more: &[&str]) -> Reply {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut arguments = vec!["-X", "POST"];
    for field in &fields {
        arguments.extend(["--data-urlencode", field]);
    }
    arguments.extend(more);
    let url = gate.url(path);
    arguments.push(&url);
    curl(&arguments).await
}
