//! What a key or policy may say of an API depends on what the API speaks (contract 6.1): of MCP, calls; else paths and types.

use std::collections::BTreeMap;

use apidef::{AccessDefinition, CallKind, NameRules, PrimitiveRules};

use crate::gate::Gate;

/// What is wrong with rights to APIs that run here; of others nothing is known yet.
pub(in crate::admin) fn fault(gate: &Gate, rights: &BTreeMap<String, AccessDefinition>) -> Option<String> {
    let snapshot = gate.snapshot();
    rights.iter().find_map(|(id, access)| {
        let api = snapshot.apis.get(id.as_str())?;
        if api.model.mcp {
            return of_paths(access).then(|| {
                format!("HTTP/REST and GraphQL fields cannot be configured on MCP Proxies, API {id:?} is an MCP Proxy")
            });
        }
        of_calls(access).then(|| {
            format!("MCP fields can only be configured on MCP Proxies, API {id:?} is not an MCP Proxy")
        })
    })
    .or_else(|| rights.values().find_map(unknown))
}

fn unknown(access: &AccessDefinition) -> Option<String> {
    let kind = access.mcp_primitives.iter().map(|one| &*one.r#type);
    let kind = kind.into_iter().find(|kind| CallKind::of_primitive(kind).is_none())?;
    Some(format!("invalid MCP primitive type {kind:?}: must be one of tool, resource, prompt"))
}

fn of_calls(access: &AccessDefinition) -> bool {
    !access.json_rpc_methods.is_empty()
        || !access.mcp_primitives.is_empty()
        || access.json_rpc_methods_access_rights != NameRules::default()
        || access.mcp_access_rights != PrimitiveRules::default()
}

fn of_paths(access: &AccessDefinition) -> bool {
    !access.allowed_urls.is_empty()
        || !access.endpoints.is_empty()
        || !access.restricted_types.is_empty()
        || !access.allowed_types.is_empty()
        || !access.field_access_rights.is_empty()
        || access.disable_introspection
}
