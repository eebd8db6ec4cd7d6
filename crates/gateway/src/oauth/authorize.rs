//! A user authorises a client: the client sends the user here, from here they go to log in, and whoever let them log in
//! comes for the code or token (contract 5.6).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use apidef::Session;
use http::header::{HeaderValue, LOCATION};
use http::{Response, StatusCode};
use serde_json::{Map, Value};

use super::client::{Client, find, unguessable};
use super::failure::{Code, Failure, Halt, Wrong, error, halt, unkept};
use super::issue::{self, Order};
use super::names::Names;
use super::records::{Authorization, write};
use super::{BODY_LIMIT, Form, RULES_LIMIT, Server, parameters, pkce, redirect};
use crate::admin;
use crate::body::Body;
use crate::clock::{rfc3339, unix_millis};
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::respond::{self, Refusal};

/// How long a code can be used.
const CODE_LIFE: Duration = Duration::from_secs(250);

/// An authorisation that may be asked for.
struct Asked<'a> {
    client: Client,
    redirect: String,
    wants_token: bool,
    challenge: Option<&'a str>,
}

/// `/oauth/authorize/`: on to where users log in, with all that was asked.
pub(super) async fn user(server: &Server, exchange: &mut Exchange) -> Result<Response<Body>, Refusal> {
    let sent = async {
        let form = parameters(exchange, BODY_LIMIT).await?;
        asked(server, &exchange.gate, &form).await?;
        let login = server.model.login.as_deref();
        let login =
            login.ok_or_else(|| halt(Code::ServerError, "the API does not say where users log in"))?;
        let separator = if login.contains('?') { '&' } else { '?' };
        let location = HeaderValue::try_from(format!("{login}{separator}{}", form.to_query()));
        location.map_err(|_| halt(Code::ServerError, "the address where users log in cannot be sent"))
    };
    match sent.await {
        Ok(location) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            response.headers_mut().insert(LOCATION, location);
            unkept(&mut response);
            Ok(response)
        }
        // Never a redirect: what is at fault may be the address.
        Err(halted) => told(server, &exchange.gate, halted),
    }
}

/// `/tyk/oauth/authorize-client/` below the listen path.
pub(super) async fn client_at_listen_path(
    server: &Server,
    exchange: &mut Exchange,
) -> Result<Response<Body>, Refusal> {
    if !admin::authorised(&exchange.gate, &exchange.head.headers) {
        let text = "Attempted administrative access with invalid or missing key!";
        return Ok(error(StatusCode::FORBIDDEN, text));
    }
    match parameters(exchange, RULES_LIMIT).await {
        Ok(form) => client(server, &exchange.gate, &form).await,
        Err(halted) => told(server, &exchange.gate, halted),
    }
}

/// Gives a code or a token for a user who has logged in.
pub(super) async fn client(
    server: &Server,
    gate: &Arc<Gate>,
    form: &Form,
) -> Result<Response<Body>, Refusal> {
    let rules = match form.get("key_rules").map(serde_json::from_str::<Session>) {
        None => None,
        Some(Ok(rules)) => Some(rules),
        Some(Err(reason)) => {
            return Ok(error(StatusCode::BAD_REQUEST, &format!("key_rules is no session: {reason}")));
        }
    };
    match authorized(server, gate, form, rules).await {
        Ok(answer) => {
            let mut response = respond::json(StatusCode::OK, &Value::Object(answer));
            unkept(&mut response);
            Ok(response)
        }
        Err(halted) => told(server, gate, halted),
    }
}

