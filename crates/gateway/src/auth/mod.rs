//! Who is calling: the credential is found and checked by the API's security schemes (one a file), its session looked up
//! and merged with its policies, and what the session allows is checked.

mod addresses;
mod authenticate;
mod basic;
mod bound;
mod callers;
mod client_certificate;
mod credentials;
mod exchanged;
mod expiry;
mod external_oauth;
mod flights;
mod grant;
pub(crate) mod jwks;
pub(crate) mod jwt;
mod lifetime;
mod names;
mod oauth;
mod open_id;
mod passwords;
pub(crate) mod places;
mod rights;
pub(crate) mod signature;
mod signed_key;
mod strip;
mod token;
mod token_exchange;

pub(crate) use addresses::Addresses;
pub(crate) use authenticate::Authenticate;
pub(crate) use callers::Caller;
pub(crate) use callers::Callers;
pub(crate) use client_certificate::ClientCertificates;
pub(crate) use exchanged::Exchanges;
pub(crate) use expiry::Expiry;
pub(crate) use flights::Flights;
pub(crate) use grant::{Grant, QuotaGrant};
pub(crate) use lifetime::lifetime;
pub(crate) use names::{hash, store_name};
pub(crate) use passwords::Passwords;
pub(crate) use rights::{AccessRights, GranularAccess};
pub(crate) use strip::StripAuth;
pub(crate) use token::disallowed;
pub(crate) use token_exchange::TokenExchange;
