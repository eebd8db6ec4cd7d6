//! Answers in the place of the backend's (contract 3.6).

use e2e::definition::oas;
use e2e::{Gate, Upstream};
use serde_json::json;

#[tokio::test]
async fn c3_6_operations_are_answered_from_the_document() {
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
