//! The one description of every function and method. Checking calls, the reference in `docs/bloblang.md` and the tests
//! of the examples all come from here.

mod addresses;
mod arrays;
mod ascii85;
mod calendar;
mod changes;
mod coercion;
#[cfg(test)]
mod completeness_tests;
mod compression;
mod crypto;
mod csv;
mod encoding;
mod fake;
mod functions;
mod general;
mod html;
mod identifiers;
mod json_path;
mod jwt;
mod msgpack;
mod names;
mod numbers;
mod objects;
mod outside;
mod query_json;
mod receive;
mod reference;
mod regexps;
mod strings;
mod timestamps;
mod urls;
mod xml;
mod yaml;

pub use reference::reference;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::run::{Arguments, Context, Evaluated, Node};
use crate::{Capability, Environment, Value};

/// Everything about one function or method.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    /// Older names that still work.
    pub(crate) aliases: &'static [&'static str],
    /// The chapter of the reference that it stands in.
    pub(crate) chapter: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) parameters: &'static [Parameter],
    pub(crate) examples: &'static [Example],
    /// What the environment must allow.
    pub(crate) needs: Option<Capability>,
    /// Looks at the arguments when a mapping is compiled; what it finds wrong is a fault of the text.
    pub(crate) prepare: Option<Prepare>,
    /// What of its result is new.
    pub(crate) makes: Makes,
    pub(crate) run: Run,
}

/// What of a result is new memory, and whether its maker reads all of the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Makes {
    /// All of it, down to the last text: what is said of none.
    All,
    /// An array or object around what was there before, or what queries gave that count for themselves.
    Shell,
    /// Nothing: it hands on what is there, and does not look through it.
    Nothing,
}

/// See [`Spec::prepare`].
pub(crate) type Prepare = fn(&Environment, &Arguments) -> Evaluated<()>;

