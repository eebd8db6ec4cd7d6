//! What the caller's rights leave open of an API that speaks MCP (contract 4.4 row 23, 6.1).

use apidef::CallKind;
use http::StatusCode;
use mcp::Verdict;

use crate::exchange::Exchange;
use crate::respond::Refusal;

/// Refuses calls that the caller's rights leave out.
#[derive(Debug)]
pub(crate) struct CallRights;

impl CallRights {
    pub(crate) fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let calls = exchange.grant.as_ref().and_then(|grant| grant.terms.calls.as_ref());
        let (Some(calls), Some(asked)) = (calls, &mut exchange.mcp) else { return Ok(()) };
        let rights = &calls.rights;
        asked.cut_to(rights, &mut exchange.head.headers);
        let Some(call) = &asked.call else { return Ok(()) };
        if rights.to(CallKind::Method).verdict(&call.method) != Verdict::Fine {
            return Err(denied(CallKind::Method, &call.method));
        }
        let listened = call.resources.iter().map(|uri| (CallKind::Resource, &**uri));
        let mut named = call.primitive.iter().map(|(kind, name)| (*kind, &**name)).chain(listened);
        match named.find(|(kind, name)| rights.to(*kind).verdict(name) != Verdict::Fine) {
            Some((kind, name)) => Err(denied(kind, name)),
            None => Ok(()),
        }
    }
}

fn denied(kind: CallKind, name: &str) -> Refusal {
    Refusal::client(StatusCode::FORBIDDEN, "EAD", format!("{} '{name}' is not available", kind.name()))
}
