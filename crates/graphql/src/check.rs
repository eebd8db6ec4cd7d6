//! Documents that hold: parsed within bounds, valid by the schema, with what is known of them. They are kept by their text,
//! so that a client that asks the same thing again pays for it once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use apollo_compiler::ExecutableDocument;
use apollo_compiler::executable::{Operation, OperationType, Selection, SelectionSet};
use apollo_compiler::parser::Parser;
use apollo_compiler::validation::Valid;
use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::bounds::Bounds;
use crate::cost::{Cost, cost};
use crate::error::Problem;
use crate::request::Request;
use crate::schema::Schema;
use crate::shape::{Shape, shape};

/// Bytes of documents that one API remembers, and how many of them at most.
const MOST_BYTES: u64 = 64 << 20;
/// Bytes of a document for each of its text: a field of two letters is a node of some hundred.
const EACH: u64 = 64;
const MOST_DOCUMENTS: usize = 1024;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It reads.
    Query,
    /// It changes.
    Mutation,
    /// It asks for events.
    Subscription,
}

/// A document that holds.
pub(crate) struct Document {
    pub(crate) valid: Valid<ExecutableDocument>,
    /// Types and the fields of them that it names.
    fields: Vec<(String, String)>,
    /// Fields of objects that it reaches by the names of their interfaces.
    reached: Vec<(String, String)>,
    /// What its operations ask for, by their names, as far as somebody wanted to know.
    shapes: Mutex<HashMap<Option<String>, Arc<Shape>>>,
}

/// One operation of such a document.
#[derive(Clone)]
pub struct Checked {
    pub(crate) document: Arc<Document>,
    pub(crate) name: Option<String>,
    kind: Kind,
    root: String,
    cost: Arc<Cost>,
    introspects: bool,
    introspection: bool,
}

impl std::fmt::Debug for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checked").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Checked {
    /// What it does.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name, where it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What it costs.
    pub fn cost(&self) -> &Cost {
        &self.cost
    }

    /// What it asks for, in short.
    pub fn shape(&self) -> Option<Arc<Shape>> {
        let mut shapes = self.document.shapes.lock();
        if let Some(known) = shapes.get(&self.name) {
            return Some(Arc::clone(known));
        }
        let shape = Arc::new(shape(&self.document.valid, self.operation()?, self.kind));
        shapes.insert(self.name.clone(), Arc::clone(&shape));
        Some(shape)
    }

    /// Whether it asks for the schema, beside other things or not.
    pub fn introspects(&self) -> bool {
        self.introspects
    }

    /// Whether it asks for nothing but the schema.
    pub fn is_introspection(&self) -> bool {
        self.introspection
    }

    /// Types and fields that its document names, each once.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.document.fields.iter().map(|(kind, field)| (&**kind, &**field))
    }

    /// Types and fields that its document reaches by the names of their interfaces.
    pub fn reached(&self) -> impl Iterator<Item = (&str, &str)> {
        self.document.reached.iter().map(|(kind, field)| (&**kind, &**field))
    }

    /// The type at its root.
    pub fn root_type(&self) -> &str {
        &self.root
    }

    pub(crate) fn operation(&self) -> Option<&Operation> {
        self.document.valid.operations.get(self.name.as_deref()).ok().map(|operation| &**operation)
    }
}

#[derive(Debug, Clone)]
struct ByText;

impl Weighter<Box<str>, Arc<Document>> for ByText {
    fn weight(&self, text: &Box<str>, _: &Arc<Document>) -> u64 {
        text.len() as u64 * EACH + 1024
    }
}

/// Checks the requests of one API.
pub struct Checker {
    schema: Arc<Schema>,
    bounds: Bounds,
    known: Cache<Box<str>, Arc<Document>, ByText>,
}

impl std::fmt::Debug for Checker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checker")
            .field("schema", &self.schema)
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

