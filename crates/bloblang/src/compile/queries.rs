//! Queries to nodes.

use super::{Compiler, UNKNOWN, segments};
use crate::Environment;
use crate::run::{Case, Node};
use crate::syntax::place::Fault;
use crate::syntax::tree::{Expr, Kind, Name, Operator};

impl Compiler<'_> {
    pub(super) fn query(&mut self, expr: &Expr) -> Node {
        match &expr.kind {
            Kind::Literal(value) => Node::Literal(value.clone()),
            Kind::Array(items) => {
                let node = Node::Array(items.iter().map(|item| self.query(item)).collect());
                let Node::Array(items) = &node else { return node };
                if items.iter().all(|item| item.literal().is_some()) {
                    self.fold(expr.span, &node)
                } else {
                    node
                }
            }
            Kind::Object(fields) => {
                let node = Node::Object(
                    fields.iter().map(|(key, value)| (self.query(key), self.query(value))).collect(),
                );
                let Node::Object(fields) = &node else { return node };
                let constant =
                    fields.iter().all(|(key, value)| key.literal().is_some() && value.literal().is_some());
                if constant { self.fold(expr.span, &node) } else { node }
            }
            Kind::This => Node::This,
            Kind::Root => Node::Root,
            Kind::Word(name) => self.word(name),
            Kind::Field { of, path } => match self.query(of) {
                // A bare first segment is a field itself; one walk reads both.
                Node::Field { of, path: first } => {
                    Node::Field { of, path: first.iter().cloned().chain(segments(path)).collect() }
                }
                of => Node::Field { of: Box::new(of), path: segments(path) },
            },
            Kind::Meta(key) => Node::Meta(key.clone()),
            Kind::Variable(name) => self.variable(name),
            Kind::Function { name, arguments } => self.function(expr.span, name, arguments),
            Kind::Method { of, name, arguments } => {
                let of = self.query(of);
                self.method(of, name, arguments)
            }
            Kind::Nested { of, query } => Node::Nested { of: self.boxed(of), query: self.boxed(query) },
            Kind::Index { of, index } => Node::Index { of: self.boxed(of), index: self.boxed(index) },
            Kind::Slice { of, low, high, step } => Node::Slice {
                of: self.boxed(of),
                low: low.as_ref().map(|bound| self.boxed(bound)),
                high: high.as_ref().map(|bound| self.boxed(bound)),
                step: step.as_ref().map(|bound| self.boxed(bound)),
            },
            Kind::Not(of) => {
                let of = self.boxed(of);
                let constant = of.literal().is_some();
                let node = Node::Not(of);
                if constant { self.fold(expr.span, &node) } else { node }
            }
            Kind::Negate(of) => {
                let of = self.boxed(of);
                let constant = of.literal().is_some();
                let node = Node::Negate(of);
                if constant { self.fold(expr.span, &node) } else { node }
            }
            Kind::Binary { operator, left, right } => self.binary(expr, *operator, left, right),
            Kind::Lambda { name, body } => self.lambda(name.as_ref(), body),
            Kind::Match { subject, cases } => Node::Match {
                subject: subject.as_ref().map(|subject| self.boxed(subject)),
                cases: cases
                    .iter()
                    .map(|(pattern, value)| (self.case(pattern.as_ref()), self.query(value)))
                    .collect(),
            },
            Kind::If { branches, otherwise } => Node::If {
                branches: branches
                    .iter()
                    .map(|(condition, value)| (self.query(condition), self.query(value)))
                    .collect(),
                otherwise: otherwise.as_ref().map(|value| self.boxed(value)),
            },
        }
    }

    fn boxed(&mut self, expr: &Expr) -> Box<Node> {
        Box::new(self.query(expr))
    }

    fn word(&mut self, name: &str) -> Node {
        match self.scope.captures.iter().rev().find(|(known, _)| &**known == name) {
            Some((name, slot)) => Node::Slot { slot: *slot, name: name.clone() },
            None => Node::Field { of: Box::new(Node::This), path: Box::new([name.into()]) },
        }
    }

    pub(super) fn variable(&mut self, name: &Name) -> Node {
        if let Some(slot) = self.scope.variables.get(&name.text) {
            return Node::Slot { slot: *slot, name: name.text.clone() };
        }
        // As many as could be meant; a text may define very many.
        let known: Vec<String> = self.scope.variables.keys().take(500).map(ToString::to_string).collect();
        let message = format!("variable `{}` is not defined before this point", name.text);
        self.unknown(name.span, message, &name.text, known.iter().map(String::as_str));
        UNKNOWN
    }

    fn binary(&mut self, expr: &Expr, operator: Operator, left: &Expr, right: &Expr) -> Node {
        let node = Node::Binary { operator, left: self.boxed(left), right: self.boxed(right) };
        match &node {
            Node::Binary { left, right, .. } if left.literal().is_some() && right.literal().is_some() => {
                self.fold(expr.span, &node)
            }
            _ => node,
        }
    }

    fn lambda(&mut self, name: Option<&Name>, body: &Expr) -> Node {
        let Some(name) = name else { return Node::Lambda { slot: None, body: self.boxed(body) } };
        if self.scope.captures.iter().any(|(known, _)| *known == name.text) {
            self.fault(Fault::new(name.span, format!("context `{}` would shadow an outer one", name.text)));
        }
        let slot = self.scope.slot();
        self.scope.captures.push((name.text.clone(), slot));
        let body = self.boxed(body);
        self.scope.captures.pop();
        Node::Lambda { slot: Some(slot), body }
    }

    fn case(&mut self, pattern: Option<&Expr>) -> Case {
        match pattern.map(|pattern| self.query(pattern)) {
            None => Case::Any,
            Some(Node::Literal(value)) => Case::Equal(value),
            Some(query) => Case::Test(Box::new(query)),
        }
    }

    pub(super) fn environment(&self) -> &Environment {
        self.env
    }
}
