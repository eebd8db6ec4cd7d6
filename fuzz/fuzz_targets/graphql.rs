//! Any document is refused or let through, in bounds; one that is let through costs what the bounds allow. The first line is
//! what a WebSocket brings.

#![no_main]

use std::sync::{Arc, LazyLock};

use graphql::engine::merged;
use graphql::events::Reader;
use graphql::socket::{Protocol, from_client, from_upstream};
use graphql::{Bounds, Checker, Names, Request, Rights, Schema, variables_of};
use libfuzzer_sys::fuzz_target;

const SDL: &str = "
    type Query { hero(id: ID! = 1, all: [Int!], by: By): Person people(first: Int): [Person!]! node: Node }
    type Mutation { rename(id: ID!, name: String!): Person }
    type Subscription { renamed: Person }
    input By { name: String by: By }
    interface Node { id: ID! }
    type Person implements Node { id: ID! name: String friends: [Person!] pet: Pet }
    union Pet = Cat | Dog
    type Cat { name: String meows: Int }
    type Dog { name: String barks: Int }
";

static CHECKER: LazyLock<Option<Checker>> = LazyLock::new(|| {
    let bounds = Bounds { tokens: 2_000, fields: 1_000, ..Bounds::default() };
    Some(Checker::new(Arc::new(Schema::read(SDL).ok()?), bounds))
});

fuzz_target!(|text: &str| {
    let (frame, query) = text.split_once('\n').unwrap_or(("", text));
    for protocol in [Protocol::Old, Protocol::Transport] {
        for other in [Protocol::Old, Protocol::Transport] {
            let _ = from_client(frame, protocol, other);
        }
        let _ = from_upstream(frame, protocol);
    }
    let (mut whole, mut pieces) = (Vec::new(), Vec::new());
    let _ = Reader::new(1_000).read(text.as_bytes(), &mut whole);
    let mut reader = Reader::new(1_000);
    let _ = text.as_bytes().chunks(3).try_for_each(|bytes| reader.read(bytes, &mut pieces));
    assert_eq!(whole, pieces);
    let _ = variables_of(query);
    let _ = Schema::read_subgraph(query);
    let _ = merged(&[("one", query), ("other", SDL)]).map(|text| Schema::read(&text));
    let Some(checker) = &*CHECKER else { return };
    let request = Request { query: query.to_owned(), ..Request::default() };
    let Ok(checked) = checker.check(&request) else { return };
    assert!(checked.cost().fields <= 1_000 && checked.cost().depth <= checked.cost().fields);
    let restricted = Names::new([("Person", ["name"])].into_iter());
    let refused = Rights { restricted, ..Rights::default() }.admit(&checked).is_err();
    assert_eq!(refused, checked.fields().any(|field| field == ("Person", "name")));
    if checked.is_introspection() {
        let _ = checker.introspect(&checked, &request.variables);
    }
});
