//! JMESPath queries (streams contract 3.7).

use document::Fault;
use jmespath::{Expression, Rcvar, Variable};
use streams::{BuildContext, Field, Kind, Message, Node, Processor, ProcessorSpec};

use crate::each::{Change, Each};
use bloblang::formats::DEEPEST;

pub(crate) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "jmespath",
    summary: "Runs a JMESPath query on each message; its result becomes the payload, `null` where there is none.",
    config: Kind::Object(&[Field::required("query", Kind::Text, "The query.")]),
    build,
};

/// Longest query, in bytes.
const LONGEST: usize = 16 << 10;
/// Largest result, in bytes.
const MOST: usize = if cfg!(test) { 4 << 20 } else { 64 << 20 };
/// How deep brackets may stand in each other.
const BRACKETS: usize = 100;
/// The stack that a long query finds: it may be as deep as it is long.
const STACK: usize = 64 << 20;
/// Queries up to this length find stack enough wherever they run.
const SHORT: usize = 256;

fn build(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let query = node.text("query")?;
    let expression = compile(&query).map_err(|fault| node.field_fault("query", fault))?;
    Ok(Box::new(Each(JmesPath { expression, short: query.len() <= SHORT })))
}

fn compile(query: &str) -> Result<Expression<'static>, String> {
    if query.len() > LONGEST {
        return Err(format!("the query is longer than {LONGEST} bytes"));
    }
    let mut depth = 0_usize;
    for byte in query.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > BRACKETS {
            return Err(format!("the query has brackets within each other deeper than {BRACKETS}"));
        }
    }
    stacker::grow(STACK, || jmespath::compile(query)).map_err(|fault| {
        let reason = fault.reason.to_string();
        let reason = reason.strip_prefix("Parse error: ").unwrap_or(&reason).trim_end_matches(" -- ");
        format!("jmespath, line {} column {}: {reason}", fault.line + 1, fault.column + 1)
    })
}

struct JmesPath {
    expression: Expression<'static>,
    short: bool,
}

impl Change for JmesPath {
    fn change(&self, message: &mut Message) -> Result<(), String> {
        let made = match self.short {
            true => self.run(message)?,
            false => stacker::grow(STACK, || self.run(message))?,
        };
        message.set_bytes(made);
        Ok(())
    }
}

impl JmesPath {
    fn run(&self, message: &Message) -> Result<Vec<u8>, String> {
        // Checks the document as a whole, its depth included.
        message.value().map_err(str::to_owned)?;
        let document: Variable =
            serde_json::from_slice(message.bytes()).map_err(|fault| fault.to_string())?;
        let found = self.expression.search(Rcvar::new(document)).map_err(|fault| {
            let reason = fault.reason.to_string();
            format!("jmespath: {}", reason.strip_prefix("Runtime error: ").unwrap_or(&reason))
        })?;
        let mut out = Vec::new();
        write(&found, 0, &mut out)?;
        Ok(out)
    }
}

/// Writes a result as JSON. What stands in it several times is shared until here.
fn write(value: &Variable, depth: usize, out: &mut Vec<u8>) -> Result<(), String> {
    if out.len() > MOST {
        return Err(format!("jmespath: the result is larger than {MOST} bytes"));
    }
    if depth > DEEPEST * 4 {
        return Err("jmespath: the result is nested too deeply".to_owned());
    }
    let text = |text: &str, out: &mut Vec<u8>| {
        out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    };
    match value {
        Variable::Null => out.extend_from_slice(b"null"),
        Variable::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Variable::Number(number) => match number.as_f64() {
            // A result of a function that is a whole number is written as one.
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                out.extend_from_slice(format!("{float:.0}").as_bytes());
            }
            _ => out.extend_from_slice(number.to_string().as_bytes()),
        },
        Variable::String(value) => text(value, out),
        Variable::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(item, depth + 1, out)?;
            }
            out.push(b']');
        }
        Variable::Object(fields) => {
            out.push(b'{');
            for (at, (name, value)) in fields.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                text(name, out);
                out.push(b':');
                write(value, depth + 1, out)?;
            }
            out.push(b'}');
        }
        Variable::Expref(_) => return Err("jmespath: the result is an expression, no value".to_owned()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::testing::{built, one};

    fn query(query: &str) -> Json {
        json!({ "jmespath": { "query": query } })
    }

    #[tokio::test]
    async fn queries_are_answered() {
        let people = r#"{"people":[{"n":"a","age":30},{"n":"b","age":20},{"n":"c","age":35}],"x y":1.5}"#;
        let doubled = vec!["[@,@]"; 60].join(" | ");
        for (text, payload, expected) in [
            ("people[?age > `25`].n", people, r#"["a","c"]"#),
            ("people[*].{name: n, old: age >= `30`} | [0]", people, r#"{"name":"a","old":true}"#),
            ("max_by(people, &age).n", people, r#""c""#),
            ("sum(people[].age)", people, "85"),
            ("avg(people[].age)", people, "28.333333333333332"),
            ("length(people)", people, "3"),
            ("sort_by(people, &age)[].n", people, r#"["b","a","c"]"#),
            ("\"x y\"", people, "1.5"),
            ("nothing.here", people, "null"),
            ("@", r#""text""#, r#""text""#),
            ("people[-1:].n | [0]", people, r#""c""#),
            ("a", "no json", "no json!parse as json"),
            ("length(@)", "5", "5!jmespath: "),
            (&doubled, "1", "1!jmespath: the result is larger"),
            (&format!("a{}", ".a".repeat(4000)), "{}", "null"),
        ] {
            let made = one(query(text), payload).await;
            let right = if expected.contains('!') { made.starts_with(expected) } else { made == expected };
            assert!(right, "{text:.50}: {made:.200}, not {expected}");
        }
    }

    #[test]
    fn wrong_queries_are_refused_with_their_place() {
        for (text, expected) in [
            ("people[?age >", "/pipeline/processors/0/jmespath/query: jmespath, line 1 column "),
            ("a.\n.b", "jmespath, line 2 column 1"),
            ("", "jmespath, line 1"),
            (&"[".repeat(200), "brackets within each other"),
            (&"a".repeat(20_000), "longer than"),
        ] {
            let fault = built(&query(text)).unwrap_err();
            assert!(fault.contains(expected), "{text:.40}: {fault}");
        }
    }
}
