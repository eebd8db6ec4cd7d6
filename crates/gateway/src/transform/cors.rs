//! Cross-origin requests (contract 4.4 row 4, 8.7; the Fetch standard, section 3.2): browsers are told which pages may
//! call the API, and their questions are answered here.

use apidef::Cors;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};

use crate::body::Body;
use crate::exchange::Exchange;

/// What answers to questions depend on.
const ASKED: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
const BY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
/// Fields that only the gate sets where it has rules: what an upstream says of them would contradict.
const OURS: [HeaderName; 3] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
];

/// The rules of one API.
#[derive(Debug)]
pub(crate) struct CrossOrigin {
    origins: Origins,
    methods: Box<[Box<str>]>,
    /// `None`: any field may be sent.
    headers: Option<Box<[Box<str>]>>,
    exposed: Option<HeaderValue>,
    credentials: bool,
    max_age: Option<HeaderValue>,
    passthrough: bool,
}

#[derive(Debug)]
enum Origins {
    All,
    Some(Box<[Origin]>),
}

/// An origin, or what origins begin and end with.
#[derive(Debug)]
struct Origin {
    before: Box<str>,
    /// `None` where there is no `*`.
    behind: Option<Box<str>>,
}

impl Origin {
    fn new(written: &str) -> Self {
        match written.split_once('*') {
            Some((before, behind)) => Self { before: before.into(), behind: Some(behind.into()) },
            None => Self { before: written.into(), behind: None },
        }
    }

    fn is(&self, origin: &str) -> bool {
        match &self.behind {
            None => *self.before == *origin,
            Some(behind) => {
                origin.len() >= self.before.len() + behind.len()
                    && origin.starts_with(&*self.before)
                    && origin.ends_with(&**behind)
            }
        }
    }
}

impl CrossOrigin {
    pub(crate) fn new(cors: &Cors) -> Result<Self, String> {
        let origins = if cors.origins.iter().any(|origin| &**origin == "*") {
            Origins::All
        } else {
            Origins::Some(cors.origins.iter().map(|origin| Origin::new(origin)).collect())
        };
        let exposed = cors.exposed.join(", ");
        Ok(Self {
            origins,
            methods: cors.methods.clone(),
            headers: (!cors.headers.iter().any(|field| &**field == "*")).then(|| cors.headers.clone()),
            exposed: if exposed.is_empty() {
                None
            } else {
                let wrong =
                    |_| format!("the fields `{exposed}` that pages may read cannot be sent in a header");
                Some(HeaderValue::try_from(&*exposed).map_err(wrong)?)
            },
            credentials: cors.credentials,
            max_age: (cors.max_age > 0).then(|| cors.max_age.into()),
            passthrough: cors.passthrough,
        })
    }

    /// Whether the request goes to the upstream, past every guard.
    pub(crate) fn passes_by(&self, exchange: &Exchange) -> bool {
        self.passthrough && exchange.head.method == Method::OPTIONS
    }

