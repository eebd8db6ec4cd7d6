//! A page where people try queries (contract 10, "Playground"): one file of ours, nothing from elsewhere.

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Response};

use crate::body::Body;
use crate::exchange::Exchange;

const PAGE: &str = include_str!("playground.html");
const SCRIPT: &str = include_str!("playground.js");
const SCRIPT_NAME: &str = "/playground.js";
const POLICY: HeaderName = header::CONTENT_SECURITY_POLICY;

/// Where the page is, below the listen path.
#[derive(Debug)]
pub(crate) struct Playground {
    path: Box<str>,
}

impl Playground {
    pub(crate) fn new(path: &str) -> Self {
        Self { path: path.trim_end_matches('/').into() }
    }

    /// Answers whoever asks for the page or its script, and nobody else.
    pub(crate) fn answer(&self, exchange: &Exchange) -> Option<Response<Body>> {
        if exchange.head.method != Method::GET || exchange.head.headers.contains_key(header::UPGRADE) {
            return None;
        }
        let path = exchange.path_in_api();
        let below = path.strip_prefix(&*self.path)?;
        let (text, kind) = match below {
            "" | "/" => {
                // The script finds the API from where it stands.
                let whole = exchange.head.uri.path().trim_end_matches('/');
                (page(whole, whole.strip_suffix(&*self.path).unwrap_or_default()), "text/html; charset=utf-8")
            }
            SCRIPT_NAME => (SCRIPT.to_owned(), "text/javascript; charset=utf-8"),
            _ => return None,
        };
        let mut response = Response::new(Body::full(text));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(POLICY, HeaderValue::from_static("default-src 'self'; style-src 'unsafe-inline'"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Some(response)
    }
}

fn page(whole: &str, api: &str) -> String {
    let script = escape(&format!("{whole}{SCRIPT_NAME}"));
    PAGE.replace("{{script}}", &script).replace("{{api}}", &escape(&format!("{api}/")))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}
