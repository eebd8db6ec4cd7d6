//! Requests on their way through plugins: what they see of an exchange, and what becomes of it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use apidef::{AtPath, Plugin};
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Method, Response, StatusCode, Uri};
use plugins::javascript::Scripts;
use plugins::{Call, Fault, Hook, Outcome, Overrides, Request};

use super::Plugins;
use crate::body::Body;
use crate::exchange::Exchange;
use crate::fields::texts;
use crate::query;
use crate::respond::Refusal;
use crate::route::{Collector, PerPath};

/// Plugins that see requests, from one hook.
#[derive(Debug)]
pub(crate) struct Before {
    plugins: Arc<Plugins>,
    hook: Hook,
}

impl Before {
    /// `None`: there are none at this hook.
    pub(crate) fn new(plugins: Option<&Arc<Plugins>>, hook: Hook) -> Option<Self> {
        let found = Self { plugins: Arc::clone(plugins?), hook };
        (!found.all().is_empty()).then_some(found)
    }

    /// Whether they are scripts that run in the gate itself, as the original's own do.
    pub(crate) fn are_scripts(&self) -> bool {
        matches!(&*self.plugins.model.driver, "" | "otto" | "javascript")
    }

    fn all(&self) -> &[Plugin] {
        let model = &self.plugins.model;
        match self.hook {
            Hook::Pre => &model.pre,
            Hook::PostKeyAuth => &model.post_key_auth,
            Hook::Post => &model.post,
            Hook::Auth | Hook::Response => &[],
        }
    }

