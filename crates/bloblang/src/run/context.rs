//! The state in which nodes run.

use smallvec::{SmallVec, smallvec};

use super::budget::{Budget, limit};
use super::{Evaluated, Failure, Program};
use crate::table::Makes;
use crate::{BatchView, MessageView, MetadataEdit, Object, Value};

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
    /// What the run took.
    pub(crate) budget: Budget,
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
            budget: Budget::new(program.limits),
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
        self.budget.step(1)
    }

    /// Counts a value that was made; fails when it is too deep or too large, or all together took too much.
    pub(crate) fn built(&mut self, value: &Value, makes: Makes) -> Evaluated<()> {
        match makes {
            Makes::All => self.budget.make(value.size())?,
            Makes::Shell => self.budget.make(value.cost())?,
            Makes::Nothing => {}
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
    pub(crate) fn output_metadata(&mut self, key: &str) -> Evaluated<Option<Value>> {
        self.budget.step(self.edits.len() as u64 / 16)?;
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
    pub(crate) fn output_metadata_all(&mut self) -> Evaluated<Object> {
        self.budget.step(self.edits.len() as u64)?;
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
