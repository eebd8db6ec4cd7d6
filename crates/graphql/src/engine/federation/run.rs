//! Carries an operation out over the parts of a supergraph.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use apollo_compiler::ast::Type;
use apollo_compiler::executable::{Field, Operation, SelectionSet};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::batch::{Batch, Batches, Of, Place, Selected, Wanted};
use super::part::{Compiled, pick};
use super::print::PartPrinter;
use super::tree::{FAILED, FROM, at_path, errors_of, fail, message, put};
use super::{DEEPEST, Federation};
use crate::engine::collect::Collector;
use crate::engine::gather::{MOST_CALLS, Node, leaf};
use crate::engine::query::{OWN, OWN_TYPE, Printer};
use crate::engine::template::{Escape, Name};
use crate::engine::told::Told;
use crate::engine::{Call, NO_ANSWER, NO_EVENTS, NOTHING, Network, Opening, is_answer};

/// How often what is missing is looked for. Each time something more is there or has failed.
const MOST_ROUNDS: usize = 200;

pub(in crate::engine) struct Run<'r> {
    all: &'r Federation,
    collector: Collector<'r>,
    operation: &'r Operation,
    network: &'r dyn Network,
    calls: AtomicUsize,
    told: Told,
}

impl<'r> Run<'r> {
    pub(in crate::engine) fn new(
        all: &'r Federation,
        collector: Collector<'r>,
        operation: &'r Operation,
        network: &'r dyn Network,
    ) -> Self {
        Self { all, collector, operation, network, calls: AtomicUsize::new(0), told: Told::default() }
    }

    pub(in crate::engine) fn into_told(self) -> Told {
        self.told
    }

    /// What a part is asked for the events of a subscription.
    pub(in crate::engine) fn opening(&self) -> Result<Opening, String> {
        let (part, fields) = self.root_of_events()?;
        let kind = self.operation.object_type().as_str();
        let body = self.printer(part).roots("subscription", kind, &fields)?;
        let call = self.asked(part, body)?;
        let part = self.part(part)?;
        Ok(Opening { source: format!("the part `{}`", part.name), by: part.asking, call })
    }

    /// What follows from one event: what the part has sent, and what it has not is asked of the others.
    pub(in crate::engine) async fn event(&self, event: Value) -> Node {
        let kind = self.operation.object_type().as_str();
        let sets = [&self.operation.selection_set];
        let mut tree = json!({OWN_TYPE: kind});
        if let Ok((part, fields)) = self.root_of_events() {
            let name = self.part(part).map(|part| &*part.name).unwrap_or_default();
            let event =
                if is_answer(&event) { Ok(event) } else { Err(format!("the part `{name}` {NO_ANSWER}")) };
            self.take_roots(&mut tree, part, &fields, event);
            self.settle(&mut tree, kind, &sets).await;
        }
        self.object(kind, &tree, &sets)
    }

    /// The one field at the root of a subscription, and the part that has it.
    fn root_of_events(&self) -> Result<(usize, Selected<'r>), String> {
        let kind = self.operation.object_type().as_str();
        let (key, selected) = self.fields_at_root().next().ok_or_else(|| NOTHING.to_owned())?;
        let name = selected.first().map(|field| field.name.as_str()).unwrap_or_default();
        let part = self.all.of_root(kind, name).ok_or_else(|| NO_EVENTS.to_owned())?;
        Ok((part, vec![(key, selected)]))
    }

    fn fields_at_root(&self) -> impl Iterator<Item = (&'r str, Vec<&'r Field>)> {
        let kind = self.operation.object_type().as_str();
        let fields = self.collector.fields(kind, &[&self.operation.selection_set]).into_iter();
        fields.filter(|(_, selected)| selected.first().is_some_and(|field| !field.name.starts_with("__")))
    }