    /// Calls them in their order; the first that answers ends it.
    pub(crate) async fn pass(&self, exchange: &mut Exchange) -> Result<ControlFlow<Response<Body>>, Refusal> {
        for plugin in self.all() {
            let asked = self.plugins.ask(plugin, self.hook, exchange).await?;
            if let ControlFlow::Break(answer) = self.plugins.outcome(asked, exchange)? {
                return Ok(ControlFlow::Break(answer));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Scripts that single paths have right before the backend (contract 4.4 row 42), whatever runs the others.
#[derive(Debug)]
pub(crate) struct AtPaths {
    plugins: Arc<Plugins>,
    scripts: PerPath<Plugin>,
}

impl AtPaths {
    /// `None`: no path has one.
    pub(crate) fn new(
        plugins: Option<&Arc<Plugins>>,
        model: &[AtPath<Plugin>],
        patterns: &Collector,
    ) -> Option<Self> {
        let scripts = PerPath::of(patterns, model, |hook| hook.value.clone());
        let plugins = Arc::clone(plugins?);
        (!scripts.is_empty()).then_some(Self { plugins, scripts })
    }

    /// Calls that of the path that is asked for.
    pub(crate) async fn pass(&self, exchange: &mut Exchange) -> Result<ControlFlow<Response<Body>>, Refusal> {
        for plugin in self.scripts.each(exchange) {
            let scripts = self.plugins.scripts.as_ref();
            let asked = self.plugins.ask_by(scripts, plugin, Hook::Post, exchange).await?;
            if let ControlFlow::Break(answer) = self.plugins.outcome(asked, exchange)? {
                return Ok(ControlFlow::Break(answer));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Plugins {
    /// Calls a plugin with a request; gives what it saw as well.
    pub(super) async fn ask(
        &self,
        plugin: &Plugin,
        hook: Hook,
        exchange: &mut Exchange,
    ) -> Result<(Request, Result<Outcome, Fault>), Refusal> {
        self.ask_by(None, plugin, hook, exchange).await
    }

    /// What becomes of a request by what its plugin said.
    fn outcome(
        &self,
        (seen, outcome): (Request, Result<Outcome, Fault>),
        exchange: &mut Exchange,
    ) -> Result<ControlFlow<Response<Body>>, Refusal> {
        let outcome = outcome.map_err(|fault| self.failed(&fault))?;
        if let Some(answer) = overridden(&outcome.request.return_overrides)? {
            return Ok(ControlFlow::Break(answer));
        }
        apply(&seen, outcome.request, exchange).map_err(|fault| self.failed(&fault))?;
        Ok(ControlFlow::Continue(()))
    }

    /// Calls a plugin that is one of these scripts, or else is run by what runs all.
    async fn ask_by(
        &self,
        scripts: Option<&Arc<Scripts>>,
        plugin: &Plugin,
        hook: Hook,
        exchange: &mut Exchange,
    ) -> Result<(Request, Result<Outcome, Fault>), Refusal> {
        let body = match exchange.streams() {
            true => None,
            false => Some(exchange.whole_body().await?).filter(|body| !body.is_empty()),
        };
        let request = seen(exchange, body);
        let caller = exchange.caller.clone();
        let session = caller.as_ref().map(|caller| &caller.session).filter(|_| self.may_see(plugin));
        let call = Call {
            hook,
            request: &request,
            response: None,
            session: session.map(|session| &**session),
            spec: &self.spec,
            raw_body_only: plugin.raw_body_only,
        };
        let outcome = match scripts {
            Some(scripts) => scripts.call(&plugin.name, &call).await,
            None => self.call(plugin, &call).await,
        };
        Ok((request, outcome))
    }

    /// Servers are given sessions in any case (contract 9.3).
    pub(super) fn may_see(&self, plugin: &Plugin) -> bool {
        plugin.require_session || self.host.is_coprocess()
    }

    /// What a client is told where a plugin fails: nothing of why.
    pub(super) fn failed(&self, fault: &Fault) -> Refusal {
        let text = match self.host.is_coprocess() {
            true => "Middleware error",
            false => "Internal Server Error",
        };
        Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, "UCF", text).detail(fault)
    }
}

/// What plugins see of a request.
pub(super) fn seen(exchange: &Exchange, body: Option<Bytes>) -> Request {
    let head = &exchange.head;
    let mut params: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in head.uri.query().map(query::pairs).into_iter().flatten() {
        params.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    Request {
        headers: texts(&head.headers),
        url: target.clone(),
        params,
        method: head.method.as_str().to_owned(),
        request_uri: target,
        scheme: if exchange.peer.tls.is_some() { "https" } else { "http" }.to_owned(),
        body,
        ..Request::default()
    }
}

/// The answer that a plugin wants instead; an error without `OverrideError` is told as all errors are (contract 9.2).
fn overridden(overrides: &Overrides) -> Result<Option<Response<Body>>, Refusal> {
    if overrides.response_code == 0 {
        return Ok(None);
    }
    let status = u16::try_from(overrides.response_code).ok().and_then(|code| StatusCode::from_u16(code).ok());
    let Some(status) = status.filter(|status| !status.is_informational()) else {
        let text = format!("a plugin answers with the status {}, which is none", overrides.response_code);
        return Err(
            Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, "UCF", "Internal Server Error").detail(text)
        );
    };
    let is_error = status.is_client_error() || status.is_server_error();
    if is_error && !overrides.override_error && overrides.response_headers.is_empty() {
        return Err(Refusal::client(status, "PLG", overrides.text().to_owned()));
    }
    let mut response = Response::new(Body::full(overrides.text().to_owned()));
    *response.status_mut() = status;
    for (name, value) in &overrides.response_headers {
        if let Some((name, value)) = field(name, value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(Some(response))
}

/// A header field, if it can be one.
pub(super) fn field(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let field = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
    if field.is_none() {
        tracing::warn!(header = name, "a plugin sets a header field that cannot be one; it is left out");
    }
    field
}

/// Does to a request what a plugin says.
pub(super) fn apply(seen: &Request, made: Request, exchange: &mut Exchange) -> Result<(), Fault> {
    let headers = &mut exchange.head.headers;
    for name in &made.delete_headers {
        headers.remove(name.as_str());
    }
    for (name, value) in &made.set_headers {
        if let Some((name, value)) = field(name, value) {
            headers.insert(name, value);
        }
    }
    retarget(seen, &made, exchange)?;
    if !made.method.is_empty() && made.method != seen.method {
        exchange.head.method = Method::from_bytes(made.method.as_bytes())
            .map_err(|_| Fault::Shape(format!("`{}` is not a method of HTTP", made.method)))?;
    }
    if let Some(body) = made.body.filter(|_| !made.ignore_body) {
        exchange.replace_body(body);
    }
    Ok(())
}

/// Another target, or other parameters of its query.
fn retarget(seen: &Request, made: &Request, exchange: &mut Exchange) -> Result<(), Fault> {
    let other = !made.url.is_empty() && made.url != seen.url;
    let target = if other { &made.url } else { &seen.url };
    let has_changes =
        !(made.add_params.is_empty() && made.extended_params.is_empty() && made.delete_params.is_empty());
    if !other && !has_changes {
        return Ok(());
    }
    let unusable = || Fault::Shape(format!("`{target}` is no target of a request"));
    let given: Uri = target.parse().map_err(|_| unusable())?;
    let mut text = given.path().to_owned();
    if !text.starts_with('/') {
        return Err(unusable());
    }
    let mut pairs: Vec<(String, String)> = given
        .query()
        .map(query::pairs)
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    if has_changes {
        // As a form sets them: one that is added replaces those of its name, one with several values is added to them.
        pairs.retain(|(name, _)| !made.delete_params.contains(name) && !made.add_params.contains_key(name));
        pairs.extend(made.add_params.iter().map(|(name, value)| (name.clone(), value.clone())));
        for (name, values) in &made.extended_params {
            pairs.extend(values.iter().map(|value| (name.clone(), value.clone())));
        }
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
        let query = query::form(&pairs);
        if !query.is_empty() {
            text.push('?');
            text.push_str(&query);
        }
    } else if let Some(query) = given.query() {
        text.push('?');
        text.push_str(query);
    }
    exchange.retarget(&text).ok_or_else(unusable)
}
