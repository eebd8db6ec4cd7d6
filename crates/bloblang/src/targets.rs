//! Which parts of documents a mapping reads and writes, found without running it: for those who must know which of
//! several mappings depends on another.

use crate::run::{Argument, Arguments, Case, Node, Program, Step, StepKind};
use crate::{Mapping, Text};

/// How deeply maps that a mapping applies are followed.
const MAX_MAPS: usize = 20;

impl Mapping {
    /// The paths below `this` that the mapping may read, as far as they stand in its text; an empty one is the whole
    /// document. What it reads of metadata and of other messages is left out.
    pub fn reads(&self) -> Vec<Vec<Text>> {
        let mut reads = Reads { program: self.program(), found: Vec::new(), maps: 0 };
        reads.steps(&self.program().steps, &Scope { this: Some(Vec::new()), outer: None });
        reads.found.sort();
        reads.found.dedup();
        reads.found
    }

    /// The paths below `root` that the mapping may write; an empty one is the whole document.
    pub fn writes(&self) -> Vec<Vec<Text>> {
        let mut found = Vec::new();
        written(&self.program().steps, &mut found);
        found.sort();
        found.dedup();
        found
    }
}

fn written(steps: &[Step], found: &mut Vec<Vec<Text>>) {
    for step in steps {
        match &step.kind {
            StepKind::Root { path, .. } => found.push(path.to_vec()),
            StepKind::Meta { .. } | StepKind::Variable { .. } => {}
            StepKind::If { branches, otherwise } => {
                branches.iter().for_each(|(_, steps)| written(steps, found));
                written(otherwise, found);
            }
        }
    }
}

/// What `this` is: a path of the document, or something else.
struct Scope<'s> {
    this: Option<Vec<Text>>,
    /// Of the query around, which a lambda sees.
    outer: Option<&'s Scope<'s>>,
}

struct Reads<'p> {
    program: &'p Program,
    found: Vec<Vec<Text>>,
    maps: usize,
}

impl Reads<'_> {
    fn steps(&mut self, steps: &[Step], scope: &Scope<'_>) {
        for step in steps {
            match &step.kind {
                StepKind::Root { value, .. }
                | StepKind::Meta { value, .. }
                | StepKind::Variable { value, .. } => self.node(value, scope),
                StepKind::If { branches, otherwise } => {
                    for (condition, steps) in branches {
                        self.node(condition, scope);
                        self.steps(steps, scope);
                    }
                    self.steps(otherwise, scope);
                }
            }
        }
    }

    fn node(&mut self, node: &Node, scope: &Scope<'_>) {
        match node {
            Node::Literal(_) | Node::Root | Node::Slot { .. } | Node::Meta(_) => {}
            Node::This | Node::Field { .. } => match (place(node, scope), node) {
                (Some(path), _) => self.found.push(path),
                (None, Node::Field { of, .. }) => self.node(of, scope),
                (None, _) => {}
            },
            Node::Array(items) => items.iter().for_each(|item| self.node(item, scope)),
            Node::Object(fields) => {
                for (name, value) in fields {
                    self.node(name, scope);
                    self.node(value, scope);
                }
            }
            Node::Function { spec, arguments } => {
                if spec.name == "json" {
                    match arguments.items.first() {
                        Some(Argument::Path(path)) => self.found.push(path.to_vec()),
                        _ => self.found.push(Vec::new()),
                    }
                }
                self.arguments(arguments, scope);
            }
            Node::Method { of, spec, arguments } => self.method(of, spec.name, arguments, scope),
            Node::Nested { of, query } => self.nested(of, scope, |reads, scope| reads.node(query, scope)),
            Node::Index { of, index } => {
                self.node(of, scope);
                self.node(index, scope);
            }
            Node::Slice { of, low, high, step } => {
                self.node(of, scope);
                [low, high, step].into_iter().flatten().for_each(|bound| self.node(bound, scope));
            }
            Node::Not(of) | Node::Negate(of) => self.node(of, scope),
            Node::Binary { left, right, .. } => {
                self.node(left, scope);
                self.node(right, scope);
            }
            Node::Lambda { body, .. } => self.node(body, scope.outer.unwrap_or(scope)),
            Node::Match { subject: Some(subject), cases } => {
                self.node(subject, scope);
                self.nested(subject, scope, |reads, scope| reads.cases(cases, scope));
            }
            Node::Match { subject: None, cases } => self.cases(cases, scope),
            Node::If { branches, otherwise } => {
                for (condition, value) in branches {
                    self.node(condition, scope);
                    self.node(value, scope);
                }
                otherwise.iter().for_each(|value| self.node(value, scope));
            }
        }
    }

    fn cases(&mut self, cases: &[(Case, Node)], scope: &Scope<'_>) {
        for (case, value) in cases {
            if let Case::Test(test) = case {
                self.node(test, scope);
            }
            self.node(value, scope);
        }
    }

    /// Runs `within` where `this` is the value of `of`.
    fn nested(&mut self, of: &Node, scope: &Scope<'_>, within: impl FnOnce(&mut Self, &Scope<'_>)) {
        let this = place(of, scope);
        match &this {
            // A lambda takes the value as a whole.
            Some(path) => self.captured(of, path),
            None => self.node(of, scope),
        }
        within(self, &Scope { this, outer: Some(scope) });
    }

    /// The value of a field that a nested query is about: it counts as read, since the query may capture it. The whole
    /// document does not: what is read of it is told by the query.
    fn captured(&mut self, of: &Node, path: &[Text]) {
        if !matches!(of, Node::This) {
            self.found.push(path.to_vec());
        }
    }

    fn method(&mut self, of: &Node, name: &str, arguments: &Arguments, scope: &Scope<'_>) {
        let first = arguments.items.first();
        match (name, first, place(of, scope)) {
            // A path below the receiver.
            ("exists" | "get", Some(Argument::Path(path)), Some(mut base)) => {
                base.extend(path.iter().cloned());
                self.found.push(base);
            }
            ("apply", Some(Argument::Map(index)), this) if self.maps < MAX_MAPS => {
                if this.is_none() {
                    self.node(of, scope);
                }
                if let Some(map) = self.program.maps.get(*index) {
                    self.maps += 1;
                    self.steps(&map.steps, &Scope { this, outer: None });
                    self.maps -= 1;
                }
            }
            _ => self.node(of, scope),
        }
        self.arguments(arguments, scope);
    }

    fn arguments(&mut self, arguments: &Arguments, scope: &Scope<'_>) {
        for argument in &arguments.items {
            match argument {
                Argument::Dynamic(node) => self.node(node, scope),
                // Its `this` is a value of the method's choice.
                Argument::Query(node) => self.node(node, &Scope { this: None, outer: Some(scope) }),
                _ => {}
            }
        }
    }
}

