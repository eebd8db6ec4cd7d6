//! Who is calling: the token is found, its session looked up and merged with its policies, and what the session allows
//! is checked.

mod callers;
mod expiry;
mod grant;
mod rights;
mod strip;
mod token;

pub(crate) use callers::Callers;
pub(crate) use callers::{Caller, store_name};
pub(crate) use expiry::Expiry;
pub(crate) use grant::Grant;
pub(crate) use rights::{AccessRights, GranularAccess};
pub(crate) use strip::StripAuth;
pub(crate) use token::Token;
