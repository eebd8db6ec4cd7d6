//! What a session may do with one API (contract 6.1, AccessDefinition).

use super::limit::{Limit, RateLimit};
use super::record::{is_default, null_is_default, record};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

record! {
/// What a session may do with one API (contract 6.1).
AccessDefinition {
    /// Human name.
    api_name: String,
    /// API id; the map's key counts.
    api_id: String,
    /// Version names.
    versions: Vec<String>,
    /// When not empty, only these.
    allowed_urls: Vec<AllowedUrl>,
    /// GraphQL: types and fields that may not be asked for.
    restricted_types: Vec<TypeFields>,
    /// GraphQL: when not empty, only these types and fields.
    allowed_types: Vec<TypeFields>,
    /// GraphQL: limits of single fields.
    field_access_rights: Vec<FieldAccess>,
    /// GraphQL: no introspection.
    disable_introspection: bool,
    /// Limits of this API instead of the session's.
    limit: Limit,
    /// Whose counters: empty = the session's, else the policy's or the API's id (contract 6.4).
    allowance_scope: String,
    /// Limits per path and method.
    endpoints: Vec<Endpoint>,
    /// MCP: limits per method.
    json_rpc_methods: Vec<CallLimit>,
    /// MCP: which methods may be called.
    json_rpc_methods_access_rights: NameRules,
    /// MCP: limits per tool, resource and prompt.
    mcp_primitives: Vec<CallLimit>,
    /// MCP: which tools, resources and prompts may be used.
    mcp_access_rights: PrimitiveRules,
}}

record! {
/// Which names may be used: regular expressions for whole names.
NameRules {
    /// When not empty, only these.
    allowed: Vec<String>,
    /// Never these.
    blocked: Vec<String>,
}}

record! {
/// Which tools, resources and prompts of MCP may be used.
PrimitiveRules {
    /// Of tools, by name.
    tools: NameRules,
    /// Of resources, by URI.
    resources: NameRules,
    /// Of prompts, by name.
    prompts: NameRules,
}}

record! {
/// The limit of one method of JSON-RPC, or of one tool, resource or prompt of MCP.
CallLimit {
    /// `tool`, `resource` or `prompt`; empty for methods.
    r#type: String,
    /// Of the method, tool or prompt, or the URI of the resource.
    name: String,
    /// Its limit.
    limit: RateLimit,
}}

record! {
/// A GraphQL type and fields of it.
TypeFields {
    /// Of the type.
    name: String,
    /// Names; `*` = all.
    fields: Vec<String>,
}}

record! {
/// The limits of one GraphQL field.
FieldAccess {
    /// Of the type.
    type_name: String,
    /// Of the field.
    field_name: String,
    /// What it may cost.
    limits: FieldLimits,
}}

record! {
/// What one GraphQL field may cost.
FieldLimits {
    /// Depth below it; -1 = unlimited.
    max_query_depth: i64,
}}

record! {
/// A path that may be called.
AllowedUrl {
    /// Regular expression.
    url: String,
    /// Methods, upper case.
    methods: Vec<String>,
}}

record! {
/// Limits of one path.
Endpoint {
    /// Path, matched like endpoint paths of a definition.
    path: String,
    /// By method.
    methods: Vec<EndpointMethod>,
}}

record! {
/// The limit of one method on a path.
EndpointMethod {
    /// Method, upper case.
    name: String,
    /// Its limit.
    limit: RateLimit,
}}
