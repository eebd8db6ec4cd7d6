//! Every parameter of imports and patches (contract 3.4), by what becomes of the definition.

use serde_json::{Value, json};

use super::{Admin, Reply};

const EXTENSION: &str = "/x-tyk-api-gateway";

/// A document with an operation of each sort: with examples, with a body, with neither.
fn pets() -> Value {
    json!({
        "openapi": "3.0.3", "info": {"title": "Pets", "version": "1"},
        "servers": [
            {"url": "http://{host}:{port}/v1", "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "1"}}},
            {"url": "http://127.0.0.1:2"},
        ],
        "security": [{"key": []}, {"bearer": []}],
        "components": {"securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "unused": {"type": "http", "scheme": "basic"},
        }},
        "paths": {
            "/pets/{id}": {
                "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "integer"}}],
                "get": {"operationId": "one", "responses": {"200": {"description": "it", "content":
                    {"application/json": {"example": {"id": 1}}}}}},
            },
            "/pets": {"post": {"operationId": "add", "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
                "responses": {"204": {"description": "done"}}}},
            "/up": {"get": {"responses": {"204": {"description": "up"}}}},
        },
    })
}

async fn held(admin: &Admin, id: &str) -> Value {
    admin.get(&format!("/apis/oas/{id}")).await.json()
}

fn id_of(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["key"].as_str().unwrap().to_owned()
}

/// Where sections stand that say nothing.
fn empty_sections(value: &Value, at: &str, found: &mut Vec<String>) {
    fn says_nothing(value: &Value) -> bool {
        match value {
            Value::Object(members) => members.values().all(says_nothing),
            Value::Array(items) => items.iter().all(says_nothing),
            Value::Bool(on) => !on,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Null => true,
        }
    }
    for (key, member) in value.as_object().into_iter().flatten() {
        let at = format!("{at}/{key}");
        if member.is_object() && says_nothing(member) {
            found.push(at);
        } else {
            empty_sections(member, &at, found);
        }
    }
}

#[tokio::test]
async fn c3_1_row_9_what_the_gate_writes_has_no_empty_sections_and_what_it_was_given_stays() {
    let admin = Admin::plain().await;
    let mut plain = pets();
    plain.as_object_mut().unwrap().remove("security");
    for query in
        ["", "?allowList=false&validateRequest=false&mockResponse=false", "?allowList=true&mockResponse=true"]
    {
        let id = id_of(&admin.post(&format!("/apis/oas/import{query}"), &plain).await);
        let (mut found, document) = (Vec::new(), held(&admin, &id).await);
        empty_sections(&document["x-tyk-api-gateway"], "", &mut found);
        assert_eq!(found, [""; 0], "{query}: {document:#}");
        assert_eq!(admin.delete(&format!("/apis/oas/{id}")).await.status, 200);
    }
    // Documents are stored as they came, whatever they say nothing with.
    let mut own = super::oas("own");
    own["x-tyk-api-gateway"]["middleware"] =
        json!({"global": {"cors": {}, "prePlugins": []}, "operations": {}});
    own["x-tyk-api-gateway"]["server"]["clientCertificates"] = json!({"enabled": false, "allowlist": []});
    admin.add("/apis/oas", &own).await;
    let mut told = held(&admin, "own").await;
    told.as_object_mut().unwrap().remove("servers");
    assert_eq!(told, own);
}

