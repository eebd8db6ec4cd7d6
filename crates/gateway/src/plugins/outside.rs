//! What scripts get when they ask for the world outside: requests, sessions, a store of their own. They run on threads
//! that may wait.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use apidef::{Api, Event, Session, Target};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, header};
use plugins::{Answer, Outgoing, Outside};
use tokio::runtime::Handle;

use crate::auth::{lifetime, store_name};
use crate::batch;
use crate::events;
use crate::fetch::{self, Ask};
use crate::fields::texts;
use crate::gate::Gate;
use crate::query;

/// Largest answer that a script gets, in bytes.
const LARGEST: usize = 16 << 20;
/// An answer takes no longer.
const LONGEST: Duration = Duration::from_secs(30);
/// Where scripts store texts.
const STORE: &str = "jsvm-store:";

/// The world as the scripts of one API see it.
#[derive(Debug)]
pub(super) struct World {
    gate: Weak<Gate>,
    api: Box<str>,
}

impl World {
    pub(super) fn new(gate: &Gate, api: &Api) -> Self {
        Self::of(gate, &api.id)
    }

    /// The same for scripts of no API where `api` is empty.
    pub(super) fn of(gate: &Gate, api: &str) -> Self {
        Self { gate: gate.me(), api: api.into() }
    }

    /// Waits for something; for threads that may wait.
    fn wait<T, F>(&self, work: impl FnOnce(Arc<Gate>) -> F) -> Result<T, String>
    where
        F: Future<Output = Result<T, String>>,
    {
        let gate = self.gate.upgrade().ok_or("the gate is closing")?;
        let handle = Handle::try_current().map_err(|_| "this can be asked for only by calls")?;
        handle.block_on(work(gate))
    }
}

impl Outside for World {
    fn log(&self, line: &str) {
        tracing::info!(target: "plugins", api_id = &*self.api, "{line}");
    }

    fn trigger(&self, event: &str, payload: &str) {
        match (Event::of(event), self.gate.upgrade()) {
            (Some(event), Some(gate)) => events::triggered(&gate, event, payload),
            _ => self.log(&format!("event {event}: {payload}")),
        }
    }

    fn send(&self, request: &Outgoing, longest: Duration) -> Result<Answer, String> {
        let ask = ask(request)?.within(longest.min(LONGEST), LARGEST);
        self.wait(|gate| async move {
            let answer = fetch::send(&gate.upstream, false, ask).await.map_err(|fault| fault.to_string())?;
            let headers = texts(&answer.headers);
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            Ok(Answer { code: answer.status.as_u16(), body, headers })
        })
    }

    fn session(&self, key: &str, api: &str) -> Option<String> {
        let found = self.wait(|gate| async move {
            let name = store_name(&gate.settings.keys, key);
            let session = gate.state.session(&name).await.map_err(|away| away.to_string())?;
            Ok(session.filter(|session| {
                api.is_empty() || session.access_rights.is_empty() || session.access_rights.contains_key(api)
            }))
        });
        let found = found.inspect_err(|why| self.log(&format!("TykGetKeyData: {why}"))).ok()??;
        serde_json::to_string(&*found).ok()
    }

    fn put_session(&self, key: &str, session: &str, suppress_reset: bool) -> Result<(), String> {
        let session: Session =
            serde_json::from_str(session).map_err(|fault| format!("this is no session: {fault}"))?;
        self.wait(|gate| async move {
            let name = store_name(&gate.settings.keys, key);
            let kept = lifetime(&gate, &session, &session);
            let away = |away: state::Unavailable| away.to_string();
            gate.state.put_session(&name, &session, kept).await.map_err(away)?;
            if !suppress_reset {
                gate.state.reset_quota(&name).await.map_err(away)?;
            }
            crate::admin::key_changed(&gate, &name, key).await;
            Ok(())
        })
    }

    fn batch(&self, requests: &str, longest: Duration) -> Result<String, String> {
        self.wait(|gate| async move {
            let carried = batch::of_script(&gate, &self.api, requests);
            let in_time = tokio::time::timeout(longest.min(LONGEST), carried).await;
            in_time.unwrap_or_else(|_| Err("the answers take too long".to_owned()))
        })
    }

    fn stored(&self, name: &str) -> Result<Option<String>, String> {
        let key = self.key(name);
        self.wait(|gate| async move {
            let found = gate.state.record(&key).await.map_err(|away| away.to_string())?;
            Ok(found.map(|text| String::from_utf8_lossy(&text).into_owned()))
        })
    }

    fn store(&self, name: &str, text: &str, seconds: u64, new: bool) -> Result<bool, String> {
        let (key, life) = (self.key(name), (seconds > 0).then(|| Duration::from_secs(seconds)));
        self.wait(|gate| async move {
            let stored = match new {
                true => gate.state.put_new_record(&key, text.as_bytes(), life).await,
                false => gate.state.put_record(&key, text.as_bytes(), life).await.map(|()| true),
            };
            stored.map_err(|away| away.to_string())
        })
    }

    fn forget(&self, name: &str) -> Result<bool, String> {
        let key = self.key(name);
        self.wait(|gate| async move { gate.state.delete_record(&key).await.map_err(|away| away.to_string()) })
    }

    fn add(&self, name: &str, by: i64) -> Result<i64, String> {
        let key = self.key(name);
        self.wait(
            |gate| async move { gate.state.add_to_record(&key, by).await.map_err(|away| away.to_string()) },
        )
    }

    fn seconds_left(&self, name: &str) -> Result<i64, String> {
        let key = self.key(name);
        self.wait(|gate| async move {
            let life = gate.state.record_life(&key).await.map_err(|away| away.to_string())?;
            Ok(match life {
                None => -2,
                Some(None) => -1,
                Some(Some(left)) => i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            })
        })
    }
}

impl World {
    fn key(&self, name: &str) -> String {
        format!("{STORE}{name}")
    }
}

fn ask(request: &Outgoing) -> Result<Ask, String> {
    let url = format!("{}{}", request.domain, request.resource);
    let target = Target::parse(&url).map_err(|why| format!("`{}`: the URL {why}", Target::shown(&url)))?;
    let method = if request.method.is_empty() { "GET" } else { &request.method };
    let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes())
        .map_err(|_| format!("`{method}` is not a method of HTTP"))?;
    let mut headers = HeaderMap::new();
    let mut body = request.body.clone();
    if !request.form_data.is_empty() {
        let pairs: Vec<(&str, &str)> =
            request.form_data.iter().map(|(name, value)| (&**name, &**value)).collect();
        body = query::form(&pairs);
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, form);
    }
    for (name, value) in &request.headers {
        let header =
            HeaderName::try_from(name).map_err(|_| format!("`{name}` is no name of a header field"))?;
        let value = HeaderValue::try_from(value)
            .map_err(|_| format!("the header field `{name}` cannot have this value"))?;
        headers.insert(header, value);
    }
    Ok(Ask::of(method, target, headers, body))
}
