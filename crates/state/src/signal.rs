//! Messages between nodes (contract 13.1): what they say, how they are signed.

use serde::{Deserialize, Serialize};

use crate::trust::{OF_NODES, Signed, Trust};

/// The channel that every node listens to.
pub(crate) const CHANNEL: &str = "tyk.cluster.notifications";

/// A message larger than this is not one of ours.
const MAX_MESSAGE: usize = 1 << 20;

/// Something that all nodes should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Definitions or policies changed: load the catalog again.
    Reload,
    /// The catalog was written at this node, at what has this id: the others load theirs again. A node hears its own as this and
    /// those of others as [`Signal::Reload`], so that nobody loads twice what it has just written.
    Written(Written, String),
    /// These sessions changed: forget cached copies. Names as they were given, raw or hashed.
    KeysChanged(Vec<String>),
    /// The cached responses of this API are to be dropped.
    CacheDropped(String),
    /// The certificate of this id was added or removed: forget what was read of it.
    CertificateChanged(String),
    /// Access tokens that have ended are to be taken off the lists of their clients.
    TokensLapsed,
    /// The connection to the others was lost for a while, so that signals may be missing: forget every cached session
    /// and look at the catalog. Never sent over the wire.
    Missed,
    /// Any other command, untouched.
    Other {
        /// For example `InvalidateJWKSCacheForAPI`.
        command: String,
        /// Its argument.
        payload: String,
    },
}

/// What was written to a catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// A definition that there was not before.
    ApiAdded,
    /// Another text of a definition.
    ApiUpdated,
    /// A definition was removed.
    ApiRemoved,
    /// A policy was added, replaced or removed.
    PolicyChanged,
}

impl Written {
    fn command(self) -> &'static str {
        match self {
            Written::ApiAdded => "ApiAdded",
            Written::ApiUpdated => "ApiUpdated",
            Written::ApiRemoved => "ApiRemoved",
            Written::PolicyChanged => "PolicyChanged",
        }
    }

    fn of(command: &str) -> Option<Written> {
        let all = [Written::ApiAdded, Written::ApiUpdated, Written::ApiRemoved, Written::PolicyChanged];
        all.into_iter().find(|written| written.command() == command)
    }
}

#[derive(Serialize, Deserialize)]
struct Wire {
    command: String,
    #[serde(default)]
    payload: String,
    #[serde(default)]
    signature: String,
    #[serde(default)]
    algorithm: i64,
}

impl Signal {
    /// `node`: who sends it. The payloads of what was written mean nothing to others, so that they may name it.
    fn parts(&self, node: u64) -> Option<(&str, String)> {
        Some(match self {
            Signal::Reload => ("GroupReload", String::new()),
            Signal::Written(written, id) => (written.command(), format!("{id}@{node:x}")),
            Signal::KeysChanged(names) => ("KeySpaceUpdateNotification", names.join(",")),
            Signal::CacheDropped(api) => ("DeleteAPICache", api.clone()),
            Signal::CertificateChanged(id) => ("CertificateAdded", id.clone()),
            Signal::TokensLapsed => ("OAuthPurgeLapsedTokens", String::new()),
            Signal::Other { command, payload } => (command, payload.clone()),
            Signal::Missed => return None,
        })
    }

    fn from_parts(command: String, payload: String, node: u64) -> Signal {
        if let Some(written) = Written::of(&command)
            && let Some((id, by)) = payload.rsplit_once('@')
            && by == format!("{node:x}")
        {
            return Signal::Written(written, id.to_owned());
        }
        match command.as_str() {
            "ApiUpdated" | "ApiRemoved" | "ApiAdded" | "PolicyChanged" | "GroupReload" => Signal::Reload,
            "KeySpaceUpdateNotification" => Signal::KeysChanged(key_names(&payload)),
            "CertificateAdded" | "CertificateRemoved" => Signal::CertificateChanged(payload),
            "DeleteAPICache" => Signal::CacheDropped(payload),
            "OAuthPurgeLapsedTokens" => Signal::TokensLapsed,
            _ => Signal::Other { command, payload },
        }
    }

    /// The signed message of a node; `None` for what stays inside it.
    pub(crate) fn encode(&self, trust: &Trust, node: u64) -> Option<String> {
        let (command, payload) = self.parts(node)?;
        let signature = trust.sign(command, &payload);
        let wire = Wire { command: command.to_owned(), payload, signature, algorithm: OF_NODES };
        serde_json::to_string(&wire).ok()
    }

