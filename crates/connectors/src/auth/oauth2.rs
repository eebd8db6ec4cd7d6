//! Bearer tokens by client credentials (RFC 6749, 4.4).

use std::time::{Duration, Instant};

use document::Fault;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use parking_lot::Mutex;
use serde_json::Value as Json;
use streams::Node;
use tokio::time::timeout;
use url::Url;
use url::form_urlencoded::{self, Serializer};

use super::{basic, secret_header};
use crate::addresses::shown;
use crate::http_client::exchange::{Exchange, Request};

/// A token is replaced so long before it expires.
const EARLY: Duration = Duration::from_secs(10);
/// Longest answer of a token server.
const MOST_ANSWER: usize = 1 << 20;
/// How long a token server may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who asks, and the token in use.
pub(crate) struct OAuth2 {
    client: String,
    secret: String,
    token_url: Url,
    parameters: Vec<(String, String)>,
    token: Mutex<Option<Token>>,
    /// One asks for a new token, the others wait for it.
    asking: tokio::sync::Mutex<Style>,
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    expires: Option<Instant>,
}

/// Where the client's name and secret stand in the request for a token: servers differ, and do not say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Unknown,
    Header,
    Body,
}

impl OAuth2 {
    /// Reads the field `oauth2`; `None` when it is not enabled.
    pub(crate) fn read(node: &Node<'_>) -> Result<Option<OAuth2>, Fault> {
        if !node.boolean("enabled")? {
            return Ok(None);
        }
        let token_url = Url::parse(&node.text("token_url")?)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| node.field_fault("token_url", "the address of the token server is expected"))?;
        let mut parameters = vec![("grant_type".to_owned(), "client_credentials".to_owned())];
        let scopes = node.texts("scopes")?;
        if !scopes.is_empty() {
            parameters.push(("scope".to_owned(), scopes.join(" ")));
        }
        let extra = node.get("endpoint_params");
        for (name, value) in extra.value().as_object().into_iter().flatten() {
            let wrong = || extra.field_fault(name, "a text or a list of texts is expected");
            let text = |value: &Json| match value {
                Json::String(text) => Ok(text.clone()),
                Json::Number(_) | Json::Bool(_) => Ok(value.to_string()),
                _ => Err(wrong()),
            };
            parameters.retain(|(known, _)| known != name);
            match value {
                Json::Array(several) => {
                    for value in several {
                        parameters.push((name.clone(), text(value)?));
                    }
                }
                one => parameters.push((name.clone(), text(one)?)),
            }
        }
        Ok(Some(OAuth2 {
            client: node.text("client_key")?.into_owned(),
            secret: node.text("client_secret")?.into_owned(),
            token_url,
            parameters,
            token: Mutex::new(None),
            asking: tokio::sync::Mutex::new(Style::Unknown),
        }))
    }

    fn known(&self) -> Option<HeaderValue> {
        let token = self.token.lock().clone()?;
        token.expires.is_none_or(|expires| expires > Instant::now() + EARLY).then_some(token.header)
    }

    /// The `Authorization` header; a new token is fetched when there is none that lasts.
    ///
    /// # Errors
    /// Why there is no token.
    pub(crate) async fn header(&self, exchange: &Exchange) -> Result<HeaderValue, String> {
        if let Some(header) = self.known() {
            return Ok(header);
        }
        let mut style = self.asking.lock().await;
        if let Some(header) = self.known() {
            return Ok(header);
        }
        let fetched = timeout(PATIENCE, self.fetch(exchange, &mut style)).await;
        let token = fetched
            .map_err(|_| format!("no answer within {PATIENCE:?}"))
            .and_then(|answer| answer)
            .map_err(|fault| format!("no token from {}: {fault}", shown(self.token_url.as_str())))?;
        let header = token.header.clone();
        *self.token.lock() = Some(token);
        Ok(header)
    }

    /// A new token, without the word in front of it, and for how long it lasts if the server says so.
    ///
    /// # Errors
    /// Why there is none.
    #[cfg(feature = "kafka")]
    pub(crate) async fn fresh(&self, exchange: &Exchange) -> Result<(String, Option<Duration>), String> {
        let mut style = self.asking.lock().await;
        let token = self.fetch(exchange, &mut style).await;
        let token =
            token.map_err(|fault| format!("no token from {}: {fault}", shown(self.token_url.as_str())))?;
        let header = token.header.to_str().map_err(|_| "the token is not text".to_owned())?;
        let bare = header.split_once(' ').map_or(header, |(_, bare)| bare);
        let lasts = token.expires.map(|expires| expires.saturating_duration_since(Instant::now()));
        Ok((bare.to_owned(), lasts))
    }

    /// The server refused this token: the next request fetches another.
    pub(crate) fn refused(&self, header: &HeaderValue) {
        self.token.lock().take_if(|token| token.header == *header);
    }

    async fn fetch(&self, exchange: &Exchange, style: &mut Style) -> Result<Token, String> {
        if *style != Style::Unknown {
            return self.ask(exchange, *style).await;
        }
        let first = self.ask(exchange, Style::Header).await;
        if let Ok(token) = first {
            *style = Style::Header;
            return Ok(token);
        }
        match self.ask(exchange, Style::Body).await {
            Ok(token) => {
                *style = Style::Body;
                Ok(token)
            }
            Err(_) => first,
        }
    }

    fn form(&self, style: Style) -> String {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(&self.parameters);
        if style == Style::Body {
            form.append_pair("client_id", &self.client).append_pair("client_secret", &self.secret);
        }
        form.finish()
    }

    async fn ask(&self, exchange: &Exchange, style: Style) -> Result<Token, String> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if style != Style::Body {
            // RFC 6749, 2.3.1: name and secret are encoded as in forms before they become Basic credentials.
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            headers.insert(AUTHORIZATION, basic(&encoded(&self.client), &encoded(&self.secret)));
        }
        let body = self.form(style).into();
        let request = Request { method: Method::POST, url: self.token_url.clone(), headers, body };
        let (head, body) = exchange.once(&request).await?;
        let body = crate::http_client::exchange::whole(body, MOST_ANSWER).await?;
        if !head.status.is_success() {
            // The body may repeat what was sent; its `error` is a word of the standard.
            let error = serde_json::from_slice::<Json>(&body).ok();
            let error = error.as_ref().and_then(|body| body["error"].as_str()).unwrap_or("no reason given");
            return Err(format!("{} ({error})", head.status));
        }
        token(&body)
    }
}

