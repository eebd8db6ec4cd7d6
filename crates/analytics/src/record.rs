//! One exchange, after it ended.

use std::{
    borrow::Cow,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{Graph, Mcp};

/// What is known of one exchange when it has ended (the fields of contract 11.1, in this project's words), or of the
/// messages of one subscriber in one interval.
///
/// What all exchanges of one API share is `Arc<str>`, so that filling a record copies a reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When the exchange began.
    pub started: SystemTime,
    /// The API's id.
    pub api_id: Arc<str>,
    /// Its name.
    pub api_name: Arc<str>,
    /// Its organisation.
    pub org_id: Arc<str>,
    /// Its version; empty when it has none.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub api_version: Arc<str>,
    /// The caller's hashed key (or the key itself, where keys are not hashed); `None` for a keyless exchange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Arc<str>>,
    /// The name that the key's owner gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Arc<str>>,
    /// OAuth client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth_id: Option<Arc<str>>,
    /// Request method.
    pub method: Cow<'static, str>,
    /// Host of the upstream; that which was asked for where there is none.
    pub host: Box<str>,
    /// Path behind the listen path, or the pattern that it is tracked as.
    pub path: Box<str>,
    /// Whether `path` is a pattern that requests are counted by.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tracked: bool,
    /// Path as it came; `None` when it is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_path: Option<Box<str>>,
    /// Status of the answer; 0 when none was sent.
    pub status: u16,
    /// Why the gate refused or failed the exchange; `None` when the backend answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Cow<'static, str>>,
    /// From the first byte of the request to the last of the answer.
    pub total: Duration,
    /// The part of it that the backend took.
    pub upstream: Duration,
    /// Body bytes from the client.
    pub bytes_in: u64,
    /// Body bytes to the client.
    pub bytes_out: u64,
    /// Messages delivered or accepted, for streams.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub messages: u64,
    /// The client's address, after trusted proxies were believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<IpAddr>,
    /// As the client said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Box<str>>,
    /// Tags of API, session and policies.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub tags: Arc<[Arc<str>]>,
    /// When it is to be forgotten; `None` = with the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<SystemTime>,
    /// The request as it came over the wire, in Base64; `None` where that is not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_request: Option<Box<str>>,
    /// The same of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_response: Option<Box<str>>,
    /// The trace it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<Box<str>>,
    /// What was asked in GraphQL, where the API speaks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<Box<Graph>>,
    /// What was called, where the API speaks MCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp: Option<Box<Mcp>>,
    /// Of an API that is connections: those of a moment, which this record tells of together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
}

/// Connections of a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// That began.
    pub opened: u64,
    /// That ended.
    pub closed: u64,
    /// Of those that ended, the ones that were not let through.
    pub refused: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Record {
    /// An exchange of `api` that began at `started`, with nothing known of it yet.
    pub fn new(started: SystemTime, api_id: Arc<str>, api_name: Arc<str>, org_id: Arc<str>) -> Record {
        Record {
            started,
            api_id,
            api_name,
            org_id,
            api_version: Arc::default(),
            key: None,
            alias: None,
            oauth_id: None,
            method: Cow::Borrowed("GET"),
            host: Box::default(),
            path: Box::default(),
            tracked: false,
            raw_path: None,
            status: 0,
            refusal: None,
            total: Duration::ZERO,
            upstream: Duration::ZERO,
            bytes_in: 0,
            bytes_out: 0,
            messages: 0,
            client_ip: None,
            user_agent: None,
            tags: Arc::default(),
            expires: None,
            raw_request: None,
            raw_response: None,
            trace_id: None,
            graph: None,
            network: None,
            mcp: None,
        }
    }

    /// Whether the exchange failed: no answer, or a status of 400 and above.
    pub fn failed(&self) -> bool {
        match self.network {
            Some(network) => network.refused > 0,
            None => self.status == 0 || self.status >= 400,
        }
    }

    /// Whether it is to be forgotten by `now`.
    pub(crate) fn is_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Unix seconds of the beginning.
    pub(crate) fn at(&self) -> u64 {
        self.started.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs())
    }
}
