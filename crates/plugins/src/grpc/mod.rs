//! Plugins in servers of their own, in any language, by the protocol `coprocess.Dispatcher` (gateway contract 9.3).

mod address;
pub mod messages;
pub mod session;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use serde_json::Value;
use tonic::Code;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

use crate::{Call, Fault, Hook, Outcome, Overrides, Request, Response, Spec};
pub use address::Border;
use address::Endpoints;
use messages::{
    Event, EventReply, Header, HookType, MiniRequestObject, Object, ResponseObject, ReturnOverrides,
};
use session::SessionState;

/// How servers of plugins are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Addresses, one or several with commas between: `tcp://host:port`, `dns:///host:port`, `unix:///path`.
    pub servers: String,
    /// What servers take themselves for (`:authority`).
    pub authority: String,
    /// Largest answer, in bytes.
    pub largest_answer: usize,
    /// Largest question, in bytes.
    pub largest_question: usize,
    /// A call takes no longer.
    pub time: Duration,
}

/// The servers of plugins. Connections are made when they are needed, kept, and made again.
#[derive(Debug, Clone)]
pub struct Servers {
    /// Made by the first call: what is made where no runtime is, such as a check of definitions, has none.
    channels: OnceLock<Box<[Channel]>>,
    /// Whose turn it is.
    turn: Arc<AtomicUsize>,
    endpoints: Endpoints,
    settings: Settings,
}

impl Servers {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// What is wrong with an address.
    pub fn new(settings: Settings) -> Result<Self, Fault> {
        Self::within(settings, None)
    }

    /// The same where somebody decides about connections.
    ///
    /// # Errors
    /// What is wrong with an address.
    pub fn within(settings: Settings, border: Option<&Arc<dyn Border>>) -> Result<Self, Fault> {
        let endpoints = Endpoints::read(&settings.servers, &settings.authority, border);
        let endpoints = endpoints.map_err(Fault::Unusable)?;
        Ok(Self { channels: OnceLock::new(), turn: Arc::default(), endpoints, settings })
    }

    /// Calls a plugin from its hook.
    ///
    /// # Errors
    /// Why it gives no outcome.
    pub async fn call(&self, name: &str, call: &Call<'_>) -> Result<Outcome, Fault> {
        let object = question(name, call);
        let given: Object = self.ask("/coprocess.Dispatcher/Dispatch", object).await?;
        Ok(outcome(given, call))
    }

    /// Has a plugin edit a record, which is JSON before and after. The protocol has no message for that: the record is the
    /// body of a request, from a hook of the type `Unknown`, and so it comes back.
    ///
    /// # Errors
    /// Why it gives none.
    pub async fn record(&self, name: &str, record: &str, spec: &Spec) -> Result<String, Fault> {
        let request = MiniRequestObject {
            body: record.to_owned(),
            raw_body: record.as_bytes().to_vec(),
            ..MiniRequestObject::default()
        };
        let object = Object {
            hook_type: HookType::Unknown.into(),
            hook_name: name.to_owned(),
            request: Some(request),
            spec: self::spec(spec),
            ..Object::default()
        };
        let given: Object = self.ask("/coprocess.Dispatcher/Dispatch", object).await?;
        let given = given.request.ok_or_else(|| Fault::Shape("it gives no record".to_owned()))?;
        let before = Bytes::copy_from_slice(record.as_bytes());
        let made = changed(Some(&before), false, given.raw_body, given.body).unwrap_or(before);
        String::from_utf8(made.into()).map_err(|why| Fault::Shape(why.to_string()))
    }

    /// Tells of an event.
    ///
    /// # Errors
    /// Why it was not heard.
    pub async fn event(&self, payload: String) -> Result<(), Fault> {
        let _: EventReply = self.ask("/coprocess.Dispatcher/DispatchEvent", Event { payload }).await?;
        Ok(())
    }

