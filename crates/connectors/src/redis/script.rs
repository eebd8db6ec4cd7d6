//! Processor `redis_script` (streams contract 3.8).

use async_trait::async_trait;
use bloblang::Mapping;
use document::Fault;
use redis::{Script, Value};
use streams::{Batch, BuildContext, Message, Node, Processor, View};

use super::command::{Retries, answered};
use super::link::{Link, Trouble};
use super::reply;

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let mapping = |name: &str| {
        let made = node.mapping(name, context)?;
        made.ok_or_else(|| node.field_fault(name, format!("`{name}` must not be empty")))
    };
    Ok(Box::new(Lua {
        script: Script::new(&node.text("script")?),
        arguments: mapping("args_mapping")?,
        keys: mapping("keys_mapping")?,
        link: Link::read(node, context)?,
        retries: Retries::read(node)?,
    }))
}

struct Lua {
    link: Link,
    script: Script,
    arguments: Mapping,
    keys: Mapping,
    retries: Retries,
}

impl Lua {
    async fn ask(&self, batch: &[Message], index: usize) -> Result<Value, String> {
        let make = |name: &str, mapping: &Mapping| {
            let made = mapping.query(&View(batch), index).map_err(|fault| fault.to_string());
            made.and_then(|made| reply::arguments(&made)).map_err(|fault| format!("`{name}`: {fault}"))
        };
        let keys = make("keys_mapping", &self.keys)?;
        let arguments = make("args_mapping", &self.arguments)?;
        let attempt = || async {
            let mut connection = self.link.connection().await.map_err(Trouble::Away)?;
            let mut call = self.script.prepare_invoke();
            for key in &keys {
                call.key(key);
            }
            for argument in &arguments {
                call.arg(argument);
            }
            // By its digest; the text is sent only where Redis does not know it yet.
            let answer = call.invoke_async(&mut connection).await.map_err(Trouble::from);
            if matches!(answer, Err(Trouble::Away(_))) {
                self.link.forget();
            }
            answer
        };
        self.retries.run(attempt).await
    }
}

#[async_trait]
impl Processor for Lua {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        let mut done = Batch::with_capacity(batch.len());
        for index in 0..batch.len() {
            done.push(answered(&batch[index], self.ask(&batch, index).await));
        }
        vec![done]
    }
}
