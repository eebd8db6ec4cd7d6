//! Graphs out of several sources, with a network that is a table.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at the first surprise")]

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use graphql::engine::{
    Asking, Call, Engine, Fetched, Mapping, Network, Plan, Source, SourceKind, Template, TypeNames, Variable,
};
use graphql::{Bounds, Checker, Problem, Request, Schema};
use parking_lot::Mutex;
use serde_json::{Value, json};

const SDL: &str = "
    type Query { user(id: ID!): User users(first: Int = 2): [User!] node: Node search(q: String, n: Int): [Hit!] fixed: String }
    type Mutation { add(name: String!): User }
    interface Node { id: ID! }
    union Hit = User | Post
    type User implements Node { id: ID! name: String! age: Int city: String posts(first: Int): [Post] reviews: [Review!] }
    type Post implements Node { id: ID! title: String author: User }
    type Review { stars: Int text: String }
";

/// Answers by method and URL, and takes note of what is asked.
#[derive(Default)]
struct Table {
    answers: HashMap<String, (u16, Value)>,
    calls: Mutex<Vec<Call>>,
}

impl Network for Table {
    fn call<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Fetched, String>> {
        self.calls.lock().push(call.clone());
        let answer = self.answers.get(&format!("{} {}", call.method, call.url));
        let answer =
            answer.map(|(status, body)| Fetched { status: *status, body: body.to_string().into_bytes() });
        async move { answer.ok_or_else(|| "nobody is there".to_owned()) }.boxed()
    }

    fn header(&self, name: &str) -> Option<String> {
        (name == "X-Who").then(|| "me".to_owned())
    }
}

impl Table {
    fn with(answers: &[(&str, u16, Value)]) -> Self {
        let answers = answers.iter().map(|(at, status, body)| ((*at).to_owned(), (*status, body.clone())));
        Self { answers: answers.collect(), ..Self::default() }
    }

    fn urls(&self) -> Vec<String> {
        let mut urls: Vec<String> = self.calls.lock().iter().map(|call| call.url.clone()).collect();
        urls.sort_unstable();
        urls
    }
}

fn template(text: &str) -> Template {
    Template::read(text).unwrap()
}

fn rest(name: &str, root: (&str, &str), method: &str, url: &str) -> Source {
    Source {
        name: name.to_owned(),
        roots: vec![(root.0.to_owned(), root.1.to_owned())],
        url: template(url),
        method: method.to_owned(),
        headers: vec![("X-Who".to_owned(), template("{{.request.headers.X-Who}}"))],
        types: TypeNames::default(),
        kind: SourceKind::Rest { query: Vec::new(), body: None },
        asking: Asking::default(),
    }
}

fn graph(name: &str, roots: &[(&str, &str)], url: &str) -> Source {
    let roots = roots.iter().map(|(kind, field)| ((*kind).to_owned(), (*field).to_owned())).collect();
    Source { roots, headers: Vec::new(), kind: SourceKind::Graph, ..rest(name, ("", ""), "POST", url) }
}

fn whole(fields: &[(&str, &str)]) -> HashMap<(String, String), Mapping> {
    let mapping = Mapping { path: Vec::new(), whole: true };
    fields.iter().map(|(kind, field)| (((*kind).to_owned(), (*field).to_owned()), mapping.clone())).collect()
}

async fn run(plan: Plan, query: &str, variables: Value, network: &Table) -> Result<Value, Problem> {
    let schema = Arc::new(Schema::read(SDL).unwrap());
    let checker = Checker::new(Arc::clone(&schema), Bounds::default());
    let checked = checker.check(&Request { query: query.to_owned(), ..Request::default() }).unwrap();
    let engine = Engine::new(schema, plan).unwrap();
    engine.execute(&checked, variables.as_object().unwrap(), network).await
}

fn block<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("a table never waits")
}

fn two_rests() -> Plan {
    let mut mappings = whole(&[("Query", "user"), ("Query", "users")]);
    let city = Mapping { path: vec!["address".into(), "city".into()], whole: false };
    mappings.insert(("User".into(), "city".into()), city);
    let posts = Mapping { path: vec!["data".into()], whole: false };
    mappings.insert(("User".into(), "posts".into()), posts);
    Plan {
        sources: vec![
            rest("users", ("Query", "user"), "GET", "http://u/users/{{.arguments.id}}"),
            rest("all", ("Query", "users"), "GET", "http://u/users?n={{.arguments.first}}"),
            rest("posts", ("User", "posts"), "GET", "http://p/{{.object.id}}/posts"),
        ],
        mappings,
        headers: vec![("X-Who".to_owned(), template("other")), ("X-All".to_owned(), template("1"))],
    }
}

