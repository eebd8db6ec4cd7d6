//! Answers in the place of the backend's (contract 3.6).

use e2e::definition::oas;
use e2e::{Gate, Upstream};
use serde_json::json;

#[tokio::test]
async fn c3_6_rows_2_to_5_operations_are_answered_from_the_document() {
    let upstream = Upstream::start().await;
    let mut api = oas("api", &upstream.url(""));
    api["paths"] = json!({
        "/pets": {"get": {"operationId": "list", "responses": {
            "200": {"description": "ok",
                "headers": {"X-Total": {"schema": {"type": "integer"}, "example": 2}},
                "content": {
                    "application/json": {"examples": {"two": {"value": [1, 2]}, "none": {"value": []}}},
                    "text/plain": {"example": "pets"},
                }},
            "404": {"description": "no", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}},
        }}},
        "/fixed": {"get": {"operationId": "fixed"}},
        "/real": {"get": {"operationId": "real"}},
    });
    api["components"] = json!({"schemas": {"Error": {"type": "object", "properties": {
        "error": {"type": "string", "example": "gone"}, "code": {"type": "integer"},
    }}}});
    api["x-tyk-api-gateway"]["middleware"] = json!({"operations": {
        "list": {"mockResponse": {"enabled": true, "fromOASExamples": {"enabled": true, "exampleName": "two"}}},
        "fixed": {"mockResponse": {"enabled": true, "code": 201, "body": "{}", "headers": [{"name": "X-Fixed", "value": "1"}]}},
        "real": {"mockResponse": {"enabled": false}},
    }});
    let gate = Gate::setup().oas(api).start().await;
    let code = "X-Tyk-Accept-Example-Code: ";
    for (fields, status, body) in [
        (vec![], 200, "[1,2]"),
        (vec!["X-Tyk-Accept-Example-Name: none".to_owned()], 200, "[]"),
        (vec!["Accept: text/plain".to_owned(), "X-Tyk-Accept-Example-Name;".to_owned()], 500, ""),
        (vec![format!("{code}404"), "X-Tyk-Accept-Example-Name: none".to_owned()], 500, ""),
        (
            vec![format!("{code}418")],
            500,
            "failed to mock response: mock: there is no example response for the code: 418",
        ),
        (
            vec![format!("{code}x")],
            500,
            "failed to mock response: mock: given code x is not a valid integer value",
        ),
        (
            vec!["Accept: text/html".to_owned()],
            500,
            "failed to mock response: mock: there is no example response for the content type: text/html",
        ),
    ] {
        let arguments: Vec<&str> = fields.iter().flat_map(|field| ["-H", field.as_str()]).collect();
        let reply = gate.get("/api/pets", &arguments).await;
        assert_eq!(reply.status, status, "{fields:?}: {}", reply.text());
        if status == 200 {
            assert_eq!(reply.text(), body, "{fields:?}");
            assert_eq!(reply.header("x-total").as_deref(), Some("2"));
            assert_eq!(reply.header("content-type").as_deref(), Some("application/json"));
        } else if !body.is_empty() {
            assert_eq!(reply.json()["error"], body);
        }
    }
    let fixed = gate.get("/api/fixed", &[]).await;
    assert_eq!((fixed.status, fixed.text(), fixed.header("x-fixed").as_deref()), (201, "{}", Some("1")));
    assert_eq!(upstream.hits(), 0, "nothing of this is the backend's");
    assert_eq!(gate.get("/api/real", &[]).await.status, 200);
    assert_eq!(upstream.hits(), 1);
}

#[tokio::test]
async fn c3_6_row_3_answers_made_from_a_schema_alone_are_what_it_asks_for() {
    let order = json!({
        "type": "object", "required": ["id", "code", "total", "items", "state"], "additionalProperties": false,
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "code": {"type": "string", "pattern": "^(ORD|INV)-[0-9]{4,8}[A-Z]?$", "minLength": 10},
            "note": {"type": "string", "minLength": 12, "maxLength": 20},
            "mail": {"type": "string", "format": "email"},
            "at": {"type": "string", "format": "date-time"},
            "total": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            "count": {"type": "integer", "minimum": 3, "multipleOf": 5},
            "state": {"enum": ["open", "closed"]},
            "items": {"type": "array", "minItems": 2, "items": {"type": "object", "required": ["sku"],
                "properties": {"sku": {"type": "string", "pattern": "^[A-Z]{3}$"}, "parent": {"$ref": "#/components/schemas/Order"}}}},
            "secret": {"type": "string", "writeOnly": true},
        },
    });
    let upstream = Upstream::start().await;
    let document = |id: &str, target: &str, operation: serde_json::Value| {
        let mut api = oas(id, target);
        api["paths"] = json!({"/order": {"get": {"operationId": "order", "responses": {"200": {"description": "ok",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}}}}}});
        api["components"] = json!({"schemas": {"Order": order}});
        api["x-tyk-api-gateway"]["middleware"] = json!({"operations": {"order": operation}});
        api
    };
    let mocked = json!({"mockResponse": {"enabled": true, "fromOASExamples": {"enabled": true}}});
    let held = json!({"validateResponse": {"enabled": true, "mode": "refuse"}});
    let gate = Gate::setup()
        .oas(document("mocked", &upstream.url(""), mocked))
        .oas(document("other", &upstream.url(""), held.clone()))
        .start()
        .await;
    let reply = gate.get("/mocked/order", &[]).await;
    assert_eq!((reply.status, reply.header("content-type").as_deref()), (200, Some("application/json")));
    let made = reply.json();
    for (at, expected) in [
        ("/id", json!("00000000-0000-4000-8000-000000000000")),
        ("/code", json!("ORD-00000A")),
        ("/note", json!("stringstring")),
        ("/mail", json!("user@example.com")),
        ("/at", json!("2024-01-01T00:00:00Z")),
        ("/total", json!(0.5)),
        ("/count", json!(5)),
        ("/state", json!("open")),
        ("/items/1/sku", json!("AAA")),
    ] {
        assert_eq!(made.pointer(at), Some(&expected), "{at}: {made}");
    }
    assert!(made.get("secret").is_none(), "{made}");

    // Who holds answers to the same schema lets it pass, and nothing else.
    let added = gate.admin().post("/apis/oas", &document("held", &gate.url("/mocked"), held)).await;
    assert_eq!(added.status, 200, "{}", added.text());
    gate.admin().reload().await;
    let reply = gate.get("/held/order", &[]).await;
    assert_eq!((reply.status, &reply.json()), (200, &made), "{}", gate.log());
    assert_eq!(gate.get("/other/order", &[]).await.status, 502);
}
