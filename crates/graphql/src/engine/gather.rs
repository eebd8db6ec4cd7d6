//! Fetches what an operation asks for: from the root down, the fields of an object and the items of a list at the same time,
//! and each call of a source once, however often it is needed.

use std::collections::HashMap;
use std::sync::Arc;

use apollo_compiler::ExecutableDocument;
use apollo_compiler::ast::Type;
use apollo_compiler::executable::{Field, Operation, SelectionSet};
use apollo_compiler::schema::ExtendedType;
use futures_util::future::{BoxFuture, FutureExt, Shared, join_all};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::collect::Collector;
use super::plan::{Plan, Source, SourceKind, Variable};
use super::query::{OWN, OWN_TYPE, Printer};
use super::template::{Escape, Name, Template};
use super::told::Told;
use super::{Call, NO_ANSWER, NO_EVENTS, NOTHING, Network, Opening, is_answer};
use crate::schema::Schema;

/// Calls of one operation, each counted once.
pub(super) const MOST_CALLS: usize = 1000;

/// What has been gathered.
#[derive(Debug)]
pub(super) enum Node {
    Leaf(Value),
    List(Vec<Result<Node, String>>),
    Object { kind: String, fields: HashMap<String, Result<Node, String>> },
}

/// An object that is at hand, and how its members are called.
#[derive(Clone)]
struct Object {
    value: Arc<Value>,
    /// As the client called the fields, because its selection was sent on; else by the names of the schema.
    as_asked: bool,
}

type Answer = Result<Arc<Value>, String>;

pub(super) struct Run<'r> {
    plan: &'r Plan,
    collector: Collector<'r>,
    operation: &'r Operation,
    network: &'r dyn Network,
    known: Mutex<HashMap<Call, Shared<BoxFuture<'r, Answer>>>>,
    told: Told,
    /// What a source has sent for the field at the root, where it sends by itself.
    event: Option<Arc<Value>>,
}

impl<'r> Run<'r> {
    pub(super) fn new(
        schema: &'r Schema,
        plan: &'r Plan,
        document: &'r ExecutableDocument,
        operation: &'r Operation,
        variables: &'r Map<String, Value>,
        network: &'r dyn Network,
    ) -> Self {
        let collector = Collector { schema, document, variables };
        let (known, told) = (Mutex::default(), Told::default());
        Self { plan, collector, operation, network, known, told, event: None }
    }

    /// For one event: the source of the field at the root is not asked again.
    pub(super) fn sent(mut self, event: Value) -> Self {
        self.event = Some(Arc::new(event));
        self
    }

    /// What a source is asked for the events of a subscription.
    pub(super) fn opening(&self) -> Result<Opening, String> {
        let kind = self.operation.object_type().as_str();
        let fields = self.collector.fields(kind, &[&self.operation.selection_set]);
        let selected = fields.into_values().next().ok_or_else(|| NOTHING.to_owned())?;
        let name = selected.first().map(|field| field.name.as_str()).unwrap_or_default();
        let asked =
            |source: &&Source| matches!(source.kind, SourceKind::Graph | SourceKind::Operation { .. });
        let source = self.plan.source(kind, name).filter(asked).ok_or_else(|| NO_EVENTS.to_owned())?;
        let root = Object { value: Arc::new(json!({})), as_asked: false };
        let call = self.asked(source, kind, &root, &selected)?;
        Ok(Opening { source: format!("the source `{}`", source.name), by: source.asking, call })
    }

    pub(super) fn into_told(self) -> Told {
        self.told
    }

    /// `value`: what is at hand at the root.
    pub(super) async fn root(&self, value: Value) -> Node {
        let kind = self.operation.object_type().as_str();
        let root = Object { value: Arc::new(value), as_asked: false };
        let sets = vec![&self.operation.selection_set];
        if !self.operation.is_mutation() {
            return self.object(kind.to_owned(), root, sets, Vec::new()).await;
        }
        // What changes something is done in order.
        let mut fields = HashMap::new();
        for (key, selected) in self.collector.fields(kind, &sets) {
            let node = self.field(kind.to_owned(), root.clone(), selected, vec![key.into()]).await;
            fields.insert(key.to_owned(), node);
        }
        Node::Object { kind: kind.to_owned(), fields }
    }

