//! Supergraphs (contract 10, federation v1) in front of real parts, asked directly and as APIs of the gate.

use e2e::definition::{keyed, keyless, session};
use e2e::{Gate, GraphqlServer, Reply};
use serde_json::{Value, json};

const PARTS: [(&str, &str); 4] = [
    (
        "accounts",
        "type Query { me: User who(id: ID!): User } type User @key(fields: \"id\") { id: ID! username: String }",
    ),
    (
        "products",
        "extend type Query { top(first: Int = 3): [Product!] any: [Thing!] }
        type Mutation { price(upc: String!, price: Int!): Product }
        interface Thing { upc: String! }
        type Product implements Thing @key(fields: \"upc\") { upc: String! name: String price: Int weight: Int }",
    ),
    (
        "reviews",
        "extend type Query { latest: Review }
        extend type User @key(fields: \"id\") { id: ID! @external username: String @external reviews(first: Int): [Review!] }
        extend type Product @key(fields: \"upc\") { upc: String! @external reviews: [Review!] }
        type Review { id: ID! body: String author: User @provides(fields: \"username\") product: Product broken: String }",
    ),
    (
        "stock",
        "extend type Query { depots: Int }
        extend type Product @key(fields: \"upc\") { upc: String! @external price: Int @external weight: Int @external
            inStock: Boolean shipping: Int @requires(fields: \"price weight\") }",
    ),
];

struct World {
    servers: Vec<GraphqlServer>,
}

impl World {
    async fn start() -> Self {
        let mut servers = Vec::new();
        for (name, _) in PARTS {
            servers.push(GraphqlServer::part(name).await);
        }
        Self { servers }
    }

    fn graph(&self, mut api: Value) -> Value {
        let parts: Vec<Value> = (PARTS.iter().zip(&self.servers))
            .map(|((name, sdl), server)| {
                json!({"name": name, "url": server.url("/"), "sdl": sdl, "headers": {"X-Part": name}})
            })
            .collect();
        api["graphql"] = json!({"enabled": true, "execution_mode": "supergraph", "version": "2", "schema": "",
            "supergraph": {"subgraphs": parts, "merged_sdl": "", "global_headers": {"X-All": "1"}}});
        api
    }

    async fn hits(&self) -> Vec<u64> {
        let mut hits = Vec::new();
        for server in &self.servers {
            hits.push(server.hits().await);
        }
        hits
    }
}

async fn ask(gate: &Gate, path: &str, query: &str, more: &[&str]) -> Reply {
    let body = json!({"query": query}).to_string();
    let mut arguments = vec!["-H", "Content-Type: application/json", "-d", &body];
    arguments.extend(more);
    gate.get(path, &arguments).await
}

#[tokio::test]
async fn c10_row_6_parts_are_asked_for_what_they_own() {
    let world = World::start().await;
    let gate = Gate::setup().api(world.graph(keyless("s", ""))).start().await;
    for (query, data, calls) in [
        // Of one part nothing but its own is asked.
        ("{ me { id name: username } }", json!({"me": {"id": "1", "name": "Ada"}}), [1, 0, 0, 0]),
        // The reviews of a user are elsewhere, and what a product is called again elsewhere: each once for all objects.
        (
            "{ me { username reviews { body product { upc name } } } }",
            json!({"me": {"username": "Ada", "reviews": [
                {"body": "good", "product": {"upc": "a", "name": "Table"}},
                {"body": "fine", "product": {"upc": "b", "name": "Chair"}},
            ]}}),
            [1, 1, 1, 0],
        ),
        (
            "{ me { reviews(first: 1) { body } } }",
            json!({"me": {"reviews": [{"body": "good"}]}}),
            [1, 0, 1, 0],
        ),
        // `@provides`: what a part knows of what another owns.
        (
            "{ latest { author { username } } }",
            json!({"latest": {"author": {"username": "Ada of reviews"}}}),
            [0, 0, 1, 0],
        ),
        // `@requires`: what one part has to know of another.
        (
            "{ top { inStock shipping } }",
            json!({"top": [{"inStock": true, "shipping": 120}, {"inStock": false, "shipping": 60}]}),
            [0, 1, 0, 1],
        ),
        // It is had on the way where who sent the object does not know it.
        (
            "{ latest { product { shipping } } }",
            json!({"latest": {"product": {"shipping": 60}}}),
            [0, 1, 1, 1],
        ),
        // Fragments on what one part knows only by its kinds, and fields of several roots.
        (
            "query { any { upc ... on Product { stocked: inStock ...N } } me { username } } fragment N on Thing { ... on Product { name } }",
            json!({"any": [{"upc": "a", "stocked": true, "name": "Table"}, {"upc": "b", "stocked": false, "name": "Chair"}],
                "me": {"username": "Ada"}}),
            [1, 1, 0, 1],
        ),
        (
            "mutation { one: price(upc: \"a\", price: 7) { price inStock } two: price(upc: \"b\", price: 8) { price } }",
            json!({"one": {"price": 7, "inStock": true}, "two": {"price": 8}}),
            [0, 2, 0, 1],
        ),
        ("{ who(id: 9) { username reviews { body } } }", json!({"who": null}), [1, 0, 0, 0]),
        ("{ __type(name: \"Review\") { name } }", json!({"__type": {"name": "Review"}}), [0, 0, 0, 0]),
    ] {
        let before = world.hits().await;
        let reply = ask(&gate, "/s/", query, &[]).await;
        assert_eq!(reply.status, 200, "{query}: {reply:?}");
        assert_eq!(reply.json(), json!({"data": data}), "{query}");
        let after = world.hits().await;
        // The question for it is one, too.
        let made: Vec<u64> = before.iter().zip(&after).map(|(before, after)| after - before - 1).collect();
        assert_eq!(made, calls, "{query}");
    }
    assert_eq!(ask(&gate, "/s/", "{ none }", &[]).await.status, 400);
    let schema = ask(&gate, "/s/", "{ __schema { types { name } directives { name } } }", &[]).await;
    let told = schema.text();
    assert!(told.contains("Review") && !told.contains("_Entity") && !told.contains("requires"), "{told}");
}

#[tokio::test]
async fn c10_row_6_what_a_part_cannot_tell_is_null_and_said() {
    let world = World::start().await;
    let mut away = world.graph(keyless("away", ""));
    away["graphql"]["supergraph"]["subgraphs"][3]["url"] = json!("http://127.0.0.1:1/");
    let gate = Gate::setup().api(world.graph(keyless("s", ""))).api(away).start().await;
    let reply = ask(&gate, "/s/", "{ me { reviews { body broken } } }", &[]).await.json();
    assert_eq!(reply["data"]["me"]["reviews"][1], json!({"body": "fine", "broken": null}));
    let errors = reply["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{reply}");
    assert_eq!(errors[0], json!({"message": "it broke", "path": ["me", "reviews", 0, "broken"]}));
    let reply = ask(&gate, "/away/", "{ top { name inStock } }", &[]).await.json();
    assert_eq!(reply["data"]["top"][0], json!({"name": "Table", "inStock": null}));
    assert_eq!(reply["errors"][0]["path"], json!(["top", 0, "inStock"]), "{reply}");
    let message = reply["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("the part `stock` failed"), "{message}");
}

#[tokio::test]
async fn c10_row_6_batching_may_be_off_and_parts_may_be_apis_of_the_gate() {
    let world = World::start().await;
    let mut alone = world.graph(keyless("alone", ""));
    alone["graphql"]["supergraph"]["disable_query_batching"] = json!(true);
    let mut inner = world.graph(keyed("inner", ""));
    let mut gate = Gate::setup().api(alone);
    for (index, (name, sdl)) in PARTS.iter().enumerate() {
        let mut part = keyless(name, &world.servers[index].url("/"));
        part["internal"] = json!(true);
        part["graphql"] = json!({"enabled": true, "execution_mode": "subgraph", "subgraph": {"sdl": sdl}});
        gate = gate.api(part);
        inner["graphql"]["supergraph"]["subgraphs"][index]["url"] = json!(format!("tyk://{name}/"));
    }
    let gate = gate.api(inner).start().await;
    let query = "{ top { name inStock } }";
    let expected =
        json!({"data": {"top": [{"name": "Table", "inStock": true}, {"name": "Chair", "inStock": false}]}});
    let before = world.hits().await;
    assert_eq!(ask(&gate, "/alone/", query, &[]).await.json(), expected);
    let after = world.hits().await;
    assert_eq!(after[3] - before[3] - 1, 2, "each product by a call of its own");
    assert_eq!(ask(&gate, "/inner/", query, &[]).await.status, 401);
    let mut rights = session(&["inner"]);
    rights["access_rights"]["inner"]["restricted_types"] = json!([{"name": "Product", "fields": ["price"]}]);
    let key = format!("Authorization: {}", gate.admin().key(&rights).await);
    assert_eq!(ask(&gate, "/inner/", query, &["-H", &key]).await.json(), expected);
    assert_eq!(ask(&gate, "/inner/", "{ top { price } }", &["-H", &key]).await.status, 400);
}

#[tokio::test]
async fn c10_parts_that_do_not_fit_are_refused_with_the_reason() {
    let gate = Gate::setup().start().await;
    for (parts, merged, told) in [
        (json!([]), "", "a supergraph needs parts"),
        (json!([{"name": "a", "url": "http://a/", "sdl": "type Query { a: "}]), "", "the part `a`"),
        (
            json!([{"name": "a", "url": "http://a/", "sdl": "type Query { a: Int }"},
                {"name": "b", "url": "http://b/", "sdl": "extend type Query { a: String }"}]),
            "",
            "`Query.a` is `String` there and `Int` elsewhere",
        ),
        (
            json!([{"name": "a", "url": "http://a/", "sdl": "type Query { a: Int }"}]),
            "type Query { a: Int b: Int }",
            "no part gives `Query.b`",
        ),
        (
            json!([{"name": "a", "url": "http://a/", "sdl": "type Query { a: A } type A @key(fields: \"id {\") { id: ID }"}]),
            "",
            "is no set of fields",
        ),
        (
            json!([{"name": "a", "url": "ftp://a/", "sdl": "type Query { a: Int }"}]),
            "",
            "begins with `http://`",
        ),
    ] {
        let mut api = keyless("bad", "");
        api["graphql"] = json!({"enabled": true, "execution_mode": "supergraph",
            "supergraph": {"subgraphs": parts, "merged_sdl": merged}});
        let reply = gate.admin().post("/apis", &api).await;
        assert!(reply.status >= 400 && reply.text().contains(told), "{told}: {reply:?}");
    }
}
