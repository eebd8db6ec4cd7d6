//! A reader of endless HTTP/1.1 answers (server-sent events, lines) over bare TCP. It undoes the chunked coding
//! strictly, so that a test can tell a clean end from a cut one, and shows every field of every event.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::{raw_socket, soon};

/// One server-sent event (WHATWG HTML, 9.2), or a block of comments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// `id:`
    pub id: Option<String>,
    /// `event:`
    pub name: Option<String>,
    /// `data:` lines, joined by a newline.
    pub data: Option<String>,
    /// `retry:`
    pub retry: Option<u64>,
    /// Lines that began with a colon, joined by a newline.
    pub comment: Option<String>,
}

/// How an endless answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With the last chunk, or with all that `Content-Length` announced.
    Clean,
    /// The connection ended before the answer did.
    Cut,
}

#[derive(Debug)]
enum Framing {
    Chunked,
    Sized,
    UntilClose,
}

/// An open answer.
#[derive(Debug)]
pub struct Endless {
    socket: BufReader<TcpStream>,
    framing: Framing,
    /// Bytes of the current chunk (or of all the body) that are still to come.
    left: usize,
    text: Vec<u8>,
    /// Status of the answer.
    pub status: u16,
    head: Vec<(String, String)>,
}

impl Endless {
    /// Sends a GET and reads the answer's head; `fields` are header lines.
    pub async fn get(port: u16, path: &str, fields: &[&str]) -> Self {
        Self::over(raw_socket(port).await, path, fields).await
    }

    /// The same over a socket that the test has prepared.
    pub async fn over(mut socket: TcpStream, path: &str, fields: &[&str]) -> Self {
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: gate\r\n");
        for field in fields {
            request.push_str(field);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut socket = BufReader::new(socket);
        let status = read_line(&mut socket).await.expect("the answer has a status line");
        let status = status.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let mut head = Vec::new();
        while let Some((name, value)) = read_line(&mut socket).await.expect("a whole head").split_once(':') {
            head.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer =
            Self { socket, framing: Framing::UntilClose, left: 0, text: Vec::new(), status, head };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.framing = Framing::Chunked;
        } else if let Some(length) = answer.header("content-length") {
            answer.left = length.parse().unwrap();
            answer.framing = Framing::Sized;
        }
        answer
    }

    /// The value of a header field; names are in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Waits until some of the body has arrived, and takes nothing of it.
    pub async fn readable(&self) {
        soon("something to read", self.socket.get_ref().readable()).await.unwrap();
    }

    /// Fills `text` with what comes next.
    async fn more(&mut self) -> Result<(), End> {
        if self.left == 0 {
            match self.framing {
                Framing::Sized => return Err(End::Clean),
                Framing::UntilClose => self.left = usize::MAX,
                Framing::Chunked => {
                    let size = read_line(&mut self.socket).await.ok_or(End::Cut)?;
                    self.left = usize::from_str_radix(&size, 16)
                        .unwrap_or_else(|_| panic!("no chunk begins with {size:?}"));
                    if self.left == 0 {
                        let last = read_line(&mut self.socket).await.ok_or(End::Cut)?;
                        assert_eq!(last, "", "trailers were not expected");
                        return Err(End::Clean);
                    }
                }
            }
        }
        let mut piece = vec![0; self.left.min(64 << 10)];
        let read = self.socket.read(&mut piece).await.unwrap_or(0);
        if read == 0 {
            return Err(End::Cut);
        }
        self.text.extend_from_slice(&piece[..read]);
        self.left -= read;
        if self.left == 0 && matches!(self.framing, Framing::Chunked) {
            let end = read_line(&mut self.socket).await.ok_or(End::Cut)?;
            assert_eq!(end, "", "a chunk ends with an empty line");
        }
        Ok(())
    }

    async fn line_unbounded(&mut self) -> Result<String, End> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.text[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.text.drain(..=searched + end).collect::<Vec<_>>();
                return Ok(String::from_utf8(line).unwrap().trim_end_matches(['\r', '\n']).to_owned());
            }
            searched = self.text.len();
            self.more().await?;
        }
    }

    async fn event_unbounded(&mut self) -> Result<Event, End> {
        let mut event = Event::default();
        loop {
            let line = self.line_unbounded().await?;
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() => {
                    if event != Event::default() {
                        return Ok(event);
                    }
                }
                "" => join(&mut event.comment, value),
                "data" => join(&mut event.data, value),
                "id" => event.id = Some(value.to_owned()),
                "event" => event.name = Some(value.to_owned()),
                "retry" => event.retry = Some(value.parse().expect("retry is a number")),
                other => panic!("no field of an event: {other:?}"),
            }
        }
    }

    /// The next line.
    pub async fn line(&mut self) -> Result<String, End> {
        soon("a line of the stream", self.line_unbounded()).await
    }

    /// The next event or block of comments.
    pub async fn event(&mut self) -> Result<Event, End> {
        soon("an event of the stream", self.event_unbounded()).await
    }

    /// The data of the next event that has some.
    pub async fn data(&mut self) -> Result<String, End> {
        loop {
            if let Some(data) = self.event().await?.data {
                return Ok(data);
            }
        }
    }

    /// All that is left of the body, as text, and how it ended.
    pub async fn rest(&mut self) -> (String, End) {
        let end = soon("the end of the answer", async {
            loop {
                if let Err(end) = self.more().await {
                    return end;
                }
            }
        })
        .await;
        (String::from_utf8(std::mem::take(&mut self.text)).unwrap(), end)
    }

    /// Reads in the background: every event's data comes out of the channel as soon as it arrives, until the end.
    pub fn collect(mut self) -> mpsc::UnboundedReceiver<String> {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(event) = self.event_unbounded().await {
                if let Some(data) = event.data
                    && sender.send(data).is_err()
                {
                    return;
                }
            }
        });
        receiver
    }
}

fn join(into: &mut Option<String>, line: &str) {
    match into {
        Some(text) => {
            text.push('\n');
            text.push_str(line);
        }
        None => *into = Some(line.to_owned()),
    }
}

async fn read_line(socket: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    socket.read_until(b'\n', &mut line).await.ok()?;
    let line = line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n"))?;
    Some(String::from_utf8(line.to_vec()).unwrap())
}
