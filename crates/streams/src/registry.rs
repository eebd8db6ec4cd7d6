//! Which components there are, and what may be written under each: the one source of lint, building and reference.

use std::collections::BTreeMap;

use document::Fault;

use crate::build::BuildContext;
use crate::component::{Input, Output, Processor};
use crate::node::Node;

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// Text; numbers and booleans are taken as their text.
    Text,
    /// Text with `${! }` interpolations (contract 4.3).
    Template,
    /// A Bloblang mapping or query.
    Bloblang,
    /// A Go duration such as `1m30s`; empty text where the default is empty.
    Duration,
    /// A size in bytes, as a number or as text such as `64MiB`.
    Size,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of these.
    List(&'static Kind),
    /// Names of the writer's choice, each with one of these.
    Map(&'static Kind),
    /// An object of these fields and no others.
    Object(&'static [Field]),
    /// An input component.
    Input,
    /// A processor component.
    Processor,
    /// An output component.
    Output,
    /// Any value, not looked into.
    Any,
    /// Known from the original, without effect here; the text says why. A warning.
    Ignored(&'static str),
    /// Known from the original, but not offered here; the text says what to do instead. Refused unless empty.
    Refused(&'static str),
}

/// What holds when a field is not written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Default {
    /// It must be written.
    Required,
    /// Nothing.
    Absent,
    /// This boolean.
    Bool(bool),
    /// This whole number.
    Int(i64),
    /// This number.
    Float(f64),
    /// This text.
    Text(&'static str),
    /// These texts.
    Texts(&'static [&'static str]),
    /// These names with these texts.
    Pairs(&'static [(&'static str, &'static str)]),
}

/// One field of a component.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// As it is written.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What holds without it.
    pub default: Default,
    /// One or two sentences for the reference.
    pub doc: &'static str,
    /// Never shown back.
    pub secret: bool,
}

impl Field {
    /// A field with a default.
    pub const fn new(name: &'static str, kind: Kind, default: Default, doc: &'static str) -> Field {
        Field { name, kind, default, doc, secret: false }
    }

    /// A field that must be written.
    pub const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Field {
        Field::new(name, kind, Default::Required, doc)
    }

    /// A field without a default.
    pub const fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Field {
        Field::new(name, kind, Default::Absent, doc)
    }

    /// An object of fields.
    pub const fn object(name: &'static str, fields: &'static [Field], doc: &'static str) -> Field {
        Field::new(name, Kind::Object(fields), Default::Absent, doc)
    }

    /// The same field, never shown back.
    pub const fn secret(mut self) -> Field {
        self.secret = true;
        self
    }
}

/// One component: its name, its fields, and how it is built.
#[derive(Debug)]
pub struct Spec<B> {
    /// The type key in a configuration.
    pub name: &'static str,
    /// One sentence for the reference.
    pub summary: &'static str,
    /// What stands under the type key: mostly [`Kind::Object`], sometimes bare text.
    pub config: Kind,
    /// Makes the component from linted configuration. Connects and starts nothing.
    pub build: B,
}

/// Builds an input.
pub type BuildInput = fn(&Node<'_>, &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault>;
/// Builds a processor.
pub type BuildProcessor = fn(&Node<'_>, &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault>;
/// Builds an output.
pub type BuildOutput = fn(&Node<'_>, &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault>;

/// An input as the registry knows it.
pub type InputSpec = Spec<BuildInput>;
/// A processor as the registry knows it.
pub type ProcessorSpec = Spec<BuildProcessor>;
/// An output as the registry knows it.
pub type OutputSpec = Spec<BuildOutput>;

/// Every component that a configuration can name.
#[derive(Debug, Clone, std::default::Default)]
pub struct Registry {
    /// By name.
    pub inputs: BTreeMap<&'static str, &'static InputSpec>,
    /// By name.
    pub processors: BTreeMap<&'static str, &'static ProcessorSpec>,
    /// By name.
    pub outputs: BTreeMap<&'static str, &'static OutputSpec>,
}

impl Registry {
    /// The components of this crate: all that need no network client.
    pub fn standard() -> Registry {
        let mut registry = <Registry as std::default::Default>::default();
        for spec in crate::inputs::ALL {
            registry.add_input(spec);
        }
        for spec in crate::processors::ALL {
            registry.add_processor(spec);
        }
        for spec in crate::outputs::ALL {
            registry.add_output(spec);
        }
        registry
    }

    /// Adds an input.
    pub fn add_input(&mut self, spec: &'static InputSpec) {
        self.inputs.insert(spec.name, spec);
    }

    /// Adds a processor.
    pub fn add_processor(&mut self, spec: &'static ProcessorSpec) {
        self.processors.insert(spec.name, spec);
    }

    /// Adds an output.
    pub fn add_output(&mut self, spec: &'static OutputSpec) {
        self.outputs.insert(spec.name, spec);
    }
}
