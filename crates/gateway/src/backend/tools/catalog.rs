//! The tools of one API as they are used: found by name, with what their arguments have to be.

use std::collections::HashMap;
use std::sync::Arc;

use apidef::{Backend, Definition, Source, Tool, ToolSource};
use document::Fault;
use jsonschema::Validator;
use mcp::{Arguments, ToolRequest};
use serde_json::Value;

use super::answer;
use super::asking::Told;
use crate::snapshot::RunningApi;
use crate::validation::{compile, violations};

/// All tools of an API.
#[derive(Debug)]
pub(crate) struct Catalog {
    /// The API that they are made of, and what it was then.
    source: Box<str>,
    from: Arc<Definition>,
    /// Whose tools they are.
    of: Arc<Definition>,
    tools: Vec<Usable>,
    by_name: HashMap<Box<str>, usize>,
    /// All of them as they are listed.
    listed: Box<str>,
}

/// One tool.
#[derive(Debug)]
pub(crate) struct Usable {
    pub(super) tool: Tool,
    /// What its arguments have to be; `None` where its schema is of no use.
    arguments: Option<Validator>,
    /// What its answers have to be, where clients are told.
    answers: Option<Validator>,
}

impl Catalog {
    /// The id of the API that they are made of.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn listed(&self) -> &str {
        &self.listed
    }

    pub(super) fn tool(&self, name: &str) -> Option<&Usable> {
        self.tools.get(*self.by_name.get(name)?)
    }

    /// Every tool.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Tool> {
        self.tools.iter().map(|usable| &usable.tool)
    }
}

impl Usable {
    fn new(mut tool: Tool, source: &ToolSource, warnings: &mut Vec<Fault>) -> Self {
        let mut usable = |schema: &Value| {
            let mut schema = schema.clone();
            schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
            match compile(&schema, "") {
                Ok(validator) => Some(validator),
                Err(fault) => {
                    let text =
                        format!("the tool `{}` is not held to its schema: {}", tool.name, fault.message);
                    warnings.push(Fault::warning(&*source.at.0, text));
                    None
                }
            }
        };
        let arguments = usable(&tool.input);
        let answers = tool.output.as_ref().filter(|_| tool.answers_checked).and_then(usable);
        // Nobody is told what answers are not held to.
        if answers.is_none() && tool.answers_checked {
            tool.output = None;
        }
        Self { tool, arguments, answers }
    }

    /// The request that a use of it is.
    ///
    /// # Errors
    /// What is wrong with the arguments.
    pub(super) fn request(&self, arguments: &Arguments) -> Result<ToolRequest, String> {
        let request = mcp::request(&self.tool, arguments)?;
        match self.arguments.as_ref().and_then(|validator| violations(validator, arguments.plain())) {
            Some(why) => Err(format!("the arguments do not fit: {why}")),
            None => Ok(request),
        }
    }

    /// What came of it, as the result of a call.
    pub(super) fn told(&self, told: &Told) -> String {
        let fits = |text: &str| {
            let Some(validator) = &self.answers else { return true };
            serde_json::from_str::<Value>(text).is_ok_and(|answer| validator.is_valid(&answer))
        };
        answer::of(&self.tool, told, fits)
    }
}

/// Tools, and what is only told of them.
pub(crate) type Bound = (Arc<Catalog>, Vec<Fault>);

