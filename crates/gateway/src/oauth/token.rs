//! Clients get tokens and give them back (contract 5.6, RFC 6749 sections 4 to 6, RFC 7009).

use std::borrow::Cow;
use std::time::{Duration, Instant};

use apidef::{NewTokenNotice, Secret, Session};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{AUTHORIZATION, HeaderMap};
use http::{Response, StatusCode};
use serde_json::{Map, Value};

use super::client::{Client, LONGEST, find, new_id};
use super::failure::{Code, Failure, Halt, error, halt, ok, token_error, unkept};
use super::issue::{self, Issued, Order};
use super::names::Names;
use super::notice::{self, Notice};
use super::records::{Access, Authorization, read, session_of};
use super::revoke::{self, Meant, Trace, digest};
use super::{Asker, BODY_LIMIT, Form, Server, asker, parameters, pkce};
use crate::body::Body;
use crate::clock::{unix_millis, unix_now};
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::query;
use crate::respond::{self, Refusal};
use crate::same::same;

/// `/oauth/token/`.
pub(super) async fn answer(server: &Server, exchange: &mut Exchange) -> Result<Response<Body>, Refusal> {
    let given = async {
        let form = parameters(exchange, BODY_LIMIT).await?;
        give(server, exchange, &form).await
    };
    match given.await {
        Ok(issued) => {
            let mut members = Map::new();
            members.insert("access_token".to_owned(), issued.access.0.into());
            members.insert("token_type".to_owned(), "bearer".into());
            members.insert("expires_in".to_owned(), issued.expires_in.into());
            if let Some(refresh) = issued.refresh {
                members.insert("refresh_token".to_owned(), refresh.0.into());
            }
            if !issued.scope.is_empty() {
                members.insert("scope".to_owned(), issued.scope.into());
            }
            let mut response = respond::json(StatusCode::OK, &Value::Object(members));
            unkept(&mut response);
            Ok(response)
        }
        Err(Halt::Refusal(refusal)) => Err(refusal),
        Err(Halt::Failure(failure)) => {
            server.log(&failure);
            Ok(token_error(&failure, exchange.gate.settings.oauth.refused(), &server.realm))
        }
    }
}

async fn give(server: &Server, exchange: &Exchange, form: &Form) -> Result<Issued, Halt> {
    let (gate, allowed) = (&exchange.gate, server.model.grants);
    let grant = form.get("grant_type").ok_or_else(|| halt(Code::InvalidRequest, "grant_type is missing"))?;
    let known = match grant {
        "authorization_code" => allowed.code,
        "refresh_token" => allowed.refresh,
        "password" => allowed.password,
        "client_credentials" => allowed.client_credentials,
        _ => false,
    };
    if !known {
        return Err(halt(Code::UnsupportedGrantType, "the API does not allow this grant_type"));
    }
    let who = asker(exchange);
    let client = authenticate(server, (gate, who), &exchange.head.headers, form).await?;
    may_use(&client, grant)?;
    let of = (&*server.api, &*server.org);
    let (code, old) = (form.get("code").unwrap_or_default(), form.get("refresh_token").unwrap_or_default());
    let issued = match grant {
        "authorization_code" => by_code(gate, of, &client, form, allowed.refresh).await?,
        "refresh_token" => by_refresh(gate, of, &client, form).await?,
        "password" => {
            let issued = by_password(gate, of, &client, form, allowed.refresh).await;
            if issued.as_ref().is_err_and(|halted| halted.is_of(Code::InvalidGrant)) {
                server.wrong_for(gate, &client.id);
            }
            issued?
        }
        _ => {
            let scope = form.get("scope").unwrap_or_default().to_owned();
            issue::issue(gate, of, &client, Order { scope, ..Order::default() }).await?
        }
    };
    gate.oauth.guesses.right((&server.api, &client.id), who, Instant::now());
    if let Some(to) = &server.model.on_new_token {
        let refreshed = grant == "refresh_token";
        let told = Told {
            issued: &issued,
            code: if refreshed { "" } else { code },
            old: if refreshed { old } else { "" },
        };
        told.tell(exchange, server, to, if refreshed { "refresh" } else { "new" });
    }
    Ok(issued)
}

