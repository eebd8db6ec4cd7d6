//! Header fields of requests to the upstream of a graph (contract 2.7, `proxy`).

use document::Fault;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::exchange::Exchange;
use crate::transform::{Secrets, Text, Variable, value_of};

#[derive(Debug, Default)]
pub(super) struct Forwarding {
    set: Box<[(HeaderName, Text)]>,
    immutable: bool,
    rewrites: Box<[(HeaderName, HeaderValue, bool)]>,
}

impl Forwarding {
    pub(super) fn compile(
        model: &apidef::Forwarding,
        at: &str,
        secrets: &Secrets,
        see: &mut dyn FnMut(&Variable),
    ) -> Result<Self, Fault> {
        let fault = |name: &str, why: &str| Fault::error(at, format!("the header `{name}` {why}"));
        let named =
            |name: &str| HeaderName::try_from(name).map_err(|_| fault(name, "has no name that can be sent"));
        let mut set = Vec::with_capacity(model.set.len());
        for (name, text) in &model.set {
            let text = Text::new(text, secrets).map_err(|why| fault(name, &why))?;
            text.variables().for_each(&mut *see);
            set.push((named(name)?, text));
        }
        let mut rewrites = Vec::with_capacity(model.rewrites.len());
        for one in &model.rewrites {
            let value = HeaderValue::try_from(&*one.value)
                .map_err(|_| fault(&one.name, "has a value that cannot be sent"))?;
            rewrites.push((named(&one.name)?, value, one.remove));
        }
        Ok(Self { set: set.into(), immutable: model.immutable, rewrites: rewrites.into() })
    }

    /// Changes the fields of a request. What is set wins over the client's and over rewrites where it is immutable; else
    /// rewrites have the last word.
    pub(super) fn apply(&self, exchange: &mut Exchange) {
        if self.set.is_empty() && self.rewrites.is_empty() {
            return;
        }
        let set: Vec<(HeaderName, HeaderValue)> = self
            .set
            .iter()
            .filter_map(|(name, text)| {
                let text = text.render(&|variable| value_of(variable, exchange));
                // A value that a request makes unsendable is not sent.
                Some((name.clone(), HeaderValue::try_from(&*text).ok()?))
            })
            .collect();
        let headers = &mut exchange.head.headers;
        if self.immutable {
            self.rewrite(headers);
            insert(set, headers);
        } else {
            insert(set, headers);
            self.rewrite(headers);
        }
    }

    fn rewrite(&self, headers: &mut HeaderMap) {
        for (name, value, remove) in &self.rewrites {
            if *remove {
                headers.remove(name);
            } else {
                headers.insert(name.clone(), value.clone());
            }
        }
    }
}

fn insert(set: Vec<(HeaderName, HeaderValue)>, headers: &mut HeaderMap) {
    for (name, value) in set {
        headers.insert(name, value);
    }
}
