//! Callers that plugins of the API identify (contract 5.8, 9.2, 9.3).

use apidef::Session;
use http::StatusCode;
use http::header::AUTHORIZATION;
use plugins::Hook;

use super::Plugins;
use crate::auth::Identified;
use crate::exchange::Exchange;
use crate::respond::Refusal;

impl Plugins {
    /// Whether one of them identifies callers.
    pub(crate) fn identifies(&self) -> bool {
        self.model.auth.is_some()
    }

    /// What the caller of a request is known by, where callers are known by an id: what found it, and that id.
    pub(crate) async fn session_id(&self, exchange: &mut Exchange) -> Result<Option<(u64, String)>, Refusal> {
        let Some(extractor) = &self.extractor else { return Ok(None) };
        let id = extractor.session_id(exchange).await?;
        Ok(id.map(|id| (extractor.number(), id)))
    }

    /// Who is calling; the request is changed as the plugin says.
    pub(crate) async fn identify(&self, exchange: &mut Exchange) -> Result<Identified, Refusal> {
        let Some(plugin) = &self.model.auth else { return Err(forbidden("there is no plugin to ask")) };
        let shown = exchange.head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.map(str::to_owned);
        let (seen, outcome) = self.ask(plugin, Hook::Auth, exchange).await?;
        let outcome = outcome.map_err(|fault| match self.host.is_coprocess() {
            true => Refusal::client(StatusCode::FORBIDDEN, "AKI", "Key not authorised").detail(fault),
            false => self.failed(&fault),
        })?;
        let overrides = &outcome.request.return_overrides;
        if overrides.response_code != 0 {
            let status = u16::try_from(overrides.response_code).ok();
            let status =
                status.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::FORBIDDEN);
            let status = if status.is_success() { StatusCode::FORBIDDEN } else { status };
            return Err(Refusal::client(status, "AKI", overrides.text().to_owned()));
        }
        let token = outcome.metadata.get("token").and_then(|token| token.as_str()).map(str::to_owned);
        let session: Option<Session> = outcome.session.map(|session| *session);
        super::requests::apply(&seen, outcome.request, exchange).map_err(|fault| self.failed(&fault))?;
        // A server says which key it is; a script gives the session of who shows what is in `Authorization`.
        let key = if self.host.is_coprocess() { token } else { token.or(shown) };
        let key = key.filter(|key| !key.is_empty()).ok_or_else(|| forbidden("the plugin names no key"))?;
        let session = session.ok_or_else(|| forbidden("the plugin gives no session"))?;
        Ok(Identified { key, session })
    }
}

fn forbidden(why: &str) -> Refusal {
    Refusal::client(StatusCode::FORBIDDEN, "AKI", "Forbidden").detail(why)
}
