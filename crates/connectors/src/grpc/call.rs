//! One method of a server: messages framed as gRPC frames them, and the status behind the answer.

use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use codecs::protobuf::{Procedure, Types};
use document::Fault;
use http::header::{AUTHORIZATION, CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use streams::{BuildContext, Node};
use url::Url;

use crate::auth::oauth2::OAuth2;
use crate::fields::{filled, tls};
use crate::http_client::exchange::{Exchange, Request};

/// Longest message of an answer.
pub(super) const LONGEST: usize = 64 << 20;
/// How long a server may take until its answer begins.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take to tell of its health.
const HEALTH: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Call {
    request: Request,
    procedure: Procedure,
    /// The path to ask for health, and the question.
    health: Option<(Url, Bytes)>,
    exchange: Exchange,
    tokens: Option<(OAuth2, Exchange)>,
}

impl Call {
    /// Reads what inputs and outputs share.
    pub(super) fn read(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Call, Fault> {
        let own_tls = tls(node)?;
        let base = address(&node.text("address")?, own_tls.is_some())
            .map_err(|text| node.field_fault("address", text))?;
        let files = node.texts("proto_files")?;
        let types = Types::read(&files, context).map_err(|text| {
            node.field_fault("proto_files", text)
                .hint("whoever runs the gate can let streams read files: `streaming.mappings.files`")
        })?;
        let (service, method) = (node.text("service")?, node.text("method")?);
        let procedure = types.procedure(&service, &method).map_err(|wrong| {
            node.field_fault(if wrong.of_service { "service" } else { "method" }, wrong.text)
        })?;
        let rpc_type = node.text("rpc_type")?;
        let is = match (procedure.takes_stream(), procedure.gives_stream()) {
            (false, false) => "unary",
            (true, false) => "client_stream",
            (false, true) => "server_stream",
            (true, true) => "bidi",
        };
        if rpc_type != is {
            let text = format!("`{method}` is of the type `{is}`, not `{rpc_type}`");
            return Err(node.field_fault("rpc_type", text));
        }
        let mut url = base.clone();
        url.set_path(&format!("/{}", procedure.path()));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        let health = node.get("health_check");
        let health = match health.boolean("enabled")? {
            false => None,
            true => {
                let mut url = base;
                url.set_path("/grpc.health.v1.Health/Check");
                let service = filled(&health, "service")?.unwrap_or_default();
                Some((url, framed(&health_question(&service))))
            }
        };
        let tokens =
            OAuth2::read(&node.get("oauth2"))?.map(|oauth2| (oauth2, Exchange::plain(context, false)));
        Ok(Call {
            request: Request { method: Method::POST, url, headers, body: Bytes::new() },
            procedure,
            health,
            exchange: Exchange::http2(context, own_tls.unwrap_or_default()),
            tokens,
        })
    }

    pub(super) fn takes_stream(&self) -> bool {
        self.procedure.takes_stream()
    }

    /// Asks the server for its health, if that is wanted.
    pub(super) async fn check(&self) -> Result<(), String> {
        let Some((url, question)) = &self.health else { return Ok(()) };
        let request = Request { url: url.clone(), body: question.clone(), ..self.request.clone() };
        let asked = async {
            let mut answers = self.send(request).await?;
            answers.frame().await?.ok_or_else(|| "the server does not tell of its health".to_owned())
        };
        let told = tokio::time::timeout(HEALTH, asked).await;
        let told =
            told.map_err(|_| format!("the server tells nothing of its health within {HEALTH:?}"))??;
        // HealthCheckResponse: the field 1 is the status, 1 of which is SERVING.
        if told[..] == [0x08, 0x01] {
            Ok(())
        } else {
            Err("the server says that it does not serve".to_owned())
        }
    }

    /// Calls the method with these documents; its answers.
    pub(super) async fn open<'a>(
        &self,
        documents: impl Iterator<Item = &'a [u8]>,
        metadata: HeaderMap,
    ) -> Result<Answers, String> {
        let mut body = BytesMut::new();
        for document in documents {
            let message = self.procedure.encode(document)?;
            body.extend_from_slice(&framed(&message));
        }
        let mut request = Request { body: body.freeze(), ..self.request.clone() };
        for (name, value) in &metadata {
            if !request.headers.contains_key(name) {
                request.headers.append(name, value.clone());
            }
        }
        let opened = tokio::time::timeout(PATIENCE, self.send(request)).await;
        opened.unwrap_or_else(|_| Err(format!("{}: no answer within {PATIENCE:?}", self.request.url)))
    }

    async fn send(&self, mut request: Request) -> Result<Answers, String> {
        let told = |text: String| format!("{}: {text}", request.url);
        let mut token = None;
        if let Some((oauth2, exchange)) = &self.tokens {
            token = Some(oauth2.header(exchange).await?);
        }
        if let Some(token) = &token {
            request.headers.insert(AUTHORIZATION, token.clone());
        }
        let (head, body) = self.exchange.once(&request).await.map_err(told)?;
        if let (StatusCode::UNAUTHORIZED, Some((oauth2, _)), Some(token)) =
            (head.status, &self.tokens, &token)
        {
            oauth2.refused(token);
        }
        if !head.status.is_success() {
            return Err(told(format!("unexpected response code {}", head.status)));
        }
        let answers =
            Answers { url: request.url.to_string(), body, buffer: BytesMut::new(), trailers: head.headers };
        // Without a body the status stands in the head.
        let status = answers.trailers.contains_key(STATUS).then(|| answers.status());
        if let (Some(Err(_)), Some((oauth2, _)), Some(token)) = (&status, &self.tokens, &token)
            && answers.code() == "16"
        {
            oauth2.refused(token);
        }
        status.unwrap_or(Ok(())).map(|()| answers)
    }

    /// An answer as JSON.
    pub(super) fn document(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        self.procedure.decode(message)
    }
}

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const SAID: HeaderName = HeaderName::from_static("grpc-message");

/// The answers of one call, as they arrive.
pub(super) struct Answers {
    url: String,
    body: Incoming,
    buffer: BytesMut,
    trailers: HeaderMap,
}

impl Answers {
    /// The next message; `None` when all were given and the server says that all is well. Cancel safe.
    pub(super) async fn frame(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            if let Some(message) = self.cut()? {
                return Ok(Some(message));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            self.trailers.extend(trailers);
                        }
                    }
                },
                Some(Err(fault)) => return Err(self.told(&format!("the answer broke off: {fault}"))),
                None if !self.buffer.is_empty() => return Err(self.told("the answer ended within a message")),
                None => return self.status().map(|()| None),
            }
        }
    }

    /// A message that is here as a whole.
    pub(super) fn cut(&mut self) -> Result<Option<Bytes>, String> {
        let Some((head, rest)) = self.buffer.split_first_chunk::<5>() else { return Ok(None) };
        let [compressed, length @ ..] = *head;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if compressed != 0 {
            return Err(self.told("the answer is compressed, which was not asked for"));
        }
        if length > LONGEST {
            return Err(self.told(&format!("a message of the answer is longer than {LONGEST} bytes")));
        }
        if rest.len() < length {
            return Ok(None);
        }
        self.buffer.advance(5);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    fn code(&self) -> &str {
        self.trailers.get(STATUS).and_then(|code| code.to_str().ok()).unwrap_or_default()
    }

    fn status(&self) -> Result<(), String> {
        match self.code() {
            "0" => Ok(()),
            "" => Err(self.told("the answer has no status of gRPC")),
            code => {
                let said = self.trailers.get(SAID).map(HeaderValue::as_bytes).unwrap_or_default();
                let said = String::from_utf8_lossy(said);
                let said = percent_decode_str(&said).decode_utf8_lossy();
                Err(self.told(&format!("grpc status {code}: {said}")))
            }
        }
    }

    fn told(&self, text: &str) -> String {
        format!("{}: {text}", self.url)
    }
}

