//! Statements: a mapping's body, a map's body, and how they run.

use std::collections::HashMap;

use smallvec::smallvec;

use super::budget::limit;
use super::path::{self, Path};
use super::{Context, Evaluated, Failure, Frame, Limits, Node, This};
use crate::{MapError, MetadataEdit, Value};

/// How deeply maps may apply each other.
pub(crate) const MAX_CALLS: usize = 5000;
/// Stack that must be left before a map or a mapping runs: more than the deepest query needs.
const STACK_NEEDED: usize = 1 << 20;
/// Stack that is added when there is less.
const STACK_ADDED: usize = 8 << 20;

/// A compiled mapping.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) steps: Box<[Step]>,
    /// Whether the text was one query, short for `root = query`.
    pub(crate) single_query: bool,
    /// Variables and captured contexts of the main body.
    pub(crate) slots: usize,
    pub(crate) limits: Limits,
    pub(crate) maps: Vec<Map>,
    pub(crate) map_names: HashMap<Box<str>, usize>,
    /// What functions may use from outside while the mapping runs.
    pub(crate) environment: crate::Environment,
}

/// A named map.
#[derive(Debug, Default)]
pub(crate) struct Map {
    pub(crate) steps: Box<[Step]>,
    pub(crate) slots: usize,
}

/// A compiled statement.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) kind: StepKind,
}

#[derive(Debug)]
pub(crate) enum StepKind {
    Root { path: Path, value: Node },
    Meta { key: Option<Box<str>>, value: Node },
    Variable { slot: usize, value: Node },
    If { branches: Box<[(Node, Box<[Step]>)]>, otherwise: Box<[Step]> },
}

/// Runs something that may recurse as deeply as the limits allow.
pub(crate) fn with_stack<T>(run: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STACK_NEEDED, STACK_ADDED, run)
}

/// Runs the main body of a mapping.
pub(crate) fn run_steps(program: &Program, context: &mut Context<'_>) -> Result<(), MapError> {
    with_stack(|| run(&program.steps, context))
}

/// Runs statements in order; the first failure ends the run.
fn run(steps: &[Step], context: &mut Context<'_>) -> Result<(), MapError> {
    for step in steps {
        match &step.kind {
            StepKind::If { branches, otherwise } => {
                let mut chosen: &[Step] = otherwise;
                for (condition, body) in branches {
                    let holds = condition.holds(context).map_err(|failure| step.fault(&failure))?;
                    if holds {
                        chosen = body;
                        break;
                    }
                }
                run(chosen, context)?;
            }
            kind => assign(kind, context).map_err(|failure| step.fault(&failure))?,
        }
    }
    Ok(())
}

impl Step {
    fn fault(&self, failure: &Failure) -> MapError {
        MapError { line: self.line, column: self.column, message: failure.to_string() }
    }
}

fn assign(kind: &StepKind, context: &mut Context<'_>) -> Evaluated<()> {
    match kind {
        StepKind::Root { path, value } => {
            let value = value.evaluate(context)?;
            if matches!(value, Value::Nothing) {
                return Ok(());
            }
            if path.is_empty() {
                context.frame.root = value;
            } else {
                path::write(&mut context.frame.root, path, value)?;
            }
            limit(&context.frame.root)
        }
        StepKind::Meta { key, value } => {
            let value = value.evaluate(context)?;
            match (key, value) {
                (_, Value::Nothing) => {}
                (Some(key), Value::Delete) => context.edits.push(MetadataEdit::Delete(key.to_string())),
                (Some(key), value) => context.edits.push(MetadataEdit::Set(key.to_string(), value)),
                (None, Value::Delete) => context.edits.push(MetadataEdit::Clear),
                (None, Value::Object(object)) => {
                    context.edits.push(MetadataEdit::Clear);
                    for (name, value) in object.iter() {
                        context.edits.push(MetadataEdit::Set(name.to_string(), value.clone()));
                    }
                }
                (None, other) => {
                    let message = format!(
                        "setting root meta object requires object value, received: {}",
                        other.type_name()
                    );
                    return Err(Failure::new(message));
                }
            }
            Ok(())
        }
        StepKind::Variable { slot, value } => {
            let value = value.evaluate(context)?;
            if !matches!(value, Value::Nothing) {
                context.frame.slots[*slot] = Some(value).filter(|value| !matches!(value, Value::Delete));
            }
            Ok(())
        }
        StepKind::If { .. } => Ok(()),
    }
}

/// Runs a map on a value, in a frame of its own.
pub(crate) fn apply_map(context: &mut Context<'_>, index: usize, value: Value) -> Evaluated {
    context.count_step()?;
    if context.calls >= MAX_CALLS {
        return Err(Failure::new(format!("maps apply each other more than {MAX_CALLS} levels deep")));
    }
    let program = context.program;
    let Some(map) = program.maps.get(index) else { return Err(Failure::new("the map was not found")) };
    let frame = Frame {
        contexts: smallvec![This::Value(value)],
        slots: smallvec![None; map.slots],
        root: Value::Nothing,
        root_readable: true,
    };
    let outer = std::mem::replace(&mut context.frame, frame);
    context.calls += 1;
    let result = with_stack(|| run(&map.steps, context));
    context.calls -= 1;
    let inner = std::mem::replace(&mut context.frame, outer);
    result.map_err(|error| Failure::new(error.to_string()))?;
    Ok(inner.root)
}
