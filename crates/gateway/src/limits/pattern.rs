//! `meta_data.rate_limit_pattern` (contract 6.5): requests are counted together by what the pattern gives for them.

use std::borrow::Cow;

use apidef::Session;

use crate::context;
use crate::exchange::Exchange;
use crate::transform::{Text, Variable};

/// Longest name of a counter that a pattern may give; longer ones are cut by their hash.
const LONGEST: usize = 256;

/// A pattern with `$tyk_meta.NAME` and `$tyk_context.NAME` (contract 8.9).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Text);

impl Pattern {
    pub(crate) fn of(session: &Session) -> Option<Self> {
        let text = session.meta_data.get("rate_limit_pattern")?.as_str().filter(|text| !text.is_empty())?;
        Some(Self(Text::without_secrets(text)))
    }

    /// The name of the counter; `None` where nothing comes out.
    pub(crate) fn name(&self, exchange: &Exchange) -> Option<String> {
        let caller = exchange.caller.as_ref()?;
        let value = |variable: &Variable| {
            if variable.meta {
                let value = caller.session.meta_data.get(&*variable.name);
                return value.and_then(context::plain).map(Cow::into_owned);
            }
            context::value(exchange, &variable.name)
        };
        let name = self.0.render(&value).into_owned();
        if name.is_empty() {
            return None;
        }
        // What clients send must not make names without end.
        Some(if name.len() > LONGEST {
            apidef::keys::hash(&name, Some(apidef::keys::Algorithm::Sha256))
        } else {
            name
        })
    }
}
