//! Graphs whose data come from several sources (contract 10, "executionEngine"). Answers are gathered first, every source at
//! once where it can be and each call once, and then completed by the rules of the language: coercion, nulls, errors.

mod collect;
mod complete;
mod federation;
mod gather;
mod plan;
mod query;
mod template;
mod told;

use std::sync::Arc;

use apollo_compiler::executable::Operation;
use apollo_compiler::introspection::check_max_depth;
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::response::JsonMap;
use apollo_compiler::validation::Valid;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

pub use federation::{Federation, Part, merged};
pub use plan::{Asking, Mapping, Plan, Source, SourceKind, TypeNames, Variable};
pub use template::{Escape, Template};

use self::collect::Collector;
use crate::check::Checked;
use crate::error::Problem;
use crate::introspect::map;
use crate::schema::Schema;

/// One call of a source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Call {
    /// Upper case.
    pub method: String,
    /// Whole.
    pub url: String,
    /// Names and values of fields.
    pub headers: Vec<(String, String)>,
    /// Empty where there is none.
    pub body: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Of HTTP.
    pub status: u16,
    /// Whole.
    pub body: Vec<u8>,
}

/// What a source is asked, so that it sends the events of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// For errors: ``the source `orders` ``.
    pub source: String,
    /// How it is asked.
    pub by: Asking,
    /// Its body is a request of GraphQL in JSON.
    pub call: Call,
}

const NO_EVENTS: &str = "no source of this graph sends these events";
const NOTHING: &str = "nothing is asked for";
const NO_ANSWER: &str = "sent an event that is no answer of GraphQL";

fn is_answer(value: &Value) -> bool {
    value.get("data").is_some() || value["errors"].is_array()
}

/// The network, as far as an engine needs it.
pub trait Network: Send + Sync {
    /// Calls a source; the reason, where nothing came of it.
    fn call<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Fetched, String>>;

    /// A field of the client's request.
    fn header(&self, name: &str) -> Option<String>;
}

/// A schema with the sources of its fields.
#[derive(Debug)]
pub struct Engine {
    schema: Arc<Schema>,
    plan: Plan,
    federation: Option<Federation>,
    /// Clients are told what sources say of errors beside their message.
    extended: bool,
}

impl Engine {
    /// Of a plan that fits the schema; else what does not.
    pub fn new(schema: Arc<Schema>, plan: Plan) -> Result<Self, String> {
        plan.check(&schema)?;
        Ok(Self { schema, plan, federation: None, extended: false })
    }

    /// Of the parts of a supergraph.
    pub fn federated(schema: Arc<Schema>, federation: Federation) -> Self {
        Self { schema, plan: Plan::default(), federation: Some(federation), extended: false }
    }

    /// With all that sources say of errors, or with their messages alone.
    pub fn extended(mut self, extended: bool) -> Self {
        self.extended = extended;
        self
    }

    /// Carries an operation out; the whole answer.
    pub async fn execute(
        &self,
        checked: &Checked,
        variables: &Map<String, Value>,
        network: &dyn Network,
    ) -> Result<Value, Problem> {
        self.run(checked, variables, Given::Nothing, network).await
    }

    /// Carries a subscription out for one event; the whole answer to that.
    pub async fn event(
        &self,
        checked: &Checked,
        variables: &Map<String, Value>,
        event: Value,
        network: &dyn Network,
    ) -> Result<Value, Problem> {
        let given = match self.source_of_events(checked) {
            Some(_) => Given::Root(event),
            None => Given::Answer(event),
        };
        self.run(checked, variables, given, network).await
    }

    /// What is asked for the events of a subscription; `None` where a stream has them.
    pub fn opening(
        &self,
        checked: &Checked,
        variables: &Map<String, Value>,
        network: &dyn Network,
    ) -> Result<Option<Opening>, Problem> {
        if self.source_of_events(checked).is_some() {
            return Ok(None);
        }
        let Prepared { operation, values, .. } = self.prepare(checked, variables)?;
        let document = &checked.document.valid;
        let opening = match &self.federation {
            None => {
                gather::Run::new(&self.schema, &self.plan, document, operation, &values, network).opening()
            }
            Some(parts) => {
                let collector = Collector { schema: &self.schema, document, variables: &values };
                federation::Run::new(parts, collector, operation, network).opening()
            }
        };
        opening.map(Some).map_err(Problem::one)
    }

    /// The source of the field at the root of subscriptions, by their place in the plan.
    pub fn source_of_events(&self, checked: &Checked) -> Option<usize> {
        let field = &checked.cost().roots.first()?.name;
        let is = |(kind, of): &(String, String)| kind == checked.root_type() && of == field;
        let sends =
            |source: &Source| matches!(source.kind, SourceKind::Events) && source.roots.iter().any(is);
        self.plan.sources.iter().position(sends)
    }

    fn prepare<'c>(
        &self,
        checked: &'c Checked,
        variables: &Map<String, Value>,
    ) -> Result<Prepared<'c>, Problem> {
        let sources = &checked.document.valid.sources;
        let operation = checked.operation().ok_or_else(|| Problem::one("there is no such operation"))?;
        let coerced = coerce_variable_values(&self.schema.valid, operation, &map(variables))
            .map_err(|error| Problem::list(std::iter::once(error.to_graphql_error(sources))))?;
        let values = match serde_json::to_value(&*coerced) {
            Ok(Value::Object(values)) => values,
            _ => Map::new(),
        };
        Ok(Prepared { operation, coerced, values })
    }

    async fn run(
        &self,
        checked: &Checked,
        variables: &Map<String, Value>,
        given: Given,
        network: &dyn Network,
    ) -> Result<Value, Problem> {
        let document = &checked.document.valid;
        let Prepared { operation, coerced, values } = self.prepare(checked, variables)?;
        if checked.introspects() {
            check_max_depth(document, operation)
                .map_err(|error| Problem::list(std::iter::once(error.to_graphql_error(&document.sources))))?;
        }
        let (root, told) = match &self.federation {
            None => {
                let run = gather::Run::new(&self.schema, &self.plan, document, operation, &values, network);
                let (run, root) = match given {
                    Given::Nothing => (run, json!({})),
                    Given::Root(root) => (run, root),
                    Given::Answer(event) => (run.sent(event), json!({})),
                };
                (run.root(root).await, run.into_told())
            }
            Some(parts) => {
                let collector = Collector { schema: &self.schema, document, variables: &values };
                let run = federation::Run::new(parts, collector, operation, network);
                let root = match given {
                    Given::Answer(event) => run.event(event).await,
                    Given::Nothing | Given::Root(_) => run.root().await,
                };
                (root, run.into_told())
            }
        };
        let response = complete::complete(&self.schema, document, operation, &coerced, &root);
        let mut answer = response
            .map_err(|error| Problem::list(std::iter::once(error.to_graphql_error(&document.sources))))?;
        told.add_to(&mut answer, self.extended);
        Ok(answer)
    }
}

/// What is at hand before anybody is asked.
enum Given {
    Nothing,
    /// The value that the field at the root is taken from.
    Root(Value),
    /// What the source of the field at the root has sent.
    Answer(Value),
}

/// An operation with the values of its variables.
struct Prepared<'c> {
    operation: &'c Operation,
    coerced: Valid<JsonMap>,
    values: Map<String, Value>,
}
