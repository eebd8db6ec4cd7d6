//! Running a compiled mapping: nodes, the state they run in, and what can go wrong.

pub(crate) mod arguments;
mod arithmetic;
mod block;
mod budget;
pub(crate) mod context;
mod evaluate;
pub(crate) mod failure;
pub(crate) mod node;
pub(crate) mod path;
pub(crate) mod patterns;
mod slice;

pub(crate) use arguments::{Argument, Arguments, Prepared, keeps_digits};
pub(crate) use arithmetic::not;
pub(crate) use block::{MAX_CALLS, Map, Program, Step, StepKind, apply_map, run_steps, with_stack};
pub(crate) use budget::{Budget, Limits, limit};
pub(crate) use context::{Context, Frame, This};
pub(crate) use failure::{Evaluated, Failure};
pub(crate) use node::{Case, Node};
pub(crate) use slice::{element, indexes};