/// Reads the answer: JSON, or a form as some servers send.
fn token(body: &[u8]) -> Result<Token, String> {
    let (token, kind, seconds) = match serde_json::from_slice::<Json>(body) {
        Ok(json) => {
            let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
            // Some servers write the number as text.
            let seconds = json["expires_in"].as_f64();
            let seconds = seconds.or_else(|| json["expires_in"].as_str().and_then(|text| text.parse().ok()));
            (text("access_token"), text("token_type"), seconds)
        }
        Err(_) => {
            let form = || form_urlencoded::parse(body);
            let find = |name: &str| form().find(|(own, _)| own == name).map(|(_, value)| value.into_owned());
            let seconds = find("expires_in").and_then(|text| text.parse::<f64>().ok());
            (find("access_token").unwrap_or_default(), find("token_type").unwrap_or_default(), seconds)
        }
    };
    if token.is_empty() {
        return Err("the answer holds no `access_token`".to_owned());
    }
    let kind = if kind.is_empty() || kind.eq_ignore_ascii_case("bearer") { "Bearer" } else { &kind };
    let lasts = seconds.filter(|seconds| *seconds > 0.0);
    let lasts = lasts.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let expires = lasts.and_then(|lasts| Instant::now().checked_add(lasts));
    Ok(Token { header: secret_header(&format!("{kind} {token}"))?, expires })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_token_servers_are_read_in_both_forms() {
        for (body, header, expires) in [
            (r#"{"access_token":"a","token_type":"bearer","expires_in":3600}"#, "Bearer a", true),
            (r#"{"access_token":"a","expires_in":"60"}"#, "Bearer a", true),
            (r#"{"access_token":"a","token_type":"MAC","expires_in":-1}"#, "MAC a", false),
            (r#"{"access_token":"a","expires_in":1e300}"#, "Bearer a", false),
            ("access_token=a%20b&token_type=bearer&expires_in=5", "Bearer a b", true),
        ] {
            let read = token(body.as_bytes()).unwrap();
            assert_eq!((read.header.to_str().unwrap(), read.expires.is_some()), (header, expires), "{body}");
        }
        for wrong in ["", "{}", "[1]", r#"{"access_token":"a\nb"}"#, "x"] {
            assert!(token(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
