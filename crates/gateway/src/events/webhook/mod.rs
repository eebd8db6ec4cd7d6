//! Requests that tell of events (contract 8.12). A receiver that is away or slow costs places of its own, and no request.

mod signature;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use apidef::{Target, Webhook};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use sha2::{Digest, Sha256};
use templates::Template;
use tokio::sync::Semaphore;
use uuid::Uuid;

use self::signature::Signer;
use super::told::Told;
use crate::clock::unix_now;
use crate::fetch::{self, Ask, FetchError};
use crate::gate::Gate;
use crate::hex::hex;
use crate::plugins::FileRead;
use crate::transform::Text;

/// What the original calls itself.
const AGENT: HeaderValue = HeaderValue::from_static("Tyk-Hookshot");
const BUILT_IN: &str = include_str!("default.tmpl");
/// The file that takes its place.
const IN_PLACE: &str = "default_webhook.json";
/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest answer that is read.
const LARGEST: usize = 64 << 10;
/// Pauses before the next tries.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(16)];
/// Requests of one handler that are under way, or wait for their next try; beyond them events are not told.
const AT_ONCE: usize = 64;
/// Longest template, in bytes.
const LONGEST: u64 = 1 << 20;
/// Where the state remembers what was told.
const TOLD: &str = "webhook.cache.";

/// A webhook, ready to be sent.
#[derive(Debug)]
pub(crate) struct Hook {
    method: Method,
    target: Target,
    headers: HeaderMap,
    template: Arc<Template>,
    silence: Duration,
    signer: Option<Signer>,
    places: Semaphore,
}