    pub(in crate::engine) async fn root(&self) -> Node {
        let kind = self.operation.object_type().as_str();
        let sets = [&self.operation.selection_set];
        let mut tree = json!({OWN_TYPE: kind});
        let fields = self.fields_at_root();
        let mut by_part: Vec<(usize, Selected<'r>)> = Vec::new();
        for (key, selected) in fields {
            let name = selected.first().map(|field| field.name.as_str()).unwrap_or_default();
            let Some(part) = self.all.of_root(kind, name) else {
                fail(&mut tree, key, format!("no part gives `{kind}.{name}`"));
                continue;
            };
            // What changes something is done in order.
            let alone = self.operation.is_mutation();
            match by_part.iter_mut().find(|(known, _)| *known == part && !alone) {
                Some((_, fields)) => fields.push((key, selected)),
                None => by_part.push((part, vec![(key, selected)])),
            }
        }
        if self.operation.is_mutation() {
            for one in by_part {
                let (part, fields) = (one.0, one.1);
                let answer = self.first(part, kind, &fields).await;
                self.take_roots(&mut tree, part, &fields, answer);
                self.settle(&mut tree, kind, &sets).await;
            }
        } else {
            let asking = by_part.iter().map(|(part, fields)| self.first(*part, kind, fields));
            let answers = join_all(asking).await;
            for ((part, fields), answer) in by_part.iter().zip(answers) {
                self.take_roots(&mut tree, *part, fields, answer);
            }
            self.settle(&mut tree, kind, &sets).await;
        }
        self.object(kind, &tree, &sets)
    }

    async fn first(&self, part: usize, kind: &str, fields: &Selected<'r>) -> Result<Value, String> {
        let verb = if self.operation.is_mutation() { "mutation" } else { "query" };
        let body = self.printer(part).roots(verb, kind, fields)?;
        self.call(part, body).await
    }

    fn printer(&self, at: usize) -> PartPrinter<'r> {
        PartPrinter {
            printer: Printer::new(&self.all.none, self.collector, self.operation),
            all: self.all,
            at,
        }
    }

