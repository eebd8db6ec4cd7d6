//! A WebSocket client that is not ours (tungstenite).

use futures_util::{SinkExt, StreamExt};
use http::Request;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::{raw_socket, soon};

/// An open WebSocket.
#[derive(Debug)]
pub struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// Opens one; `fields` are more header fields. Gives the status where the handshake is declined.
    pub async fn open(port: u16, path: &str, fields: &[(&str, &str)]) -> Result<Self, u16> {
        let mut request = Request::get(format!("ws://127.0.0.1:{port}{path}"))
            .header("host", format!("127.0.0.1:{port}"))
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let handshake = client_async(request.body(()).unwrap(), raw_socket(port).await);
        match soon("the WebSocket handshake", handshake).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("the WebSocket handshake failed: {error}"),
        }
    }

    /// Sends a message.
    pub async fn send(&mut self, message: impl Into<Message>) {
        self.0.send(message.into()).await.unwrap();
    }

    /// The next message that is not a ping or pong; `None` when the connection ended without a close frame.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            match soon("a WebSocket message", self.0.next()).await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => return Some(message),
                Some(Err(_)) | None => return None,
            }
        }
    }
}
