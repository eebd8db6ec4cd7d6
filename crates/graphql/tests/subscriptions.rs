//! Subscriptions whose events sources are asked for, with a network that is a table.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at the first surprise")]

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use graphql::engine::{
    Asking, Call, Engine, Federation, Fetched, Network, Opening, Part, Plan, Source, SourceKind, Template,
    TypeNames, Variable, merged,
};
use graphql::socket::Protocol;
use graphql::{Bounds, Checked, Checker, Request, Schema};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

const PRODUCTS: &str =
    "type Query { top: Product } type Product @key(fields: \"upc\") { upc: String! name: String }";
const REVIEWS: &str = "extend type Query { latest: Review }
    type Subscription { reviewed(from: Int = 1, by: ID): Review! }
    extend type Product @key(fields: \"upc\") { upc: String! @external }
    type Review { body: String product: Product }";
const SDL: &str =
    "type Query { a: Int } type Subscription { count(to: Int!): Number by(id: ID!): Number plain: Int }
    type Number { value: Int name: String }";

/// Answers all with the same, and takes note of what is asked.
struct Same(Value, Mutex<Vec<Call>>);

impl Network for Same {
    fn call<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Fetched, String>> {
        self.1.lock().push(call.clone());
        let body = self.0.to_string().into_bytes();
        async { Ok(Fetched { status: 200, body }) }.boxed()
    }

    fn header(&self, name: &str) -> Option<String> {
        (name == "X-Who").then(|| "me".to_owned())
    }
}

fn same(answer: Value) -> Same {
    Same(answer, Mutex::default())
}

fn template(text: &str) -> Template {
    Template::read(text).unwrap()
}

fn who() -> Vec<(String, Template)> {
    vec![("X-Who".to_owned(), template("{{.request.headers.X-Who}}"))]
}

fn block<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("a table never waits")
}

fn checked(schema: &Arc<Schema>, query: &str) -> Checked {
    let checker = Checker::new(Arc::clone(schema), Bounds::default());
    checker.check(&Request { query: query.to_owned(), ..Request::default() }).unwrap()
}

fn asked(opening: &Opening) -> Value {
    serde_json::from_str(&opening.call.body).unwrap()
}

fn supergraph() -> (Arc<Schema>, Engine) {
    let parts = [("products", PRODUCTS), ("reviews", REVIEWS)];
    let schema = Arc::new(Schema::read(&merged(&parts).unwrap()).unwrap());
    let parts = parts.map(|(name, sdl)| Part {
        name: name.to_owned(),
        sdl: sdl.to_owned(),
        url: template(&format!("http://{name}/")),
        headers: who(),
        asking: Asking::Socket(Some(Protocol::Old)),
    });
    let federation = Federation::new(&schema, parts.into(), Vec::new(), false).unwrap();
    (Arc::clone(&schema), Engine::federated(schema, federation))
}

#[test]
fn c10_the_part_that_owns_a_field_is_asked_for_events() {
    let (schema, engine) = supergraph();
    let query = "subscription ($n: Int) { r: reviewed(from: $n) { body product { name } ...F } }
        fragment F on Review { text: body }";
    let checked = checked(&schema, query);
    let variables = json!({"n": 2});
    let opening = engine.opening(&checked, variables.as_object().unwrap(), &same(json!({})));
    let opening = opening.unwrap().unwrap();
    assert_eq!((&*opening.source, opening.by), ("the part `reviews`", Asking::Socket(Some(Protocol::Old))));
    assert_eq!((&*opening.call.url, &opening.call.headers[0].1), ("http://reviews/", &"me".to_owned()));
    let body = asked(&opening);
    assert_eq!(body["variables"], json!({"n": 2}), "only those that the part needs");
    let text = body["query"].as_str().unwrap();
    assert!(text.starts_with("subscription($n: Int) { r: reviewed(from: $n) {"), "{text}");
    assert!(text.contains("sluicegate_upc: upc") && !text.contains(" name"), "{text}");

    let entities = json!({"data": {"_entities": [{"__typename": "Product", "sluicegate_typename": "Product", "name": "Chair"}]}});
    let network = same(entities);
    let product = json!({"sluicegate_typename": "Product", "sluicegate_upc": "b"});
    let event = json!({"data": {"r": {"sluicegate_typename": "Review", "body": "fine", "text": "fine", "product": product}}});
    let answer = block(engine.event(&checked, variables.as_object().unwrap(), event, &network)).unwrap();
    let expected = json!({"data": {"r": {"body": "fine", "product": {"name": "Chair"}, "text": "fine"}}});
    assert_eq!(answer, expected);
    let calls = network.1.lock();
    assert_eq!(calls.len(), 1, "the part that has sent the event is not asked again: {calls:?}");
    assert_eq!(calls[0].url, "http://products/");
}

