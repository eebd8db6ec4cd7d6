//! What connectors share on their way out: TLS ([`tls`]).

pub(crate) mod tls;
