//! The configuration as it counts, over the admin API (contract 1.1, "Inspection").

use http::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::reply;
use crate::body::Body;
use crate::query;
use crate::settings::Inspected;

/// All settings, or with `?field=` one of them.
pub(super) fn config<B>(settings: &[Inspected], request: &Request<B>) -> Response<Body> {
    if let Some(field) = asked(request, "field") {
        let found = settings.iter().find(|one| one.field == field);
        return found.map_or_else(|| unknown("field not found"), described);
    }
    let mut root = Map::new();
    for one in settings {
        let mut group = &mut root;
        let mut levels = one.field.split('.').peekable();
        while let Some(level) = levels.next() {
            if levels.peek().is_none() {
                group.insert(level.to_owned(), one.value.clone());
            } else if let Value::Object(inner) =
                group.entry(level).or_insert_with(|| Value::Object(Map::new()))
            {
                group = inner;
            } else {
                break;
            }
        }
    }
    reply::json(StatusCode::OK, &Value::Object(root))
}

/// The variables that would set all this, as `NAME=value`, or with `?env=` one of them.
pub(super) fn variables<B>(settings: &[Inspected], request: &Request<B>) -> Response<Body> {
    if let Some(name) = asked(request, "env") {
        let found = settings.iter().find(|one| one.variable == name);
        return found.map_or_else(|| unknown("environment variable not found"), described);
    }
    let lines = settings.iter().map(|one| {
        let value = match &one.value {
            Value::String(text) if text.is_empty() => "''".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        format!("{}={value}", one.variable)
    });
    reply::json(StatusCode::OK, &lines.collect::<Vec<_>>())
}

fn asked<B>(request: &Request<B>, name: &str) -> Option<String> {
    let mut pairs = query::pairs(request.uri().query().unwrap_or_default());
    pairs.find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.into_owned())
}

fn described(one: &Inspected) -> Response<Body> {
    reply::json(
        StatusCode::OK,
        &json!({
            "config_field": one.field,
            "env": one.variable,
            "description": one.description,
            "value": one.value,
            "obfuscated": one.obfuscated,
        }),
    )
}

fn unknown(what: &str) -> Response<Body> {
    reply::json(StatusCode::NOT_FOUND, &json!({"error": what}))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn settings() -> Vec<Inspected> {
        let one = |field, variable, value, obfuscated| Inspected {
            field,
            variable: String::from(variable),
            description: "What it is.",
            value,
            obfuscated,
        };
        vec![
            one("secret", "TYK_GW_SECRET", json!("***"), true),
            one("storage.port", "TYK_GW_STORAGE_PORT", json!(6379), false),
            one("storage.host", "TYK_GW_STORAGE_HOST", json!(""), false),
        ]
    }

    async fn ask(answer: fn(&[Inspected], &Request<()>) -> Response<Body>, uri: &str) -> (StatusCode, Value) {
        let answer = answer(&settings(), &Request::get(uri).body(()).unwrap());
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn c1_1_settings_are_shown_whole_and_one_by_one() {
        let port = json!({
            "config_field": "storage.port", "env": "TYK_GW_STORAGE_PORT", "description": "What it is.",
            "value": 6379, "obfuscated": false
        });
        let whole = json!({"secret": "***", "storage": {"port": 6379, "host": ""}});
        let lines = json!(["TYK_GW_SECRET=***", "TYK_GW_STORAGE_PORT=6379", "TYK_GW_STORAGE_HOST=''"]);
        assert_eq!(ask(config, "/config").await, (StatusCode::OK, whole));
        assert_eq!(ask(config, "/config?field=storage.port").await, (StatusCode::OK, port.clone()));
        assert_eq!(ask(config, "/config?field=storage").await.0, StatusCode::NOT_FOUND);
        assert_eq!(ask(variables, "/env").await, (StatusCode::OK, lines));
        assert_eq!(ask(variables, "/env?env=TYK_GW_STORAGE_PORT").await, (StatusCode::OK, port));
        let missing = json!({"error": "environment variable not found"});
        assert_eq!(ask(variables, "/env?env=PATH").await, (StatusCode::NOT_FOUND, missing));
    }
}
