//! A port beside the gate's own, on which an API is served over HTTP (contract 2.1, `listen_port` and `protocol`).

use document::Fault;
use serde_json::Value;

use crate::pass_through::Keys;
use crate::section::Section;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnPort {
    /// Zero is the gate's own.
    pub port: u16,
    /// What is spoken there.
    pub protocol: OwnProtocol,
}

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnProtocol {
    /// The same as on the gate's own.
    AsGate,
    /// HTTP in clear.
    Http,
    /// HTTP over TLS.
    Https,
    /// HTTP in clear; clients may begin with HTTP/2, as they may wherever it is clear.
    H2c,
}

impl OwnProtocol {
    /// What `protocol` says; `None` where that is none of HTTP.
    pub(crate) fn of(written: &str) -> Option<Self> {
        Some(match written.to_ascii_lowercase().as_str() {
            "" => Self::AsGate,
            "http" => Self::Http,
            "https" => Self::Https,
            "h2c" => Self::H2c,
            _ => return None,
        })
    }

    /// The word for it; empty where nothing is said.
    pub fn word(self) -> &'static str {
        match self {
            Self::AsGate => "",
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
        }
    }
}

impl OwnPort {
    /// What a definition says of it; `None` where it says nothing, or is no API of HTTP.
    pub(crate) fn read(holder: &Section<'_>, keys: &Keys, faults: &mut Vec<Fault>) -> Option<Self> {
        // Values of another kind have been told already.
        let mut told = Vec::new();
        let protocol = OwnProtocol::of(holder.text(keys.protocol, &mut told))?;
        let port = holder.number(keys.port, &mut told);
        if !(0.0..=65535.0).contains(&port) || port.fract() != 0.0 {
            let text = format!("`{}` is a port, from 1 to 65535; 0 is that of the gate", keys.port);
            faults.push(Fault::error(holder.at(keys.port), text));
            return None;
        }
        let port = port as u16;
        (port != 0 || protocol == OwnProtocol::Https).then_some(Self { port, protocol })
    }

    /// What a projection says of it.
    pub(crate) fn write_classic(&self, definition: &mut Value) {
        definition["protocol"] = self.protocol.word().into();
        definition["listen_port"] = self.port.into();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn c3_2_row_23_ports_are_read_with_what_is_spoken_there() {
        let keys = Keys { protocol: "protocol", port: "port" };
        let own = |port, protocol| Some(OwnPort { port, protocol });
        for (written, expected, faults) in [
            (json!({}), None, 0),
            (json!({"protocol": "http"}), None, 0),
            (json!({"protocol": "h2c", "port": 0}), None, 0),
            (json!({"protocol": "HTTPS"}), own(0, OwnProtocol::Https), 0),
            (json!({"port": 9000}), own(9000, OwnProtocol::AsGate), 0),
            (json!({"port": 9000, "protocol": "http"}), own(9000, OwnProtocol::Http), 0),
            (json!({"port": 65535, "protocol": "h2c"}), own(65535, OwnProtocol::H2c), 0),
            (json!({"port": 9000, "protocol": "tcp"}), None, 0),
            (json!({"port": 65536}), None, 1),
            (json!({"port": -1}), None, 1),
            (json!({"port": 80.5}), None, 1),
        ] {
            let mut found = Vec::new();
            let root = Section::root(&written, &mut found);
            assert_eq!(
                (OwnPort::read(&root, &keys, &mut found), found.len()),
                (expected, faults),
                "{written}"
            );
        }
    }
}