    /// Asks the server whose turn it is, and the next one where that one cannot be reached: it has not been asked then.
    async fn ask<Q, A>(&self, path: &'static str, question: Q) -> Result<A, Fault>
    where
        Q: prost::Message + Clone + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let asked = async {
            let others = self.channels().len() - 1;
            for next in 0..others {
                match self.ask_one(self.channel(turn.wrapping_add(next)), path, question.clone()).await {
                    Err((_, true)) => {}
                    answer => return answer.map_err(|(fault, _)| fault),
                }
            }
            let last = self.channel(turn.wrapping_add(others));
            self.ask_one(last, path, question).await.map_err(|(fault, _)| fault)
        };
        let asked = tokio::time::timeout(self.settings.time, asked).await;
        asked.unwrap_or(Err(Fault::Late(self.settings.time)))
    }

    /// One for each server, and there is one at least.
    fn channels(&self) -> &[Channel] {
        self.channels.get_or_init(|| self.endpoints.channels())
    }

    fn channel(&self, turn: usize) -> Channel {
        let channels = self.channels();
        channels[turn % channels.len()].clone()
    }

    /// Asks one server. With a fault, whether it was out of reach.
    async fn ask_one<Q, A>(
        &self,
        channel: Channel,
        path: &'static str,
        question: Q,
    ) -> Result<A, (Fault, bool)>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let mut client = Grpc::new(channel)
            .max_decoding_message_size(self.settings.largest_answer)
            .max_encoding_message_size(self.settings.largest_question);
        let mut request = tonic::Request::new(question);
        request.set_timeout(self.settings.time);
        client.ready().await.map_err(|fault| (Fault::Away(told(&fault)), true))?;
        let codec: ProstCodec<Q, A> = ProstCodec::default();
        let answer = client.unary(request, PathAndQuery::from_static(path), codec).await;
        answer.map(tonic::Response::into_inner).map_err(|status| match status.code() {
            Code::Cancelled | Code::DeadlineExceeded => (Fault::Late(self.settings.time), false),
            code => (Fault::Away(format!("{code:?}: {}", told(&Said(&status)))), is_out_of_reach(&status)),
        })
    }
}

/// Whether no connection could be made.
fn is_out_of_reach(status: &tonic::Status) -> bool {
    let mut source = status.source();
    while let Some(cause) = source {
        if cause.is::<tonic::ConnectError>() {
            return true;
        }
        source = cause.source();
    }
    false
}

/// A status without its code.
#[derive(Debug)]
struct Said<'a>(&'a tonic::Status);

impl std::fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.message())
    }
}

impl std::error::Error for Said<'_> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// An error with what led to it.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// What a plugin is asked.
pub(crate) fn question(name: &str, call: &Call<'_>) -> Object {
    let request = call.request;
    let body = request.body.as_deref().unwrap_or_default();
    Object {
        hook_type: hook_type(call.hook).into(),
        hook_name: name.to_owned(),
        request: Some(MiniRequestObject {
            headers: firsts(&request.headers),
            body: text(body, call.raw_body_only),
            url: request.url.clone(),
            params: firsts(&request.params),
            return_overrides: Some(ReturnOverrides { response_code: -1, ..Default::default() }),
            method: request.method.clone(),
            request_uri: request.request_uri.clone(),
            scheme: request.scheme.clone(),
            raw_body: body.to_vec(),
            ..Default::default()
        }),
        session: call.session.map(SessionState::from),
        metadata: HashMap::new(),
        spec: spec(call.spec),
        response: call.response.map(|response| {
            let body = response.body.as_deref().unwrap_or_default();
            let header = |(name, values): (&String, &Vec<String>)| Header {
                key: name.clone(),
                values: values.clone(),
            };
            ResponseObject {
                status_code: response.status_code.into(),
                raw_body: body.to_vec(),
                body: text(body, call.raw_body_only),
                headers: firsts(&response.headers),
                multivalue_headers: response.headers.iter().map(header).collect(),
            }
        }),
    }
}

/// What a plugin is told of its API.
pub(crate) fn spec(spec: &Spec) -> HashMap<String, String> {
    let config = match &spec.config_data {
        Value::Null => "{}".to_owned(),
        config => config.to_string(),
    };
    let told = [
        ("OrgID", spec.org.clone()),
        ("APIID", spec.api.clone()),
        ("bundle_hash", spec.bundle.clone()),
        ("config_data", config),
    ];
    told.map(|(name, value)| (name.to_owned(), value)).into()
}