struct Told<'a> {
    issued: &'a Issued,
    code: &'a str,
    old: &'a str,
}

impl Told<'_> {
    fn tell(&self, exchange: &Exchange, server: &Server, to: &NewTokenNotice, kind: &'static str) {
        let notice = Notice {
            auth_code: self.code,
            new_oauth_token: &self.issued.access.0,
            refresh_token: self.issued.refresh.as_ref().map_or("", |refresh| &refresh.0),
            old_refresh_token: self.old,
            notification_type: kind,
        };
        notice::send(&exchange.gate, &server.api, to, &notice);
    }
}

/// A client's id and secret, by header or form and not by both (RFC 6749 section 2.3). The secret is empty where there is
/// none.
fn credentials<'a>(headers: &HeaderMap, form: &'a Form) -> Result<(Cow<'a, str>, Secret), Failure> {
    let invalid = |why| Failure::new(Code::InvalidRequest, why);
    let (id, secret) = (form.get("client_id"), form.get("client_secret"));
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let Some(field) = fields.next() else {
        let id = id.ok_or_else(|| Failure::new(Code::InvalidClient, "the client does not say who it is"))?;
        return Ok((id.into(), Secret(secret.unwrap_or_default().to_owned())));
    };
    if fields.next().is_some() || secret.is_some() {
        return Err(invalid("the client identifies itself in several ways"));
    }
    let field = field.to_str().ok().and_then(|field| field.trim().split_once(' '));
    let basic = field.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
    let decoded = basic.and_then(|(_, text)| BASE64.decode(text.trim()).ok());
    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    let Some((user, password)) = pair else {
        return Err(Failure::new(Code::InvalidClient, "the Authorization field is not of the Basic scheme"));
    };
    if id.is_some_and(|id| id != user) {
        return Err(invalid("the client has two ids"));
    }
    Ok((user.to_owned().into(), Secret(password.to_owned())))
}

/// The client that asks.
async fn authenticate(
    server: &Server,
    (gate, asker): (&Gate, Asker),
    headers: &HeaderMap,
    form: &Form,
) -> Result<Client, Halt> {
    let (id, secret) = credentials(headers, form)?;
    let wrong = || halt(Code::InvalidClient, "the client is unknown, or its secret is wrong");
    let client = match find(gate, &server.api, &id).await? {
        Some(client) => client,
        // In a header both are escaped, if the client keeps to section 2.3.1.
        None => find(gate, &server.api, &query::decode(&id)).await?.ok_or_else(wrong)?,
    };
    server.may_ask_for(gate, &client.id, asker)?;
    let good = match client.public {
        // It says who it is, and has nothing to prove it with.
        true => secret.0.is_empty(),
        false => client.opens(&secret.0) || client.opens(&query::decode(&secret.0)),
    };
    if good {
        return Ok(client);
    }
    if !secret.0.is_empty() {
        server.wrong_for(gate, &client.id);
    }
    Err(wrong())
}

/// Whether a client may ask for tokens in this way. One that proves nothing of itself may do so only where it shows that it
/// was there at the beginning.
fn may_use(client: &Client, grant: &str) -> Result<(), Halt> {
    if client.public && !matches!(grant, "authorization_code" | "refresh_token") {
        return Err(halt(Code::UnauthorizedClient, "a public client gets tokens by codes alone"));
    }
    Ok(())
}

fn refused(why: &'static str) -> Halt {
    halt(Code::InvalidGrant, why)
}

/// The parameter, unless it is missing or longer than anything given here.
fn needed<'a>(form: &'a Form, name: &'static str) -> Result<&'a str, Halt> {
    let value = form.get(name).ok_or_else(|| halt(Code::InvalidRequest, format!("{name} is missing")))?;
    if value.len() > LONGEST {
        Err(refused("it is longer than anything that is given here"))
    } else {
        Ok(value)
    }
}

fn is_of(owner: Option<&Client>, client: &Client) -> bool {
    owner.is_some_and(|owner| owner.id == client.id)
}

/// The rules that are stored with a code or token.
fn rules(stored: &Value) -> Result<Option<Session>, Halt> {
    let none = stored.is_null() || stored.as_str().is_some_and(|text| text.is_empty() || text == "null");
    match session_of(stored) {
        _ if none => Ok(None),
        Some(session) => Ok(Some(session)),
        None => Err(halt(Code::ServerError, "the rules for the token cannot be read")),
    }
}