    /// Reads a message, if who signed it is believed. `node`: who reads it.
    pub(crate) fn decode(message: &[u8], trust: &Trust, node: u64) -> Result<Signal, &'static str> {
        if message.len() > MAX_MESSAGE {
            return Err("message is too large");
        }
        let wire: Wire = serde_json::from_slice(message).map_err(|_| "message is not a notification")?;
        trust.judge(&Signed {
            command: &wire.command,
            payload: &wire.payload,
            signature: &wire.signature,
            algorithm: wire.algorithm,
        })?;
        Ok(Signal::from_parts(wire.command, wire.payload, node))
    }
}

/// `name[:hashed…]`, comma separated. Neither hashes nor generated keys contain a colon or a comma.
fn key_names(payload: &str) -> Vec<String> {
    let names = payload.split(',').map(|entry| entry.split(':').next().unwrap_or_default().trim());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: u64 = 0xa1;

    fn nodes(secret: &str) -> Trust {
        Trust { secret: secret.into(), ..Trust::default() }
    }

    #[test]
    fn a_known_signature() {
        // printf '%s' GroupReloadsecret | sha256sum
        let message = Signal::Reload.encode(&nodes("secret"), ONE).unwrap();
        let value: serde_json::Value = serde_json::from_str(&message).unwrap();
        assert_eq!(value["signature"], "80ba4884c9e2400ec350d5b8663b70ffb0865d49be152aad9c73cf600ab9340b");
        assert_eq!(value["algorithm"], 5);
    }

    #[test]
    fn what_is_sent_is_what_arrives() {
        let signals = [
            Signal::Reload,
            Signal::Written(Written::ApiAdded, "a@b".into()),
            Signal::Written(Written::PolicyChanged, "gold".into()),
            Signal::KeysChanged(vec!["a".into(), "b".into()]),
            Signal::CacheDropped("api".into()),
            Signal::CertificateChanged("org1".into()),
            Signal::TokensLapsed,
            Signal::Other { command: "UserKeyReset".into(), payload: "old.new:x".into() },
        ];
        for signal in signals {
            let message = signal.encode(&nodes("s"), ONE).unwrap();
            assert_eq!(Signal::decode(message.as_bytes(), &nodes("s"), ONE), Ok(signal));
        }
        assert_eq!(Signal::Missed.encode(&nodes("s"), ONE), None);
    }

    #[test]
    fn what_a_node_wrote_is_a_reload_to_all_others() {
        for written in [Written::ApiAdded, Written::ApiUpdated, Written::ApiRemoved, Written::PolicyChanged] {
            let message = Signal::Written(written, "a".into()).encode(&nodes("s"), ONE).unwrap();
            for (node, expected) in [(ONE, Signal::Written(written, "a".into())), (0xa, Signal::Reload)] {
                assert_eq!(Signal::decode(message.as_bytes(), &nodes("s"), node), Ok(expected));
            }
        }
        // As others write them.
        for payload in ["", "a", "a@", "@"] {
            let read = Signal::from_parts("ApiUpdated".into(), payload.into(), ONE);
            assert_eq!(read, Signal::Reload, "{payload}");
        }
    }

    #[test]
    fn foreign_messages() {
        let signed = Signal::KeysChanged(vec!["k".into()]).encode(&nodes("right"), ONE).unwrap();
        let changed = signed.replace("\"k\"", "\"x\"");
        let unsigned = r#"{"command":"ApiUpdated"}"#;
        let rsa = signed.replace("\"algorithm\":5", "\"algorithm\":1");
        // message, unsigned allowed, accepted
        for (message, insecure, accepted) in [
            (signed.as_str(), false, true),
            (changed.as_str(), false, false),
            (changed.as_str(), true, true),
            (unsigned, false, false),
            (unsigned, true, true),
            (rsa.as_str(), false, false),
            ("", true, false),
            ("[]", true, false),
        ] {
            let trust = Trust { unsigned_allowed: insecure, ..nodes("right") };
            let read = Signal::decode(message.as_bytes(), &trust, ONE);
            assert_eq!(read.is_ok(), accepted, "{message} {read:?}");
        }
        assert!(Signal::decode(signed.as_bytes(), &nodes("wrong"), ONE).is_err());
        let all = Trust { unsigned_allowed: true, ..Trust::default() };
        assert!(Signal::decode(&vec![b' '; MAX_MESSAGE + 1], &all, ONE).is_err());
    }

    #[test]
    fn c13_1_row_3_key_lists() {
        for (payload, names) in
            [("", vec![]), ("a", vec!["a"]), ("a:hashed, b:hashed:resetQuota,,c", vec!["a", "b", "c"])]
        {
            assert_eq!(key_names(payload), names, "{payload}");
        }
    }
}