#[test]
fn c10_row_5_rest_sources_are_joined() {
    let ada = json!({"id": 7, "name": "Ada", "age": 36, "address": {"city": "London"}});
    let bob = json!({"id": 8, "name": "Bob", "age": "old"});
    let network = Table::with(&[
        ("GET http://u/users/7", 200, ada.clone()),
        ("GET http://u/users?n=2", 200, json!([ada, bob, ada])),
        ("GET http://p/7/posts", 200, json!({"data": [{"id": 1, "title": "On engines"}, null]})),
        ("GET http://p/8/posts", 500, json!({})),
    ]);
    let query = "query ($id: ID!) { user(id: $id) { id full: name city posts { title } } __typename }";
    let answer = block(run(two_rests(), query, json!({"id": "7"}), &network)).unwrap();
    assert_eq!(
        answer,
        json!({"data": {
            "user": {"id": "7", "full": "Ada", "city": "London", "posts": [{"title": "On engines"}, null]},
            "__typename": "Query",
        }})
    );
    let sent = network.calls.lock()[0].headers.clone();
    assert_eq!(sent, [("X-Who".to_owned(), "me".to_owned()), ("X-All".to_owned(), "1".to_owned())]);
    network.calls.lock().clear();
    let answer = block(run(two_rests(), "{ users { name age posts { id } } }", json!({}), &network)).unwrap();
    // A part that fails is null, and told with its place; the same call is made once.
    assert_eq!(answer["data"]["users"][1], json!({"name": "Bob", "age": null, "posts": null}));
    assert_eq!(answer["data"]["users"][2]["posts"], json!([{"id": "1"}, null]));
    let errors = answer["errors"].as_array().unwrap();
    let told: Vec<&Value> = errors.iter().map(|error| &error["path"]).collect();
    assert_eq!(told, [&json!(["users", 1, "age"]), &json!(["users", 1, "posts"])]);
    assert_eq!(errors[1]["message"], "the source `posts` failed: it answers 500");
    assert_eq!(network.urls(), ["http://p/7/posts", "http://p/8/posts", "http://u/users?n=2"]);
}

#[test]
fn c10_what_fails_at_a_place_that_must_not_be_null_takes_what_is_around_it() {
    let network = Table::with(&[("GET http://u/users/7", 200, json!({"id": 7}))]);
    let answer = block(run(two_rests(), "{ user(id: 7) { name } }", json!({}), &network)).unwrap();
    assert_eq!(answer["data"], json!({"user": null}));
    assert_eq!(answer["errors"][0]["path"], json!(["user", "name"]));
    let away = block(run(two_rests(), "{ user(id: 9) { name } }", json!({}), &network)).unwrap();
    assert_eq!(away["errors"][0]["message"], "the source `users` failed: nobody is there");
    // Values of variables are those of their types, or nothing is asked at all.
    assert!(
        block(run(two_rests(), "query ($id: ID!) { user(id: $id) { id } }", json!({}), &network)).is_err()
    );
}

#[test]
fn c10_queries_and_bodies_of_rest_sources() {
    let mut source = rest("search", ("Query", "search"), "POST", "http://s/find");
    source.kind = SourceKind::Rest {
        query: vec![("q".to_owned(), template("{{.arguments.q}}"))],
        body: Some(template("{\"n\": {{.arguments.n}}, \"q\": \"{{.arguments.q}}\"}")),
    };
    let plan = Plan { sources: vec![source], mappings: whole(&[("Query", "search")]), ..Plan::default() };
    let found = json!([{"__typename": "Post", "title": "x"}, {"__typename": "User", "name": "Ada"}, {"__typename": "Cat"}]);
    let network = Table::with(&[("POST http://s/find?q=a%26b", 200, found)]);
    let query =
        "{ search(q: \"a&b\", n: 3) { __typename ... on Post { title } ...U } } fragment U on User { name }";
    let answer = block(run(plan, query, json!({}), &network)).unwrap();
    assert_eq!(answer["data"]["search"], Value::Null);
    assert_eq!(answer["errors"][0]["message"], "the source sent a `Cat`, which is no `Hit`");
    assert_eq!(network.calls.lock()[0].body, "{\"n\": 3, \"q\": \"a&b\"}");
}

