//! Sends requests until one succeeds, or no more are allowed.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bloblang::Value;
use document::Fault;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::body::Incoming;
use streams::{BuildContext, Message, Node, RateLimit, Requests, pass};
use tokio::time::timeout;

use super::exchange::{Exchange, Request, whole};
use super::plan::{Content, Plan};
use super::reply::Reply;
use super::retry::{Retry, Verdict};
use crate::addresses::shown;
use crate::auth::Auth;
use crate::auth::digest::Digest;
use crate::auth::oauth2::OAuth2;
use streams::Selection;

/// Of an answer that is no success, so much of the body is told.
const TOLD: usize = 512;

/// What `http_client` and `http` have in common.
pub(super) struct Client {
    pub(super) plan: Plan,
    pub(super) extract: Selection,
    exchange: Exchange,
    retry: Retry,
    rate_limit: Option<Arc<dyn RateLimit>>,
    auth: Auth,
    oauth2: Option<OAuth2>,
    digest: Option<Digest>,
    timeout: Option<Duration>,
    most: usize,
    dump: Option<Level>,
    counted: Arc<Requests>,
}

/// Why there is no answer that could be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) text: String,
    /// Of the last answer, if there was one.
    pub(super) status: Option<StatusCode>,
}

impl Failure {
    fn new(text: String) -> Failure {
        Failure { text, status: None }
    }
}

/// An attempt that gave nothing.
struct Failed {
    failure: Failure,
    verdict: Verdict,
    headers: Option<HeaderMap>,
}

impl Failed {
    /// By what the server said.
    fn answered(reply: Reply, verdict: Verdict) -> Failed {
        let status = reply.head.status;
        let text = format!("unexpected response code {status}{}", excerpt(&reply.body));
        let failure = Failure { text, status: Some(status) };
        Failed { failure, verdict, headers: Some(reply.head.headers) }
    }
}

