//! Connections for clients: the egress policy is asked at connect time ([`dial`]), proxies and TLS come on top
//! ([`connect`], [`tls`]).

#[cfg(feature = "net")]
pub(crate) mod connect;
#[cfg(feature = "net")]
pub(crate) mod dial;
#[cfg(feature = "net")]
pub(crate) mod proxy;
pub(crate) mod tls;
