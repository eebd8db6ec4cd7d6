//! The method with which the backend is asked (contract 4.4 row 37).

use apidef::AtPath;
use http::{Method, StatusCode};

use crate::exchange::Exchange;
use crate::respond::Refusal;
use crate::route::{Collector, PerPath};

/// The methods of single paths; `None` where requests cannot be made to what is asked for.
#[derive(Debug)]
pub(crate) struct Methods(PerPath<Option<Method>>);

impl Methods {
    pub(crate) fn new(methods: &[AtPath<Box<str>>], patterns: &Collector) -> Option<Self> {
        let paths = PerPath::of(patterns, methods, |one| method(&one.value));
        (!paths.is_empty()).then_some(Self(paths))
    }

    pub(crate) fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        match self.0.find(exchange) {
            None => Ok(()),
            Some(Some(method)) => {
                exchange.ahead.method = Some(method.clone());
                Ok(())
            }
            Some(None) => Err(Refusal::client(StatusCode::METHOD_NOT_ALLOWED, "IHD", "Method not allowed")),
        }
    }
}

/// The methods that the original sends.
fn method(name: &str) -> Option<Method> {
    Some(match name {
        "GET" => Method::GET,
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        "DELETE" => Method::DELETE,
        "OPTIONS" => Method::OPTIONS,
        "PATCH" => Method::PATCH,
        _ => return None,
    })
}