    /// Whether a browser asks whether it may send a request.
    pub(crate) fn is_asked(&self, exchange: &Exchange) -> bool {
        let wanted = exchange.head.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD);
        exchange.head.method == Method::OPTIONS && wanted.is_some_and(|wanted| !wanted.is_empty())
    }

    /// The answer, where a browser asks whether it may send a request.
    pub(crate) fn answer(&self, exchange: &Exchange) -> Option<Response<Body>> {
        let fields = self.verdict(&exchange.head.method, &exchange.head.headers)?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        *response.headers_mut() = fields;
        Some(response)
    }

    /// What a browser that asks is told; nothing beyond `Vary` where it may not. `None` where nobody asks.
    fn verdict(&self, method: &Method, asked: &HeaderMap) -> Option<HeaderMap> {
        let wanted = asked.get(header::ACCESS_CONTROL_REQUEST_METHOD).filter(|wanted| !wanted.is_empty())?;
        if *method != Method::OPTIONS {
            return None;
        }
        let mut fields = HeaderMap::new();
        fields.insert(header::VARY, ASKED);
        let named = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let Some(origin) = asked.get(header::ORIGIN) else { return Some(fields) };
        if !self.allows(origin) || !self.takes(wanted) || !self.may_send(named) {
            return Some(fields);
        }
        self.admit(origin, &mut fields);
        fields.insert(header::ACCESS_CONTROL_ALLOW_METHODS, wanted.clone());
        if let Some(named) = named.filter(|named| !named.is_empty()) {
            fields.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, named.clone());
        }
        if let Some(age) = &self.max_age {
            fields.insert(header::ACCESS_CONTROL_MAX_AGE, age.clone());
        }
        Some(fields)
    }

    /// Lets the page that asked read the answer, whatever it is, and no other page.
    pub(crate) fn finish(&self, exchange: &Exchange, fields: &mut HeaderMap) {
        self.tell(&exchange.head.method, &exchange.head.headers, fields);
    }

    fn tell(&self, method: &Method, asked: &HeaderMap, fields: &mut HeaderMap) {
        if *method == Method::OPTIONS && asked.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            // It was answered as a question: here, or by the upstream, of whose answer the rules are no matter.
            if let Some(verdict) = self.verdict(method, asked).filter(|_| self.passthrough) {
                fields.extend(verdict);
            }
            return;
        }
        for name in OURS {
            fields.remove(name);
        }
        fields.append(header::VARY, BY_ORIGIN);
        let Some(origin) = asked.get(header::ORIGIN) else { return };
        if self.allows(origin) && self.takes_method(method.as_str()) {
            self.admit(origin, fields);
            if let Some(exposed) = &self.exposed {
                fields.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
            }
        }
    }

    fn admit(&self, origin: &HeaderValue, fields: &mut HeaderMap) {
        let origin = match self.origins {
            Origins::All => HeaderValue::from_static("*"),
            Origins::Some(_) => origin.clone(),
        };
        fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            fields.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        let Origins::Some(origins) = &self.origins else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        let origin = origin.to_ascii_lowercase();
        origins.iter().any(|allowed| allowed.is(&origin))
    }

    fn takes(&self, wanted: &HeaderValue) -> bool {
        wanted.to_str().is_ok_and(|wanted| self.takes_method(wanted))
    }

    fn takes_method(&self, wanted: &str) -> bool {
        wanted.eq_ignore_ascii_case("OPTIONS")
            || self.methods.iter().any(|method| method.eq_ignore_ascii_case(wanted))
    }

    /// Whether a page may send these fields; every page may send `Origin`.
    fn may_send(&self, named: Option<&HeaderValue>) -> bool {
        let (Some(headers), Some(named)) = (&self.headers, named) else { return true };
        let Ok(named) = named.to_str() else { return false };
        let known = |name: &str| {
            name.is_empty()
                || name.eq_ignore_ascii_case("origin")
                || headers.iter().any(|header| header.eq_ignore_ascii_case(name))
        };
        named.split(',').all(|name| known(name.trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(more: impl FnOnce(&mut Cors)) -> CrossOrigin {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).into()).collect();
        let mut cors = Cors {
            origins: list(&["https://a.example", "https://*.b.example"]),
            methods: list(&["GET", "PUT"]),
            headers: list(&["content-type", "x-team"]),
            exposed: Box::default(),
            credentials: false,
            max_age: 0,
            passthrough: false,
        };
        more(&mut cors);
        CrossOrigin::new(&cors).unwrap()
    }

    fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn c8_7_row_1_questions_are_answered_by_the_rules() {
        let rules = rules(|cors| cors.max_age = 600);
        for (origin, method, named, allowed) in [
            ("https://a.example", "GET", "", true),
            ("https://A.example", "put", "X-Team, content-type", true),
            ("https://x.b.example", "OPTIONS", "Origin", true),
            ("https://.b.example", "GET", "", true),
            ("https://b.example", "GET", "", false),
            ("https://x.b.example.evil", "GET", "", false),
            ("https://a.example.evil", "GET", "", false),
            ("http://a.example", "GET", "", false),
            ("null", "GET", "", false),
            ("https://a.example", "DELETE", "", false),
            ("https://a.example", "GET", "x-other", false),
            ("https://a.example", "GET", "x-team x-other", false),
        ] {
            let mut asked = fields(&[("origin", origin), ("access-control-request-method", method)]);
            if !named.is_empty() {
                asked.insert("access-control-request-headers", HeaderValue::from_static(named));
            }
            let told = rules.verdict(&Method::OPTIONS, &asked).unwrap();
            assert_eq!(told[header::VARY], ASKED);
            let of = |name: &str| told.get(name).map(|value| value.to_str().unwrap());
            let expected = allowed.then_some(origin);
            assert_eq!(of("access-control-allow-origin"), expected, "{origin} {method} {named}");
            assert_eq!(of("access-control-allow-methods"), allowed.then_some(method));
            assert_eq!(of("access-control-max-age"), allowed.then_some("600"));
            let echoed = Some(named).filter(|named| allowed && !named.is_empty());
            assert_eq!(of("access-control-allow-headers"), echoed);
            assert_eq!(of("access-control-allow-credentials"), None);
        }
        // No question: another method, or nothing that is asked for.
        let asked = fields(&[("origin", "https://a.example"), ("access-control-request-method", "GET")]);
        assert!(rules.verdict(&Method::GET, &asked).is_none());
        assert!(rules.verdict(&Method::OPTIONS, &fields(&[("origin", "https://a.example")])).is_none());
    }

    #[test]
    fn answers_are_for_the_page_that_asked() {
        let closed = rules(|cors| {
            cors.credentials = true;
            cors.exposed = Box::new(["x-a".into(), "x-b".into()]);
        });
        let open = rules(|cors| cors.origins = Box::new(["https://a.example".into(), "*".into()]));
        let whole = &["https://a.example", "true", "x-a, x-b"][..];
        for (rules, method, origin, expected) in [
            (&closed, "GET", Some("https://a.example"), whole),
            (&closed, "POST", Some("https://a.example"), &[]),
            (&closed, "GET", Some("https://evil.example"), &[]),
            (&closed, "GET", None, &[]),
            (&open, "GET", Some("https://evil.example"), &["*"]),
        ] {
            let asked = origin.map_or_else(HeaderMap::new, |origin| fields(&[("origin", origin)]));
            // What the upstream says of it does not count.
            let mut answer = fields(&[
                ("access-control-allow-origin", "https://evil.example"),
                ("access-control-allow-credentials", "true"),
                ("vary", "Accept"),
            ]);
            rules.tell(&method.parse().unwrap(), &asked, &mut answer);
            let told: Vec<&str> = [
                "access-control-allow-origin",
                "access-control-allow-credentials",
                "access-control-expose-headers",
            ]
            .iter()
            .flat_map(|name| answer.get_all(*name))
            .map(|value| value.to_str().unwrap())
            .collect();
            assert_eq!(told, expected, "{method} {origin:?}");
            assert_eq!(answer.get_all("vary").iter().count(), 2);
        }
    }
}