/// Makes the tools of an API of the one that they are made of, unless they were `before`. `None`: its address is that of something
/// else. What is only told comes with them.
///
/// # Errors
/// There is no such API, or it does not fit what is said of its tools; at places of the definition that says so.
pub(crate) fn bind(
    definition: &Arc<Definition>,
    wanted: &ToolSource,
    source: Option<&Arc<RunningApi>>,
    before: Option<&Arc<Catalog>>,
) -> Result<Option<Bound>, Vec<Fault>> {
    let source = match usable(definition, wanted, source) {
        Ok(source) => source,
        Err(_) if !wanted.certain => return Ok(None),
        Err(fault) => return Err(vec![fault]),
    };
    if let Some(before) = before
        && before.from.is_same(&source.definition)
        && before.of.is_same(definition)
    {
        return Ok(Some((Arc::clone(before), Vec::new())));
    }
    let document: Value = serde_json::from_str(&source.definition.text).unwrap_or_default();
    if !wanted.certain && document["paths"]["/mcp"].is_object() {
        return Ok(None);
    }
    let (tools, mut warnings) = apidef::catalog(&document, wanted)?;
    let tools: Vec<Usable> = tools.into_iter().map(|tool| Usable::new(tool, wanted, &mut warnings)).collect();
    let listed = mcp::listed(tools.iter().map(|usable| &usable.tool)).into();
    let names = tools.iter().enumerate().map(|(index, usable)| (usable.tool.name.clone(), index));
    let catalog = Catalog {
        source: wanted.api.clone(),
        from: Arc::clone(&source.definition),
        of: Arc::clone(definition),
        by_name: names.collect(),
        tools,
        listed,
    };
    Ok(Some((Arc::new(catalog), warnings)))
}

/// The API that tools are made of, if they can be.
fn usable<'s>(
    definition: &Definition,
    wanted: &ToolSource,
    source: Option<&'s Arc<RunningApi>>,
) -> Result<&'s Arc<RunningApi>, Fault> {
    let at = &*wanted.at.0;
    let of = &wanted.api;
    let Some(source) = source.filter(|source| !source.hosted) else {
        let fault = Fault::error(at, format!("there is no API `{of}` that tools could be made of"));
        return Err(fault.hint("write the id of an OpenAPI definition of this gate, and add that first"));
    };
    let api = &source.model;
    if api.org_id != definition.api.org_id {
        return Err(Fault::error(at, format!("the API `{of}` belongs to another organisation")));
    }
    let is_rest =
        matches!(api.backend, Backend::Upstream(_)) && api.graphql.is_none() && api.pass_through.is_none();
    if source.definition.source != Source::Oas || api.mcp || !is_rest {
        let fault = Fault::error(at, "REST-as-MCP sources must be Tyk OAS APIs");
        return Err(fault.hint(
            "tools are made of an OpenAPI definition that speaks HTTP, neither GraphQL, MCP nor streams",
        ));
    }
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use apidef::WrittenAt;
    use serde_json::json;

    fn source() -> ToolSource {
        ToolSource {
            api: "orders".into(),
            certain: true,
            apart: false,
            entries: Box::default(),
            at: WrittenAt::default(),
        }
    }

    #[test]
    fn what_answers_are_not_held_to_is_not_told() {
        let source = source();
        for (schema, told) in [(json!({"type": "object"}), true), (json!({"type": "none"}), false)] {
            let tool = Tool { output: Some(schema), ..answer::tests::tool(true, true) };
            let mut warnings = Vec::new();
            let usable = Usable::new(tool, &source, &mut warnings);
            let listed = mcp::listed(std::iter::once(&usable.tool));
            assert_eq!((listed.contains("outputSchema"), warnings.is_empty()), (told, told), "{listed}");
        }
    }

    #[test]
    fn schemas_that_are_put_together_of_too_much_are_soon_done_with() {
        let mut schemas = serde_json::Map::new();
        for level in 0..17 {
            let next = json!({"$ref": format!("#/components/schemas/L{}", level + 1)});
            schemas.insert(format!("L{level}"), json!({"allOf": vec![next; 10]}));
        }
        schemas.insert("L17".to_owned(), json!({"properties": {"a": {"type": "string"}}}));
        let content = json!({"application/json": {"schema": {"$ref": "#/components/schemas/L0"}}});
        let document = json!({
            "openapi": "3.0.3",
            "paths": {"/x": {"post": {"requestBody": {"content": content}}}},
            "components": {"schemas": schemas},
        });
        let source = source();
        let (mut tools, mut warnings) = apidef::catalog(&document, &source).unwrap();
        let usable = Usable::new(tools.remove(0), &source, &mut warnings);
        assert!(
            warnings.iter().any(|warning| warning.message.contains("more than 10000 others")),
            "{warnings:?}"
        );
        assert!(usable.request(&Arguments::read(r#"{"body":{"a":1}}"#).unwrap()).is_ok());
    }
}
