//! A parsed, checked and compiled mapping.

use std::sync::Arc;

use crate::imports::Units;
use crate::run::{Context, MAX_CALLS, Program, This, run_steps};
use crate::{BatchView, Environment, MapError, Outcome, ParseError, Root, Value, compile};

/// A compiled mapping. Cheap to clone, safe to share between threads.
#[derive(Debug, Clone)]
pub struct Mapping {
    program: Arc<Program>,
}

impl Mapping {
    /// Parses and checks a mapping; all faults that can be found are reported, in the order of the text.
    pub fn parse(env: &Environment, text: &str) -> Result<Mapping, Vec<ParseError>> {
        crate::run::with_stack(|| {
            let units = Units::load(env, text);
            let (program, faults) = compile::compile(env, &units);
            if faults.is_empty() && !units.has_faults() {
                return Ok(Mapping { program: Arc::new(program) });
            }
            Err(units.locate(faults))
        })
    }

    /// Runs the mapping on message `index`: root starts unassigned (the `mapping` processor).
    pub fn apply(&self, batch: &dyn BatchView, index: usize) -> Result<Outcome, MapError> {
        self.run(Context::new(&self.program, Some(batch), index, This::Message))
    }

    /// Runs the mapping with `this` and root as one document (the `mutation` processor). A payload that is not JSON
    /// leaves root unassigned.
    pub fn mutate(&self, batch: &dyn BatchView, index: usize) -> Result<Outcome, MapError> {
        let document = batch.message(index).structured().ok().cloned();
        let this = if document.is_some() { This::Document } else { This::Message };
        let mut context = Context::new(&self.program, Some(batch), index, this);
        context.frame.root = document.clone().unwrap_or(Value::Nothing);
        let mut outcome = self.run(context)?;
        if let (Root::Value(root), Some(document)) = (&outcome.root, &document)
            && is_same(root, document)
        {
            outcome.root = Root::Unchanged;
        }
        Ok(outcome)
    }

    /// Runs the mapping on message `index` with `base` as the root that it starts from (a branch's result map).
    pub fn overlay(&self, batch: &dyn BatchView, index: usize, base: Value) -> Result<Outcome, MapError> {
        let mut context = Context::new(&self.program, Some(batch), index, This::Message);
        context.frame.root = base;
        self.run(context)
    }

    /// The value that the mapping gives for message `index`, for conditions and keys. A mapping that assigns nothing
    /// gives [`Value::Nothing`].
    pub fn query(&self, batch: &dyn BatchView, index: usize) -> Result<Value, MapError> {
        let mut context = Context::new(&self.program, Some(batch), index, This::Message);
        context.frame.root_readable = !self.program.single_query;
        run_steps(&self.program, &mut context)?;
        Ok(context.frame.root.settled())
    }

    /// The value that the mapping gives for a bare value, without any message, within another run. It shares that run's
    /// limits, and weighs more than a map, because its text may come from a message.
    pub(crate) fn query_value(&self, value: Value, outer: &mut Context<'_>) -> Result<Value, MapError> {
        let mut context = Context::new(&self.program, None, 0, This::Value(value));
        context.calls = outer.calls + MAX_CALLS / 50;
        context.budget = outer.budget;
        if context.calls > MAX_CALLS {
            let message = "mappings run each other too deeply".to_owned();
            return Err(MapError { line: 1, column: 1, message });
        }
        let result = run_steps(&self.program, &mut context);
        outer.budget = context.budget;
        result.map(|()| context.frame.root)
    }

    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    fn run(&self, mut context: Context<'_>) -> Result<Outcome, MapError> {
        run_steps(&self.program, &mut context)?;
        let root = match context.frame.root {
            Value::Nothing => Root::Unchanged,
            Value::Delete => Root::Deleted,
            value => Root::Value(value),
        };
        Ok(Outcome { root, metadata: context.edits })
    }
}

/// Whether a document was not written: what is written is copied first, so it is another object then.
fn is_same(root: &Value, document: &Value) -> bool {
    match (root, document) {
        (Value::Object(root), Value::Object(document)) => Arc::ptr_eq(root, document),
        (Value::Array(root), Value::Array(document)) => Arc::ptr_eq(root, document),
        (root, document) => root.type_name() == document.type_name() && root == document,
    }
}