async fn by_code(
    gate: &Gate,
    (api, org): (&str, &str),
    client: &Client,
    form: &Form,
    refresh: bool,
) -> Result<Issued, Halt> {
    let code = needed(form, "code")?;
    let (key, family) = (Names(api).code(code), digest(code));
    let stored = gate.state.record(&key).await?.and_then(|bytes| read::<Authorization>(&bytes));
    let Some(stored) = stored.filter(|stored| same(stored.code.0.as_bytes(), code.as_bytes())) else {
        if revoke::family(gate, api, &family).await? {
            tracing::warn!(
                api_id = api,
                client = client.id,
                "a code was used again; the tokens it led to are revoked"
            );
        }
        return Err(refused("there is no such code, or not any more"));
    };
    if !is_of(stored.client.as_ref(), client) {
        return Err(refused("the code was given to another client"));
    }
    // What cannot be mended by the client leaves it its code.
    let rules = rules(&stored.user_data)?;
    issue::session(gate, org, client, rules.as_ref())?;
    // From here on the code is gone, whatever else is wrong: of several who bring it, one has it.
    if gate.state.take_record(&key).await?.is_none() {
        return Err(refused("the code has just been used"));
    }
    match form.get("redirect_uri") {
        Some(asked) if asked != stored.redirect_uri => {
            return Err(refused("redirect_uri is not that of the code"));
        }
        None if stored.redirect_given => return Err(refused("redirect_uri is missing")),
        _ => {}
    }
    if client.public && (stored.code_challenge.is_empty() || !stored.redirect_given) {
        return Err(refused("the code was given before the client was public"));
    }
    let verifier = form.get("code_verifier");
    if !pkce::proves(&stored.code_challenge, &stored.code_challenge_method, verifier) {
        return Err(refused("code_verifier does not fit the code"));
    }
    if revoke::is_over(gate, api, &client.id, stored.made()).await? {
        return Err(refused("all that the client had has been revoked"));
    }
    let order = Order {
        rules,
        scope: stored.scope,
        redirect: stored.redirect_uri,
        refresh,
        family,
        ..Order::default()
    };
    issue::issue(gate, (api, org), client, order).await
}

async fn by_refresh(
    gate: &Gate,
    (api, org): (&str, &str),
    client: &Client,
    form: &Form,
) -> Result<Issued, Halt> {
    let token = needed(form, "refresh_token")?;
    let names = Names(api);
    let (key, spent) = (names.refresh(token), names.spent(&digest(token)));
    let bytes = gate.state.record(&key).await?;
    let stored = bytes.as_ref().and_then(|bytes| read::<Access>(bytes));
    let Some(stored) = stored.filter(|stored| same(stored.refresh_token.0.as_bytes(), token.as_bytes()))
    else {
        // Used before: who used it first may not be whom it was given to (RFC 9700 section 4.14.2).
        let family = gate.state.record(&spent).await?;
        let family = family.as_deref().and_then(|id| std::str::from_utf8(id).ok());
        if let Some(family) = family
            && revoke::family(gate, api, family).await?
        {
            tracing::warn!(
                api_id = api,
                client = client.id,
                "a refresh token was used again; what it led to is revoked"
            );
        }
        return Err(refused("there is no such refresh token, or not any more"));
    };
    if !is_of(stored.client.as_ref(), client) {
        return Err(refused("the refresh token was given to another client"));
    }
    let scope = match form.get("scope") {
        None => stored.scope.clone(),
        Some(asked) if asked.split(' ').all(|one| stored.scope.split(' ').any(|had| had == one)) => {
            asked.to_owned()
        }
        Some(_) => return Err(halt(Code::InvalidScope, "more scope than the refresh token has")),
    };
    if revoke::is_over(gate, api, &client.id, stored.made()).await? {
        return Err(refused("all that the client had has been revoked"));
    }
    let rules = match stored.user.as_str() {
        "" => rules(&stored.user_data)?,
        user => Some(user_now(gate, user).await?),
    };
    issue::session(gate, org, client, rules.as_ref())?;
    let made = stored.made();
    let family = if stored.family.is_empty() { digest(token) } else { stored.family };
    let kept = Some(gate.settings.oauth.refresh);
    gate.state.put_record(&spent, family.as_bytes(), kept).await?;
    if gate.state.take_record(&key).await?.is_none() {
        return Err(refused("the refresh token has just been used"));
    }
    let order =
        Order { rules, user: stored.user, scope, redirect: stored.redirect_uri, refresh: true, family };
    match issue::issue(gate, (api, org), client, order).await {
        Ok(issued) => {
            // The client must have what it was given in any case; the old token ends by itself.
            if let Err(away) = revoke::access(gate, api, &client.id, &stored.access_token.0).await {
                tracing::warn!(api_id = api, client = client.id, %away, "a renewed token is not taken back");
            }
            Ok(issued)
        }
        Err(halted) => {
            // Not the client's fault: it may try again, if the store takes it back.
            if let (Halt::Refusal(_), Some(bytes)) = (&halted, bytes) {
                let left = left(gate.settings.oauth.refresh, made, unix_millis());
                let _ = gate.state.put_record(&key, &bytes, Some(left)).await;
            }
            Err(halted)
        }
    }
}