const fn hook_type(hook: Hook) -> HookType {
    match hook {
        Hook::Pre => HookType::Pre,
        Hook::Auth => HookType::CustomKeyCheck,
        Hook::PostKeyAuth => HookType::PostKeyAuth,
        Hook::Post => HookType::Post,
        Hook::Response => HookType::Response,
    }
}

/// The protocol has one value of each.
fn firsts(lists: &BTreeMap<String, Vec<String>>) -> HashMap<String, String> {
    lists.iter().filter_map(|(name, values)| Some((name.clone(), values.first()?.clone()))).collect()
}

fn text(body: &[u8], raw_only: bool) -> String {
    if raw_only { String::new() } else { String::from_utf8_lossy(body).into_owned() }
}

/// The body that takes the place of the one that was sent, by whichever field; `None` where it stays. A text that is
/// empty beside bytes that are as they were says nothing: that is how servers look that know only the bytes.
fn changed(before: Option<&Bytes>, raw_only: bool, raw: Vec<u8>, as_text: String) -> Option<Bytes> {
    let before = before.map(|body| &**body).unwrap_or_default();
    if raw != before {
        return Some(raw.into());
    }
    (!as_text.is_empty() && as_text != text(before, raw_only)).then(|| as_text.into())
}

/// What it made of that.
pub(crate) fn outcome(given: Object, call: &Call<'_>) -> Outcome {
    let metadata = given.metadata.into_iter().map(|(name, value)| (name, Value::String(value)));
    let response = match (given.response, call.response) {
        (Some(given), Some(before)) => Some(answer(given, before, call.raw_body_only)),
        _ => None,
    };
    Outcome {
        request: given.request.map(|given| request(given, call)).unwrap_or_default(),
        response,
        session: given.session.map(|session| Box::new(session.into_session(call.session))),
        metadata: metadata.collect(),
    }
}

fn request(given: MiniRequestObject, call: &Call<'_>) -> Request {
    let overrides = given.return_overrides.unwrap_or_default();
    let body = changed(call.request.body.as_ref(), call.raw_body_only, given.raw_body, given.body);
    Request {
        set_headers: given.set_headers.into_iter().collect(),
        delete_headers: given.delete_headers,
        url: given.url,
        add_params: given.add_params.into_iter().collect(),
        extended_params: given.extended_params.into_iter().map(|(name, value)| (name, vec![value])).collect(),
        delete_params: given.delete_params,
        return_overrides: Overrides {
            response_code: overrides.response_code.max(0),
            response_error: overrides.response_error,
            response_body: overrides.response_body,
            response_headers: overrides.headers.into_iter().collect(),
            override_error: overrides.override_error,
        },
        method: given.method,
        body,
        ..Request::default()
    }
}

/// What a plugin made of an answer: fields are set and deleted by what is other than before, in either list.
fn answer(given: ResponseObject, before: &Response, raw_only: bool) -> Response {
    let mut set = BTreeMap::new();
    let lists: HashMap<&String, &Vec<String>> =
        given.multivalue_headers.iter().map(|header| (&header.key, &header.values)).collect();
    for (name, values) in &lists {
        if before.headers.get(*name) != Some(*values) {
            set.insert((*name).clone(), (*values).clone());
        }
    }
    for (name, value) in &given.headers {
        if before.headers.get(name).and_then(|values| values.first()) != Some(value) {
            set.insert(name.clone(), vec![value.clone()]);
        }
    }
    let is_gone = |name: &&String| {
        !given.headers.contains_key(*name) || (!lists.is_empty() && !lists.contains_key(name))
    };
    let gone = before.headers.keys().filter(|name| !set.contains_key(*name)).filter(is_gone);
    Response {
        status_code: u16::try_from(given.status_code).unwrap_or_default(),
        delete_headers: gone.cloned().collect(),
        set_headers: set,
        body: changed(before.body.as_ref(), raw_only, given.raw_body, given.body),
        headers: BTreeMap::new(),
    }
}