impl Checker {
    /// For a schema.
    pub fn new(schema: Arc<Schema>, bounds: Bounds) -> Self {
        Self { schema, bounds, known: Cache::with_weighter(MOST_DOCUMENTS, MOST_BYTES, ByText) }
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Whether a text was checked before, so that checking it costs nothing.
    pub fn knows(&self, query: &str) -> bool {
        self.known.peek(query).is_some()
    }

    /// Checks a request.
    pub fn check(&self, request: &Request) -> Result<Checked, Problem> {
        let document = match self.known.get(&*request.query) {
            Some(known) => known,
            None => {
                let document = Arc::new(self.parse(&request.query)?);
                self.known.insert(request.query.as_str().into(), Arc::clone(&document));
                document
            }
        };
        let name = request.operation.as_deref();
        let valid = &document.valid;
        let operation = valid
            .operations
            .get(name)
            .map_err(|error| Problem::list(std::iter::once(error.to_graphql_error(&valid.sources))))?;
        let cost = cost(valid, operation, self.bounds.fields);
        if cost.fields > self.bounds.fields {
            let most = self.bounds.fields;
            return Err(Problem::one(format!(
                "the operation selects more than {most} fields: ask for less at once"
            )));
        }
        let introspection = operation.is_introspection(valid);
        if cost.depth > self.bounds.depth && !introspection {
            return Err(Problem::Depth);
        }
        let kind = match operation.operation_type {
            OperationType::Query => Kind::Query,
            OperationType::Mutation => Kind::Mutation,
            OperationType::Subscription => Kind::Subscription,
        };
        let introspects = cost.roots.iter().any(|root| matches!(&*root.name, "__schema" | "__type"));
        Ok(Checked {
            kind,
            root: operation.object_type().to_string(),
            name: operation.name.as_ref().map(ToString::to_string),
            cost: Arc::new(cost),
            introspects,
            introspection,
            document: Arc::clone(&document),
        })
    }

    fn parse(&self, text: &str) -> Result<Document, Problem> {
        let Bounds { bytes, tokens, nesting, aliases, .. } = self.bounds;
        if text.len() > bytes {
            return Err(Problem::one(format!("the query is longer than {bytes} bytes")));
        }
        let schema = &self.schema.valid;
        let mut parser = Parser::new().token_limit(tokens).recursion_limit(nesting);
        let document =
            parser.parse_executable(schema, text, "query").map_err(|invalid| Problem::of(&invalid.errors))?;
        // Validation compares fields with each other: what is too much is refused before.
        let seen = look(&document);
        if seen.aliases > aliases {
            return Err(Problem::one(format!("the query gives more than {aliases} fields another name")));
        }
        let valid = document.validate(schema).map_err(|invalid| Problem::of(&invalid.errors))?;
        let fields: Vec<(String, String)> = seen.fields.into_iter().collect();
        let mut reached = Vec::new();
        for (kind, field) in fields.iter().filter(|(_, field)| !field.starts_with("__")) {
            let objects = self.schema.implementers.get(kind.as_str()).into_iter().flat_map(|of| &of.objects);
            reached.extend(objects.map(|object| (object.to_string(), field.clone())));
        }
        Ok(Document { valid, fields, reached, shapes: Mutex::default() })
    }
}

#[derive(Default)]
struct Seen {
    aliases: usize,
    fields: HashSet<(String, String)>,
}

/// Looks at every selection that is written, each once.
fn look(document: &ExecutableDocument) -> Seen {
    let mut seen = Seen::default();
    let operations = document.operations.iter().map(|operation| &operation.selection_set);
    let fragments = document.fragments.values().map(|fragment| &fragment.selection_set);
    for set in operations.chain(fragments) {
        look_at(set, &mut seen);
    }
    seen
}

/// As deep as the parser lets documents be.
fn look_at(set: &SelectionSet, seen: &mut Seen) {
    for selection in &set.selections {
        match selection {
            Selection::Field(field) => {
                seen.aliases += usize::from(field.alias.is_some());
                seen.fields.insert((set.ty.to_string(), field.name.to_string()));
                look_at(&field.selection_set, seen);
            }
            Selection::InlineFragment(fragment) => look_at(&fragment.selection_set, seen),
            Selection::FragmentSpread(_) => {}
        }
    }
}
