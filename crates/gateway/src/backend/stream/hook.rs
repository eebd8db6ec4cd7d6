//! Processor `hook`: the hooks that requests have, for the messages of streams.
//!
//! A message is shown as a request: its payload is the body, its metadata are header fields. What runs the code has no
//! access to the machine, so that no setting has to allow it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use document::Fault;
use plugins::javascript::{Limits, Scripts, Source};
use plugins::lua::{self, Lua};
use plugins::wasm::{self, Wasm};
use plugins::{Answer, Call, Hook, Outcome, Outgoing, Outside, Request, Spec};
use streams::{Batch, BuildContext, Field, Kind, Message, Node, Processor, ProcessorSpec};

/// Processor `hook`. (`plugin` is a key that components of any type may have.)
pub(crate) static PROCESSOR: ProcessorSpec = ProcessorSpec {
    name: "hook",
    summary: "Calls a plugin with each message, as the hooks of requests call it: the payload is the body, metadata are header fields. A plugin that throws, or answers in the place of the backend, leaves the message as it was, flagged.",
    config: Kind::Object(&[
        Field::required("driver", Kind::Choice(&["javascript", "lua", "wasm"]), "What runs it."),
        Field::required("name", Kind::Text, "What is called: a function, or the name of the filter."),
        Field::optional("code", Kind::Text, "The code; of a filter in WebAssembly, its module in Base64."),
        Field::optional(
            "file",
            Kind::Text,
            "A file with the code, instead of `code`; only where streams may read files.",
        ),
    ]),
    build,
};

/// Largest code, in bytes.
const LARGEST: usize = 16 << 20;

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let (driver, name) = (node.text("driver")?, node.text("name")?);
    let environment = &context.settings.environment;
    let (field, code) = match (node.optional_text("code")?, node.optional_text("file")?) {
        (Some(code), None) if driver == "wasm" => {
            let module = STANDARD.decode(&*code);
            ("code", module.map_err(|why| node.field_fault("code", format!("this is no Base64: {why}")))?)
        }
        (Some(code), None) => ("code", code.into_owned().into_bytes()),
        (None, Some(file)) => {
            let read = environment.read_file(&file);
            let unreadable = |why| {
                let fault = node.field_fault("file", format!("`{file}` cannot be read: {why}"));
                fault.hint(
                    "write the plugin into `code`, or let streams read files: `streaming.mappings.files`",
                )
            };
            ("file", read.map_err(unreadable)?.content.to_vec())
        }
        (Some(_), Some(_)) => return Err(node.field_fault("file", "write either `code` or `file`")),
        (None, None) => return Err(node.fault("one of `code` and `file` is required")),
    };
    if code.len() > LARGEST {
        return Err(node.field_fault(field, format!("it is longer than {LARGEST} bytes")));
    }
    let told = |why: plugins::Fault| node.field_fault(field, why.to_string());
    let (limits, outside) = (Limits::default(), Arc::new(Inside(context.stream.clone())) as Arc<dyn Outside>);
    let source = |ending: &str| {
        let text = String::from_utf8(code.clone());
        let text = text.map_err(|_| node.field_fault(field, "this is not UTF-8 text"))?;
        Ok(Source { name: format!("{name}.{ending}").into(), text: text.into() })
    };
    let host = match &*driver {
        "lua" => {
            let code = lua::Code { main: vec![source("lua")?], modules: Vec::new() };
            Host::Lua(Arc::new(Lua::load(code, &[&name], limits, outside).map_err(told)?))
        }
        "wasm" => {
            let code = wasm::Code { name: (&*name).into(), module: code.into(), answers: false };
            let configuration = serde_json::Value::Null;
            Host::Wasm(Wasm::load(vec![code], &configuration, limits, &outside).map_err(told)?)
        }
        _ => {
            let scripts = Scripts::load(vec![source("js")?], limits, outside).map_err(told)?;
            scripts.check(&name).map_err(told)?;
            Host::Scripts(Arc::new(scripts))
        }
    };
    let spec = Spec { api: context.stream.to_string(), ..Spec::default() };
    Ok(Box::new(Plugin { host, name: name.into(), spec }))
}

/// What runs it.
enum Host {
    Scripts(Arc<Scripts>),
    Lua(Arc<Lua>),
    Wasm(Wasm),
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
        let called = match &self.host {
            Host::Scripts(scripts) => scripts.call(&self.name, &call).await,
            Host::Lua(lua) => lua.call(&self.name, &call).await,
            Host::Wasm(wasm) => wasm.call(&self.name, &call).await,
        };
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

/// What plugins of streams may ask for: the log alone. There are processors for all else.
#[derive(Debug)]
struct Inside(Arc<str>);

const NOTHING: &str = "plugins of streams are offered nothing but the log; use a processor for this";

impl Outside for Inside {
    fn log(&self, line: &str) {
        tracing::info!(target: "plugins", stream = &*self.0, "{line}");
    }

    fn send(&self, _: &Outgoing, _: Duration) -> Result<Answer, String> {
        Err(NOTHING.to_owned())
    }

    fn session(&self, _: &str, _: &str) -> Option<String> {
        None
    }

    fn put_session(&self, _: &str, _: &str, _: bool) -> Result<(), String> {
        Err(NOTHING.to_owned())
    }

    fn batch(&self, _: &str, _: Duration) -> Result<String, String> {
        Err(NOTHING.to_owned())
    }

    fn stored(&self, _: &str) -> Result<Option<String>, String> {
        Err(NOTHING.to_owned())
    }

    fn store(&self, _: &str, _: &str, _: u64, _: bool) -> Result<bool, String> {
        Err(NOTHING.to_owned())
    }

    fn forget(&self, _: &str) -> Result<bool, String> {
        Err(NOTHING.to_owned())
    }

    fn add(&self, _: &str, _: i64) -> Result<i64, String> {
        Err(NOTHING.to_owned())
    }

    fn seconds_left(&self, _: &str) -> Result<i64, String> {
        Err(NOTHING.to_owned())
    }
}
