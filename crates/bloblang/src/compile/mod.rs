//! Tree to nodes: names are resolved, calls checked against the table, constants folded.

mod calls;
mod queries;

pub(crate) use calls::signature;

use std::collections::HashMap;
use std::sync::Arc;

use crate::Environment;
use crate::imports::Units;
use crate::run::{Context, Evaluated, Node, Program, Step, StepKind, This};
use crate::syntax::place::{Fault, Places, Span, nearest};
use crate::syntax::tree::{Expr, Statement, StatementKind, Target};

/// Compiles a parsed mapping; all faults are found in one pass, each with the number of its text.
pub(crate) fn compile(env: &Environment, units: &Units) -> (Program, Vec<(usize, Fault)>) {
    let mut compiler = Compiler {
        env,
        places: Places::new(""),
        faults: Vec::new(),
        map_names: HashMap::new(),
        scope: Scope::default(),
        within: None,
    };
    let mut faults = Vec::new();
    let maps = || {
        units.all().iter().enumerate().flat_map(|(at, unit)| unit.tree.maps.iter().map(move |map| (at, map)))
    };
    for (index, (unit, (name, _))) in maps().enumerate() {
        if compiler.map_names.insert(name.text.clone(), index).is_some() {
            faults.push((unit, Fault::new(name.span, format!("map `{}` is defined twice", name.text))));
        }
    }
    let mut program = Program { limits: env.limits(), ..Program::default() };
    for (at, unit) in units.all().iter().enumerate() {
        compiler.places = Places::new(&unit.text);
        compiler.within = unit.file.as_deref().map(Arc::from);
        for (_, statements) in &unit.tree.maps {
            compiler.scope = Scope { in_map: true, ..Scope::default() };
            let steps = compiler.block(statements);
            program.maps.push(crate::run::Map { steps, slots: compiler.scope.slots });
        }
        if at == units.main() {
            compiler.scope = Scope::default();
            program.steps = compiler.block(&unit.tree.statements);
            program.slots = compiler.scope.slots;
            program.single_query = unit.tree.single_query;
        }
        faults.extend(std::mem::take(&mut compiler.faults).into_iter().map(|fault| (at, fault)));
    }
    program.map_names = compiler.map_names;
    program.environment = env.clone();
    (program, faults)
}

/// Compiles one query that stands alone. Its captured contexts get slots after the `slots` that are taken.
pub(crate) fn compile_query(env: &Environment, query: &Expr, slots: &mut usize) -> Result<Node, Vec<Fault>> {
    let scope = Scope { slots: *slots, ..Scope::default() };
    let mut compiler = Compiler {
        env,
        places: Places::new(""),
        faults: Vec::new(),
        map_names: HashMap::new(),
        scope,
        within: None,
    };
    let node = compiler.query(query);
    *slots = compiler.scope.slots;
    if compiler.faults.is_empty() { Ok(node) } else { Err(compiler.faults) }
}

/// What stands for a query at fault: no value, since what is done with one would be looked at, and found at fault, too.
const UNKNOWN: Node = Node::This;

struct Compiler<'t> {
    env: &'t Environment,
    places: Places<'t>,
    faults: Vec<Fault>,
    map_names: HashMap<Box<str>, usize>,
    scope: Scope,
    /// The file whose text is compiled.
    within: Option<Arc<str>>,
}

/// The names of one body.
#[derive(Default)]
struct Scope {
    in_map: bool,
    variables: HashMap<Box<str>, usize>,
    /// Captured contexts, innermost last.
    captures: Vec<(Box<str>, usize)>,
    slots: usize,
}

impl Scope {
    fn slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }
}

impl Compiler<'_> {
    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < crate::syntax::MAX_FAULTS {
            self.faults.push(fault);
        }
    }

    fn block(&mut self, statements: &[Statement]) -> Box<[Step]> {
        statements.iter().map(|statement| self.statement(statement)).collect()
    }

    fn statement(&mut self, statement: &Statement) -> Step {
        let (line, column) = self.places.of(statement.span.start);
        let kind = match &statement.kind {
            StatementKind::Assign { target, value } => self.assignment(statement.span, target, value),
            StatementKind::If { branches, otherwise } => StepKind::If {
                branches: branches
                    .iter()
                    .map(|(condition, body)| (self.query(condition), self.block(body)))
                    .collect(),
                otherwise: self.block(otherwise),
            },
        };
        Step { line, column, kind }
    }

    fn assignment(&mut self, span: Span, target: &Target, value: &Expr) -> StepKind {
        let value = self.query(value);
        match target {
            Target::Root(path) => StepKind::Root { path: segments(path), value },
            Target::Meta(key) => {
                if self.scope.in_map {
                    self.fault(Fault::new(span, "metadata cannot be set within a map"));
                }
                StepKind::Meta { key: key.clone(), value }
            }
            Target::Variable(name) => {
                let slot = match self.scope.variables.get(&name.text) {
                    Some(slot) => *slot,
                    None => {
                        let slot = self.scope.slot();
                        self.scope.variables.insert(name.text.clone(), slot);
                        slot
                    }
                };
                StepKind::Variable { slot, value }
            }
        }
    }

    /// Evaluates what needs no message; a failure is a fault of the text.
    fn fold(&mut self, span: Span, node: &Node) -> Node {
        let program = Program::default();
        let mut context = Context::new(&program, None, 0, This::Missing);
        let result: Evaluated = node.evaluate(&mut context);
        result.map_or_else(
            |failure| {
                self.fault(Fault::new(span, failure.to_string()));
                UNKNOWN
            },
            Node::Literal,
        )
    }

    /// A fault about an unknown name, with the nearest known one.
    fn unknown<'k>(&mut self, span: Span, message: String, name: &str, known: impl Iterator<Item = &'k str>) {
        if self.faults.len() >= crate::syntax::MAX_FAULTS {
            return;
        }
        let fault = Fault::new(span, message);
        let fault = match nearest(name, known) {
            Some(known) => fault.hint(format!("did you mean `{known}`?")),
            None => fault,
        };
        self.fault(fault);
    }
}

/// The segments of a path in the form in which values know their names.
fn segments(path: &[Box<str>]) -> Box<[crate::Text]> {
    path.iter().map(|segment| crate::Text::from(&**segment)).collect()
}