/// How long a refresh token has yet to live that was given at `issued`, in milliseconds of Unix time; 0 is not known.
fn left(life: Duration, issued: i64, now: i64) -> Duration {
    let gone = if issued > 0 { now.saturating_sub(issued) } else { 0 };
    let gone = Duration::from_millis(u64::try_from(gone).unwrap_or_default());
    life.saturating_sub(gone).max(Duration::from_secs(1))
}

/// The session of a user as it is now.
async fn user_now(gate: &Gate, name: &str) -> Result<Session, Halt> {
    let session = gate.state.session(name).await?.ok_or_else(|| refused("there is no such user any more"))?;
    if session.is_inactive || session.is_expired(unix_now()) {
        return Err(refused("the user is not in force"));
    }
    Ok((*session).clone())
}

async fn by_password(
    gate: &Gate,
    (api, org): (&str, &str),
    client: &Client,
    form: &Form,
    refresh: bool,
) -> Result<Issued, Halt> {
    let (user, password) = (needed(form, "username")?, needed(form, "password")?);
    let wrong = || refused("there is no such user, or the password is wrong");
    let caller = gate.callers.user(gate, org, user).await?.ok_or_else(wrong)?;
    let data = &caller.session.basic_auth_data;
    if !gate.passwords.fits(&caller.name, data, password.as_bytes(), None).await? {
        return Err(wrong());
    }
    if caller.session.is_inactive {
        return Err(refused("the user is not in force"));
    }
    let order = Order {
        rules: Some(user_now(gate, &caller.name).await?),
        user: caller.name.to_string(),
        scope: form.get("scope").unwrap_or_default().to_owned(),
        refresh,
        family: if refresh { new_id() } else { String::new() },
        ..Order::default()
    };
    issue::issue(gate, (api, org), client, order).await
}

/// `/oauth/revoke`: who has a token may take it back.
pub(super) async fn revoke(server: &Server, exchange: &mut Exchange) -> Result<Response<Body>, Refusal> {
    let form = match parameters(exchange, BODY_LIMIT).await {
        Ok(form) => form,
        Err(halted) => return plainly(server, halted),
    };
    let Some(token) = form.get("token") else {
        return Ok(error(StatusCode::BAD_REQUEST, "token is required"));
    };
    let gate = &exchange.gate;
    // A client that says who it is has to prove it, and takes back its own tokens only.
    let client = if form.get("client_secret").is_some() || exchange.head.headers.contains_key(AUTHORIZATION) {
        match authenticate(server, (gate, asker(exchange)), &exchange.head.headers, &form).await {
            Ok(client) => Some(client.id),
            Err(Halt::Refusal(refusal)) => return Err(refusal),
            Err(Halt::Failure(_)) => {
                return Ok(error(StatusCode::UNAUTHORIZED, "client secret is wrong"));
            }
        }
    } else {
        None
    };
    revoke::token(gate, &server.api, token, Meant::Any, client.as_deref())
        .await
        .map_err(Refusal::store_away)?;
    // Whether there was such a token is nobody's business (RFC 7009 section 2.2).
    Ok(ok("token revoked successfully"))
}

