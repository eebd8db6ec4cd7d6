//! Templates as they are written: a file each.

use bloblang::Environment;
use document::{Document, Fault, Format};
use serde_json::Value as Json;

use super::{Of, Shape, Template, TemplateField};
use crate::bloblangs;
use crate::lint::lint_section;
use crate::node::Node;
use crate::registry::{Default, Field, Kind};
use crate::settings::Settings;
use crate::sort::Sort;

/// The fields of a template.
const TEMPLATE: &[Field] = &[
    Field::required("name", Kind::Text, "The type key of the component that it makes."),
    Field::required(
        "type",
        Kind::Choice(&["cache", "input", "output", "processor", "rate_limit"]),
        "What the component is for.",
    ),
    Field::optional("status", Kind::Choice(&["stable", "beta", "experimental"]), "For people."),
    Field::new("categories", Kind::List(&Kind::Text), Default::Texts(&[]), "For people."),
    Field::new("summary", Kind::Text, Default::Text(""), "One sentence."),
    Field::new("description", Kind::Text, Default::Text(""), "More of them."),
    Field::optional("fields", Kind::List(&Kind::Object(FIELD)), "What may be written under the type key."),
    Field::required("mapping", Kind::Bloblang, "Makes the component of the fields, which are `this`."),
    Field::optional(
        "metrics_mapping",
        Kind::Ignored(
            "the components inside count under their own paths; `metrics.mapping` of the stream renames them",
        ),
        "Renames what the component counts.",
    ),
    Field::optional("tests", Kind::List(&Kind::Object(TEST)), "What the mapping must make."),
];

const FIELD: &[Field] = &[
    Field::required("name", Kind::Text, "As it is written."),
    Field::new("description", Kind::Text, Default::Text(""), "For people."),
    Field::required("type", Kind::Choice(&["string", "int", "float", "bool", "unknown"]), "What it holds."),
    Field::new("kind", Kind::Choice(&["scalar", "map", "list"]), Default::Text("scalar"), "How many of it."),
    Field::optional(
        "default",
        Kind::Any,
        "What holds without it; a field without a default must be written.",
    ),
    Field::new("advanced", Kind::Bool, Default::Bool(false), "Seldom needed."),
];

const TEST: &[Field] = &[
    Field::required("name", Kind::Text, "What is told."),
    Field::optional("config", Kind::Any, "What is written under the type key."),
    Field::optional(
        "expected",
        Kind::Any,
        "The component that it makes; without it only its faults are told.",
    ),
];

impl Template {
    /// Reads a template and checks it; warnings come with it.
    ///
    /// # Errors
    /// Every fault, with its place.
    pub fn read(document: &Document, settings: &Settings) -> Result<(Template, Vec<Fault>), Vec<Fault>> {
        let mut faults = lint_section(TEMPLATE, "template", document, settings);
        faults.extend(document.repeated_keys());
        if faults.iter().any(Fault::is_error) {
            return Err(faults);
        }
        match of(document.value(), &settings.environment) {
            Ok(template) => Ok((template, faults)),
            Err(fault) => {
                faults.push(fault);
                document.locate(&mut faults);
                Err(faults)
            }
        }
    }

    /// As [`Template::read`], of a text in YAML or JSON.
    ///
    /// # Errors
    /// Every fault, with its place.
    pub fn parse(text: &str, settings: &Settings) -> Result<Template, Vec<Fault>> {
        let document = Document::parse(text, Format::Yaml).map_err(|fault| vec![fault])?;
        Template::read(&document, settings).map(|(template, _)| template)
    }

    /// Whether a document is meant to be a template and not a stream.
    pub fn is_one(value: &Json) -> bool {
        let has = |key: &str| value.get(key).is_some_and(Json::is_string);
        has("name") && has("type") && has("mapping") && value.get("input").is_none()
    }
}

fn of(value: &Json, environment: &Environment) -> Result<Template, Fault> {
    let node = Node::new(value, Kind::Object(TEMPLATE), "");
    let sort = match &*node.text("type")? {
        "cache" => Sort::Cache,
        "input" => Sort::Input,
        "output" => Sort::Output,
        "processor" => Sort::Processor,
        _ => Sort::RateLimit,
    };
    let name = node.text("name")?.into_owned();
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(legal) {
        return Err(node.field_fault("name", format!("`{name}` cannot be a type: use a-z 0-9 _")));
    }
    let mapping =
        bloblangs::mapping(environment, &node.text("mapping")?, "/mapping").map_err(bloblangs::first)?;
    let fields = node.get("fields").members().iter().map(field).collect::<Result<_, _>>()?;
    let summary = node.text("summary")?.into_owned();
    Ok(Template { name, sort, summary, fields, mapping })
}

fn field(node: &Node<'_>) -> Result<TemplateField, Fault> {
    let field = TemplateField {
        name: node.text("name")?.into_owned(),
        of: match &*node.text("type")? {
            "string" => Of::Text,
            "int" => Of::Int,
            "float" => Of::Float,
            "bool" => Of::Bool,
            _ => Of::Unknown,
        },
        shape: match &*node.text("kind")? {
            "map" => Shape::Map,
            "list" => Shape::List,
            _ => Shape::Scalar,
        },
        default: node.value().get("default").cloned(),
        advanced: node.boolean("advanced")?,
    };
    match &field.default {
        Some(default) if !field.holds(default) => {
            Err(node.field_fault("default", format!("the default must be {}", field.expected())))
        }
        _ => Ok(field),
    }
}
