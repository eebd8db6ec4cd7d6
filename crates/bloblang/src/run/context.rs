//! The state in which nodes run.

use smallvec::{SmallVec, smallvec};

use super::block::limit;
use super::{Evaluated, Failure, Program};
use crate::{BatchView, MessageView, MetadataEdit, Object, Value};

/// What one run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// How many queries and maps it may start, over all elements that it goes through. It keeps a mapping whose maps apply
    /// each other in ever more branches from running for ever.
    pub(crate) steps: u64,
    /// How many bytes it may build, whether they are kept or not.
    pub(crate) bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { steps: 50_000_000, bytes: 1 << 30 }
    }
}

/// A method that reads this many bytes of text counts as one more step.
const BYTES_A_STEP: u64 = 4096;

/// What `this` is.
#[derive(Debug, Clone)]
pub(crate) enum This {
    /// The message's payload, parsed when it is first read.
    Message,
    /// The document being built (the `mutation` processor).
    Document,
    /// A value that a query, a lambda or a map was given.
    Value(Value),
    /// Nothing: a lambda took the last context off.
    Missing,
}

/// What belongs to one running map: its contexts, its variables and its result.
#[derive(Debug)]
pub(crate) struct Frame {
    /// `this` on top, the contexts around it below.
    pub(crate) contexts: SmallVec<[This; 4]>,
    /// Variables and captured contexts.
    pub(crate) slots: SmallVec<[Option<Value>; 2]>,
    /// What root is so far; nothing when it was never assigned.
    pub(crate) root: Value,
    /// Whether queries may read root.
    pub(crate) root_readable: bool,
}

/// The state of one run.
pub(crate) struct Context<'r> {
    pub(crate) program: &'r Program,
    /// None when a mapping runs on a bare value.
    pub(crate) batch: Option<&'r dyn BatchView>,
    pub(crate) index: usize,
    pub(crate) frame: Frame,
    pub(crate) edits: Vec<MetadataEdit>,
    /// How many maps are running inside each other.
    pub(crate) calls: usize,
    pub(crate) limits: Limits,
    /// How many queries and maps were started.
    pub(crate) steps: u64,
    /// How many bytes were built.
    pub(crate) bytes: u64,
}

