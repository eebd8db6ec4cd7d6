//! What is let through and what is refused, as tables.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at the first surprise")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use graphql::{Bounds, Checker, Kind, Names, Problem, Request, Rights, Schema};
use serde_json::{Value, json};

const SDL: &str = "
    type Query { hero(id: ID! = 1): Person people(first: Int): [Person!]! node: Node version: String }
    type Mutation { rename(id: ID!, name: String!): Person }
    type Subscription { renamed: Person }
    interface Node { id: ID! }
    type Person implements Node { id: ID! name: String secret: String friends: [Person!] pet: Pet }
    union Pet = Cat | Dog
    type Cat { name: String meows: Int }
    type Dog { name: String barks: Int }
";

fn checker() -> Checker {
    Checker::new(Arc::new(Schema::read(SDL).unwrap()), Bounds::default())
}

fn asked(query: &str) -> Request {
    Request { query: query.to_owned(), ..Request::default() }
}

fn first_error(problem: &Problem) -> String {
    match problem {
        Problem::Errors(errors) => errors["errors"][0]["message"].as_str().unwrap_or_default().to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn documents_hold_or_are_refused() {
    let checker = checker();
    for (query, told) in [
        ("{ version }", None),
        ("query A { hero { name ...on Person { id } } }", None),
        ("query ($n: Int) { people(first: $n) { name } }", None),
        ("mutation { rename(id: 1, name: \"a\") { id } }", None),
        ("subscription { renamed { id } }", None),
        ("{ __schema { types { name } } }", None),
        ("{ none }", Some("does not have a field `none`")),
        ("{ hero }", Some("must have a subselection set")),
        ("{ version", Some("syntax error")),
        ("{ version { a } }", Some("scalar")),
        ("{ people(first: \"x\") { id } }", Some("Int")),
        ("query ($n: String) { people(first: $n) { id } }", Some("variable")),
        ("query A { version } query B { version }", Some("operation")),
        ("fragment F on Person { id }", Some("operation")),
        (
            "{ hero { ...F } } fragment F on Person { ...G } fragment G on Person { ...F }",
            Some("reference itself"),
        ),
        ("{ hero { ...F } } fragment F on Person { ...F }", Some("F")),
        ("type Query { a: Int }", Some("executable document")),
    ] {
        match (checker.check(&asked(query)), told) {
            (Ok(_), None) => {}
            (Err(problem), Some(told)) => {
                let message = first_error(&problem);
                assert!(message.contains(told), "{query}: {message}");
            }
            (other, _) => panic!("{query}: {other:?}"),
        }
    }
}

#[test]
fn c10_row_3_errors_have_the_shape_of_the_specification() {
    let Err(Problem::Errors(errors)) = checker().check(&asked("{\n  none }")) else { panic!("refused") };
    assert_eq!(errors["errors"][0]["locations"], json!([{"line": 2, "column": 3}]));
    assert_eq!(errors["errors"][0]["path"], json!([]));
}

#[test]
fn depth_and_fields_are_counted_with_fragments_in_their_places() {
    let checker = checker();
    for (query, depth, fields) in [
        ("{ version }", 1, 1),
        ("{ hero { name id } }", 2, 3),
        ("{ hero { friends { friends { name } } } version }", 4, 5),
        ("{ ...Q } fragment Q on Query { hero { ...P } } fragment P on Person { friends { id } }", 3, 3),
        ("{ a: hero { ...P } b: hero { ...P } } fragment P on Person { friends { id } }", 3, 6),
        ("{ hero { pet { ... on Cat { name } ... on Dog { name } } } }", 3, 4),
    ] {
        let checked = checker.check(&asked(query)).unwrap();
        assert_eq!((checked.cost().depth, checked.cost().fields), (depth, fields), "{query}");
    }
}

#[test]
fn operations_are_chosen_by_name() {
    let checker = checker();
    let both = "query A { version } mutation B { rename(id: 1, name: \"x\") { id } }";
    for (name, kind) in
        [(Some("A"), Some(Kind::Query)), (Some("B"), Some(Kind::Mutation)), (Some("C"), None), (None, None)]
    {
        let request = Request { operation: name.map(str::to_owned), ..asked(both) };
        assert_eq!(checker.check(&request).ok().map(|checked| checked.kind()), kind, "{name:?}");
    }
}

fn names(list: &[(&str, &[&str])]) -> Names {
    Names::new(list.iter().map(|(kind, fields)| (*kind, fields.iter().copied())))
}

#[test]
fn c10_row_9_rights_to_types_and_fields() {
    let checker = checker();
    let restricted = |list: &[(&str, &[&str])]| Rights { restricted: names(list), ..Rights::default() };
    let allowed = |list: &[(&str, &[&str])]| Rights { allowed: names(list), ..Rights::default() };
    let secret = "field: secret is restricted on type: Person";
    for (rights, query, told) in [
        (Rights::default(), "{ hero { secret } }", None),
        (restricted(&[("Person", &["secret"])]), "{ hero { name } }", None),
        (restricted(&[("Person", &["secret"])]), "{ hero { secret } }", Some(secret)),
        (restricted(&[("Person", &["secret"])]), "{ hero { a: secret } }", Some(secret)),
        (restricted(&[("Person", &["secret"])]), "{ hero { ... on Person { secret } } }", Some(secret)),
        (
            restricted(&[("Person", &["secret"])]),
            "{ hero { ...F } } fragment F on Person { secret }",
            Some(secret),
        ),
        (restricted(&[("Person", &["secret"])]), "{ node { ... on Person { secret } } }", Some(secret)),
        (
            restricted(&[("Query", &["*"])]),
            "{ version }",
            Some("field: version is restricted on type: Query"),
        ),
        (restricted(&[("Query", &["*"])]), "{ __typename }", None),
        (allowed(&[("Query", &["version"])]), "{ version __typename }", None),
        (allowed(&[("Query", &["hero"]), ("Person", &["*"])]), "{ hero { name secret } }", None),
        (
            allowed(&[("Query", &["hero"])]),
            "{ hero { name } }",
            Some("field: name is restricted on type: Person"),
        ),
        (
            Rights { restricted: names(&[("Query", &["version"])]), ..allowed(&[("Query", &["version"])]) },
            "{ version }",
            None,
        ),
    ] {
        let checked = checker.check(&asked(query)).unwrap();
        let told_so = rights.admit(&checked).err().map(|problem| first_error(&problem));
        assert_eq!(told_so.as_deref(), told, "{query}");
    }
}

#[test]
fn c10_row_8_rights_to_depth_and_to_the_schema() {
    let checker = checker();
    let deep = |depth: i64| Rights { depth, ..Rights::default() };
    let below = |depth: i64, hero: i64| Rights {
        depth,
        below: HashMap::from([(("Query".into(), "hero".into()), hero)]),
        ..Rights::default()
    };
    let closed = || Rights { no_introspection: true, ..Rights::default() };
    let (four, schema) =
        ("{ hero { friends { friends { name } } } }", "{ __schema { types { fields { name } } } }");
    for (rights, query, refused) in [
        (deep(0), four, None),
        (deep(-1), four, None),
        (deep(4), four, None),
        (deep(3), four, Some(Problem::Depth)),
        (deep(1), schema, None),
        // A field of its own limit: what is below it counts.
        (below(1, 3), four, None),
        (below(9, 2), four, Some(Problem::Depth)),
        (below(1, -1), four, None),
        (below(1, 3), "{ people { name } }", Some(Problem::Depth)),
        (below(2, 3), "{ people { name } }", None),
        (closed(), schema, Some(Problem::Introspection)),
        (closed(), "{ version __type(name: \"Query\") { name } }", Some(Problem::Introspection)),
        (
            closed(),
            "{ ...F } fragment F on Query { __schema { types { name } } }",
            Some(Problem::Introspection),
        ),
        (closed(), "{ version __typename }", None),
    ] {
        let checked = checker.check(&asked(query)).unwrap();
        assert_eq!(rights.admit(&checked).err(), refused, "{query} {rights:?}");
    }
}

#[test]
fn the_schema_answers_for_itself() {
    let checker = checker();
    let checked =
        checker.check(&asked("query ($n: String!) { __type(name: $n) { kind } __typename }")).unwrap();
    assert!(checked.is_introspection());
    let variables = json!({"n": "Pet"}).as_object().unwrap().clone();
    let answer = checker.introspect(&checked, &variables).unwrap();
    assert_eq!(answer, json!({"data": {"__type": {"kind": "UNION"}, "__typename": "Query"}}));
    assert!(checker.introspect(&checked, &serde_json::Map::new()).is_err());
    let deep = "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }";
    let checked = checker.check(&asked(deep)).unwrap();
    assert!(checker.introspect(&checked, &serde_json::Map::new()).is_err());
    assert!(!checker.check(&asked("{ version __schema { types { name } } }")).unwrap().is_introspection());
}

/// Documents that are made to cost: each is refused, or checked, in a moment.
#[test]
fn hostile_documents_cost_little() {
    let checker = checker();
    let nested = format!("{{ hero {}{{ name }}{} }}", "{ friends ".repeat(50_000), "}".repeat(50_000));
    let lists = format!("{{ people(first: {}1{}) {{ id }} }}", "[".repeat(50_000), "]".repeat(50_000));
    let aliases: String = (0..1_200).fold(String::from("{"), |mut text, n| {
        let _ = write!(text, " a{n}: version");
        text
    }) + "}";
    // Every fragment spreads the next one twice: 2^60 fields.
    let mut doubled = String::from("{ hero { ...F0 } }");
    for n in 0..60 {
        let next = n + 1;
        let _ = write!(
            doubled,
            " fragment F{n} on Person {{ a: friends {{ ...F{next} }} b: friends {{ ...F{next} }} }}"
        );
    }
    doubled.push_str(" fragment F60 on Person { id }");
    let mut spread = String::from("{ hero { ...F0 } }");
    for n in 0..1_000 {
        let next = n + 1;
        let _ = write!(spread, " fragment F{n} on Person {{ ...F{next} ...F{next} }}");
    }
    spread.push_str(" fragment F1000 on Person { id }");
    let same = format!("{{ {} }}", "version ".repeat(14_000));
    let pairs = format!("{{ {} }}", "hero { friends { name } } ".repeat(800));
    let wrong = format!("{{ {} }}", "none ".repeat(14_000));
    let directives = format!("{{ version {} }}", "@include(if: true) ".repeat(2_000));
    let variables: String = (0..1_500).fold(String::from("query ("), |mut text, n| {
        let _ = write!(text, "$v{n}: Int ");
        text
    }) + ") { version }";
    let long = format!("{{ version }} # {}", "x".repeat(300 << 10));
    for (what, query, refused) in [
        ("nested", nested, true),
        ("lists", lists, true),
        ("aliases", aliases, true),
        ("doubled", doubled, true),
        ("spread", spread, true),
        ("same", same, true),
        ("pairs", pairs, false),
        ("wrong", wrong, true),
        ("directives", directives, true),
        ("variables", variables, true),
        ("long", long, true),
        ("empty braces", "{".repeat(10_000), true),
        ("comments", "#\n".repeat(100_000), true),
        ("commas", ",".repeat(250_000), true),
        ("quotes", "\"".repeat(10_000), true),
        ("null", "\0".to_owned(), true),
    ] {
        let begun = Instant::now();
        let checked = checker.check(&asked(&query));
        let took = begun.elapsed();
        assert_eq!(
            checked.is_err(),
            refused,
            "{what}: {:?}",
            checked.map_err(|problem| first_error(&problem))
        );
        assert!(took < Duration::from_secs(5), "{what} took {took:?}");
        if let Err(Problem::Errors(Value::Object(told))) = checked {
            assert!(told["errors"].as_array().is_some_and(|errors| errors.len() <= 20), "{what}");
        }
    }
}

#[test]
fn checked_documents_are_known() {
    let checker = checker();
    assert!(!checker.knows("{ version }"));
    checker.check(&asked("{ version }")).unwrap();
    assert!(checker.knows("{ version }"));
    assert!(checker.check(&asked("{ nothing }")).is_err());
    assert!(!checker.knows("{ nothing }"));
}
