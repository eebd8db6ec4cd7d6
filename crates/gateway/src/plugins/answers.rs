//! Answers on their way back through plugins (contract 4.5, 9.1).

use std::sync::Arc;

use http::{Response, StatusCode};
use plugins::{Call, Fault, Hook};

use super::Plugins;
use super::requests::{field, seen};
use crate::body::Body;
use crate::chain::stages::{has_an_end, replace, whole};
use crate::exchange::Exchange;
use crate::fields::texts;
use crate::respond::Refusal;

/// Plugins that see answers.
#[derive(Debug)]
pub(crate) struct After(Arc<Plugins>);

impl After {
    /// `None`: there are none.
    pub(crate) fn new(plugins: Option<&Arc<Plugins>>) -> Option<Self> {
        let plugins = plugins?;
        (!plugins.model.response.is_empty()).then(|| Self(Arc::clone(plugins)))
    }

    /// Calls them in their order. One that fails fails the exchange: an answer that it should have changed reaches nobody.
    pub(crate) async fn pass(
        &self,
        exchange: &mut Exchange,
        response: &mut Response<Body>,
    ) -> Result<(), Refusal> {
        let plugins = &self.0;
        for plugin in &plugins.model.response {
            let body = match has_an_end(&exchange.head.method, response) {
                true => Some(whole(exchange, response).await?),
                false => None,
            };
            let has_body = body.is_some();
            let answer = plugins::Response {
                status_code: response.status().as_u16(),
                headers: texts(response.headers()),
                body,
                ..plugins::Response::default()
            };
            let request = seen(exchange, None);
            let caller = exchange.caller.clone();
            let call = Call {
                hook: Hook::Response,
                request: &request,
                response: Some(&answer),
                session: caller
                    .as_ref()
                    .map(|caller| &caller.session)
                    .filter(|_| plugins.may_see(plugin))
                    .map(|session| &**session),
                spec: &plugins.spec,
                raw_body_only: plugin.raw_body_only,
            };
            let outcome = plugins.call(plugin, &call).await.map_err(|fault| failed(&fault))?;
            let made = outcome.response.unwrap_or_default();
            apply(made, has_body, response).map_err(|fault| failed(&fault))?;
        }
        Ok(())
    }
}

fn failed(fault: &Fault) -> Refusal {
    Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, "UCF", "Middleware error").detail(fault)
}

fn apply(made: plugins::Response, has_body: bool, response: &mut Response<Body>) -> Result<(), Fault> {
    if made.status_code != 0 {
        let status = StatusCode::from_u16(made.status_code).ok().filter(|status| !status.is_informational());
        *response.status_mut() =
            status.ok_or_else(|| Fault::Shape(format!("{} is no status of an answer", made.status_code)))?;
    }
    let headers = response.headers_mut();
    for name in &made.delete_headers {
        headers.remove(name.as_str());
    }
    for (name, values) in &made.set_headers {
        headers.remove(name.as_str());
        for value in values {
            if let Some((name, value)) = field(name, value) {
                headers.append(name, value);
            }
        }
    }
    // A body that was not shown, because it has no end, is not replaced.
    if let Some(body) = made.body.filter(|_| has_body) {
        replace(response, body);
    }
    Ok(())
}
