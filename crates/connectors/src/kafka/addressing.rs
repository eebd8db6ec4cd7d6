//! Where each message goes: topic, key, partition, time.

use bloblang::Template;
use bytes::Bytes;
use streams::View;

/// The templates of a message's way.
pub(super) struct Addressing {
    pub(super) topic: Template,
    pub(super) key: Option<Template>,
    pub(super) partition: Option<Template>,
    pub(super) timestamp: Option<Template>,
}

/// A message's way, rendered.
pub(super) struct Address {
    pub(super) topic: String,
    /// Empty: none.
    pub(super) key: Bytes,
    pub(super) partition: Option<i32>,
    /// Milliseconds since 1970.
    pub(super) timestamp: Option<i64>,
}

impl Addressing {
    /// The way of the message at `index`.
    pub(super) fn of(&self, view: &View<'_>, index: usize) -> Result<Address, String> {
        let render = |name: &str, template: &Template| {
            template.render(view, index).map_err(|fault| format!("`{name}` cannot be told: {fault}"))
        };
        let number = |name: &str, template: &Option<Template>, what: &str| -> Result<Option<i64>, String> {
            let Some(template) = template else { return Ok(None) };
            let text = render(name, template)?;
            let number = text.trim().parse::<i64>().ok().filter(|&number| number >= 0);
            number.map(Some).ok_or_else(|| format!("`{name}` is `{text}` for this message, not {what}"))
        };
        let topic = render("topic", &self.topic)?;
        if topic.is_empty() {
            return Err("`topic` is empty for this message".to_owned());
        }
        // A key is bytes: nothing says that they are text.
        let key = match &self.key {
            None => Bytes::new(),
            Some(key) => {
                key.render_bytes(view, index).map_err(|fault| format!("`key` cannot be told: {fault}"))?
            }
        };
        let partition = match number("partition", &self.partition, "a partition's number")? {
            None => None,
            Some(number) => Some(
                i32::try_from(number)
                    .map_err(|_| format!("`partition` is {number} for this message, which no topic has"))?,
            ),
        };
        let timestamp = number("timestamp_ms", &self.timestamp, "milliseconds since 1970")?;
        Ok(Address { topic, key, partition, timestamp })
    }
}
