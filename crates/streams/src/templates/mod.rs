//! Components that are made of others: a template turns a few fields into the configuration of a component (streams
//! contract 5.7).

mod check;
mod expand;
mod read;

use bloblang::{Mapping, Value};
use document::Fault;
use serde_json::{Map, Value as Json, json};

pub(crate) use expand::expand;

use crate::message::{Message, View};
use crate::sort::Sort;

/// The templates that configurations may name.
#[derive(Debug, Clone, Default)]
pub struct Templates(Vec<Template>);

/// One template.
#[derive(Debug, Clone)]
pub struct Template {
    name: String,
    sort: Sort,
    summary: String,
    fields: Vec<TemplateField>,
    mapping: Mapping,
}

#[derive(Debug, Clone)]
struct TemplateField {
    name: String,
    of: Of,
    shape: Shape,
    default: Option<Json>,
    advanced: bool,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Text,
    Int,
    Float,
    Bool,
    Unknown,
}

/// How many of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Scalar,
    Map,
    List,
}

impl Templates {
    /// Adds a template.
    ///
    /// # Errors
    /// When there is one of its sort and name.
    pub fn add(&mut self, template: Template) -> Result<(), Fault> {
        if self.get(template.sort, &template.name).is_some() {
            let text = format!("there is another {} template `{}`", template.sort.as_str(), template.name);
            return Err(Fault::error("/name", text));
        }
        self.0.push(template);
        Ok(())
    }

    /// Names and summaries of those that make components of this sort.
    pub fn list(&self, sort: Sort) -> Vec<(&str, &str)> {
        self.of(sort).map(|template| (template.name.as_str(), template.summary.as_str())).collect()
    }

    /// Those that make components of this sort.
    pub(crate) fn of(&self, sort: Sort) -> impl Iterator<Item = &Template> {
        self.0.iter().filter(move |template| template.sort == sort)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, sort: Sort, name: &str) -> Option<&Template> {
        self.0.iter().find(|template| template.sort == sort && template.name == name)
    }
}

impl Template {
    /// The component that the fields make. Faults have pointers below `pointer`, where the fields stand.
    fn apply(&self, given: &Json, pointer: &str) -> Result<Json, Vec<Fault>> {
        let fields = self.complete(given, pointer)?;
        let message = Message::from_value(Value::from(Json::Object(fields)));
        let made = self.mapping.query(&View(&[message]), 0);
        let fault = |text: String| vec![Fault::error(pointer, format!("template `{}`: {text}", self.name))];
        match made {
            Ok(value) if value.as_object().is_some() => Ok(Json::from(&value)),
            Ok(_) => Err(fault("its mapping makes no object".to_owned())),
            Err(error) => Err(fault(error.to_string())),
        }
    }

    /// The fields as given, with defaults for the others.
    fn complete(&self, given: &Json, pointer: &str) -> Result<Map<String, Json>, Vec<Fault>> {
        let empty = Map::new();
        let given = match given {
            Json::Object(members) => members,
            Json::Null => &empty,
            _ => return Err(vec![Fault::error(pointer, format!("`{}` must be an object", self.name))]),
        };
        let mut faults = Vec::new();
        for name in given.keys().filter(|name| self.fields.iter().all(|field| field.name != **name)) {
            let text = format!("unknown field `{name}` in `{}`", self.name);
            let near = document::nearest(name, self.fields.iter().map(|field| field.name.as_str()));
            let mut fault = Fault::error(document::pointer_join(pointer, name), text).on_key();
            fault.hint = near.map(|near| format!("did you mean `{near}`?"));
            faults.push(fault);
        }
        let mut fields = Map::new();
        for field in &self.fields {
            match given.get(&field.name).filter(|value| !value.is_null()) {
                Some(value) => {
                    if !field.holds(value) {
                        let at = document::pointer_join(pointer, &field.name);
                        faults
                            .push(Fault::error(at, format!("`{}` must be {}", field.name, field.expected())));
                    }
                    fields.insert(field.name.clone(), value.clone());
                }
                None => match &field.default {
                    Some(default) => {
                        fields.insert(field.name.clone(), default.clone());
                    }
                    None => {
                        let text = format!("`{}` needs the field `{}`", self.name, field.name);
                        faults.push(Fault::error(pointer, text));
                    }
                },
            }
        }
        if faults.is_empty() { Ok(fields) } else { Err(faults) }
    }
}

