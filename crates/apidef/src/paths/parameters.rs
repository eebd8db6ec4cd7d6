//! Parameters of operations (OpenAPI 3.0 and 3.1, "Parameter Object").

use crate::oas::{Converter, resolve};
use crate::section::Section;
use document::{Fault, pointer_join};
use serde_json::Value;

/// A parameter of an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name; of a header field, in any case.
    pub name: Box<str>,
    /// Where it is.
    pub place: ParameterPlace,
    /// A request without it is refused.
    pub required: bool,
    /// It may be there without a value.
    pub may_be_empty: bool,
    /// How values are written; `None`: as JSON.
    pub style: Option<ParameterStyle>,
    /// The parts of a value are written one by one.
    pub explode: bool,
    /// A JSON schema; its references lead into the schemas of the document.
    pub schema: Value,
}

/// Where a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterPlace {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// A header field.
    Header,
    /// A cookie.
    Cookie,
}

/// How a value is written that has parts ("Style Values").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterStyle {
    /// `a,b`
    Simple,
    /// `.a.b`
    Label,
    /// `;name=a;name=b`
    Matrix,
    /// `name=a&name=b`
    Form,
    /// `name=a%20b`
    Space,
    /// `name=a|b`
    Pipe,
    /// `name[a]=1&name[b]=2`
    Deep,
}

impl ParameterPlace {
    const ALL: [Self; 4] = [Self::Path, Self::Query, Self::Header, Self::Cookie];

    /// As documents have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
        }
    }

    fn style(self, written: Option<&str>) -> Option<ParameterStyle> {
        use ParameterStyle::{Deep, Form, Label, Matrix, Pipe, Simple, Space};
        match (self, written) {
            (Self::Path | Self::Header, None | Some("simple")) => Some(Simple),
            (Self::Query | Self::Cookie, None | Some("form")) => Some(Form),
            (Self::Path, Some("label")) => Some(Label),
            (Self::Path, Some("matrix")) => Some(Matrix),
            (Self::Query, Some("spaceDelimited")) => Some(Space),
            (Self::Query, Some("pipeDelimited")) => Some(Pipe),
            (Self::Query, Some("deepObject")) => Some(Deep),
            _ => None,
        }
    }
}

/// Header fields that OpenAPI says nothing of, whatever a document says.
const OTHERWISE_TOLD: [&str; 3] = ["accept", "content-type", "authorization"];

/// The parameters of a path, and those of an operation, which count in their stead.
pub(super) fn read<'v>(
    root: &Section<'v>,
    lists: [(Option<&'v Value>, String); 2],
    converter: &mut Converter<'_, 'v>,
    faults: &mut Vec<Fault>,
) -> Box<[Parameter]> {
    let mut parameters: Vec<Parameter> = Vec::new();
    for (list, at) in lists {
        for (index, written) in list.and_then(Value::as_array).into_iter().flatten().enumerate() {
            let at = format!("{at}/{index}");
            let Some(parameter) = one(root, written, &at, converter, faults) else { continue };
            let is_same = |other: &Parameter| {
                let is_named = match parameter.place {
                    ParameterPlace::Header => other.name.eq_ignore_ascii_case(&parameter.name),
                    _ => other.name == parameter.name,
                };
                other.place == parameter.place && is_named
            };
            parameters.retain(|other| !is_same(other));
            parameters.push(parameter);
        }
    }
    parameters.into()
}

fn one<'v>(
    root: &Section<'v>,
    written: &'v Value,
    at: &str,
    converter: &mut Converter<'_, 'v>,
    faults: &mut Vec<Fault>,
) -> Option<Parameter> {
    let Some(object) = resolve(root, written).and_then(Value::as_object) else {
        faults.push(Fault::error(at, "there is no parameter here, and none that this refers to"));
        return None;
    };
    let section = Section { object: Some(object), pointer: at.to_owned() };
    let (name, place) = (section.text("name", faults), section.text("in", faults));
    let Some(place) = ParameterPlace::ALL.into_iter().find(|known| known.name() == place) else {
        let fault = Fault::error(section.at("in"), format!("`{place}` is no place of a parameter"));
        faults.push(fault.hint("write `path`, `query`, `header` or `cookie`"));
        return None;
    };
    if name.is_empty() {
        faults.push(Fault::error(section.at("name"), "a parameter needs a `name`"));
        return None;
    }
    if place == ParameterPlace::Header && OTHERWISE_TOLD.contains(&&*name.to_ascii_lowercase()) {
        return None;
    }
    let content = section.section("content", faults);
    let media = content.object.and_then(|content| content.iter().next());
    let (schema, place_of_schema, style) = match media {
        Some((kind, media)) => {
            let at = pointer_join(&pointer_join(&content.pointer, kind), "schema");
            (media.get("schema"), at, None)
        }
        None => {
            let style = section.get("style").and_then(Value::as_str);
            let Some(style) = place.style(style) else {
                let style = style.unwrap_or_default();
                let text = format!("`{style}` is no style of parameters in the {}", place.name());
                faults.push(Fault::error(section.at("style"), text));
                return None;
            };
            (section.get("schema"), section.at("schema"), Some(style))
        }
    };
    let schema = match schema {
        Some(schema) => converter.schema(schema, &place_of_schema, faults),
        None => Value::Bool(true),
    };
    let explode = match section.get("explode") {
        Some(_) => section.flag("explode", faults),
        None => style == Some(ParameterStyle::Form),
    };
    Some(Parameter {
        name: name.into(),
        place,
        required: place == ParameterPlace::Path || section.flag("required", faults),
        may_be_empty: section.flag("allowEmptyValue", faults),
        style,
        explode,
        schema,
    })
}
