//! Paths that scripts answer in the place of the backend (contract 8.5).

use std::sync::Arc;

use apidef::{AtPath, Plugin, Virtual};
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use plugins::Fault;
use plugins::javascript::{Answered, Reply};

use super::Plugins;
use super::requests::{field, seen};
use crate::auth::lifetime;
use crate::body::Body;
use crate::exchange::Exchange;
use crate::respond::Refusal;
use crate::route::{Collector, PerPath};
use crate::transform::To;

const FAILED: &str = "Error during virtual endpoint execution. Contact Administrator for more details.";

/// The functions of one API by path.
#[derive(Debug)]
pub(crate) struct Virtuals {
    plugins: Arc<Plugins>,
    functions: PerPath<Function>,
}

#[derive(Debug)]
struct Function {
    plugin: Plugin,
    proxy_on_error: bool,
}

impl Virtuals {
    /// `None` where the backend answers everything itself.
    pub(crate) fn new(
        plugins: Option<&Arc<Plugins>>,
        model: &[AtPath<Virtual>],
        patterns: &Collector,
    ) -> Option<Self> {
        let functions = PerPath::of(patterns, model, |one| Function {
            plugin: one.value.function.clone(),
            proxy_on_error: one.value.proxy_on_error,
        });
        let plugins = Arc::clone(plugins?);
        (!functions.is_empty()).then_some(Self { plugins, functions })
    }

    /// The answer of a path that has a function; `None` where the backend is to be asked, or another API of the gate.
    pub(crate) async fn answer(&self, exchange: &mut Exchange) -> Result<Option<Response<Body>>, Refusal> {
        let Some(function) = self.functions.find(exchange) else { return Ok(None) };
        let answered = self.call(function, exchange).await?;
        let made = match answered {
            Ok(answered) => {
                self.keep_data(function, &answered, exchange).await?;
                response(answered.response)
            }
            Err(fault) => Err(fault),
        };
        match made {
            Ok(response) => Ok(onward(response, exchange)),
            Err(fault) if function.proxy_on_error => {
                let (api_id, why) = (&*exchange.api.model.id, fault.to_string());
                if exchange.gate.metrics.may_warn() {
                    tracing::warn!(api_id, why, "a virtual endpoint failed; the backend is asked");
                }
                Ok(None)
            }
            Err(fault) => Err(Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, "URR", FAILED).detail(fault)),
        }
    }

    async fn call(
        &self,
        function: &Function,
        exchange: &mut Exchange,
    ) -> Result<Result<Answered, Fault>, Refusal> {
        let Some(scripts) = &self.plugins.scripts else {
            return Ok(Err(Fault::Missing(function.plugin.name.to_string())));
        };
        let body = match exchange.streams() {
            true => None,
            false => Some(exchange.whole_body().await?).filter(|body| !body.is_empty()),
        };
        let request = seen(exchange, body);
        let caller = exchange.caller.clone().filter(|_| function.plugin.require_session);
        let session = caller.as_ref().map(|caller| &*caller.session);
        Ok(scripts.answer(&function.plugin.name, &request, session, &self.plugins.spec).await)
    }

    /// Stores the data of the session, where the function changed them.
    async fn keep_data(
        &self,
        function: &Function,
        answered: &Answered,
        exchange: &Exchange,
    ) -> Result<(), Refusal> {
        let Some(caller) = exchange.caller.as_ref().filter(|_| function.plugin.require_session) else {
            return Ok(());
        };
        let data = &answered.session_meta;
        if data.is_empty() || *data == caller.session.meta_data {
            return Ok(());
        }
        let gate = &exchange.gate;
        // As it is stored: what its policies add is not its own.
        let Some(stored) = gate.state.session(&caller.name).await.map_err(Refusal::store_away)? else {
            return Ok(());
        };
        let mut session = (*stored).clone();
        session.meta_data.clone_from(data);
        let life = lifetime(gate, &session, &session);
        gate.state.put_session(&caller.name, &session, life).await.map_err(Refusal::store_away)?;
        gate.callers.forget(&[caller.name.to_string()]);
        Ok(())
    }
}

/// Where the answer leads to an API of the gate, the exchange goes on there.
fn onward(response: Response<Body>, exchange: &mut Exchange) -> Option<Response<Body>> {
    let leads = matches!(response.status(), StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND);
    let location = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
    let to = location.filter(|_| leads).and_then(|to| match To::read(to, false, true) {
        Ok(to @ To::Api(_)) => Some(to),
        _ => None,
    });
    match to {
        Some(to) => {
            exchange.ahead.to = Some(to);
            None
        }
        None => Some(response),
    }
}

fn response(reply: Reply) -> Result<Response<Body>, Fault> {
    let code = if reply.code == 0 { 200 } else { reply.code };
    let status = StatusCode::from_u16(code).ok().filter(|status| !status.is_informational());
    let status = status.ok_or_else(|| Fault::Shape(format!("{code} is no status of an answer")))?;
    let mut response = Response::new(Body::full(reply.body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in &reply.headers {
        if let Some((name, value)) = field(name, value)
            && !apidef::is_framing(name.as_str())
        {
            headers.insert(name, value);
        }
    }
    headers.entry(header::SERVER).or_insert(HeaderValue::from_static("tyk"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c8_5_row_1_what_functions_give_is_an_answer() {
        let reply = |code: u16, headers: &[(&str, &str)]| Reply {
            code,
            body: "x".to_owned(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        let made =
            response(reply(201, &[("X-A", "1"), ("Content-Length", "999"), ("bad name", "1")])).unwrap();
        assert_eq!(made.status(), 201);
        let names: Vec<&str> = made.headers().keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["x-a", "server"]);
        assert_eq!(response(reply(0, &[])).unwrap().status(), 200);
        for code in [1, 99, 101, 1000] {
            assert!(response(reply(code, &[])).is_err(), "{code}");
        }
    }
}
