//! The tree of a mapping as it is written.

use super::place::Span;
use crate::Value;

/// A name with its place.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) text: Box<str>,
    pub(crate) span: Span,
}

/// A whole mapping.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) statements: Vec<Statement>,
    pub(crate) maps: Vec<(Name, Vec<Statement>)>,
    /// Files whose maps are used here.
    pub(crate) imports: Vec<Name>,
    /// A file that is the whole mapping.
    pub(crate) whole: Option<Name>,
    /// Whether the text was one query, short for `root = query`.
    pub(crate) single_query: bool,
}

/// One statement of a mapping or of a map.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) span: Span,
    pub(crate) kind: StatementKind,
}

#[derive(Debug)]
pub(crate) enum StatementKind {
    Assign { target: Target, value: Expr },
    If { branches: Vec<(Expr, Vec<Statement>)>, otherwise: Vec<Statement> },
}

/// What an assignment writes.
#[derive(Debug)]
pub(crate) enum Target {
    /// A path below root; empty for root itself.
    Root(Vec<Box<str>>),
    /// A metadata key, or all metadata.
    Meta(Option<Box<str>>),
    /// A variable.
    Variable(Name),
}

/// A query.
#[derive(Debug)]
pub(crate) struct Expr {
    pub(crate) span: Span,
    /// Levels of the tree below and including this node.
    pub(crate) depth: u16,
    pub(crate) kind: Kind,
}

/// An argument, with its name when arguments are named.
#[derive(Debug)]
pub(crate) struct Argument {
    pub(crate) name: Option<Name>,
    pub(crate) value: Expr,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Literal(Value),
    Array(Vec<Expr>),
    Object(Vec<(Expr, Expr)>),
    This,
    Root,
    /// A bare first segment: a captured name, or a field of `this`.
    Word(Box<str>),
    Field {
        of: Box<Expr>,
        path: Vec<Box<str>>,
    },
    Meta(Option<Box<str>>),
    Variable(Name),
    Function {
        name: Name,
        arguments: Vec<Argument>,
    },
    Method {
        of: Box<Expr>,
        name: Name,
        arguments: Vec<Argument>,
    },
    /// `value.(query)`
    Nested {
        of: Box<Expr>,
        query: Box<Expr>,
    },
    Index {
        of: Box<Expr>,
        index: Box<Expr>,
    },
    Slice {
        of: Box<Expr>,
        low: Option<Box<Expr>>,
        high: Option<Box<Expr>>,
        step: Option<Box<Expr>>,
    },
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary {
        operator: Operator,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// `name -> body`; no name for `_`.
    Lambda {
        name: Option<Name>,
        body: Box<Expr>,
    },
    Match {
        subject: Option<Box<Expr>>,
        cases: Vec<(Option<Expr>, Expr)>,
    },
    If {
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Multiply,
    Divide,
    Modulo,
    Coalesce,
    Add,
    Subtract,
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    And,
    Or,
}

impl Operator {
    pub(crate) fn from_sign(sign: &str) -> Option<Operator> {
        Some(match sign {
            "*" => Operator::Multiply,
            "/" => Operator::Divide,
            "%" => Operator::Modulo,
            "|" => Operator::Coalesce,
            "+" => Operator::Add,
            "-" => Operator::Subtract,
            "==" => Operator::Equal,
            "!=" => Operator::NotEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterEqual,
            "<" => Operator::Less,
            "<=" => Operator::LessEqual,
            "&&" => Operator::And,
            "||" => Operator::Or,
            _ => return None,
        })
    }

    /// How tightly it binds; all are left-associative.
    pub(crate) fn binding(self) -> u8 {
        match self {
            Operator::Multiply | Operator::Divide | Operator::Modulo | Operator::Coalesce => 4,
            Operator::Add | Operator::Subtract => 3,
            Operator::And | Operator::Or => 1,
            _ => 2,
        }
    }
}
