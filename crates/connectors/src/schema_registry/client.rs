//! Asks the registry. What failed for a reason that may pass is asked for twice more.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use codecs::registry::{Language, Reference};
use document::Fault;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::Value as Json;
use streams::{BuildContext, Node};
use tokio::time::{sleep, timeout};
use url::Url;

use crate::addresses::shown;
use crate::auth::{Auth, basic};
use crate::fields::tls_always;
use crate::http_client::exchange::{Exchange, Request, whole};

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The waits before attempts.
const ATTEMPTS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(400)];
/// Longest answer.
const MOST_ANSWER: usize = 16 << 20;
/// How deep schemas may refer to others, and to how many.
const DEEPEST: usize = 16;
const MOST_REFERENCES: usize = 256;

/// The registry.
pub(super) struct Client {
    exchange: Exchange,
    auth: Auth,
    base: Url,
}

/// A schema as the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: u32,
    pub(super) language: Language,
    pub(super) text: String,
    /// Those that it refers to, each after those that it refers to itself.
    pub(super) references: Vec<Reference>,
}

/// Why an attempt gave nothing.
struct Failed {
    text: String,
    passes: bool,
}

/// References that were fetched, and what they were fetched by.
#[derive(Default)]
struct Gathered {
    seen: Vec<(String, String, u64)>,
    found: Vec<Reference>,
}

impl Client {
    pub(super) fn read(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Client, Fault> {
        let text = node.text("url")?;
        let mut base = Url::parse(&text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| node.field_fault("url", "an address `http://...` or `https://...` is expected"))?;
        let mut auth = Auth::read(node, &[])?;
        if !base.username().is_empty() || base.password().is_some() {
            let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            let own = basic(&decoded(base.username()), &decoded(base.password().unwrap_or_default()));
            if matches!(auth, Auth::None) {
                auth = Auth::Basic(own);
            }
            // An address of this form has room for both, so neither can fail.
            let _ = base.set_username("").and_then(|()| base.set_password(None));
        }
        base.set_query(None);
        base.set_fragment(None);
        let exchange = Exchange::with_tls(node, context, tls_always(node)?)?.following();
        Ok(Client { exchange, auth, base })
    }

    /// The schema of this id.
    pub(super) async fn by_id(&self, id: u32) -> Result<Found, String> {
        let answer = self.get(&["schemas", "ids", &id.to_string()]).await?;
        self.found(id, &answer).await
    }

    /// The latest schema of a subject.
    pub(super) async fn latest(&self, subject: &str) -> Result<Found, String> {
        let answer = self.get(&["subjects", subject, "versions", "latest"]).await?;
        let id = answer["id"].as_u64().and_then(|id| u32::try_from(id).ok());
        self.found(id.ok_or("the registry's answer has no `id`")?, &answer).await
    }

    async fn found(&self, id: u32, answer: &Json) -> Result<Found, String> {
        let mut gathered = Gathered::default();
        self.gather(answer, 0, &mut gathered).await?;
        Ok(Found {
            id,
            language: Language::named(answer["schemaType"].as_str())?,
            text: schema(answer)?,
            references: gathered.found,
        })
    }

    /// Fetches what a schema refers to, the deepest first.
    fn gather<'a>(
        &'a self,
        answer: &'a Json,
        depth: usize,
        gathered: &'a mut Gathered,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async move {
            for reference in answer["references"].as_array().into_iter().flatten() {
                let text = |name: &str| {
                    let text = reference[name].as_str().map(str::to_owned);
                    text.ok_or_else(|| format!("a reference in the registry's answer has no `{name}`"))
                };
                let version = reference["version"].as_u64();
                let version = version.ok_or("a reference in the registry's answer has no `version`")?;
                let key = (text("name")?, text("subject")?, version);
                if gathered.seen.contains(&key) {
                    continue;
                }
                gathered.seen.push(key.clone());
                if depth == DEEPEST || gathered.seen.len() > MOST_REFERENCES {
                    return Err(format!(
                        "the schema refers to more than {MOST_REFERENCES} others, or {DEEPEST} levels deep"
                    ));
                }
                let (name, subject, version) = key;
                let answer = self.get(&["subjects", &subject, "versions", &version.to_string()]).await?;
                self.gather(&answer, depth + 1, gathered).await?;
                gathered.found.push(Reference { name, text: schema(&answer)? });
            }
            Ok(())
        })
    }

    /// What the registry answers at this path.
    async fn get(&self, path: &[&str]) -> Result<Json, String> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut last = String::new();
        for pause in ATTEMPTS {
            sleep(pause).await;
            let failed = match timeout(PATIENCE, self.once(&url)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failed)) => failed,
                Err(_) => Failed { text: format!("no answer within {PATIENCE:?}"), passes: true },
            };
            last = format!("{}: {}", shown(url.as_str()), failed.text);
            if !failed.passes {
                break;
            }
        }
        Err(last)
    }

    async fn once(&self, url: &Url) -> Result<Json, Failed> {
        let passing = |text| Failed { text, passes: true };
        let mut headers = HeaderMap::new();
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/vnd.schemaregistry.v1+json, application/json;q=0.9"),
        );
        let header = self.auth.header(&Method::GET, url).await;
        if let Some(value) = header.map_err(|text| Failed { text, passes: false })? {
            headers.insert(AUTHORIZATION, value);
        }
        let request = Request { method: Method::GET, url: url.clone(), headers, body: Bytes::new() };
        let (head, body) = self.exchange.send(&request).await.map_err(passing)?;
        let body = whole(body, MOST_ANSWER).await.map_err(passing)?;
        let answer: Result<Json, _> = serde_json::from_slice(&body);
        if !head.status.is_success() {
            let said = answer
                .ok()
                .and_then(|answer| answer["message"].as_str().map(|text| format!(": {text:.200}")));
            return Err(Failed {
                text: format!("the registry answers {}{}", head.status, said.unwrap_or_default()),
                passes: head.status.is_server_error() || head.status == StatusCode::TOO_MANY_REQUESTS,
            });
        }
        answer.map_err(|_| Failed { text: "the registry's answer is not JSON".to_owned(), passes: false })
    }
}

fn schema(answer: &Json) -> Result<String, String> {
    let text = answer["schema"].as_str().map(str::to_owned);
    text.ok_or_else(|| "the registry's answer has no `schema`".to_owned())
}
