//! Tokens are taken back: one, those of one authorisation, or all that a client has (contract 5.6, RFC 7009). Every node
//! knows within a second, and subscribers that came with such a token are let go.

use futures_util::future::try_join_all;
use sha2::{Digest as _, Sha256};
use state::{Signal, Sort, Unavailable};

use super::client::LONGEST;
use super::names::Names;
use super::records::{Access, Family, read};
use crate::auth::store_name;
use crate::clock::unix_millis;
use crate::gate::Gate;
use crate::same::same;

/// Tokens taken back at once.
const AT_ONCE: usize = 32;
/// Names in one message to other nodes.
const TOLD_AT_ONCE: usize = 1000;

/// What remains of tokens that are taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trace {
    /// Nothing.
    None,
    /// That they were tokens, so that who shows one is told what became of it.
    Left,
}

/// Which tokens are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meant {
    /// Both: a `token_type_hint` only says where to look first (RFC 7009 section 2.1), and both are looked at at once.
    Any,
    Refresh,
}

/// The digest that names what is not to be stored itself.
pub(super) fn digest(text: &str) -> String {
    crate::hex::hex(&Sha256::digest(text))
}

/// Takes back a token that an API gave, if it is one; of a certain client, if one is named. Keys of other sorts are
/// left alone, whoever asks.
pub(crate) async fn token(
    gate: &Gate,
    api: &str,
    token: &str,
    meant: Meant,
    client: Option<&str>,
) -> Result<bool, Unavailable> {
    if token.is_empty() || token.len() > LONGEST {
        return Ok(false);
    }
    let names = Names(api);
    let theirs = |access: &Access| {
        client.is_none_or(|client| access.client.as_ref().is_some_and(|owner| owner.id == client))
    };
    if meant != Meant::Refresh {
        let name = store_name(&gate.settings.keys, token);
        let found = gate.state.record(&names.access(&name)).await?.and_then(|bytes| read::<Access>(&bytes));
        // The very token: others may have the same short hash.
        let is_it = |access: &Access| same(access.access_token.0.as_bytes(), token.as_bytes());
        if let Some(access) = found.filter(|access| is_it(access) && theirs(access)) {
            let owner = access.client.map(|client| client.id).unwrap_or_default();
            drop_access(gate, names, &owner, &name, Trace::None).await?;
            tell(gate, vec![name]).await;
            return Ok(true);
        }
    }
    let key = names.refresh(token);
    let found = gate.state.record(&key).await?.and_then(|bytes| read::<Access>(&bytes));
    if let Some(access) = found.filter(theirs) {
        gate.state.delete_record(&key).await?;
        // What it has led to goes with it (RFC 7009 section 2.1).
        let name = store_name(&gate.settings.keys, &access.access_token.0);
        let owner = access.client.map(|client| client.id).unwrap_or_default();
        drop_access(gate, names, &owner, &name, Trace::None).await?;
        if !access.family.is_empty() {
            gate.state.delete_record(&names.family(&access.family)).await?;
        }
        tell(gate, vec![name]).await;
        return Ok(true);
    }
    Ok(false)
}

/// Takes back all that one authorisation has led to.
pub(super) async fn family(gate: &Gate, api: &str, id: &str) -> Result<bool, Unavailable> {
    let names = Names(api);
    let Some(bytes) = gate.state.take_record(&names.family(id)).await? else { return Ok(false) };
    let Some(family) = read::<Family>(&bytes) else { return Ok(false) };
    if !family.refresh.0.is_empty() {
        gate.state.delete_record(&names.refresh(&family.refresh.0)).await?;
    }
    drop_access(gate, names, &family.client, &family.access, Trace::None).await?;
    tell(gate, vec![family.access]).await;
    Ok(true)
}

/// Takes back every token of a client, and every code and refresh token that it holds.
pub(crate) async fn all_of(gate: &Gate, api: &str, client: &str, trace: Trace) -> Result<(), Unavailable> {
    let names = Names(api);
    // Refresh tokens and codes are not listed anywhere; they are refused because they are older than this.
    let mark = unix_millis().to_string();
    gate.state.put_record(&names.revoked(client), mark.as_bytes(), Some(gate.settings.oauth.refresh)).await?;
    let listed = gate.state.members(&names.tokens(client), Sort::Scored).await?;
    let tokens: Vec<String> = listed.into_iter().map(|(name, _)| name).collect();
    for tokens in tokens.chunks(AT_ONCE) {
        let gone: Vec<_> = tokens.iter().map(|name| drop_access(gate, names, client, name, trace)).collect();
        try_join_all(gone).await?;
    }
    for names in tokens.chunks(TOLD_AT_ONCE) {
        tell(gate, names.to_vec()).await;
    }
    Ok(())
}

/// Whether something that was made then has been taken back since, with all that the client had.
pub(super) async fn is_over(gate: &Gate, api: &str, client: &str, issued: i64) -> Result<bool, Unavailable> {
    let mark = gate.state.record(&Names(api).revoked(client)).await?;
    let mark = mark.and_then(|mark| std::str::from_utf8(&mark).ok()?.parse::<i64>().ok());
    Ok(mark.is_some_and(|mark| issued <= mark))
}

/// Takes an access token away, under the name of its session.
pub(super) async fn access(gate: &Gate, api: &str, client: &str, token: &str) -> Result<(), Unavailable> {
    let name = store_name(&gate.settings.keys, token);
    drop_access(gate, Names(api), client, &name, Trace::None).await?;
    tell(gate, vec![name]).await;
    Ok(())
}

async fn drop_access(
    gate: &Gate,
    names: Names<'_>,
    client: &str,
    name: &str,
    trace: Trace,
) -> Result<(), Unavailable> {
    if name.is_empty() {
        return Ok(());
    }
    gate.state.delete_session(name).await?;
    if trace == Trace::None {
        gate.state.delete_record(&names.access(name)).await?;
    }
    gate.state.remove_member(&names.tokens(client), Sort::Scored, name).await.map(|_| ())
}

/// Every node forgets its copies; this one at once.
async fn tell(gate: &Gate, names: Vec<String>) {
    gate.callers.forget(&names);
    if let Err(away) = gate.state.publish(Signal::KeysChanged(names)).await {
        tracing::warn!(%away, "other gateways cannot be told of revoked tokens; they find out when their copies age");
    }
}

/// Forgets tokens of a client that have ended.
pub(crate) async fn lapsed(gate: &Gate, api: &str, client: &str, now: i64) -> Result<(), Unavailable> {
    gate.state.remove_scored(&Names(api).tokens(client), now as f64).await
}

/// Names of a client's tokens that have not ended, and when they do.
pub(crate) async fn tokens_of(
    gate: &Gate,
    api: &str,
    client: &str,
    now: i64,
) -> Result<Vec<(String, i64)>, Unavailable> {
    let listed = gate.state.members(&Names(api).tokens(client), Sort::Scored).await?;
    Ok(listed.into_iter().map(|(name, ends)| (name, ends as i64)).filter(|(_, ends)| *ends > now).collect())
}

/// The client that a token was given to.
pub(crate) async fn owner(
    gate: &Gate,
    api: &str,
    name: &str,
    token: &str,
) -> Result<Option<String>, Unavailable> {
    let found = gate.state.record(&Names(api).access(name)).await?.and_then(|bytes| read::<Access>(&bytes));
    let found = found.filter(|access| same(access.access_token.0.as_bytes(), token.as_bytes()));
    Ok(found.and_then(|access| access.client).map(|client| client.id))
}