/// A message of gRPC: not compressed, then its length.
fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    // Documents are far below 4 GiB.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// HealthCheckRequest: the field 1 is the service.
fn health_question(service: &str) -> Vec<u8> {
    let mut question = Vec::with_capacity(service.len() + 4);
    if !service.is_empty() {
        question.push(0x0a);
        let mut length = service.len();
        while length > 0x7f {
            question.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        question.push(length as u8);
        question.extend_from_slice(service.as_bytes());
    }
    question
}

/// `host:port`, with a scheme or without.
fn address(text: &str, secure: bool) -> Result<Url, String> {
    let wrong = || "this is no address of a server; write `host:port`".to_owned();
    let place = text.split_once("://").map_or(text, |(_, place)| place);
    let secure = secure || text.starts_with("https://");
    let scheme = if secure { "https" } else { "http" };
    let url = Url::parse(&format!("{scheme}://{place}")).map_err(|_| wrong())?;
    let known = text.split_once("://").is_none_or(|(scheme, _)| matches!(scheme, "http" | "https" | "dns"));
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.username().is_empty();
    if known && bare && url.has_host() { Ok(url) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_and_ports() {
        for (text, secure, expected) in [
            ("a:50051", false, Some("http://a:50051/")),
            ("a:50051", true, Some("https://a:50051/")),
            ("https://a:1", false, Some("https://a:1/")),
            ("[::1]:1", false, Some("http://[::1]:1/")),
            ("a", false, Some("http://a/")),
            ("a:1/b", false, None),
            ("me@a:1", false, None),
            ("ftp://a", false, None),
            ("", false, None),
        ] {
            let read = address(text, secure).map(String::from).ok();
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn questions_and_frames_are_as_the_protocol_says() {
        assert!(health_question("").is_empty());
        assert_eq!(health_question("ab"), [0x0a, 2, b'a', b'b']);
        let long = health_question(&"x".repeat(300));
        assert_eq!((long[..3].to_vec(), long.len()), (vec![0x0a, 0xac, 0x02], 303));
        assert_eq!(&*framed(b"ab"), [0, 0, 0, 0, 2, b'a', b'b']);
    }
}