impl<'r> Context<'r> {
    pub(crate) fn new(
        program: &'r Program,
        batch: Option<&'r dyn BatchView>,
        index: usize,
        this: This,
    ) -> Context<'r> {
        let frame = Frame {
            contexts: smallvec![this],
            slots: smallvec![None; program.slots],
            root: Value::Nothing,
            root_readable: true,
        };
        Context {
            program,
            batch,
            index,
            frame,
            edits: Vec::new(),
            calls: 0,
            limits: program.limits,
            steps: 0,
            bytes: 0,
        }
    }

    /// The message that the mapping runs on.
    pub(crate) fn message(&self) -> Evaluated<&'r dyn MessageView> {
        let batch = self.batch.ok_or_else(|| Failure::new("there is no message in this context"))?;
        if self.index >= batch.len() {
            return Err(Failure::new(format!("message {} is outside of the batch", self.index)));
        }
        Ok(batch.message(self.index))
    }

    /// Counts one started query or map; fails when there were too many.
    pub(crate) fn count_step(&mut self) -> Evaluated<()> {
        self.take_steps(1)
    }

    fn take_steps(&mut self, steps: u64) -> Evaluated<()> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps <= self.limits.steps {
            return Ok(());
        }
        Err(Failure::new(format!("the mapping takes more than {} steps", self.limits.steps)))
    }

    /// Counts what a method has to read of its receiver.
    pub(crate) fn reads(&mut self, value: &Value) -> Evaluated<()> {
        match value {
            Value::String(text) if text.len() as u64 >= BYTES_A_STEP => {
                self.take_steps(text.len() as u64 / BYTES_A_STEP)
            }
            Value::Bytes(bytes) if bytes.len() as u64 >= BYTES_A_STEP => {
                self.take_steps(bytes.len() as u64 / BYTES_A_STEP)
            }
            _ => Ok(()),
        }
    }

    /// Counts a value that was made; fails when it is too deep or too large, or all together took too much.
    pub(crate) fn built(&mut self, value: &Value) -> Evaluated<()> {
        self.bytes = self.bytes.saturating_add(value.cost());
        if self.bytes > self.limits.bytes {
            let text = format!("the mapping builds more than {} bytes", self.limits.bytes);
            return Err(Failure::new(text));
        }
        limit(value)
    }

    /// The payload of the message, parsed.
    pub(crate) fn structured(&self) -> Evaluated<&'r Value> {
        self.message()?.structured().map_err(Failure::new)
    }

    /// `this`, without copying it.
    pub(crate) fn this(&self) -> Evaluated<&Value> {
        match self.frame.contexts.last() {
            Some(This::Value(value)) => Ok(value),
            Some(This::Document) => Ok(&self.frame.root),
            Some(This::Message) => self.structured(),
            Some(This::Missing) | None => Err(Failure::new("there is no context to read `this` from")),
        }
    }

    /// What is on top of the contexts, as a value.
    pub(crate) fn take_this(&mut self) -> Evaluated<(This, Value)> {
        let value = self.this()?.clone();
        Ok((self.frame.contexts.pop().unwrap_or(This::Missing), value))
    }

    pub(crate) fn root(&self) -> Evaluated<&Value> {
        if self.frame.root_readable {
            return Ok(&self.frame.root);
        }
        Err(Failure::new("unable to reference root from this context"))
    }

    /// Runs something with `this` being `value`.
    pub(crate) fn with_this<T>(&mut self, value: Value, run: impl FnOnce(&mut Context<'r>) -> T) -> T {
        self.frame.contexts.push(This::Value(value));
        let result = run(self);
        self.frame.contexts.pop();
        result
    }

    /// Runs something on another message of the batch.
    pub(crate) fn at_message<T>(&mut self, index: usize, run: impl FnOnce(&mut Context<'r>) -> T) -> T {
        let outer = std::mem::replace(&mut self.index, index);
        self.frame.contexts.push(This::Message);
        let result = run(self);
        self.frame.contexts.pop();
        self.index = outer;
        result
    }

    /// A metadata value of the message as it will be when the mapping ends now.
    pub(crate) fn output_metadata(&self, key: &str) -> Evaluated<Option<Value>> {
        for edit in self.edits.iter().rev() {
            match edit {
                MetadataEdit::Set(name, value) if name == key => return Ok(Some(value.clone())),
                MetadataEdit::Delete(name) if name == key => return Ok(None),
                MetadataEdit::Clear => return Ok(None),
                _ => {}
            }
        }
        Ok(self.message()?.metadata(key).cloned())
    }

    /// All metadata of the message as it will be when the mapping ends now.
    pub(crate) fn output_metadata_all(&self) -> Evaluated<Object> {
        let mut object = self.input_metadata_all()?;
        for edit in &self.edits {
            match edit {
                MetadataEdit::Set(name, value) => object.insert(name.as_str(), value.clone()),
                MetadataEdit::Delete(name) => {
                    object.remove(name);
                }
                MetadataEdit::Clear => object = Object::new(),
            }
        }
        Ok(object)
    }

    /// All metadata that the message came with.
    pub(crate) fn input_metadata_all(&self) -> Evaluated<Object> {
        let mut object = Object::new();
        self.message()?.metadata_all(&mut |key, value| object.insert(key, value.clone()));
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Batch, message};

    #[test]
    fn steps_run_out() {
        let program = Program::default();
        let batch = Batch(vec![message("{}")]);
        let mut context = Context::new(&program, Some(&batch), 0, This::Message);
        context.steps = context.limits.steps - 1;
        assert!(context.count_step().is_ok());
        assert!(context.count_step().is_err());
    }
}
