//! Schemas as definitions have them.

use apollo_compiler::Name;
use apollo_compiler::ast::Definition;
use apollo_compiler::parser::Parser;
use apollo_compiler::schema::Implementers;
use apollo_compiler::validation::Valid;

/// What the first version of federation adds to the language; schemas of subgraphs use it without defining it.
const FEDERATION: &[(&str, &str)] = &[
    ("scalar _FieldSet", "scalar _FieldSet"),
    ("directive @key", "directive @key(fields: String!) repeatable on OBJECT | INTERFACE"),
    ("directive @external", "directive @external on FIELD_DEFINITION"),
    ("directive @requires", "directive @requires(fields: String!) on FIELD_DEFINITION"),
    ("directive @provides", "directive @provides(fields: String!) on FIELD_DEFINITION"),
    ("directive @extends", "directive @extends on OBJECT | INTERFACE"),
];

/// Tokens and nesting of a schema; it is the operator's, so that these are for mistakes.
const MOST_TOKENS: usize = 2_000_000;
const DEEPEST: usize = 200;

/// A schema that holds.
pub struct Schema {
    pub(crate) valid: Valid<apollo_compiler::Schema>,
    pub(crate) implementers: apollo_compiler::collections::HashMap<Name, Implementers>,
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Schema").field("types", &self.valid.types.len()).finish()
    }
}

impl Schema {
    /// Reads a schema in the definition language. What is wrong is told with its line and column.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("there is no schema".to_owned());
        }
        let mut parser = Parser::new().token_limit(MOST_TOKENS).recursion_limit(DEEPEST);
        let mut builder = apollo_compiler::Schema::builder().adopt_orphan_extensions();
        parser.parse_into_schema_builder(text, "schema", &mut builder);
        let mut missing = String::new();
        for (known, definition) in FEDERATION {
            let used = known.strip_prefix("directive ").is_some_and(|name| text.contains(name));
            if used && !text.contains(known) {
                missing.push_str(definition);
                missing.push('\n');
            }
        }
        if !missing.is_empty() {
            parser.parse_into_schema_builder(missing, "federation", &mut builder);
        }
        let told = |errors: &apollo_compiler::validation::DiagnosticList| {
            let mut told: Vec<String> = Vec::new();
            for error in errors.iter().take(3) {
                let at = error.line_column_range().map(|range| range.start);
                let place =
                    at.map_or(String::new(), |at| format!(" (line {}, column {})", at.line, at.column));
                told.push(format!("{}{place}", error.to_json().message));
            }
            told.join("; ")
        };
        let schema = builder.build().map_err(|invalid| told(&invalid.errors))?;
        let valid = schema.validate().map_err(|invalid| told(&invalid.errors))?;
        let implementers = valid.implementers_map();
        Ok(Self { valid, implementers })
    }

    /// The schema of a part of a larger graph (federation, first version): it can be asked for its own text and for
    /// entities, which its text does not say.
    pub fn read_subgraph(text: &str) -> Result<Self, String> {
        let parsed = match apollo_compiler::ast::Document::parse(text, "schema") {
            Ok(document) => document,
            // What is wrong is told with its place.
            Err(_) => return Self::read(text),
        };
        let mut entities: Vec<&str> = Vec::new();
        let (mut query, mut has_query) = ("Query", false);
        for definition in &parsed.definitions {
            let (name, directives) = match definition {
                Definition::ObjectTypeDefinition(kind) => (&kind.name, &kind.directives),
                Definition::ObjectTypeExtension(kind) => (&kind.name, &kind.directives),
                Definition::SchemaDefinition(schema) => {
                    let roots = schema.root_operations.iter();
                    let mut of_queries =
                        roots.filter(|root| root.0 == apollo_compiler::ast::OperationType::Query);
                    if let Some(root) = of_queries.next() {
                        query = root.1.as_str();
                    }
                    continue;
                }
                _ => continue,
            };
            has_query |= name.as_str() == query;
            if directives.has("key") && !entities.contains(&name.as_str()) {
                entities.push(name);
            }
        }
        if text.contains("_service") {
            return Self::read(text);
        }
        let verb = if has_query { "extend type" } else { "type" };
        let mut more = format!("\ntype _Service {{ sdl: String }}\n{verb} {query} {{ _service: _Service! ");
        if entities.is_empty() {
            more.push_str("}\n");
        } else {
            let union = entities.join(" | ");
            more.push_str("_entities(representations: [_Any!]!): [_Entity]! }\n");
            more.push_str(&format!("scalar _Any\nunion _Entity = {union}\n"));
        }
        Self::read(&format!("{text}{more}"))
    }

    /// Whether a type has a field.
    pub fn has(&self, kind: &str, field: &str) -> bool {
        self.valid.type_field(kind, field).is_ok()
    }

    /// Whether there is a type of this name.
    pub fn knows(&self, kind: &str) -> bool {
        self.valid.types.contains_key(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c10_row_6_subgraphs_can_be_asked_for_entities() {
        let text = "type Query { a: A } type A @key(fields: \"id\") { id: ID! } extend type B @key(fields: \"id\") { id: ID! @external a: A }";
        let schema = Schema::read_subgraph(text).unwrap();
        assert!(schema.has("Query", "_service") && schema.has("Query", "_entities"));
        assert!(schema.knows("_Entity") && !schema.has("A", "_service"));
        let none = Schema::read_subgraph("type Query { a: Int }").unwrap();
        assert!(none.has("Query", "_service") && !none.has("Query", "_entities"));
        let only = Schema::read_subgraph("type A @key(fields: \"id\") { id: ID! }").unwrap();
        assert!(only.has("Query", "_entities"));
        assert!(Schema::read_subgraph("type Query { a: }").is_err());
    }

    #[test]
    fn schemas_are_read_or_their_fault_is_told_with_its_place() {
        for (text, told) in [
            ("type Query { a: Int }", None),
            ("schema { query: Q } type Q { a: Int }", None),
            ("type Query { a: A } type A @key(fields: \"id\") { id: ID! }", None),
            ("type Query { a: A } extend type A @key(fields: \"id\") { id: ID! @external }", None),
            (
                "directive @key(fields: String!) on OBJECT type Query { a: A } type A @key(fields: \"id\") { id: ID! }",
                None,
            ),
            ("", Some("there is no schema")),
            ("type A { a: Int }", Some("missing query root operation type")),
            ("type Query { a: B }", Some("(line 1, column 17)")),
            ("type Query { a Int }", Some("(line 1, column 16)")),
            ("query { a }", Some("(line 1, column 1)")),
        ] {
            match (Schema::read(text), told) {
                (Ok(_), None) => {}
                (Err(why), Some(told)) => assert!(why.contains(told), "{text}: {why}"),
                (other, _) => panic!("{text}: {:?}", other.err()),
            }
        }
    }
}