/// Parameter, where it shows, and what is there then; `null`: nothing.
fn rows() -> Vec<(&'static str, &'static str, Value)> {
    let (on, off) = (json!({"enabled": true}), json!(null));
    let validated = json!({"enabled": true, "errorResponseCode": 422});
    let mocked = json!({"enabled": true, "fromOASExamples": {"enabled": true}});
    vec![
        ("upstreamURL=http://127.0.0.1:9/up", "/upstream/url", json!("http://127.0.0.1:9/up")),
        ("listenPath=/mine/", "/server/listenPath/value", json!("/mine/")),
        (
            "customDomain=pets.example",
            "/server/customDomain",
            json!({"enabled": true, "name": "pets.example"}),
        ),
        ("authentication=true", "/server/authentication/enabled", json!(true)),
        ("authentication=true", "/server/authentication/securitySchemes", json!({"key": on, "bearer": on})),
        ("authentication=true", "/server/authentication/securityProcessingMode", off.clone()),
        ("authentication=false", "/server/authentication", json!({"enabled": false})),
        ("authentication=compliant", "/server/authentication/enabled", json!(true)),
        ("authentication=compliant", "/server/authentication/securityProcessingMode", json!("compliant")),
        (
            "authentication=compliant",
            "/server/authentication/securitySchemes",
            json!({"key": on, "bearer": on}),
        ),
        (
            "authentication=true&securityProcessingMode=compliant",
            "/server/authentication/securityProcessingMode",
            json!("compliant"),
        ),
        (
            "authentication=compliant&securityProcessingMode=legacy",
            "/server/authentication/securityProcessingMode",
            json!("legacy"),
        ),
        ("allowList=true", "/middleware/operations/one/allow", on.clone()),
        ("allowList=true", "/middleware/operations/add/allow", on.clone()),
        ("allowList=true", "/middleware/operations/upGET/allow", on),
        ("allowList=false", "/middleware/operations", off.clone()),
        ("validateRequest=true", "/middleware/operations/one/validateRequest", validated.clone()),
        ("validateRequest=true", "/middleware/operations/add/validateRequest", validated),
        ("validateRequest=true", "/middleware/operations/upGET", off.clone()),
        ("validateRequest=false", "/middleware/operations", off.clone()),
        ("mockResponse=true", "/middleware/operations/one/mockResponse", mocked),
        ("mockResponse=true", "/middleware/operations/add", off.clone()),
        ("mockResponse=true", "/middleware/operations/upGET", off.clone()),
        ("mockResponse=false", "/middleware/operations", off),
    ]
}

#[tokio::test]
async fn c3_4_rows_1_4_5_every_parameter_of_imports() {
    let admin = Admin::plain().await;
    for (number, (query, at, expected)) in rows().into_iter().enumerate() {
        // Where an API listens is its own.
        let listen =
            if query.contains("listenPath") { String::new() } else { format!("&listenPath=/{number}/") };
        let id = id_of(&admin.post(&format!("/apis/oas/import?{query}{listen}"), &pets()).await);
        let document = held(&admin, &id).await;
        let found = document.pointer(&format!("{EXTENSION}{at}")).cloned().unwrap_or_default();
        assert_eq!(found, expected, "{query}: {at}");
        admin.delete(&format!("/apis/oas/{id}")).await;
    }
    let named = admin.post("/apis/oas/import?apiID=pets&listenPath=/pets/", &pets()).await;
    assert_eq!(id_of(&named), "pets");
}

#[tokio::test]
async fn c3_4_row_3_without_parameters_the_document_says_what_there_is() {
    let admin = Admin::plain().await;
    let id = id_of(&admin.post("/apis/oas/import", &pets()).await);
    let document = held(&admin, &id).await;
    let expected = json!({
        "info": {"id": id, "name": "Pets", "state": {"active": true}},
        "upstream": {"url": "http://127.0.0.1:1/v1"},
        "server": {"listenPath": {"value": "/", "strip": true}},
        "middleware": {"global": {"contextVariables": {"enabled": true}, "trafficLogs": {"enabled": true}}},
    });
    assert_eq!(document["x-tyk-api-gateway"], expected);
    assert_eq!(document["paths"]["/up"]["get"]["operationId"], "upGET");
}

#[tokio::test]
async fn c3_4_row_1_every_parameter_of_patches() {
    let admin = Admin::plain().await;
    for (number, (query, at, expected)) in rows().into_iter().enumerate() {
        let add = format!("/apis/oas/import?listenPath=/{number}/");
        let id = id_of(&admin.post(&add, &pets()).await);
        let before = held(&admin, &id).await;
        let reply = admin.call("PATCH", &format!("/apis/oas/{id}?{query}"), &pets().to_string()).await;
        assert_eq!(id_of(&reply), id);
        let document = held(&admin, &id).await;
        let found = document.pointer(&format!("{EXTENSION}{at}")).cloned().unwrap_or_default();
        assert_eq!(found, expected, "{query}: {at}");
        // What no parameter is about stays.
        for kept in ["/info", "/middleware/global"] {
            let kept = format!("{EXTENSION}{kept}");
            assert_eq!(document.pointer(&kept), before.pointer(&kept), "{query}: {kept}");
        }
        admin.delete(&format!("/apis/oas/{id}")).await;
    }
}