/// How it runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Run {
    Function(fn(&mut Context<'_>, &Arguments) -> Evaluated),
    Method(fn(&mut Context<'_>, Value, &Arguments) -> Evaluated),
    /// A method that decides itself whether and how its receiver is evaluated.
    Lazy(fn(&mut Context<'_>, &Node, &Arguments) -> Evaluated),
}

/// One parameter.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) presence: Presence,
    pub(crate) summary: &'static str,
}

/// What a parameter accepts. Arguments that are known when a mapping is parsed are checked against it there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Any,
    Text,
    /// One of a few texts.
    Choice(&'static [&'static str]),
    Integer,
    Number,
    Bool,
    Timestamp,
    /// A query or a lambda, which the method runs on contexts of its choice.
    Query,
    /// A regular expression.
    Regex,
    /// A dot path.
    Path,
    /// The name of a map.
    Map,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Presence {
    Required,
    Optional,
    Default(Fixed),
    /// Any number of arguments, at least one; only the last parameter.
    Many,
}

/// A default value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fixed {
    Int(i64),
    Bool(bool),
    Text(&'static str),
}

/// A mapping that is run as a test and shown in the reference: the mapping, the message, and the new message, which
/// begins with `error: ` when the mapping fails with that text in its message, or is `deleted`.
#[derive(Debug)]
pub(crate) struct Example(pub(crate) &'static str, pub(crate) &'static str, pub(crate) &'static str);

impl Parameter {
    pub(crate) const fn required(name: &'static str, kind: Kind, summary: &'static str) -> Parameter {
        Parameter { name, kind, presence: Presence::Required, summary }
    }

    pub(crate) const fn optional(name: &'static str, kind: Kind, summary: &'static str) -> Parameter {
        Parameter { name, kind, presence: Presence::Optional, summary }
    }

    pub(crate) const fn with_default(
        name: &'static str,
        kind: Kind,
        default: Fixed,
        summary: &'static str,
    ) -> Parameter {
        Parameter { name, kind, presence: Presence::Default(default), summary }
    }

    pub(crate) const fn many(name: &'static str, kind: Kind, summary: &'static str) -> Parameter {
        Parameter { name, kind, presence: Presence::Many, summary }
    }
}

impl Spec {
    pub(crate) const fn function(
        name: &'static str,
        summary: &'static str,
        run: fn(&mut Context<'_>, &Arguments) -> Evaluated,
    ) -> Spec {
        Spec::new("Functions", name, summary, Run::Function(run))
    }

    pub(crate) const fn method(
        chapter: &'static str,
        name: &'static str,
        summary: &'static str,
        run: fn(&mut Context<'_>, Value, &Arguments) -> Evaluated,
    ) -> Spec {
        Spec::new(chapter, name, summary, Run::Method(run))
    }

    pub(crate) const fn lazy(
        chapter: &'static str,
        name: &'static str,
        summary: &'static str,
        run: fn(&mut Context<'_>, &Node, &Arguments) -> Evaluated,
    ) -> Spec {
        Spec::new(chapter, name, summary, Run::Lazy(run))
    }

    const fn new(chapter: &'static str, name: &'static str, summary: &'static str, run: Run) -> Spec {
        Spec {
            name,
            aliases: &[],
            chapter,
            summary,
            parameters: &[],
            examples: &[],
            needs: None,
            prepare: None,
            makes: Makes::All,
            run,
        }
    }

    pub(crate) const fn aliases(mut self, aliases: &'static [&'static str]) -> Spec {
        self.aliases = aliases;
        self
    }

    pub(crate) const fn parameters(mut self, parameters: &'static [Parameter]) -> Spec {
        self.parameters = parameters;
        self
    }

    pub(crate) const fn examples(mut self, examples: &'static [Example]) -> Spec {
        self.examples = examples;
        self
    }

    pub(crate) const fn prepare(mut self, prepare: Prepare) -> Spec {
        self.prepare = Some(prepare);
        self
    }

    pub(crate) const fn makes(mut self, makes: Makes) -> Spec {
        self.makes = makes;
        self
    }

    pub(crate) const fn needs(mut self, capability: Capability) -> Spec {
        self.needs = Some(capability);
        self
    }
}

impl Fixed {
    pub(crate) fn value(self) -> Value {
        match self {
            Fixed::Int(number) => Value::Int(number),
            Fixed::Bool(value) => Value::Bool(value),
            Fixed::Text(text) => Value::from(text),
        }
    }
}

type Index = HashMap<&'static str, &'static Spec>;

static FUNCTIONS: LazyLock<Index> = LazyLock::new(|| index(all_functions()));
static METHODS: LazyLock<Index> = LazyLock::new(|| index(all_methods()));

fn index(specs: impl Iterator<Item = &'static Spec>) -> Index {
    specs.flat_map(|spec| spec.aliases.iter().chain([&spec.name]).map(move |name| (*name, spec))).collect()
}

/// Every method, chapter by chapter.
pub(crate) fn all_methods() -> impl Iterator<Item = &'static Spec> {
    [
        general::TABLE,
        coercion::TABLE,
        strings::TABLE,
        regexps::TABLE,
        html::TABLE,
        names::TABLE,
        urls::TABLE,
        encoding::TABLE,
        compression::TABLE,
        crypto::TABLE,
        jwt::TABLE,
        csv::TABLE,
        msgpack::TABLE,
        xml::TABLE,
        yaml::TABLE,
        addresses::TABLE,
        numbers::TABLE,
        timestamps::TABLE,
        calendar::TABLE,
        arrays::TABLE,
        objects::TABLE,
        changes::TABLE,
        json_path::TABLE,
        query_json::TABLE,
    ]
    .into_iter()
    .flatten()
}

/// Every function.
pub(crate) fn all_functions() -> impl Iterator<Item = &'static Spec> {
    [functions::TABLE, identifiers::TABLE, outside::TABLE, fake::TABLE].into_iter().flatten()
}

/// What is known but not offered, and why.
pub(crate) fn left_out(name: &str) -> Option<&'static str> {
    match name {
        "parse_parquet" => Some("reading Parquet files is not part of this build"),
        _ => None,
    }
}

pub(crate) fn function(name: &str) -> Option<&'static Spec> {
    FUNCTIONS.get(name).copied()
}

pub(crate) fn method(name: &str) -> Option<&'static Spec> {
    METHODS.get(name).copied()
}
