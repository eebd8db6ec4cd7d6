//! JSONPath and JSON schemas.

use jsonpath_rust::parser::model::{JpQuery, Segment, Selector};
use jsonpath_rust::query::js_path_process;

use super::{Example, Kind, Parameter, Spec};
use crate::Value;
use crate::formats::json_schema::JsonSchema;
use crate::run::{Arguments, Context, Evaluated, Failure, Prepared};

/// Longest expression of JSONPath, in bytes.
const MAX_EXPRESSION: usize = 4096;

pub(crate) static TABLE: &[Spec] = &[
    Spec::method("Objects", "json_path", "What a JSONPath expression finds (RFC 9535): one value when the path can only be of one, otherwise an array of all.", json_path)
        .prepare(|_, arguments| {
            if let Some(text) = arguments.fixed_text(0) {
                let _ = arguments.memory.prepared.set(Prepared::JsonPath(Box::new(parse(text)?)));
            }
            Ok(())
        })
        .parameters(&[Parameter::required("expression", Kind::Text, "The expression.")])
        .examples(&[
            Example(r#"root = this.json_path("$..name")"#, r#"{"a":{"name":"x"},"b":[{"name":"y"}]}"#, r#"["x","y"]"#),
            Example(r#"root = this.json_path("$.a[?(@.n > 1)]")"#, r#"{"a":[{"n":1},{"n":2}]}"#, r#"[{"n":2}]"#),
            Example(r#"root = this.json_path("$.a[0].n")"#, r#"{"a":[{"n":1}]}"#, "1"),
            Example(r#"root = this.json_path("$.b")"#, r#"{"a":1}"#, "error: there is no value at $.b"),
        ]),
    Spec::method("Objects", "json_schema", "The value, when it is as a JSON schema says (drafts 4 to 2020-12, 7 where it names none); otherwise it fails with all that is wrong. References to other documents are not followed.", json_schema)
        .prepare(|_, arguments| {
            if let Some(text) = arguments.fixed_text(0) {
                let _ = arguments.memory.prepared.set(Prepared::Schema(Box::new(schema(text)?)));
            }
            Ok(())
        })
        .parameters(&[Parameter::required("schema", Kind::Text, "The schema, as JSON text.")])
        .examples(&[
            Example(r#"root = this.json_schema("""{"properties":{"a":{"type":"string"}}}""")"#, r#"{"a":"x"}"#, r#"{"a":"x"}"#),
            Example(r#"root = this.json_schema("""{"properties":{"a":{"type":"string"}}}""")"#, r#"{"a":5}"#, "error: a 5 is not of type \"string\""),
        ]),
];

fn parse(text: &str) -> Evaluated<JpQuery> {
    if text.len() > MAX_EXPRESSION {
        return Err(Failure::new(format!("the expression is longer than {MAX_EXPRESSION} bytes")));
    }
    jsonpath_rust::parser::parse_json_path(text)
        .map_err(|error| Failure::new(format!("failed to parse JSONPath `{text}`: {error}")))
}

/// Whether a path can be of one value only.
fn is_single(query: &JpQuery) -> bool {
    let single =
        |segment: &Segment| matches!(segment, Segment::Selector(Selector::Name(_) | Selector::Index(_)));
    query.segments.iter().all(single)
}

fn json_path(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let parsed;
    let query = match arguments.memory.prepared.get() {
        Some(Prepared::JsonPath(query)) => query,
        _ => {
            parsed = Box::new(parse(&arguments.text(context, 0)?)?);
            &parsed
        }
    };
    let document = serde_json::Value::from(&value);
    let found = js_path_process(query, &document)
        .map_err(|error| Failure::new(format!("failed to evaluate JSONPath: {error}")))?;
    let mut found = found.into_iter().map(|found| Value::from(found.val().clone()));
    if is_single(query) {
        let text = || arguments.fixed_text(0).unwrap_or("the path").to_owned();
        return found.next().ok_or_else(|| Failure::new(format!("there is no value at {}", text())));
    }
    Ok(Value::array(found.collect()))
}

fn schema(text: &str) -> Evaluated<JsonSchema> {
    JsonSchema::parse(text).map_err(|why| Failure::new(format!("failed to parse JSON schema: {why}")))
}

fn json_schema(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let built;
    let validator = match arguments.memory.prepared.get() {
        Some(Prepared::Schema(validator)) => validator,
        _ => {
            built = Box::new(schema(&arguments.text(context, 0)?)?);
            &built
        }
    };
    let mismatches = validator.check(&value);
    let faults: Vec<String> = mismatches
        .iter()
        .map(|fault| {
            let place = fault.pointer.trim_start_matches('/').replace('/', ".");
            let place = if place.is_empty() { "(root)" } else { &place };
            format!("{place} {}", fault.reason)
        })
        .collect();
    if faults.is_empty() { Ok(value) } else { Err(Failure::new(faults.join("\n"))) }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Batch, message, payload};
    use crate::{Environment, Mapping};

    #[test]
    fn what_fits_a_schema_keeps_its_digits() {
        let mapping = Mapping::parse(&Environment::pure(), r#"root = this.json_schema("{}")"#).unwrap();
        let batch = Batch(vec![message(r#"{"a":1.50,"b":18446744073709551615}"#)]);
        assert_eq!(payload(&mapping.apply(&batch, 0).unwrap()), r#"{"a":1.50,"b":18446744073709551615}"#);
    }

    #[test]
    fn what_is_known_to_be_wrong_is_a_fault_of_the_text() {
        for (call, expected) in [
            (r#"this.json_schema("{")"#, "failed to parse JSON schema"),
            (r#"this.json_path("$[")"#, "failed to parse JSONPath"),
            ("content().parse_parquet()", "method `parse_parquet` is not offered"),
            (r#"file("a")"#, "is not allowed here"),
        ] {
            let faults = Mapping::parse(&Environment::pure(), &format!("root = {call}")).unwrap_err();
            assert!(faults[0].to_string().contains(expected), "{}", faults[0]);
        }
    }
}