#[tokio::test]
async fn c3_4_row_6_patches_switch_off_what_was_on_and_drop_operations_that_are_gone() {
    let admin = Admin::plain().await;
    let everything = "allowList=true&validateRequest=true&mockResponse=true&authentication=true";
    let id = id_of(&admin.post(&format!("/apis/oas/import?listenPath=/a/&{everything}"), &pets()).await);
    let patch = async |query: &str, document: &Value| {
        let reply = admin.call("PATCH", &format!("/apis/oas/{id}?{query}"), &document.to_string()).await;
        id_of(&reply);
        held(&admin, &id).await["x-tyk-api-gateway"].take()
    };
    let nothing = "allowList=false&validateRequest=false&mockResponse=false&authentication=false";
    let off = patch(nothing, &pets()).await;
    for feature in ["allow", "validateRequest", "mockResponse"] {
        assert_eq!(off["middleware"]["operations"]["one"][feature]["enabled"], false, "{feature}");
    }
    assert_eq!(off["server"]["authentication"]["enabled"], false);

    let mut blocked = held(&admin, &id).await;
    let add = "/x-tyk-api-gateway/middleware/operations/add";
    blocked.pointer_mut(add).unwrap()["block"] = json!({"enabled": true});
    patch("", &blocked).await;
    let on = patch("allowList=true", &pets()).await;
    assert_eq!(
        on["middleware"]["operations"]["add"]["block"]["enabled"], false,
        "what is allowed is not blocked"
    );

    let mut fewer = pets();
    fewer["paths"].as_object_mut().unwrap().remove("/pets");
    let fewer = patch("", &fewer).await;
    let left: Vec<&String> = fewer["middleware"]["operations"].as_object().unwrap().keys().collect();
    assert_eq!(left, ["one", "upGET"]);
}

#[tokio::test]
async fn c3_4_row_1_parameters_that_cannot_be_are_told() {
    let admin = Admin::plain().await;
    let pets = pets().to_string();
    let id = id_of(&admin.post("/apis/oas/import?apiID=p&listenPath=/p/", &self::pets()).await);
    for (query, begin) in [
        ("upstreamURL=nowhere", "The manually configured upstream URL is not valid."),
        ("upstreamURL=ftp://h/", "The manually configured upstream URL is not valid."),
        ("authentication=perhaps", "the parameter authentication must be"),
        ("allowList=perhaps", "the parameter allowList must be true or false"),
        ("validateRequest=on", "the parameter validateRequest must be true or false"),
        ("mockResponse=yes", "the parameter mockResponse must be true or false"),
        ("securityProcessingMode=strict", "the parameter securityProcessingMode must be"),
        ("apiID=../evil", "Invalid API ID"),
    ] {
        let reply = admin.call("POST", &format!("/apis/oas/import?listenPath=/x/&{query}"), &pets).await;
        let message = reply.json()["message"].as_str().unwrap().to_owned();
        assert!(reply.status == 400 && message.starts_with(begin), "{query}: {reply:?}");
        if !query.starts_with("apiID") {
            let reply = admin.call("PATCH", &format!("/apis/oas/{id}?{query}"), &pets).await;
            let message = reply.json()["message"].as_str().unwrap().to_owned();
            assert!(reply.status == 400 && message.starts_with(begin), "{query}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn c1_3_examples_and_defaults_are_only_looked_at_where_the_gate_is_asked_to() {
    let mut odd = pets();
    odd["paths"]["/pets/{id}"]["parameters"][0]["schema"]["default"] = json!("none");
    odd["paths"]["/pets/{id}"]["parameters"][0]["example"] = json!("seven");
    for (examples, defaults, told) in
        [(false, false, None), (true, false, Some("example")), (false, true, Some("schema/default"))]
    {
        let admin = Admin::start(|settings| {
            settings.checked_values = apidef::StatedKinds { examples, defaults };
        })
        .await;
        let add = "/apis/oas/import?apiID=odd&listenPath=/odd/";
        let reply = admin.post(add, &odd).await;
        match told {
            None => assert_eq!(reply.status, 200, "{reply:?}"),
            Some(place) => {
                let at = format!("/paths/~1pets~1{{id}}/parameters/0/{place}");
                assert!(reply.status == 400 && reply.text.contains(&at), "{at}: {reply:?}");
                let good = admin.post("/apis/oas/import?apiID=odd&listenPath=/odd/", &pets()).await;
                assert_eq!(good.status, 200, "{good:?}");
                assert_eq!(admin.call("PATCH", "/apis/oas/odd", &odd.to_string()).await.status, 400);
            }
        }
    }
}
