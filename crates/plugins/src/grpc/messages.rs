//! The messages of the service `coprocess.Dispatcher` (contract 9.3). Field numbers are the protocol; their names are
//! what plugins in Lua and Python see. Bodies in bytes go beside the text to these.

use std::collections::HashMap;

use prost::Message;
use serde::{Deserialize, Serialize};

use super::session::SessionState;

/// Everything that goes to a plugin and comes back.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Object {
    /// [`HookType`].
    #[prost(enumeration = "HookType", tag = "1")]
    pub hook_type: i32,
    /// The name of the plugin.
    #[prost(string, tag = "2")]
    pub hook_name: String,
    /// The request.
    #[prost(message, optional, tag = "3")]
    pub request: Option<MiniRequestObject>,
    /// The session of the caller.
    #[prost(message, optional, tag = "4")]
    pub session: Option<SessionState>,
    /// Of a plugin that authenticates: `token` is the key.
    #[prost(map = "string, string", tag = "5")]
    pub metadata: HashMap<String, String>,
    /// `OrgID`, `APIID`, `bundle_hash`, `config_data`.
    #[prost(map = "string, string", tag = "6")]
    pub spec: HashMap<String, String>,
    /// The answer, of a hook that sees it.
    #[prost(message, optional, tag = "7")]
    pub response: Option<ResponseObject>,
}

/// Where a plugin is called from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum HookType {
    /// Nobody knows.
    Unknown = 0,
    /// Before authentication.
    Pre = 1,
    /// Before the backend.
    Post = 2,
    /// After authentication.
    PostKeyAuth = 3,
    /// In its place.
    CustomKeyCheck = 4,
    /// On the answer.
    Response = 5,
}

/// A request.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default)]
pub struct MiniRequestObject {
    /// Header fields, the first value of each.
    #[prost(map = "string, string", tag = "1")]
    pub headers: HashMap<String, String>,
    /// Fields to set.
    #[prost(map = "string, string", tag = "2")]
    pub set_headers: HashMap<String, String>,
    /// Fields to delete.
    #[prost(string, repeated, tag = "3")]
    pub delete_headers: Vec<String>,
    /// The body as text.
    #[prost(string, tag = "4")]
    pub body: String,
    /// The target.
    #[prost(string, tag = "5")]
    pub url: String,
    /// Parameters of the query, the first value of each.
    #[prost(map = "string, string", tag = "6")]
    pub params: HashMap<String, String>,
    /// Parameters to add.
    #[prost(map = "string, string", tag = "7")]
    pub add_params: HashMap<String, String>,
    /// More parameters to add.
    #[prost(map = "string, string", tag = "8")]
    pub extended_params: HashMap<String, String>,
    /// Parameters to delete.
    #[prost(string, repeated, tag = "9")]
    pub delete_params: Vec<String>,
    /// What the client is to be answered.
    #[prost(message, optional, tag = "10")]
    pub return_overrides: Option<ReturnOverrides>,
    /// The method.
    #[prost(string, tag = "11")]
    pub method: String,
    /// The target as the client sent it.
    #[prost(string, tag = "12")]
    pub request_uri: String,
    /// `http` or `https`.
    #[prost(string, tag = "13")]
    pub scheme: String,
    /// The body.
    #[prost(bytes = "vec", tag = "14")]
    #[serde(skip)]
    pub raw_body: Vec<u8>,
}

/// What the client is to be answered.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ReturnOverrides {
    /// The status; 0 = there is no such wish.
    #[prost(int32, tag = "1")]
    pub response_code: i32,
    /// An older name of the body.
    #[prost(string, tag = "2")]
    pub response_error: String,
    /// Header fields.
    #[prost(map = "string, string", tag = "3")]
    pub headers: HashMap<String, String>,
    /// The body is the answer as it stands.
    #[prost(bool, tag = "4")]
    pub override_error: bool,
    /// The body.
    #[prost(string, tag = "5")]
    pub response_body: String,
}

/// An answer.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ResponseObject {
    /// The status.
    #[prost(int32, tag = "1")]
    pub status_code: i32,
    /// The body.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(skip)]
    pub raw_body: Vec<u8>,
    /// The body as text.
    #[prost(string, tag = "3")]
    pub body: String,
    /// Header fields, the first value of each.
    #[prost(map = "string, string", tag = "4")]
    pub headers: HashMap<String, String>,
    /// Header fields with all their values.
    #[prost(message, repeated, tag = "5")]
    pub multivalue_headers: Vec<Header>,
}

/// A header field with all its values.
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its values.
    #[prost(string, repeated, tag = "2")]
    pub values: Vec<String>,
}

/// An event, as JSON.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// The event.
    #[prost(string, tag = "1")]
    pub payload: String,
}

/// Nothing.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct EventReply {}