/// The path of the document that a node stands for.
fn place(node: &Node, scope: &Scope<'_>) -> Option<Vec<Text>> {
    match node {
        Node::This => scope.this.clone(),
        Node::Field { of, path } => {
            let mut base = place(of, scope)?;
            base.extend(path.iter().cloned());
            Some(base)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Environment, Mapping, Text};

    fn joined(paths: Vec<Vec<Text>>) -> String {
        paths.iter().map(|path| path.join(".")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_read_and_written_is_found() {
        for (text, reads, writes) in [
            ("root = this", "", ""),
            ("root.a.b = this.c.d", "c.d", "a.b"),
            ("root = c.d", "c.d", ""),
            ("root.a = this.c.uppercase() + this.d", "c d", "a"),
            ("root.a = json(\"x.y\")", "x.y", "a"),
            ("root.a = this.exists(\"x.y\")", "x.y", "a"),
            ("root.a = this.p.get(\"x\")", "p.x", "a"),
            ("root.a = this.p.(x + this.y)", "p p.x p.y", "a"),
            ("root.a = this.p.(v -> v.x + this.y)", "p y", "a"),
            ("root.a = this.items.map_each(this.x)", "items", "a"),
            ("root.a = this.items.map_each(i -> i.x + this.y)", "items y", "a"),
            ("let v = this.x\nroot.a = $v", "x", "a"),
            ("root.a = if this.x == 1 { this.y } else { this.z }", "x y z", "a"),
            ("root.a = match this.x { this.k == 1 => this.y, _ => 2 }", "x x.k x.y", "a"),
            ("root.a = match { this.x == 1 => this.y }", "x y", "a"),
            ("if this.x == 1 { root.a = 1 } else { root.b = this.y }", "x y", "a b"),
            ("map m { root.q = this.x }\nroot.a = this.p.apply(\"m\")", "p.x", "a"),
            ("meta k = this.x\nroot.a = @k", "x", "a"),
            ("root.a = [this.x, {\"y\": this.z}]", "x z", "a"),
            ("root.a = \"constant\"", "", "a"),
        ] {
            let mapping = Mapping::parse(&Environment::pure(), text).unwrap();
            assert_eq!(
                (joined(mapping.reads()), joined(mapping.writes())),
                (reads.into(), writes.into()),
                "{text}"
            );
        }
        // Nothing is another thing than everything.
        let constant = Mapping::parse(&Environment::pure(), "root.a = 1").unwrap();
        assert!(constant.reads().is_empty());
        assert_eq!(Mapping::parse(&Environment::pure(), "root = this").unwrap().reads().len(), 1);
    }
}
