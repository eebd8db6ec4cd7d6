//! Somebody is told of new tokens (`notifications`, contract 5.6): aside, a few times if need be, and never in anybody's
//! way.

use std::sync::Arc;
use std::time::Duration;

use apidef::NewTokenNotice;
use http::HeaderName;
use http::header::HeaderValue;
use serde::Serialize;

use crate::fetch::{self, Ask};
use crate::gate::Gate;

/// Notices under way, for each node; one more is lost, and that is told.
pub(crate) const AT_ONCE: usize = 256;
const TRIES: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST: usize = 64 << 10;

/// What is told.
#[derive(Serialize, Default)]
pub(super) struct Notice<'a> {
    pub(super) auth_code: &'a str,
    pub(super) new_oauth_token: &'a str,
    pub(super) refresh_token: &'a str,
    pub(super) old_refresh_token: &'a str,
    /// `new` or `refresh`.
    pub(super) notification_type: &'static str,
}

/// Tells of a new token.
pub(super) fn send(gate: &Arc<Gate>, api: &str, to: &NewTokenNotice, notice: &Notice<'_>) {
    let Ok(permit) = Arc::clone(&gate.oauth.notices).try_acquire_owned() else {
        tracing::warn!(api_id = api, "too many notices of new tokens are under way; one is lost");
        return;
    };
    let Ok(body) = serde_json::to_vec(notice) else { return };
    let Ok(mut secret) = HeaderValue::try_from(&*to.secret.0) else {
        tracing::warn!(api_id = api, "the shared secret of notices is no value of a header; nothing is sent");
        return;
    };
    secret.set_sensitive(true);
    let ask = Ask::json(to.url.clone(), body)
        .with(HeaderName::from_static("x-tyk-shared-secret"), secret)
        .within(PATIENCE, LARGEST);
    let (gate, api) = (Arc::clone(gate), Box::<str>::from(api));
    tokio::spawn(async move {
        let _permit = permit;
        tokio::select! {
            () = deliver(&gate, &api, ask) => {}
            () = gate.closed() => {}
        }
    });
}

async fn deliver(gate: &Gate, api: &str, ask: Ask) {
    for attempt in 1..=TRIES {
        let why = match fetch::send(&gate.upstream, false, ask.clone()).await {
            Ok(answer) if answer.status.is_success() => return,
            Ok(answer) => format!("the answer is {}", answer.status.as_u16()),
            Err(error) => error.to_string(),
        };
        if attempt == TRIES {
            tracing::warn!(api_id = api, why, "a new token could not be told of");
        } else {
            tokio::time::sleep(Duration::from_secs(1) * attempt).await;
        }
    }
}
