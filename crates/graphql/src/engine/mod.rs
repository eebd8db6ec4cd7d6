//! Graphs whose data come from several sources (contract 10, "executionEngine"). Answers are gathered first, every source at
//! once where it can be and each call once, and then completed by the rules of the language: coercion, nulls, errors.

mod collect;
mod complete;
mod federation;
mod gather;
mod plan;
mod query;
mod template;

use std::sync::Arc;

use apollo_compiler::introspection::check_max_depth;
use apollo_compiler::request::coerce_variable_values;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

pub use federation::{Federation, Part, merged};
pub use plan::{Mapping, Plan, Source, SourceKind, Variable};
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
}

impl Engine {
    /// Of a plan that fits the schema; else what does not.
    pub fn new(schema: Arc<Schema>, plan: Plan) -> Result<Self, String> {
        plan.check(&schema)?;
        Ok(Self { schema, plan, federation: None })
    }

    /// Of the parts of a supergraph.
    pub fn federated(schema: Arc<Schema>, federation: Federation) -> Self {
        Self { schema, plan: Plan::default(), federation: Some(federation) }
    }

    /// Carries an operation out; the whole answer.
    pub async fn execute(
        &self,
        checked: &Checked,
        variables: &Map<String, Value>,
        network: &dyn Network,
    ) -> Result<Value, Problem> {
        self.run(checked, variables, json!({}), network).await
    }

    /// Carries a subscription out for one event; the whole answer to that.
    pub async fn event(
        &self,
        checked: &Checked,
        variables: &Map<String, Value>,
        event: Value,
        network: &dyn Network,
    ) -> Result<Value, Problem> {
        self.run(checked, variables, event, network).await
    }

    /// The source of the field at the root of subscriptions, by their place in the plan.
    pub fn source_of_events(&self, checked: &Checked) -> Option<usize> {
        let field = &checked.cost().roots.first()?.name;
        let is = |(kind, of): &(String, String)| kind == checked.root_type() && of == field;
        let sends =
            |source: &Source| matches!(source.kind, SourceKind::Events) && source.roots.iter().any(is);
        self.plan.sources.iter().position(sends)
    }

    async fn run(
        &self,
        checked: &Checked,
        variables: &Map<String, Value>,
        root: Value,
        network: &dyn Network,
    ) -> Result<Value, Problem> {
        let document = &checked.document.valid;
        let operation = checked.operation().ok_or_else(|| Problem::one("there is no such operation"))?;
        if checked.introspects() {
            check_max_depth(document, operation)
                .map_err(|error| Problem::list(std::iter::once(error.to_graphql_error(&document.sources))))?;
        }
        let coerced = coerce_variable_values(&self.schema.valid, operation, &map(variables))
            .map_err(|error| Problem::list(std::iter::once(error.to_graphql_error(&document.sources))))?;
        let values = match serde_json::to_value(&*coerced) {
            Ok(Value::Object(values)) => values,
            _ => Map::new(),
        };
        let (root, more) = match &self.federation {
            None => {
                let run = gather::Run::new(&self.schema, &self.plan, document, operation, &values, network);
                (run.root(root).await, run.into_errors())
            }
            Some(parts) => {
                let collector = Collector { schema: &self.schema, document, variables: &values };
                let run = federation::Run::new(parts, collector, operation, network);
                (run.root().await, run.into_errors())
            }
        };
        let response = complete::complete(&self.schema, document, operation, &coerced, &root);
        let mut answer = response
            .map_err(|error| Problem::list(std::iter::once(error.to_graphql_error(&document.sources))))?;
        if !more.is_empty() {
            match answer.get_mut("errors").and_then(Value::as_array_mut) {
                Some(errors) => errors.extend(more),
                None => answer["errors"] = json!(more),
            }
        }
        Ok(answer)
    }
}