/// `/oauth/revoke_all`.
pub(super) async fn revoke_all(server: &Server, exchange: &mut Exchange) -> Result<Response<Body>, Refusal> {
    let form = match parameters(exchange, BODY_LIMIT).await {
        Ok(form) => form,
        Err(halted) => return plainly(server, halted),
    };
    let required = |text| Ok(error(StatusCode::UNAUTHORIZED, text));
    let Some(id) = form.get("client_id") else { return required("client_id is required") };
    let Some(secret) = form.get("client_secret") else { return required("client_secret is required") };
    let gate = &exchange.gate;
    let Some(client) = find(gate, &server.api, id).await.map_err(Refusal::store_away)? else {
        return Ok(error(StatusCode::NOT_FOUND, "error getting oauth client"));
    };
    server.may_ask_for(gate, &client.id, asker(exchange))?;
    if !client.opens(secret) {
        server.wrong_for(gate, &client.id);
        return required("client secret is wrong");
    }
    revoke::all_of(gate, &server.api, &client.id, Trace::None).await.map_err(Refusal::store_away)?;
    Ok(ok("tokens revoked successfully"))
}

/// What is no set of parameters.
fn plainly(server: &Server, halted: Halt) -> Result<Response<Body>, Refusal> {
    match halted {
        Halt::Refusal(refusal) => Err(refusal),
        Halt::Failure(failure) => {
            server.log(&failure);
            Ok(error(StatusCode::BAD_REQUEST, failure.code.text()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_that_is_put_back_lives_no_longer_than_before() {
        let life = Duration::from_secs(100);
        for (issued, now, expected) in [
            (1_000_000, 1_000_000, 100_000),
            (1_000_000, 1_040_500, 59_500),
            (1_000_000, 1_099_900, 1_000),
            (1_000_000, 9_000_000, 1_000),
            // The clock was set back, or somebody else gave the token.
            (1_000_000, 900_000, 100_000),
            (0, 1_000_000, 100_000),
        ] {
            assert_eq!(left(life, issued, now), Duration::from_millis(expected), "{issued} {now}");
        }
    }

    #[test]
    fn a_client_identifies_itself_in_one_way() {
        let basic = |text: &str| format!("Basic {}", BASE64.encode(text));
        for (fields, form, expected) in [
            (vec![], "client_id=a&client_secret=b", Ok(("a", "b"))),
            (vec![basic("a:b")], "", Ok(("a", "b"))),
            (vec![basic("a:b:c")], "client_id=a", Ok(("a", "b:c"))),
            (vec![basic("a:b").replace("Basic", "bASIC")], "", Ok(("a", "b"))),
            // Good for public clients.
            (vec![], "client_id=a", Ok(("a", ""))),
            (vec![basic("a:")], "client_id=a", Ok(("a", ""))),
            // Hostile.
            (vec![], "", Err(Code::InvalidClient)),
            (vec![], "client_secret=b", Err(Code::InvalidClient)),
            (vec![basic("ab")], "", Err(Code::InvalidClient)),
            (vec!["Basic !".to_owned()], "", Err(Code::InvalidClient)),
            (vec!["Basic".to_owned()], "", Err(Code::InvalidClient)),
            (vec!["Bearer abc".to_owned()], "", Err(Code::InvalidClient)),
            (vec![basic("a:b")], "client_secret=b", Err(Code::InvalidRequest)),
            (vec![basic("a:b")], "client_id=c", Err(Code::InvalidRequest)),
            (vec![basic("a:b"), basic("c:d")], "", Err(Code::InvalidRequest)),
        ] {
            let mut headers = HeaderMap::new();
            for field in &fields {
                headers.append(AUTHORIZATION, field.parse().unwrap());
            }
            let read = Form::read(form, None, b"").unwrap();
            let found = credentials(&headers, &read);
            let found = found.as_ref().map(|(id, secret)| (&**id, secret.0.as_str()));
            assert_eq!(found.map_err(|failure| failure.code), expected, "{fields:?} {form}");
        }
    }
}