    fn take_roots(
        &self,
        tree: &mut Value,
        part: usize,
        fields: &Selected<'r>,
        answer: Result<Value, String>,
    ) {
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(why) => return fields.iter().for_each(|(key, _)| fail(tree, key, why.clone())),
        };
        let errors = errors_of(&answer);
        for (key, _) in fields {
            let value = answer.get_mut("data").and_then(|data| data.get_mut(*key));
            let value = value.map(Value::take).unwrap_or_default();
            let whole = errors.iter().find(|error| {
                let path = error["path"].as_array().filter(|path| !path.is_empty());
                path.is_none_or(|path| path.len() == 1 && path[0] == *key)
            });
            match whole {
                Some(error) if value.is_null() => {
                    self.told.field(error, &[(*key).into()]);
                    fail(tree, key, message(error));
                }
                _ => put(tree, key, value, part),
            }
        }
        for error in errors {
            // Those of a whole field are told as that.
            if let Some(path) = error["path"].as_array().filter(|path| path.len() > 1) {
                self.tell(&error, path.clone());
            }
        }
    }

    /// Asks for what is missing until nothing is.
    async fn settle(&self, tree: &mut Value, kind: &str, sets: &[&'r SelectionSet]) {
        for _ in 0..MOST_ROUNDS {
            let (mut batches, mut failed) = (Batches::default(), Vec::new());
            let mut at = Place { path: Vec::new(), site: String::new() };
            self.look(kind, tree, sets, &mut at, &mut batches, &mut failed);
            if batches.is_empty() && failed.is_empty() {
                return;
            }
            for (path, key, why) in failed {
                if let Some(object) = at_path(tree, &path) {
                    fail(object, &key, why);
                }
            }
            let batches: Vec<Batch<'r>> = batches.into_values().collect();
            let answers = join_all(batches.iter().map(|batch| self.entities(batch))).await;
            for (batch, answer) in batches.iter().zip(answers) {
                self.take_entities(tree, batch, answer);
            }
        }
    }

    /// Looks at an object, and at those below it, for what is missing.
    fn look(
        &self,
        kind: &str,
        object: &Value,
        sets: &[&'r SelectionSet],
        at: &mut Place,
        batches: &mut Batches<'r>,
        failed: &mut Vec<(Vec<Value>, String, String)>,
    ) {
        for (key, selected) in self.collector.fields(kind, sets) {
            let Some(field) = selected.first().filter(|field| !field.name.starts_with("__")) else {
                continue;
            };
            if object[FAILED].get(key).is_some() {
                continue;
            }
            if let Some(value) = object.get(key) {
                let below: Vec<&SelectionSet> = selected.iter().map(|field| &field.selection_set).collect();
                if below.iter().any(|set| !set.selections.is_empty()) {
                    let site = at.site.len();
                    at.site.push('.');
                    at.site.push_str(key);
                    at.path.push(key.into());
                    self.look_below(value, &below, at, batches, failed);
                    at.path.pop();
                    at.site.truncate(site);
                }
                continue;
            }
            // Fields at the root come with the first answers.
            let Some(from) = object[FROM].as_u64().and_then(|from| usize::try_from(from).ok()) else {
                continue;
            };
            let wanted = Wanted::Field(key, selected.clone());
            let of = Of { kind, object, from, at };
            if let Err(why) = self.want(&of, &field.name, wanted, 0, batches) {
                failed.push((at.path.clone(), key.to_owned(), why));
            }
        }
    }

    fn look_below(
        &self,
        value: &Value,
        sets: &[&'r SelectionSet],
        at: &mut Place,
        batches: &mut Batches<'r>,
        failed: &mut Vec<(Vec<Value>, String, String)>,
    ) {
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    at.path.push(index.into());
                    self.look_below(item, sets, at, batches, failed);
                    at.path.pop();
                }
            }
            Value::Object(_) => {
                let kind = value[OWN_TYPE].as_str().unwrap_or_default();
                if self.collector.schema.valid.get_object(kind).is_some() {
                    self.look(kind, value, sets, at, batches, failed);
                }
            }
            _ => {}
        }
    }

    /// Has a field of an object asked for, or first what that needs.
    fn want(
        &self,
        of: &Of<'_>,
        name: &str,
        wanted: Wanted<'r>,
        deep: usize,
        batches: &mut Batches<'r>,
    ) -> Result<(), String> {
        let Of { kind, object, from, at } = *of;
        let none = || format!("no part gives `{kind}.{name}` of what another sent");
        let (to, _) = self.all.elsewhere(from, kind, name).filter(|_| deep <= DEEPEST).ok_or_else(none)?;
        let (mut representation, mut missing) = (json!({"__typename": kind}), Vec::new());
        for needed in self.all.needs(from, kind, name) {
            let own = format!("{OWN}{}", needed.name);
            if object[FAILED].get(&own).is_some() {
                return Err(format!("`{kind}.{}`, which `{name}` needs, could not be had", needed.name));
            }
            match object.get(&own) {
                Some(value) => representation[&needed.name] = pick(value, &needed.below),
                None => missing.push(needed),
            }
        }
        if missing.is_empty() {
            self.add(to, kind, representation, wanted, at, batches);
        }
        for needed in missing {
            self.want(of, &needed.name, Wanted::Needed(needed.clone()), deep + 1, batches)?;
        }
        Ok(())
    }

    fn add(
        &self,
        to: usize,
        kind: &str,
        representation: Value,
        wanted: Wanted<'r>,
        at: &Place,
        batches: &mut Batches<'r>,
    ) {
        let mut name = format!("{to} {kind} {}", at.site);
        if self.all.alone {
            name.push_str(&json!(at.path).to_string());
        }
        let batch = batches.entry(name).or_insert_with(|| Batch {
            to,
            kind: kind.to_owned(),
            fields: Vec::new(),
            needed: Vec::new(),
            representations: Vec::new(),
            objects: Vec::new(),
        });
        match wanted {
            Wanted::Field(key, selected) => {
                if !batch.fields.iter().any(|(known, _)| *known == key) {
                    batch.fields.push((key, selected));
                }
            }
            Wanted::Needed(needed) => {
                if !batch.needed.contains(&needed) {
                    batch.needed.push(needed);
                }
            }
        }
        // What several fields need is told of an object once.
        if let Some((path, index)) = batch.objects.last()
            && *path == at.path
            && let (Some(Value::Object(known)), Value::Object(more)) =
                (batch.representations.get_mut(*index), &representation)
        {
            known.extend(more.clone());
            return;
        }
        batch.representations.push(representation);
        batch.objects.push((at.path.clone(), batch.representations.len() - 1));
    }

    async fn entities(&self, batch: &Batch<'r>) -> Result<Value, String> {
        let representations = batch.representations.clone();
        let body =
            self.printer(batch.to).entities(&batch.kind, &batch.fields, &batch.needed, representations)?;
        self.call(batch.to, body).await
    }

    fn take_entities(&self, tree: &mut Value, batch: &Batch<'r>, answer: Result<Value, String>) {
        let (answer, errors) = match answer {
            Ok(answer) => {
                let errors = errors_of(&answer);
                (answer, errors)
            }
            Err(why) => (Value::Null, vec![json!({"message": why})]),
        };
        // Without a place, or with one above, they are of all.
        let of_all = errors.iter().find(|error| error["path"].as_array().is_none_or(|path| path.len() < 2));
        let of = |index: usize, key: &str| {
            let is = |path: &Vec<Value>| {
                path[1] == json!(index) && (path.len() == 2 || (path.len() == 3 && path[2] == key))
            };
            errors
                .iter()
                .find(|error| error["path"].as_array().filter(|path| path.len() >= 2).is_some_and(is))
        };
        for (path, index) in &batch.objects {
            let Some(object) = at_path(tree, path) else { continue };
            let entity = &answer["data"]["_entities"][*index];
            for key in batch.keys() {
                // Some of them had it already.
                if object.get(&key).is_some() || object[FAILED].get(&key).is_some() {
                    continue;
                }
                match entity.get(&key) {
                    Some(value) if !value.is_null() => put(object, &key, value.clone(), batch.to),
                    found => match of(*index, &key).or_else(|| of_all.filter(|_| found.is_none())) {
                        Some(error) => {
                            let at: Vec<Value> = path.iter().cloned().chain([key.as_str().into()]).collect();
                            self.told.field(error, &at);
                            fail(object, &key, message(error));
                        }
                        None => put(object, &key, Value::Null, batch.to),
                    },
                }
            }
            for error in &errors {
                let Some(below) = error["path"].as_array().filter(|path| path.len() > 3) else { continue };
                if below[1] == json!(*index) {
                    self.tell(error, path.iter().chain(&below[2..]).cloned().collect());
                }
            }
        }
    }

    fn tell(&self, error: &Value, path: Vec<Value>) {
        self.told.part(&message(error), error, path);
    }

    async fn call(&self, part: usize, body: String) -> Result<Value, String> {
        if self.calls.fetch_add(1, Ordering::Relaxed) >= MOST_CALLS {
            return Err(format!(
                "the operation needs more than {MOST_CALLS} calls of parts: ask for less at once"
            ));
        }
        let call = self.asked(part, body)?;
        let part = self.part(part)?;
        let failed = |why: String| format!("the part `{}` failed: {why}", part.name);
        let fetched = self.network.call(&call).await.map_err(failed)?;
        let answer: Value = serde_json::from_slice(&fetched.body)
            .map_err(|_| failed(format!("it answers {} and no JSON", fetched.status)))?;
        if !is_answer(&answer) {
            return Err(failed(format!("it answers {} and no data", fetched.status)));
        }
        Ok(answer)
    }

    fn part(&self, index: usize) -> Result<&'r Compiled, String> {
        self.all.parts.get(index).ok_or_else(|| "there is no such part".to_owned())
    }

    /// How a part is asked.
    fn asked(&self, part: usize, body: String) -> Result<Call, String> {
        let part = self.part(part)?;
        let value_of = |name: &Name| match name {
            Name::Header(name) => self.network.header(name).map(Value::from).unwrap_or_default(),
            _ => Value::Null,
        };
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, text) in part.headers.iter().chain(&self.all.headers) {
            if !headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                headers.push((name.clone(), text.render(Escape::Header, &value_of)));
            }
        }
        let url = part.url.render(Escape::Url, &value_of);
        Ok(Call { method: "POST".to_owned(), url, headers, body })
    }

    /// What has been gathered of an object.
    fn object(&self, kind: &str, object: &Value, sets: &[&'r SelectionSet]) -> Node {
        let mut fields = HashMap::new();
        for (key, selected) in self.collector.fields(kind, sets) {
            let Some(field) = selected.first().filter(|field| !field.name.starts_with("__")) else {
                continue;
            };
            let node = match object[FAILED].get(key).and_then(Value::as_str) {
                Some(why) => Err(why.to_owned()),
                None => {
                    let below: Vec<&SelectionSet> =
                        selected.iter().map(|field| &field.selection_set).collect();
                    self.node(field.ty(), object.get(key).unwrap_or(&Value::Null), &below)
                }
            };
            fields.insert(key.to_owned(), node);
        }
        Node::Object { kind: kind.to_owned(), fields }
    }

    fn node(&self, ty: &Type, value: &Value, sets: &[&'r SelectionSet]) -> Result<Node, String> {
        if value.is_null() {
            return Ok(Node::Leaf(Value::Null));
        }
        if ty.is_list() {
            let Value::Array(items) = value else { return Err("the part sent no list".to_owned()) };
            return Ok(Node::List(items.iter().map(|item| self.node(ty.item_type(), item, sets)).collect()));
        }
        let kind = ty.inner_named_type().as_str();
        if sets.iter().all(|set| set.selections.is_empty()) {
            return Ok(Node::Leaf(leaf(kind, value)));
        }
        let told = value[OWN_TYPE].as_str().unwrap_or_default();
        let schema = &self.collector.schema.valid;
        if schema.get_object(told).is_none() || !(told == kind || schema.is_subtype(kind, told)) {
            return Err(format!("the part sent no `{kind}`"));
        }
        Ok(self.object(told, value, sets))
    }
}
