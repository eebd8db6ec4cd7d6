//! JSON schemas.

use super::{Example, Kind, Makes, Parameter, Spec};
use crate::Value;
use crate::formats::json_schema::JsonSchema;
use crate::run::{Arguments, Context, Evaluated, Failure, Prepared};

pub(crate) static TABLE: &[Spec] = &[
    Spec::method("Objects", "json_schema", "The value, when it is as a JSON schema says (drafts 4 to 2020-12, 7 where it names none); otherwise it fails with all that is wrong. References to other documents are not followed.", json_schema)
    .makes(Makes::Shell)
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
    // Checking goes over a copy, and over parts of it several times.
    context.budget.make(value.size())?;
    context.budget.step(value.size() / 128)?;
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