    fn object(
        &self,
        kind: String,
        object: Object,
        sets: Vec<&'r SelectionSet>,
        path: Vec<Value>,
    ) -> BoxFuture<'_, Node> {
        async move {
            let fields = self.collector.fields(&kind, &sets);
            let gathered = fields
                .into_iter()
                .filter(|(_, selected)| selected.first().is_some_and(|field| !field.name.starts_with("__")));
            let gathering = gathered.map(|(key, selected)| {
                let mut at = path.clone();
                at.push(key.into());
                let (kind, object) = (kind.clone(), object.clone());
                async move { (key.to_owned(), self.field(kind, object, selected, at).await) }
            });
            let fields = join_all(gathering).await.into_iter().collect();
            Node::Object { kind, fields }
        }
        .boxed()
    }

    async fn field(
        &self,
        kind: String,
        object: Object,
        selected: Vec<&'r Field>,
        path: Vec<Value>,
    ) -> Result<Node, String> {
        let Some(first) = selected.first().copied() else { return Ok(Node::Leaf(Value::Null)) };
        let name = first.name.as_str();
        let (value, as_asked) = match self.plan.source(&kind, name) {
            Some(Source { kind: SourceKind::Events, .. }) => (self.mapped(&object.value, &kind, name), false),
            Some(source) => self.fetch(source, &kind, &object, &selected, &path).await?,
            None if object.as_asked => {
                let value = object.value.get(first.response_key().as_str());
                (value.cloned().unwrap_or_default(), true)
            }
            None => (self.mapped(&object.value, &kind, name), false),
        };
        let sets = selected.iter().map(|field| &field.selection_set).collect();
        self.complete(first.ty(), Arc::new(value), as_asked, sets, path).await
    }

    /// Where the plan has the value of a field.
    fn mapped(&self, value: &Value, kind: &str, field: &str) -> Value {
        let mapping = self.plan.mapping(kind, field);
        let found = match mapping {
            Some(mapping) if !mapping.path.is_empty() => {
                mapping.path.iter().try_fold(value, |value, part| match value {
                    Value::Array(items) => items.get(part.parse::<usize>().ok()?),
                    value => value.get(part),
                })
            }
            Some(mapping) if mapping.whole => Some(value),
            // What is no object has no names.
            _ if !value.is_object() => Some(value),
            _ => value.get(field),
        };
        found.cloned().unwrap_or_default()
    }

    fn complete<'a>(
        &'a self,
        ty: &'a Type,
        value: Arc<Value>,
        as_asked: bool,
        sets: Vec<&'r SelectionSet>,
        path: Vec<Value>,
    ) -> BoxFuture<'a, Result<Node, String>> {
        async move {
            if value.is_null() {
                return Ok(Node::Leaf(Value::Null));
            }
            if ty.is_list() {
                let Value::Array(items) = &*value else { return Err("the source sent no list".to_owned()) };
                let item_type = ty.item_type();
                let gathering = items.iter().enumerate().map(|(index, item)| {
                    let mut at = path.clone();
                    at.push(index.into());
                    self.complete(item_type, Arc::new(item.clone()), as_asked, sets.clone(), at)
                });
                return Ok(Node::List(join_all(gathering).await));
            }
            let kind = ty.inner_named_type().as_str();
            match self.collector.schema.valid.types.get(kind) {
                Some(ExtendedType::Object(_)) => {
                    if !value.is_object() {
                        return Err(format!("the source sent no `{kind}`"));
                    }
                    Ok(self.object(kind.to_owned(), Object { value, as_asked }, sets, path).await)
                }
                Some(ExtendedType::Interface(_) | ExtendedType::Union(_)) => {
                    let known = self.kind_of(kind, &value)?;
                    Ok(self.object(known, Object { value, as_asked }, sets, path).await)
                }
                _ => Ok(Node::Leaf(leaf(kind, &value))),
            }
        }
        .boxed()
    }

    /// Which type an object of an abstract type is of.
    fn kind_of(&self, kind: &str, value: &Value) -> Result<String, String> {
        let schema = &self.collector.schema.valid;
        let told = value.get(OWN_TYPE).or_else(|| value.get("__typename")).and_then(Value::as_str);
        match told {
            Some(told) if schema.get_object(told).is_some() && schema.is_subtype(kind, told) => {
                Ok(told.to_owned())
            }
            Some(told) => Err(format!("the source sent a `{told}`, which is no `{kind}`")),
            None => {
                let mut fitting = schema
                    .types
                    .keys()
                    .filter(|name| schema.get_object(name).is_some() && schema.is_subtype(kind, name));
                match (fitting.next(), fitting.next()) {
                    (Some(only), None) => Ok(only.to_string()),
                    _ => Err(format!("the source does not say by `__typename` which `{kind}` it sent")),
                }
            }
        }
    }

    /// Asks the source of a field; its value, and whether its members are called as the client called them.
    async fn fetch(
        &self,
        source: &'r Source,
        kind: &str,
        object: &Object,
        selected: &[&'r Field],
        path: &[Value],
    ) -> Result<(Value, bool), String> {
        let Some(first) = selected.first().copied() else { return Ok((Value::Null, false)) };
        let answer = match &self.event {
            Some(event) if path.len() == 1 && !is_answer(event) => {
                return Err(format!("the source `{}` {NO_ANSWER}", source.name));
            }
            Some(event) if path.len() == 1 => Arc::clone(event),
            _ => {
                let call = self.asked(source, kind, object, selected)?;
                // What changes something is called as often as it is asked for.
                let changes = self.operation.is_mutation() && path.len() == 1;
                self.call(source, call, changes)?.await?
            }
        };
        match &source.kind {
            SourceKind::Rest { .. } | SourceKind::Events => {
                Ok((self.mapped(&answer, kind, &first.name), false))
            }
            SourceKind::Graph => self.of_graph(&answer, &first.name, path).map(|value| (value, true)),
            SourceKind::Operation { .. } => {
                self.of_graph(&answer, "", path).map(|data| (self.mapped(&data, kind, &first.name), false))
            }
        }
    }

    /// How a source is asked for a field.
    fn asked(
        &self,
        source: &'r Source,
        kind: &str,
        object: &Object,
        selected: &[&'r Field],
    ) -> Result<Call, String> {
        let Some(first) = selected.first().copied() else { return Err(NOTHING.to_owned()) };
        let arguments = self.collector.arguments(first);
        let value_of = |name: &Name| self.value_of(name, &arguments, object);
        let made = |pairs: &[(String, Template)], escape: Escape| -> Vec<(String, String)> {
            pairs.iter().map(|(name, text)| (name.clone(), text.render(escape, &value_of))).collect()
        };
        let mut url = source.url.render(Escape::Url, &value_of);
        let body = match &source.kind {
            SourceKind::Rest { query, body } => {
                for (name, value) in made(query, Escape::Url) {
                    url.push(if url.contains('?') { '&' } else { '?' });
                    url.push_str(&format!("{name}={value}"));
                }
                body.as_ref().map(|body| body.render(Escape::Json, &value_of)).unwrap_or_default()
            }
            SourceKind::Events => return Err(NO_EVENTS.to_owned()),
            SourceKind::Graph => {
                Printer::new(self.plan, self.collector, self.operation).body(kind, selected)?
            }
            SourceKind::Operation { operation, variables } => {
                let variables: Map<String, Value> = variables
                    .iter()
                    .map(|(name, value)| {
                        let value = match value {
                            Variable::Fixed(value) => value.clone(),
                            Variable::Made(text) => match text.whole() {
                                Some(name) => value_of(name),
                                None => text.render(Escape::Header, &value_of).into(),
                            },
                        };
                        (name.clone(), value)
                    })
                    .collect();
                json!({"query": operation, "variables": variables}).to_string()
            }
        };
        let mut headers = made(&source.headers, Escape::Header);
        for (name, value) in made(&self.plan.headers, Escape::Header) {
            if !headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(&name)) {
                headers.push((name, value));
            }
        }
        Ok(Call { method: source.method.clone(), url, headers, body })
    }

    /// The data in an answer in GraphQL: of a field, or all. Errors of a part are told beside it.
    fn of_graph(&self, answer: &Value, field: &str, path: &[Value]) -> Result<Value, String> {
        let data = answer.get("data").filter(|data| !data.is_null());
        let value = if field.is_empty() { data } else { data.and_then(|data| data.get(field)) };
        let errors = answer.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let message = |error: &Value| error["message"].as_str().unwrap_or("the source failed").to_owned();
        let value = match (value, errors.first()) {
            (None | Some(Value::Null), Some(error)) => {
                self.told.field(error, path);
                return Err(message(error));
            }
            (value, _) => value.cloned().unwrap_or_default(),
        };
        for error in errors.iter().take(MOST_CALLS) {
            let below = error["path"].as_array().into_iter().flatten().skip(1);
            self.told.part(&message(error), error, path.iter().chain(below).cloned().collect());
        }
        Ok(value)
    }

    /// A call, or the one that is the same.
    fn call(
        &self,
        source: &'r Source,
        call: Call,
        again: bool,
    ) -> Result<Shared<BoxFuture<'r, Answer>>, String> {
        let mut known = self.known.lock();
        if let Some(same) = known.get(&call).filter(|_| !again) {
            return Ok(same.clone());
        }
        if known.len() >= MOST_CALLS {
            return Err(format!(
                "the operation needs more than {MOST_CALLS} calls of sources: ask for less at once"
            ));
        }
        let (network, asked) = (self.network, call.clone());
        let answer = async move {
            let failed = |why: String| format!("the source `{}` failed: {why}", source.name);
            let fetched = network.call(&asked).await.map_err(failed)?;
            let graph = !matches!(source.kind, SourceKind::Rest { .. });
            if fetched.status >= 400 && !graph && source.types.of_status(fetched.status).is_none() {
                return Err(failed(format!("it answers {}", fetched.status)));
            }
            if fetched.body.is_empty() {
                return Ok(Arc::new(Value::Null));
            }
            let mut answer: Value = serde_json::from_slice(&fetched.body)
                .map_err(|_| failed(format!("it answers {} and no JSON", fetched.status)))?;
            source.types.tell(fetched.status, &mut answer);
            Ok(Arc::new(answer))
        };
        let answer = answer.boxed().shared();
        known.insert(call, answer.clone());
        Ok(answer)
    }

    fn value_of(&self, name: &Name, arguments: &Map<String, Value>, object: &Object) -> Value {
        let step = |value: Option<Value>, parts: &[Box<str>]| {
            parts.iter().try_fold(value?, |value, part| value.get(&**part).cloned())
        };
        let found: Option<Value> = match name {
            Name::Header(name) => self.network.header(name).map(Value::from),
            Name::Argument(parts) => {
                parts.split_first().and_then(|(first, rest)| step(arguments.get(&**first).cloned(), rest))
            }
            Name::Object(parts) => parts.split_first().and_then(|(first, rest)| {
                let own = if object.as_asked { object.value.get(format!("{OWN}{first}")) } else { None };
                step(own.or_else(|| object.value.get(&**first)).cloned(), rest)
            }),
        };
        found.unwrap_or_default()
    }
}

/// A value of a scalar. Sources write numbers where a schema has texts.
pub(super) fn leaf(kind: &str, value: &Value) -> Value {
    match (kind, value) {
        ("String" | "ID", Value::Number(number)) => number.to_string().into(),
        ("String", Value::Bool(truth)) => truth.to_string().into(),
        _ => value.clone(),
    }
}
