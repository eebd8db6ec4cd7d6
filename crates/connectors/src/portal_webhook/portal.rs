//! Asks the portal who has subscribed.
//!
//! The list of apps is read page by page, then every app by itself: only there stand its access requests with their
//! webhooks. The portal's description of its API does not name the fields of webhooks; older and newer spellings of
//! names are told apart by nothing but letters in upper case and `_`, so neither counts here.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use document::Fault;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Map, Value as Json};
use streams::Node;
use tokio::time::timeout;
use url::Url;

use crate::addresses::shown;
use crate::http_client::exchange::{Exchange, Request, whole};

/// Apps on one page.
const PER_PAGE: usize = 10;
/// Pages that are read at most: a portal that never gives a short one must not keep us for ever.
const MOST_PAGES: usize = 1_000;
/// Apps that are asked for at once.
const AT_ONCE: usize = 4;
/// Longest answer.
const MOST_ANSWER: usize = 16 << 20;
/// How deep access requests may stand in an answer.
const DEEPEST: usize = 4;

/// Where an event goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Subscription {
    pub(super) url: Url,
    /// What its events are signed with; empty: they are not signed.
    pub(super) secret: String,
}

/// The portal's admin API.
pub(super) struct Portal {
    exchange: Arc<Exchange>,
    base: Url,
    token: HeaderValue,
    timeout: Duration,
}

impl Portal {
    pub(super) fn read(node: &Node<'_>, exchange: Arc<Exchange>, timeout: Duration) -> Result<Portal, Fault> {
        let base = web(&node.text("portal_url")?).ok_or_else(|| {
            node.field_fault("portal_url", "an address `http://...` or `https://...` is expected")
        })?;
        let mut token = HeaderValue::try_from(&*node.text("secret")?)
            .map_err(|_| node.field_fault("secret", "this cannot stand in a header"))?;
        token.set_sensitive(true);
        Ok(Portal { exchange, base, token, timeout })
    }

    /// The webhooks that want this event, each once.
    pub(super) async fn subscriptions(&self, event: &str) -> Result<Vec<Subscription>, String> {
        let mut apps = Vec::new();
        for page in 1..=MOST_PAGES {
            let query = format!("page={page}&per_page={PER_PAGE}");
            let answer = self.get(&["apps"], Some(&query)).await?;
            let list = match &answer {
                Json::Array(list) => list,
                Json::Object(fields) => field(fields, "apps")
                    .and_then(Json::as_array)
                    .ok_or("the portal's list of apps is none")?,
                _ => return Err("the portal's list of apps is none".to_owned()),
            };
            apps.extend(list.iter().filter_map(Json::as_object).filter_map(id));
            if list.len() < PER_PAGE {
                break;
            }
        }
        let details: Vec<Json> = futures_util::stream::iter(apps)
            .map(|id| async move { self.get(&["apps", &id], None).await })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for app in details.iter().filter_map(Json::as_object) {
            if let Some(requests) = field(app, "accessrequests") {
                gather(requests, event, 0, &mut found);
            }
        }
        found.retain(|subscription| seen.insert(subscription.clone()));
        Ok(found)
    }

    async fn get(&self, path: &[&str], query: Option<&str>) -> Result<Json, String> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("portal-api").extend(path);
        }
        url.set_query(query);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.token.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let request = Request { method: Method::GET, url, headers, body: Bytes::new() };
        let asking = async {
            let (head, body) = self.exchange.send(&request).await?;
            let body = whole(body, MOST_ANSWER).await?;
            if !head.status.is_success() {
                return Err(format!("answered {}", head.status));
            }
            serde_json::from_slice(&body).map_err(|fault| format!("gave no JSON: {fault}"))
        };
        let answer = timeout(self.timeout, asking)
            .await
            .unwrap_or_else(|_| Err(format!("gave no answer within {:?}", self.timeout)));
        answer.map_err(|fault| format!("the portal at {}: {fault}", shown(request.url.as_str())))
    }
}

/// An address of the web, without credentials inside.
fn web(text: &str) -> Option<Url> {
    let url = Url::parse(text.trim()).ok()?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none();
    fits.then_some(url)
}

fn id(app: &Map<String, Json>) -> Option<String> {
    match field(app, "id")? {
        Json::Number(number) => Some(number.to_string()),
        Json::String(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// The field of this name, written in any of its spellings.
fn field<'a>(object: &'a Map<String, Json>, name: &str) -> Option<&'a Json> {
    let same =
        |spelt: &str| spelt.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).eq(name.chars());
    object.iter().find(|(spelt, _)| same(spelt)).map(|(_, value)| value)
}

/// The webhooks of access requests, which may stand in lists of lists.
fn gather(requests: &Json, event: &str, depth: usize, found: &mut Vec<Subscription>) {
    match requests {
        Json::Array(list) if depth < DEEPEST => {
            list.iter().for_each(|request| gather(request, event, depth + 1, found));
        }
        Json::Object(request) => {
            let text = |name: &str| field(request, name).and_then(Json::as_str).unwrap_or_default();
            // Who is rejected, or not approved yet, gets nothing.
            if !matches!(text("status").to_ascii_lowercase().as_str(), "" | "approved") {
                return;
            }
            let wanted = text("webhookeventtypes").split(',').any(|one| one.trim() == event);
            let address = text("webhookurl");
            if !wanted || address.trim().is_empty() {
                return;
            }
            match web(address) {
                Some(url) => found.push(Subscription { url, secret: text("webhooksecret").to_owned() }),
                None => tracing::warn!("a webhook in the portal has no address of the web and is left out"),
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn webhooks_are_found_in_access_requests() {
        let request = |events: &str, url: &str, status: &str| json!({"WebhookEventTypes": events, "WebhookURL": url, "WebhookSecret": "s", "Status": status});
        for (requests, expected) in [
            (json!([request("foo", "http://a/", "approved")]), 1),
            (json!([[request("bar, foo", "http://a/", "Approved")], []]), 1),
            (json!([{"webhook_event_types": "foo", "webhook_url": "https://a/", "status": "approved"}]), 1),
            (json!([request("foobar", "http://a/", "approved")]), 0),
            (json!([request("", "http://a/", "approved")]), 0),
            (json!([request("foo", "http://a/", "pending")]), 0),
            (json!([request("foo", "http://a/", "rejected")]), 0),
            (json!([request("foo", "", "approved")]), 0),
            (json!([request("foo", "file:///etc/passwd", "approved")]), 0),
            (json!([request("foo", "http://user:pass@a/", "approved")]), 0),
            (json!([{"ID": 1}, 7, null, "x"]), 0),
            (json!([[[[[request("foo", "http://a/", "approved")]]]]]), 0),
            (json!(null), 0),
        ] {
            let mut found = Vec::new();
            gather(&requests, "foo", 0, &mut found);
            assert_eq!(found.len(), expected, "{requests}");
        }
    }
}
