//! Processor `hook`: the hooks that requests have, for the messages of streams.
//!
//! A message is shown as a request: its payload is the body, its metadata are header fields. What fails costs that message
//! alone.

mod code;
mod host;
mod inside;

use std::collections::BTreeMap;

use async_trait::async_trait;
use document::Fault;
use plugins::{Call, Hook, Outcome, Request, Spec};
use streams::{Batch, BuildContext, Default, Field, Kind, Message, Node, Processor, ProcessorSpec};

use self::host::Host;

/// Processor `hook`. (`plugin` is a key that components of any type may have.)
pub(crate) static PROCESSOR: ProcessorSpec = ProcessorSpec {
    name: "hook",
    summary: "Calls a plugin with each message, as the hooks of requests call it: the payload is the body, metadata are header fields. A plugin that throws, or answers in the place of the backend, leaves the message as it was, flagged.",
    config: Kind::Object(&[
        Field::required(
            "driver",
            Kind::Choice(&["javascript", "lua", "wasm", "python", "grpc"]),
            "What runs it. `python` runs with the rights of the gate: whoever runs the gate must allow it (`streaming.allow_unsafe: [python]`). `grpc` asks servers of plugins.",
        ),
        Field::required(
            "name",
            Kind::Text,
            "What is called: a function, the name of the filter, or what servers know the hook by.",
        ),
        Field::optional("code", Kind::Text, "The code; of a filter in WebAssembly, its module in Base64."),
        Field::optional(
            "file",
            Kind::Text,
            "A file with the code, instead of `code`; only where streams may read files. What ends with `.mjs` is a module of JavaScript.",
        ),
        Field::optional(
            "bundle",
            Kind::Text,
            "A bundle with the code, instead of `code`: what is loaded is the file that its manifest names for this plugin, else those of the language at its top; they may import the others. Its checksum must be right; signatures are not asked for. Only where streams may read files.",
        ),
        Field::new(
            "module",
            Kind::Bool,
            Default::Bool(false),
            "The `code` is a module of JavaScript: what is called is what it exports.",
        ),
        Field::optional(
            "config",
            Kind::Map(&Kind::Any),
            "What the plugin is told as its configuration, as hooks of requests are told `config_data`: in `spec`; of a filter in WebAssembly, the configuration that it begins with.",
        ),
        Field::optional(
            "servers",
            Kind::List(&Kind::Text),
            "Of `grpc`: the servers, as `tcp://host:port`. They take turns, and one that cannot be reached is passed over. One alone may be a socket of the machine, `unix:///path`. The egress policy is asked for each.",
        ),
        Field::new(
            "timeout",
            Kind::Duration,
            Default::Text("5s"),
            "What a call may take, all servers together. After that its message is flagged.",
        ),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let config = node.get("config").value();
    let config_data = if config.is_null() { serde_json::json!({}) } else { config.clone() };
    let spec = Spec { api: context.stream.to_string(), config_data, ..Spec::default() };
    Ok(Box::new(Plugin { host: Host::build(node, config, context)?, name: node.text("name")?.into(), spec }))
}

struct Plugin {
    host: Host,
    name: Box<str>,
    spec: Spec,
}

#[async_trait]
impl Processor for Plugin {
    async fn process(&self, mut batch: Batch) -> Vec<Batch> {
        for message in &mut batch {
            if let Err(why) = self.change(message).await {
                message.set_error(format!("hook: {why}"));
            }
        }
        vec![batch]
    }
}

impl Plugin {
    async fn change(&self, message: &mut Message) -> Result<(), String> {
        let headers: BTreeMap<String, Vec<String>> =
            message.meta_iter().map(|(name, value)| (name.to_owned(), vec![value.to_text()])).collect();
        let request = Request {
            headers,
            url: "/".to_owned(),
            method: "POST".to_owned(),
            body: Some(message.bytes().clone()),
            ..Request::default()
        };
        let call = Call {
            hook: Hook::Pre,
            request: &request,
            response: None,
            session: None,
            spec: &self.spec,
            raw_body_only: false,
        };
        let called = self.host.call(&self.name, &call).await;
        let Outcome { request: made, .. } = called.map_err(|why| why.to_string())?;
        if made.return_overrides.response_code != 0 {
            let answer = &made.return_overrides;
            return Err(format!("it refuses the message with {}: {}", answer.response_code, answer.text()));
        }
        // Filters see names in lower case; metadata have their own.
        let lowers = matches!(self.host, Host::Wasm(_));
        let own = |name: &str| {
            let known = request.headers.keys().filter(|_| lowers);
            let same: Vec<String> = known.filter(|known| known.eq_ignore_ascii_case(name)).cloned().collect();
            if same.is_empty() { vec![name.to_owned()] } else { same }
        };
        for name in made.delete_headers.iter().flat_map(|name| own(name)) {
            message.delete_meta(&name);
        }
        for (name, value) in made.set_headers {
            for name in own(&name) {
                message.set_meta(name, value.clone());
            }
        }
        if let Some(body) = made.body.filter(|_| !made.ignore_body) {
            message.set_bytes(body);
        }
        Ok(())
    }
}