impl Template {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn summary(&self) -> &str {
        &self.summary
    }

    /// The JSON Schema of what can be written under its type key.
    pub(crate) fn schema(&self) -> Map<String, Json> {
        let mut properties = Map::new();
        for field in &self.fields {
            let of = match field.of {
                Of::Text => json!({"type": ["string", "number", "boolean"]}),
                Of::Int => json!({"type": "integer"}),
                Of::Float => json!({"type": "number"}),
                Of::Bool => json!({"type": "boolean"}),
                Of::Unknown => json!({}),
            };
            let mut member = match field.shape {
                Shape::Scalar => of,
                Shape::Map => json!({"type": "object", "additionalProperties": of}),
                Shape::List => json!({"type": "array", "items": of}),
            };
            if let Some(default) = &field.default {
                member["default"] = default.clone();
            }
            if field.advanced {
                member["x-advanced"] = true.into();
            }
            properties.insert(field.name.clone(), member);
        }
        let needed = self.fields.iter().filter(|field| field.default.is_none());
        let needed: Vec<&str> = needed.map(|field| field.name.as_str()).collect();
        let mut schema = Map::new();
        schema.insert("type".to_owned(), "object".into());
        schema.insert("properties".to_owned(), properties.into());
        schema.insert("additionalProperties".to_owned(), false.into());
        if !needed.is_empty() {
            schema.insert("required".to_owned(), needed.into());
        }
        schema
    }

    /// What can be written under its type key, each with what may stand behind it; without what is seldom needed,
    /// when it is `small`.
    pub(crate) fn sample(&self, small: bool) -> Vec<(&str, String)> {
        let fields = self.fields.iter().filter(|field| !(small && field.advanced));
        fields.map(|field| (field.name.as_str(), field.sample())).collect()
    }
}

impl TemplateField {
    /// Its default, or a value of its kind, to be written over.
    fn sample(&self) -> String {
        if let Some(default) = &self.default {
            return default.to_string();
        }
        let blank = match (self.shape, self.of) {
            (Shape::Map, _) => "{}",
            (Shape::List, _) => "[]",
            (_, Of::Int | Of::Float) => "0",
            (_, Of::Bool) => "false",
            _ => "\"\"",
        };
        format!("{blank} # required")
    }

    fn holds(&self, value: &Json) -> bool {
        match (self.shape, value) {
            (Shape::Scalar, value) => self.of.holds(value),
            (Shape::List, Json::Array(items)) => items.iter().all(|item| self.of.holds(item)),
            (Shape::Map, Json::Object(members)) => members.values().all(|value| self.of.holds(value)),
            _ => false,
        }
    }

    fn expected(&self) -> String {
        let of = match self.of {
            Of::Text => "text",
            Of::Int => "a whole number",
            Of::Float => "a number",
            Of::Bool => "true or false",
            Of::Unknown => "anything",
        };
        match self.shape {
            Shape::Scalar => of.to_owned(),
            Shape::Map => format!("an object, each member {of}"),
            Shape::List => format!("a list, each item {of}"),
        }
    }
}

impl Of {
    fn holds(self, value: &Json) -> bool {
        match self {
            Of::Text => value.is_string() || value.is_number() || value.is_boolean(),
            Of::Int => value.is_i64() || value.is_u64(),
            Of::Float => value.is_number(),
            Of::Bool => value.is_boolean(),
            Of::Unknown => true,
        }
    }
}

/// A configuration that holds nothing but this component where one of its sort can stand.
fn around(sort: Sort, component: Json) -> Json {
    let mut config = json!({"input": {"generate": {"mapping": "root = {}"}}, "output": {"drop": {}}});
    match sort {
        Sort::Input => config["input"] = component,
        Sort::Output => config["output"] = component,
        Sort::Processor => config["pipeline"] = json!({"processors": [component]}),
        sort => {
            let mut component = component;
            component["label"] = "template".into();
            if let Some(field) = sort.resources() {
                config[field] = json!([component]);
            }
        }
    }
    config
}
