//! Certificates that are not files of the configuration: stored by the admin API, and named by definitions and keys
//! (contract 12).

mod certificate;
mod describe;
mod files;
mod read;
mod sealed;
mod store;
mod tls;

#[cfg(test)]
pub(crate) use certificate::rsa;
pub(crate) use certificate::{Certificate, fingerprint};
pub(crate) use describe::{details, summary};
pub(crate) use sealed::{open_text as open_key, seal_text as seal_key};
pub(crate) use store::{AddError, CertificateStore, RemoveError};