impl Client {
    pub(super) fn read(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Client, Fault> {
        if node.get("negotiate").boolean("enabled")? {
            return Err(node.field_fault("negotiate", "Kerberos (SPNEGO) is not offered"));
        }
        let most = node.size("max_response_bytes")?.unwrap_or(256 << 20);
        Ok(Client {
            plan: Plan::read(node, context)?,
            extract: Selection::read(&node.get("extract_headers"))?,
            exchange: Exchange::read(node, context)?,
            retry: Retry::read(node)?,
            rate_limit: context.rate_limit(&node.get("rate_limit"))?,
            auth: Auth::read(node, &["oauth2", "digest_auth"])?,
            oauth2: OAuth2::read(&node.get("oauth2"))?,
            digest: Digest::read(&node.get("digest_auth"))?,
            timeout: node.duration("timeout")?.filter(|time| !time.is_zero()),
            most: usize::try_from(most).unwrap_or(usize::MAX),
            dump: Level::read(&node.text("dump_request_log_level")?),
            counted: context.probe.requests(),
        })
    }

    /// The whole answer to a request made of this message.
    pub(super) async fn ask(
        &self,
        batch: &[Message],
        index: usize,
        content: Content,
    ) -> Result<Reply, Failure> {
        let request = self.plan.request(batch, index, content).map_err(Failure::new)?;
        self.insist(&request, || self.whole(&request)).await
    }

    /// An answer that was wanted, as soon as its head is there: its body may be endless.
    pub(super) async fn open(&self, content: Content) -> Result<(Parts, Incoming), Failure> {
        let request = self.plan.request(&[], 0, content).map_err(Failure::new)?;
        self.insist(&request, || self.begun(&request)).await
    }

    /// Tries until one attempt succeeds, or no more are allowed.
    async fn insist<T, F>(&self, request: &Request, attempt: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failed>>,
    {
        let (mut attempts, mut back_offs) = (0, 0);
        loop {
            if let Some(limit) = &self.rate_limit {
                pass(&**limit, 0).await;
            }
            let Failed { failure, verdict, headers } = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let told = || Failure { text: format!("{}: {}", request.url, failure.text), ..failure.clone() };
            if verdict == Verdict::Drop || attempts == self.retry.retries {
                return Err(told());
            }
            let pause = self.retry.pause(verdict, back_offs, headers.as_ref());
            tracing::debug!(failure = %told().text, ?pause, "a request failed and is sent again");
            attempts += 1;
            back_offs += u32::from(verdict == Verdict::BackOff);
            tokio::time::sleep(pause).await;
        }
    }

    /// One attempt, with all of the answer.
    async fn whole(&self, request: &Request) -> Result<Reply, Failed> {
        let reply = self
            .within(async {
                let (head, body) = self.exchange(request).await?;
                self.finished(head, body).await
            })
            .await?;
        match self.retry.judge(reply.head.status) {
            Verdict::Success => Ok(reply),
            verdict => Err(Failed::answered(reply, verdict)),
        }
    }

    /// One attempt, without the body if it is one that was wanted.
    async fn begun(&self, request: &Request) -> Result<(Parts, Incoming), Failed> {
        let (head, body) = self.within(self.exchange(request)).await?;
        match self.retry.judge(head.status) {
            Verdict::Success => {
                self.dump(|| format!("{} {:?}", head.status, hidden(&head.headers)));
                Ok((head, body))
            }
            verdict => Err(Failed::answered(self.within(self.finished(head, body)).await?, verdict)),
        }
    }

    /// Gives up when it takes longer than an attempt may.
    async fn within<T>(&self, work: impl Future<Output = Result<T, String>>) -> Result<T, Failed> {
        let done = match self.timeout {
            None => work.await,
            Some(time) => {
                timeout(time, work).await.unwrap_or_else(|_| Err(format!("no answer within {time:?}")))
            }
        };
        done.map_err(|text| Failed { failure: Failure::new(text), verdict: Verdict::Retry, headers: None })
    }

    async fn finished(&self, head: Parts, body: Incoming) -> Result<Reply, String> {
        let body = whole(body, self.most).await?;
        self.dump(|| {
            format!("{} {:?}\n{}", head.status, hidden(&head.headers), String::from_utf8_lossy(&body))
        });
        Ok(Reply { head, body })
    }

    /// Sends it with credentials; the answer's body is not read yet.
    async fn exchange(&self, request: &Request) -> Result<(Parts, Incoming), String> {
        let mut request = request.clone();
        let token = self.authorize(&mut request).await?;
        self.dump(|| described(&request));
        let (mut head, mut body) = self.send(&request).await?;
        if head.status == StatusCode::UNAUTHORIZED {
            if let (Some(oauth2), Some(token)) = (&self.oauth2, &token) {
                oauth2.refused(token);
            }
            if let Some(digest) = &self.digest
                && digest.challenged(&head.headers)
            {
                self.authorize(&mut request).await?;
                (head, body) = self.send(&request).await?;
            }
        }
        Ok((head, body))
    }

    /// Sends it and counts the answer, the last one where it is redirected.
    async fn send(&self, request: &Request) -> Result<(Parts, Incoming), String> {
        let sent = Instant::now();
        let (head, body) = self.exchange.send(request).await?;
        self.counted.answered(head.status.as_u16(), sent.elapsed());
        Ok((head, body))
    }

    /// Puts the header in; the token of OAuth 2 is returned.
    async fn authorize(&self, request: &mut Request) -> Result<Option<HeaderValue>, String> {
        let mut token = None;
        let mut value = self.auth.header(&request.method, &request.url).await?;
        if let Some(oauth2) = &self.oauth2 {
            token = Some(oauth2.header(&self.exchange).await?);
            value.clone_from(&token);
        } else if let Some(digest) = &self.digest {
            value = digest.header(&request.method, &request.url)?;
        }
        if let Some(value) = value {
            request.headers.insert(AUTHORIZATION, value);
        }
        Ok(token)
    }

    fn dump(&self, text: impl FnOnce() -> String) {
        match self.dump {
            None => {}
            Some(Level::Trace) => tracing::trace!("{}", text()),
            Some(Level::Debug) => tracing::debug!("{}", text()),
            Some(Level::Info) => tracing::info!("{}", text()),
            Some(Level::Warn) => tracing::warn!("{}", text()),
            Some(Level::Error) => tracing::error!("{}", text()),
        }
    }
}

/// The beginning of a body that may say what is wrong.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(TOLD)]);
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

fn described(request: &Request) -> String {
    let Request { method, url, headers, body } = request;
    format!("{method} {} {:?}\n{}", shown(url.as_str()), hidden(headers), String::from_utf8_lossy(body))
}

/// Headers for logs.
fn hidden(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for (name, value) in &mut headers {
        // Every value of the name: a server sets more than one cookie.
        if [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, SET_COOKIE].contains(name) {
            value.set_sensitive(true);
        }
    }
    headers
}

/// Of a log line.
#[derive(Debug, Clone, Copy)]
enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    fn read(text: &str) -> Option<Level> {
        Some(match text {
            "TRACE" => Level::Trace,
            "DEBUG" => Level::Debug,
            "INFO" => Level::Info,
            "WARN" => Level::Warn,
            "ERROR" | "FATAL" => Level::Error,
            _ => return None,
        })
    }
}

/// The status of a failure as metadata.
pub(super) fn status_value(failure: &Failure) -> Option<Value> {
    failure.status.map(|status| Value::from(status.as_u16().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_of_a_secret_header_is_logged() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (SET_COOKIE, "a=secret"),
            (SET_COOKIE, "b=secret"),
            (COOKIE, "c=secret"),
            (AUTHORIZATION, "secret"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        headers.append("x-name", "open".parse().unwrap());
        let text = format!("{:?}", hidden(&headers));
        assert!(!text.contains("secret") && text.contains("open"), "{text}");
    }
}