#[test]
fn c10_graphql_sources_get_what_is_selected_and_what_others_need() {
    let plan = || Plan {
        sources: vec![
            graph("people", &[("Query", "user"), ("Query", "node"), ("Mutation", "add")], "http://g/"),
            rest("reviews", ("User", "reviews"), "GET", "http://r/{{.object.id}}"),
        ],
        mappings: whole(&[("User", "reviews")]),
        ..Plan::default()
    };
    let user = json!({"sluicegate_typename": "User", "sluicegate_id": "7", "n": "Ada", "mine": [{"sluicegate_typename": "Post", "title": null}]});
    let network = Table::with(&[
        (
            "POST http://g/",
            200,
            json!({"data": {"user": user}, "errors": [{"message": "no title", "path": ["user", "mine", 0, "title"]}]}),
        ),
        ("GET http://r/7", 200, json!([{"stars": 5}])),
    ]);
    let query = "query ($id: ID!, $n: Int, $all: Boolean!) {
        user(id: $id) { n: name mine: posts(first: $n) { title } ... @include(if: $all) { age } ...R } }
        fragment R on User { reviews { stars } }";
    let answer = block(run(plan(), query, json!({"id": "7", "n": 1, "all": false}), &network)).unwrap();
    assert_eq!(
        answer["data"]["user"],
        json!({"n": "Ada", "mine": [{"title": null}], "reviews": [{"stars": 5}]})
    );
    assert_eq!(answer["errors"], json!([{"message": "no title", "path": ["user", "mine", 0, "title"]}]));
    let sent: Value = serde_json::from_str(&network.calls.lock()[0].body).unwrap();
    assert_eq!(sent["variables"], json!({"id": "7", "n": 1}));
    assert_eq!(
        sent["query"],
        "query($id: ID!, $n: Int) { user(id: $id) { sluicegate_typename: __typename n: name mine: posts(first: $n) \
         { sluicegate_typename: __typename title } ... on User { sluicegate_typename: __typename sluicegate_id: id } } }"
    );
    let failed = Table::with(&[(
        "POST http://g/",
        200,
        json!({"data": null, "errors": [{"message": "no such user"}]}),
    )]);
    let answer = block(run(plan(), "{ user(id: 1) { name } }", json!({}), &failed)).unwrap();
    assert_eq!(
        (answer["errors"][0]["message"].clone(), answer["errors"][0]["path"].clone()),
        (json!("no such user"), json!(["user"]))
    );
    // What changes something is done as often as it is asked for, in order.
    let added = Table::with(&[("POST http://g/", 200, json!({"data": {"add": {"name": "x"}}}))]);
    let twice = "mutation { a: add(name: \"x\") { name } b: add(name: \"x\") { name } }";
    let answer = block(run(plan(), twice, json!({}), &added)).unwrap();
    assert_eq!(answer["data"], json!({"a": {"name": "x"}, "b": {"name": "x"}}));
    let calls = added.calls.lock();
    assert_eq!(calls.len(), 2);
    assert!(calls[0].body.contains("mutation { add"), "{}", calls[0].body);
}

#[test]
fn c10_operations_that_a_definition_holds() {
    let mut source = graph("fixed", &[("Query", "fixed")], "http://g/");
    source.kind = SourceKind::Operation {
        operation: "query ($w: String) { hello(w: $w) }".to_owned(),
        variables: vec![
            ("w".to_owned(), Variable::Made(template("{{.request.headers.X-Who}}"))),
            ("n".to_owned(), Variable::Fixed(json!(1))),
        ],
    };
    let mapping = Mapping { path: vec!["hello".into()], whole: false };
    let mappings = HashMap::from([(("Query".to_owned(), "fixed".to_owned()), mapping)]);
    let network = Table::with(&[("POST http://g/", 200, json!({"data": {"hello": "me too"}}))]);
    let plan = Plan { sources: vec![source], mappings, ..Plan::default() };
    let answer = block(run(plan, "{ fixed }", json!({}), &network)).unwrap();
    assert_eq!(answer, json!({"data": {"fixed": "me too"}}));
    let sent: Value = serde_json::from_str(&network.calls.lock()[0].body).unwrap();
    assert_eq!(sent["variables"], json!({"w": "me", "n": 1}));
}

#[test]
fn plans_that_do_not_fit_are_refused() {
    let schema = Arc::new(Schema::read(SDL).unwrap());
    let source = |name: &str, field: &str| rest(name, ("Query", field), "GET", "http://a/");
    for (sources, told) in [
        (vec![source("a", "none")], "does not have"),
        (vec![source("a", "user"), source("b", "user")], "two sources"),
    ] {
        let error = Engine::new(Arc::clone(&schema), Plan { sources, ..Plan::default() }).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
    let plan = Plan { mappings: whole(&[("User", "none")]), ..Plan::default() };
    assert!(Engine::new(schema, plan).is_err());
}
