//! The compiled form of a query: every name resolved, every path split, every constant folded.

use super::arguments::Arguments;
use super::path::Path;
use crate::Value;
use crate::syntax::tree::Operator;
use crate::table::Spec;

/// A compiled query.
#[derive(Debug)]
pub(crate) enum Node {
    Literal(Value),
    This,
    Root,
    /// A variable or a captured context of the running map, by its slot.
    Slot {
        slot: usize,
        name: Box<str>,
    },
    /// Fields below a value.
    Field {
        of: Box<Node>,
        path: Path,
    },
    /// An output metadata value, or all of them.
    Meta(Option<Box<str>>),
    Array(Box<[Node]>),
    Object(Box<[(Node, Node)]>),
    Function {
        spec: &'static Spec,
        arguments: Arguments,
    },
    Method {
        of: Box<Node>,
        spec: &'static Spec,
        arguments: Arguments,
    },
    /// A query over another value.
    Nested {
        of: Box<Node>,
        query: Box<Node>,
    },
    Index {
        of: Box<Node>,
        index: Box<Node>,
    },
    Slice {
        of: Box<Node>,
        low: Option<Box<Node>>,
        high: Option<Box<Node>>,
        step: Option<Box<Node>>,
    },
    Not(Box<Node>),
    Negate(Box<Node>),
    Binary {
        operator: Operator,
        left: Box<Node>,
        right: Box<Node>,
    },
    /// Takes the context off, perhaps into a slot, and runs the body in the context around it.
    Lambda {
        slot: Option<usize>,
        body: Box<Node>,
    },
    Match {
        subject: Option<Box<Node>>,
        cases: Box<[(Case, Node)]>,
    },
    If {
        branches: Box<[(Node, Node)]>,
        otherwise: Option<Box<Node>>,
    },
}

/// When a match case applies.
#[derive(Debug)]
pub(crate) enum Case {
    Any,
    Equal(Value),
    Test(Box<Node>),
}

impl Node {
    pub(crate) fn literal(&self) -> Option<&Value> {
        match self {
            Node::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// What the node is, for error texts.
    pub(crate) fn describe(&self) -> String {
        match self {
            Node::Literal(value) => format!("{} literal", value.type_name()),
            Node::This => "field `this`".to_owned(),
            Node::Root => "field `root`".to_owned(),
            Node::Slot { name, .. } => format!("variable `{name}`"),
            Node::Field { .. } => format!("field `{}`", self.path_text().unwrap_or_default()),
            Node::Meta(Some(key)) => format!("metadata `{key}`"),
            Node::Meta(None) => "metadata".to_owned(),
            Node::Array(_) => "array literal".to_owned(),
            Node::Object(_) => "object literal".to_owned(),
            Node::Function { spec, .. } => format!("function `{}`", spec.name),
            Node::Method { spec, .. } => format!("method `{}`", spec.name),
            Node::Nested { .. } => "map expression".to_owned(),
            Node::Index { .. } => "index expression".to_owned(),
            Node::Slice { .. } => "slice expression".to_owned(),
            Node::Not(_) => "not expression".to_owned(),
            Node::Negate(_) | Node::Binary { .. } => "arithmetic expression".to_owned(),
            Node::Lambda { .. } => "named context".to_owned(),
            Node::Match { .. } => "match expression".to_owned(),
            Node::If { .. } => "if expression".to_owned(),
        }
    }

    /// `this.a.b`, as it was written.
    pub(crate) fn path_text(&self) -> Option<String> {
        match self {
            Node::This => Some("this".to_owned()),
            Node::Root => Some("root".to_owned()),
            Node::Slot { name, .. } => Some(name.to_string()),
            Node::Field { of, path } => {
                let base = of.path_text().unwrap_or_else(|| "…".to_owned());
                Some(format!("{base}.{}", super::path::join(path)))
            }
            _ => None,
        }
    }
}
