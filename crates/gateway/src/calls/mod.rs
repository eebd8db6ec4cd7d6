//! Calls of MCP (contract 3.2, 4.4 rows 2 and 23, 4.5): what a request asks for stands in its body. It is read once, before
//! anything else is asked; from then on the call has a place among the paths of its API, and whatever a path may have.

mod answers;
mod reader;
mod rights;

use std::sync::Arc;

use apidef::CallKind;
use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use mcp::{Call, Rights, Sight};

pub(crate) use self::answers::cut;
pub(crate) use self::reader::{Reader, without_calls};
pub(crate) use self::rights::CallRights;
use crate::route::{Numbers, Patterns};

/// What is known of a request to an API that speaks MCP.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// What is called; `None` for who listens to the server, or answers it.
    pub(crate) call: Option<Call>,
    /// What the API says of the method …
    pub(crate) of_method: Numbers,
    /// … and of what it is called for.
    pub(crate) of_primitive: Numbers,
    /// The fields that its client sent, where it has to be told what guards have put there. What is left of one that a guard has
    /// taken something out of is the client's, too ([`Asked::is_left`]).
    sent: Option<HeaderMap>,
    /// What may be told in answers.
    sight: Sight,
}

impl Asked {
    /// A call, and what its API says of it.
    fn of(call: Call, patterns: &Patterns) -> Self {
        let of_method = patterns.of_call(CallKind::Method, &call.method);
        let of_primitive = match &call.primitive {
            Some((kind, name)) => patterns.of_call(*kind, name),
            None => Numbers::new(),
        };
        Self { call: Some(call), of_method, of_primitive, sent: None, sight: Sight::default() }
    }

    /// Whether a field is the very one that the client sent; a guard may have put one there that says the same. Where that need not
    /// be known, all are.
    pub(crate) fn is_sent(&self, name: &HeaderName, value: &HeaderValue) -> bool {
        let Some(sent) = &self.sent else { return true };
        // Copies of a field share its bytes.
        sent.get_all(name).iter().any(|sent| std::ptr::eq(sent.as_bytes(), value.as_bytes()))
    }

    /// Takes note of what is left of a field that the client sent.
    pub(crate) fn is_left(&mut self, name: &HeaderName, value: &HeaderValue) {
        if let Some(sent) = &mut self.sent {
            sent.append(name.clone(), value.clone());
        }
    }

    /// The id of what is refused, as JSON; `None` where no call is.
    pub(crate) fn id(&self) -> Option<&str> {
        self.call.as_ref().map(|call| &*call.id)
    }

    /// What a record says of the call; `flag` is why it was refused.
    pub(crate) fn told(&self, status: u16, flag: &str) -> Option<analytics::Mcp> {
        let call = self.call.as_ref()?;
        let error = (!flag.is_empty()).then(|| mcp::code(status, flag));
        let (kind, name) = match &call.primitive {
            Some((kind, name)) => (kind.name(), &**name),
            None => ("", ""),
        };
        Some(analytics::Mcp::new(&call.method, kind, name, error))
    }

    /// Whether answers may have to be cut down.
    fn tells(&self) -> bool {
        self.call.as_ref().is_none_or(|call| mcp::is_list(&call.method))
    }

    /// Answers are to tell nothing but what these rights open, too. What cannot be read cannot be cut down, so that the server is
    /// asked for answers that can.
    fn cut_to(&mut self, rights: &Arc<Rights>, headers: &mut HeaderMap) {
        self.sight.add(rights);
        if self.tells() && !self.sight.is_whole() {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
    }
}