#[test]
fn c10_an_event_that_is_none_is_told_as_an_error_of_the_field() {
    let (schema, engine) = supergraph();
    let checked = checked(&schema, "subscription { reviewed { body } }");
    let network = same(json!({}));
    for (event, message) in [
        (json!({"errors": [{"message": "gone"}]}), "gone"),
        (
            json!({"data": {"reviewed": null}, "errors": [{"message": "hidden", "path": ["reviewed"]}]}),
            "hidden",
        ),
        (json!({"data": {"reviewed": 7}}), "the part sent no `Review`"),
        (json!("nonsense"), "the part `reviews` sent an event that is no answer of GraphQL"),
        (json!([1]), "no answer of GraphQL"),
        (json!({}), "no answer of GraphQL"),
        (json!({"data": 7}), "null"),
    ] {
        let answer = block(engine.event(&checked, &Map::new(), event.clone(), &network)).unwrap();
        assert_eq!(answer["data"], Value::Null, "{event}: the field may not be null");
        let told = answer["errors"][0]["message"].as_str().unwrap();
        assert!(told.contains(message), "{event}: {answer}");
    }
    assert!(network.1.lock().is_empty());
}

fn plan() -> Plan {
    let source = |name: &str, field: &str, kind: SourceKind, asking: Asking| Source {
        name: name.to_owned(),
        roots: vec![("Subscription".to_owned(), field.to_owned())],
        url: template("http://s/{{.arguments.id}}"),
        method: "POST".to_owned(),
        headers: who(),
        types: TypeNames::default(),
        kind,
        asking,
    };
    let operation = SourceKind::Operation {
        operation: "subscription ($id: ID!) { by(id: $id) { value } }".to_owned(),
        variables: vec![("id".to_owned(), Variable::Made(template("{{.arguments.id}}")))],
    };
    Plan {
        sources: vec![
            source("counts", "count", SourceKind::Graph, Asking::Events { post: true }),
            source("others", "by", operation, Asking::default()),
        ],
        ..Plan::default()
    }
}

#[test]
fn c10_a_source_is_asked_for_events_and_its_answers_are_taken_as_those_to_queries() {
    let schema = Arc::new(Schema::read(SDL).unwrap());
    let engine = Engine::new(Arc::clone(&schema), plan()).unwrap();
    let (network, none) = (same(json!({})), Map::new());
    let open = |query: &str| engine.opening(&checked(&schema, query), &none, &network);

    let counts = checked(&schema, "subscription { c: count(to: 3) { v: value } }");
    let opening = engine.opening(&counts, &none, &network).unwrap().unwrap();
    assert_eq!((&*opening.source, opening.by), ("the source `counts`", Asking::Events { post: true }));
    let text = asked(&opening)["query"].as_str().unwrap().to_owned();
    assert!(text.starts_with("subscription { count(to: 3) {") && text.contains("v: value"), "{text}");
    let event = json!({"data": {"count": {"sluicegate_typename": "Number", "v": 2}}});
    let answer = block(engine.event(&counts, &none, event, &network)).unwrap();
    assert_eq!(answer, json!({"data": {"c": {"v": 2}}}));

    let others = checked(&schema, "subscription { by(id: 7) { value } }");
    let opening = engine.opening(&others, &none, &network).unwrap().unwrap();
    assert_eq!(opening.call.url, "http://s/7");
    assert_eq!(asked(&opening)["variables"], json!({"id": 7}));
    let event =
        json!({"data": {"by": {"value": 1}}, "errors": [{"message": "a part", "path": ["by", "name"]}]});
    let answer = block(engine.event(&others, &none, event, &network)).unwrap();
    let errors = json!([{"message": "a part", "path": ["by", "name"]}]);
    assert_eq!(answer, json!({"data": {"by": {"value": 1}}, "errors": errors}));

    let answer = block(engine.event(&others, &none, json!(7), &network)).unwrap();
    let told = "the source `others` sent an event that is no answer of GraphQL";
    assert_eq!((&answer["data"]["by"], &answer["errors"][0]["message"]), (&Value::Null, &json!(told)));

    // Nobody sends these.
    assert!(open("subscription { plain }").is_err());
    assert!(network.1.lock().is_empty());
    let mut rest = plan();
    rest.sources[0].kind = SourceKind::Rest { query: Vec::new(), body: None };
    let refused = Engine::new(schema, rest).unwrap_err();
    assert!(refused.contains("needs a source that sends events"), "{refused}");
}