/// The code or token, where it is to be brought, and the client's state.
async fn authorized(
    server: &Server,
    gate: &Arc<Gate>,
    form: &Form,
    rules: Option<Session>,
) -> Result<Map<String, Value>, Halt> {
    let asked = asked(server, gate, form).await?;
    let state = form.get("state").unwrap_or_default();
    let scope = form.get("scope").unwrap_or_default().to_owned();
    let mut answer = Map::new();
    answer.insert("state".to_owned(), state.into());
    let with_state = |mut parameters: Vec<(&'static str, String)>| {
        if !state.is_empty() {
            parameters.push(("state", state.to_owned()));
        }
        parameters
    };
    if asked.wants_token {
        let order = Order { rules, scope, redirect: asked.redirect.clone(), ..Order::default() };
        let issued = issue::issue(gate, (&server.api, &server.org), &asked.client, order).await?;
        let mut parameters = vec![
            ("access_token", issued.access.0.clone()),
            ("token_type", "bearer".to_owned()),
            ("expires_in", issued.expires_in.to_string()),
        ];
        if !issued.scope.is_empty() {
            parameters.push(("scope", issued.scope.clone()));
            answer.insert("scope".to_owned(), issued.scope.into());
        }
        let parameters = with_state(parameters);
        let pairs: Vec<_> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        answer.insert("redirect_to".to_owned(), redirect::with_fragment(&asked.redirect, &pairs).into());
        answer.insert("access_token".to_owned(), issued.access.0.into());
        answer.insert("token_type".to_owned(), "bearer".into());
        answer.insert("expires_in".to_owned(), issued.expires_in.into());
        return Ok(answer);
    }
    // What cannot become a token later is told now, to who can mend it.
    issue::session(gate, &server.org, &asked.client, rules.as_ref())?;
    let code = unguessable().ok_or_else(|| halt(Code::ServerError, "there is no randomness"))?;
    let record = Authorization {
        client: Some(asked.client),
        code: code.clone(),
        expires_in: CODE_LIFE.as_secs() as i64,
        scope,
        redirect_uri: asked.redirect.clone(),
        state: state.to_owned(),
        created_at: rfc3339(SystemTime::now()),
        user_data: issue::recorded(rules.as_ref(), ""),
        code_challenge: asked.challenge.unwrap_or_default().to_owned(),
        code_challenge_method: asked.challenge.map_or("", |_| "S256").to_owned(),
        issued: unix_millis(),
        redirect_given: form.get("redirect_uri").is_some(),
    };
    let key = Names(&server.api).code(&code.0);
    gate.state.put_record(&key, &write(&record), Some(CODE_LIFE)).await?;
    let parameters = with_state(vec![("code", code.0.clone())]);
    let pairs: Vec<_> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    answer.insert("redirect_to".to_owned(), redirect::with_query(&asked.redirect, &pairs).into());
    answer.insert("code".to_owned(), code.0.into());
    Ok(answer)
}

/// Whether an authorisation may be asked for. The client and where users go back to come first: nothing else is
/// looked at for a stranger.
async fn asked<'a>(server: &Server, gate: &Gate, form: &'a Form) -> Result<Asked<'a>, Halt> {
    let id = form.get("client_id").ok_or_else(|| halt(Code::InvalidRequest, "client_id is missing"))?;
    let found = find(gate, &server.api, id).await?;
    let client = found.ok_or_else(|| halt(Code::UnauthorizedClient, "the API has no such client"))?;
    let separator = &gate.settings.oauth.separator;
    let redirect = redirect::choose(&client.redirecturi, separator, form.get("redirect_uri"));
    let redirect = redirect.map_err(|why| halt(Code::InvalidRequest, why))?.to_owned();
    let allowed = server.model.responses;
    let wants_token = match form.get("response_type") {
        None => return Err(halt(Code::InvalidRequest, "response_type is missing")),
        Some("code") if allowed.code => false,
        Some("token") if allowed.token => true,
        Some(_) => {
            return Err(halt(Code::UnsupportedResponseType, "the API does not allow this response_type"));
        }
    };
    let challenge = pkce::challenge(form.get("code_challenge"), form.get("code_challenge_method"));
    let challenge = challenge.map_err(|why| halt(Code::InvalidRequest, why))?;
    if wants_token && challenge.is_some() {
        return Err(halt(Code::InvalidRequest, "a token that is given at once proves nothing"));
    }
    if client.public {
        if wants_token {
            return Err(halt(Code::UnauthorizedClient, "a public client gets tokens by codes alone"));
        }
        if challenge.is_none() || form.get("redirect_uri").is_none() {
            return Err(halt(
                Code::InvalidRequest,
                "a public client needs a code_challenge and its redirect_uri",
            ));
        }
    }
    Ok(Asked { client, redirect, wants_token, challenge })
}

/// A failure as these endpoints tell it.
fn told(server: &Server, gate: &Gate, halted: Halt) -> Result<Response<Body>, Refusal> {
    match halted {
        Halt::Refusal(refusal) => Err(refusal),
        Halt::Failure(failure) => {
            server.log(&failure);
            let Failure { code, .. } = failure;
            let mut response = error(gate.settings.oauth.refused(), code.text());
            if code == Code::InvalidClient {
                response.extensions_mut().insert(Wrong);
            } else {
                response.extensions_mut().remove::<Wrong>();
            }
            Ok(response)
        }
    }
}
