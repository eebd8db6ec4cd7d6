//! Ids of callers, so that a plugin which says who is calling is not asked of each request (contract 5.8, 9.3).

mod kept;
pub(crate) mod xml;
pub(crate) mod xpath;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use apidef::{IdExtractor, IdRule, IdSource};
use document::Fault;
use http::header::CONTENT_TYPE;
use md5::{Digest as _, Md5};
use regex::Regex;

use crate::exchange::Exchange;
use crate::hex::hex;
use crate::query;
use crate::respond::Refusal;

pub(crate) use kept::{Identities, Identity};
use xml::Document;
use xpath::XPath;

/// Finds the ids of the callers of one API.
#[derive(Debug)]
pub(super) struct Extractor {
    from: IdSource,
    with: Rule,
    org: Box<str>,
    /// Nothing else has it: what an earlier plugin of the API has let in is not let in by this one.
    number: u64,
}

#[derive(Debug)]
enum Rule {
    Value,
    Regex(Regex, usize),
    XPath(XPath),
}

impl Extractor {
    /// # Errors
    /// The expression cannot be used; with its place.
    pub(super) fn compile(model: &IdExtractor, org: &str) -> Result<Self, Vec<Fault>> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let fault = |what: &str, why: String| vec![Fault::error(&*model.pointer, format!("{what}: {why}"))];
        let with = match &model.with {
            IdRule::Value => Rule::Value,
            IdRule::Regex(text, index) => {
                let regex = apidef::pattern(text);
                Rule::Regex(regex.map_err(|why| fault("this is no regular expression", why))?, *index)
            }
            IdRule::XPath(text) => {
                Rule::XPath(XPath::read(text).map_err(|why| fault("this XPath cannot be used", why))?)
            }
        };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Self { from: model.from.clone(), with, org: org.into(), number })
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// What the session of this caller is called: the organisation, and the digest of the id. `None` where a request has no
    /// id; then the plugin has to say what becomes of it.
    pub(super) async fn session_id(&self, exchange: &mut Exchange) -> Result<Option<String>, Refusal> {
        let body = match self.from {
            IdSource::Form(_) | IdSource::Body if !exchange.streams() => Some(exchange.whole_body().await?),
            _ => None,
        };
        let head = &exchange.head;
        let field = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let text: Option<Cow<'_, str>> = match &self.from {
            IdSource::Header(name) => field(name).map(Cow::Borrowed),
            IdSource::Query(name) => head.uri.query().and_then(|query| query::value(query, name)),
            IdSource::Form(name) => {
                let kind = field(CONTENT_TYPE.as_str()).unwrap_or_default();
                let is_form = kind.starts_with("application/x-www-form-urlencoded");
                let form = body.as_deref().filter(|_| is_form).and_then(|body| str::from_utf8(body).ok());
                form.and_then(|form| query::value(form, name))
            }
            IdSource::Body => body.as_deref().map(String::from_utf8_lossy),
        };
        let id = text.and_then(|text| self.with.id(&text));
        Ok(id
            .filter(|id| !id.is_empty())
            .map(|id| format!("{}{}", self.org, hex(&Md5::digest(id.as_bytes())))))
    }
}

impl Rule {
    fn id(&self, text: &str) -> Option<String> {
        match self {
            Self::Value => Some(text.to_owned()),
            Self::Regex(regex, index) => {
                regex.find_iter(text).nth(*index).map(|found| found.as_str().to_owned())
            }
            Self::XPath(path) => path.find(&Document::read(text)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c9_3_row_6_ids_are_whole_texts_matches_or_what_xpath_finds() {
        let rule = |with: IdRule| {
            let model = IdExtractor { from: IdSource::Body, with, pointer: "/x".into() };
            Extractor::compile(&model, "org").unwrap().with
        };
        let regex = |index| rule(IdRule::Regex("[a-z]+".into(), index));
        let xpath = || rule(IdRule::XPath("/a/@id".into()));
        for (rule, text, expected) in [
            (rule(IdRule::Value), "Bearer abc", Some("Bearer abc")),
            (regex(0), "x1 yz", Some("x")),
            (regex(1), "x1 yz", Some("yz")),
            (regex(2), "x1 yz", None),
            (xpath(), "<a id='7'/>", Some("7")),
            (xpath(), "<a/>", None),
            (xpath(), "no document", None),
        ] {
            assert_eq!(rule.id(text).as_deref(), expected, "{rule:?} {text}");
        }
        let wrong = IdRule::XPath("//a/..".into());
        let model = IdExtractor { from: IdSource::Body, with: wrong, pointer: "/x".into() };
        let faults = Extractor::compile(&model, "org").unwrap_err();
        assert!(faults[0].pointer == "/x" && faults[0].message.contains("column 5"), "{faults:?}");
    }
}
