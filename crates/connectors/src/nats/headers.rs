//! Between the headers of NATS and metadata.

use async_nats::header::{HeaderMap, HeaderName, HeaderValue};
use bloblang::Template;
use document::Fault;
use streams::{BuildContext, Message, Node, View};

use streams::Selection;

/// Which headers messages are sent with: fields `headers` and `metadata`.
pub(super) struct Headers {
    own: Vec<(HeaderName, Template)>,
    metadata: Selection,
}

impl Headers {
    pub(super) fn read(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Headers, Fault> {
        let mut own = Vec::new();
        for (name, template) in node.templates("headers", context)? {
            let name = header_name(&name).map_err(|fault| node.field_fault("headers", fault))?;
            own.push((name, template));
        }
        Ok(Headers { own, metadata: Selection::read(&node.get("metadata"))? })
    }

    /// The headers of one message. What `headers` says goes before metadata of the same name.
    pub(super) fn of(&self, batch: &[Message], index: usize) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        if let Some(message) = batch.get(index) {
            for (name, value) in self.metadata.of(message) {
                headers.insert(header_name(name)?, header_value(name, &value)?);
            }
        }
        for (name, template) in &self.own {
            let place = AsRef::<str>::as_ref(name);
            let text = template.render(&View(batch), index);
            let text = text.map_err(|fault| format!("header `{place}`: {fault}"))?;
            headers.insert(name.clone(), header_value(place, &text)?);
        }
        Ok(headers)
    }
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    name.parse().map_err(|_| format!("`{name}` cannot be the name of a header"))
}

fn header_value(name: &str, text: &str) -> Result<HeaderValue, String> {
    text.parse().map_err(|_| format!("header `{name}` would hold more than one line"))
}

/// Sets headers as metadata; the first value of each name.
pub(super) fn set_metadata(message: &mut Message, headers: Option<&HeaderMap>) {
    for (name, values) in headers.iter().flat_map(|headers| headers.iter()) {
        if let Some(value) = values.first() {
            message.set_meta(AsRef::<str>::as_ref(name), value.as_str());
        }
    }
}