impl Hook {
    /// Reads its template. Blocking, as all that compiles definitions.
    pub(crate) fn new(model: &Webhook, gate: &Gate, read: &mut Vec<FileRead>) -> Result<Self, String> {
        let secrets = &gate.streams.secrets;
        let plain = |text: &str| -> Result<String, String> {
            let filled = Text::new(text, secrets)?;
            Ok(filled.plain().unwrap_or(text).to_owned())
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, AGENT);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind_of(&model.template)));
        // What says how a message is framed is the business of whoever frames it.
        for (name, value) in model.headers.iter().filter(|(name, _)| !apidef::is_framing(name)) {
            let wrong = |what: &str| format!("the header field `{name}` of the webhook has no valid {what}");
            let header = HeaderName::try_from(&**name).map_err(|_| wrong("name"))?;
            let mut value = HeaderValue::try_from(plain(value)?).map_err(|_| wrong("value"))?;
            value.set_sensitive(true);
            headers.insert(header, value);
        }
        let secret = plain(&model.secret.0)?;
        Ok(Self {
            method: Method::from_bytes(model.method.as_bytes()).unwrap_or(Method::GET),
            target: model.target.clone(),
            headers,
            template: Arc::new(template(&model.template, &gate.settings.events.templates, read)?),
            silence: model.silence,
            signer: (!secret.is_empty()).then(|| Signer::new(&secret)).transpose()?,
            places: Semaphore::new(AT_ONCE),
        })
    }

    /// Sends it, unless somebody has sent the same within its silence; again a few times where its receiver is away.
    pub(super) async fn send(&self, gate: &Gate, told: &Told) -> Result<(), String> {
        let Ok(_place) = self.places.try_acquire() else {
            return Err(format!("{} requests to {} are under way already", AT_ONCE, self.target.authority));
        };
        let (template, data) = (Arc::clone(&self.template), told.data());
        let body = tokio::task::spawn_blocking(move || template.render(&data));
        let body = body.await.map_err(|fault| fault.to_string())?;
        let body = body.map_err(|why| format!("the template of the webhook fails: {why}"))?;
        let known = self.silence > Duration::ZERO;
        let record = if known { self.record(&body) } else { String::new() };
        // Where nobody can be asked it is told twice rather than never.
        if known && gate.state.put_new_record(&record, b"1", Some(self.silence)).await == Ok(false) {
            return Ok(());
        }
        let sent = self.try_often(gate, &body.into()).await;
        if sent.is_err() && known {
            // Nobody has heard of it: the next one shall tell.
            drop(gate.state.delete_record(&record).await);
        }
        sent
    }

    async fn try_often(&self, gate: &Gate, body: &Bytes) -> Result<(), String> {
        let id = format!("msg_{}", Uuid::new_v4().simple());
        let mut pauses = PAUSES.into_iter();
        loop {
            let (why, again) = match self.try_once(gate, &id, body).await {
                Ok(status) if status.is_success() => return Ok(()),
                Ok(status) => {
                    let again = status.is_server_error()
                        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
                    (format!("the receiver answers {}", status.as_u16()), again)
                }
                Err(why) => (why.to_string(), !matches!(why, FetchError::Denied { .. })),
            };
            let Some(pause) = pauses.next().filter(|_| again) else {
                return Err(format!("{}: {why}", self.target.authority));
            };
            tracing::debug!(receiver = &*self.target.authority, why, "a webhook is tried again");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = gate.closed() => return Err("the gate closes".to_owned()),
            }
        }
    }

    async fn try_once(&self, gate: &Gate, id: &str, body: &Bytes) -> Result<StatusCode, FetchError> {
        let mut headers = self.headers.clone();
        if let Some(signer) = &self.signer {
            let now = unix_now();
            let signature = signer.sign(id, now, &String::from_utf8_lossy(body));
            for (name, value) in [
                ("webhook-id", id.to_owned()),
                ("webhook-timestamp", now.to_string()),
                ("webhook-signature", signature),
            ] {
                let value =
                    HeaderValue::try_from(value).map_err(|fault| FetchError::Address(fault.to_string()))?;
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        let ask = Ask::of(self.method.clone(), self.target.clone(), headers, body.clone());
        let insecure = gate.upstream.common.insecure_skip_verify;
        // Nobody who is pointed to gets what is meant for the receiver.
        let answer = fetch::once_only(&gate.upstream, insecure, ask.within(PATIENCE, LARGEST)).await;
        answer.map(|answer| answer.status)
    }

    /// Under which name the state remembers that this was told.
    fn record(&self, body: &str) -> String {
        let mut digest = Sha256::new();
        for part in [self.method.as_str(), "\n", &self.target.to_string(), "\n", body] {
            digest.update(part.as_bytes());
        }
        format!("{TOLD}{}", hex(&digest.finalize()))
    }
}

/// The own template, that of the gate's folder of templates, or the built-in one.
fn template(own: &str, folder: &Path, read: &mut Vec<FileRead>) -> Result<Template, String> {
    if !own.is_empty() {
        let file = FileRead::open(Path::new(own), LONGEST)?;
        let template = file.text().and_then(|text| Template::parse_quick(own, text));
        read.push(file);
        return template.map_err(|why| format!("the template `{own}` of the webhook cannot be used: {why}"));
    }
    let in_place = folder.join(IN_PLACE);
    if !folder.as_os_str().is_empty()
        && let Ok(file) = FileRead::open(&in_place, LONGEST)
    {
        match file.text().and_then(|text| Template::parse_quick(IN_PLACE, text)) {
            Ok(template) => {
                read.push(file);
                return Ok(template);
            }
            Err(why) => {
                let file = in_place.display();
                tracing::warn!(%file, why, "a template cannot be used; webhooks are made from the built-in one");
            }
        }
    }
    Template::parse(IN_PLACE, BUILT_IN)
}

/// What a template makes, by its name.
fn kind_of(template: &str) -> &'static str {
    match Path::new(template).extension().and_then(|extension| extension.to_str()) {
        Some("xml") => "application/xml",
        Some("txt") => "text/plain",
        Some("html" | "htm") => "text/html",
        _ => "application/json",
    }
}

#[cfg(test)]
mod tests;
