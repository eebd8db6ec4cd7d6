//! Basic authentication: a user's name and password, in a header or in the body (contract 5.3).

use std::sync::Arc;
use std::time::Duration;

use apidef::{Api, BodyCredentials};
use http::StatusCode;
use http::header::HeaderValue;
use regex::bytes::Regex;

use super::callers::Caller;
use super::credentials::{self, Credentials};
use super::places::Places;
use crate::exchange::Exchange;
use crate::respond::Refusal;

/// Largest body that is looked through; it has to be held in memory.
const BODY_LIMIT: usize = 1 << 20;

/// Finds the caller by a user's name and password.
#[derive(Debug)]
pub(crate) struct Basic {
    places: Places,
    org_id: Box<str>,
    /// What who is not let in is told to bring.
    challenge: HeaderValue,
    believed: Option<Duration>,
    body: Option<BodyCredentials>,
}

impl Basic {
    pub(crate) fn new(basic: &apidef::Basic, api: &Api) -> Result<Self, String> {
        Ok(Self {
            places: Places::new(&basic.sources)?,
            org_id: api.org_id.clone(),
            challenge: challenge(&api.name),
            believed: basic.cache,
            body: basic.body.clone(),
        })
    }

    pub(crate) async fn caller(&self, exchange: &mut Exchange) -> Result<Arc<Caller>, Refusal> {
        let Credentials { user, password } = match &self.body {
            Some(body) => from_body(body, exchange).await?,
            None => self.in_head(exchange)?,
        };
        let gate = &exchange.gate;
        let Some(caller) = gate.callers.user(gate, &self.org_id, &user).await? else {
            return Err(self.unauthorised("User not authorised", "AKI"));
        };
        let data = &caller.session.basic_auth_data;
        if gate.passwords.fits(&caller.name, data, &password, self.believed).await? {
            Ok(caller)
        } else {
            Err(self.unauthorised("User not authorised", "AKI"))
        }
    }

    fn in_head(&self, exchange: &Exchange) -> Result<Credentials, Refusal> {
        match self.places.find(&exchange.head) {
            None => Err(self.unauthorised("Authorization field missing", "AMF")),
            Some(field) => credentials::read(&field).map_err(malformed),
        }
    }

    fn unauthorised(&self, message: &'static str, flag: &'static str) -> Refusal {
        Refusal::client(StatusCode::UNAUTHORIZED, flag, message).challenge(self.challenge.clone())
    }
}

/// `Basic realm="<name of the API>"` (RFC 7617 section 2).
fn challenge(name: &str) -> HeaderValue {
    let mut text = String::from("Basic realm=\"");
    for character in name.chars().filter(|character| !character.is_control()) {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Basic realm=\"\""))
}

fn malformed(message: &'static str) -> Refusal {
    Refusal::client(StatusCode::BAD_REQUEST, "AMF", message)
}

async fn from_body(body: &BodyCredentials, exchange: &mut Exchange) -> Result<Credentials, Refusal> {
    let bytes = exchange.buffer_body(BODY_LIMIT).await?;
    let user = group(
        &body.user,
        &bytes,
        "Body do not contain username",
        "username should be inside regexp match group",
    )?;
    let password = group(
        &body.password,
        &bytes,
        "Body do not contain password",
        "password should be inside regexp match group",
    )?;
    let user = std::str::from_utf8(user).map_err(|_| malformed("Body do not contain username"))?;
    Ok(Credentials { user: user.to_owned(), password: password.to_vec() })
}

/// The first group of the first match.
fn group<'b>(
    pattern: &Regex,
    body: &'b [u8],
    missing: &'static str,
    no_group: &'static str,
) -> Result<&'b [u8], Refusal> {
    let captures = pattern.captures(body).ok_or_else(|| malformed(missing))?;
    if captures.len() < 2 {
        return Err(malformed(no_group));
    }
    // A group that took no part in the match is empty, as with the original.
    Ok(captures.get(1).map_or(&[], |group| group.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_api_cannot_leave_its_quotes() {
        for (name, expected) in [
            ("Orders", "Basic realm=\"Orders\""),
            ("", "Basic realm=\"\""),
            ("a\"b\\c", "Basic realm=\"a\\\"b\\\\c\""),
            ("a\r\nX: y", "Basic realm=\"aX: y\""),
        ] {
            assert_eq!(challenge(name), expected);
        }
        assert_eq!(challenge("Aufträge").as_bytes(), "Basic realm=\"Aufträge\"".as_bytes());
    }

    #[test]
    fn credentials_are_the_first_group_of_the_first_match() {
        let cases: &[(&str, &str, Result<&str, &str>)] = &[
            ("<user>(.*)</user>", "<x/><user>ann</user>", Ok("ann")),
            ("user=([^&]*)", "user=ann&user=bob", Ok("ann")),
            ("user=([^&]*)", "name=ann", Err("missing")),
            ("user=([^&]*)", "", Err("missing")),
            ("user=[^&]*", "user=ann", Err("no group")),
            ("user=(?:x|(y))", "user=x", Ok("")),
        ];
        for (pattern, body, expected) in cases {
            let pattern = Regex::new(pattern).unwrap();
            let found = group(&pattern, body.as_bytes(), "missing", "no group");
            let found = found.map_err(|refusal| {
                assert_eq!(refusal.status, 400);
                refusal.message
            });
            assert_eq!(found, expected.map(str::as_bytes).map_err(Into::into), "{pattern} {body}");
        }
    }
}
