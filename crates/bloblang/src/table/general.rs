//! Methods for any value: fallbacks, paths, nested queries.

use super::receive::gather;
use super::{Example, Kind, Makes, Parameter, Spec};
use crate::run::failure::short;
use crate::run::{Argument, Arguments, Context, Evaluated, Failure, Node, apply_map, not, path};
use crate::{Environment, Mapping, Value};

const CHAPTER: &str = "General";

pub(crate) static TABLE: &[Spec] = &[
    Spec::method(CHAPTER, "apply", "Runs a named map on the value.", apply)
        .makes(Makes::Nothing)
        .parameters(&[Parameter::required("mapping", Kind::Map, "The name of the map.")])
        .examples(&[Example(
            "map shout {\n  root = this.uppercase() + \"!\"\n}\nroot.text = this.text.apply(\"shout\")",
            r#"{"text":"hello"}"#,
            r#"{"text":"HELLO!"}"#,
        )]),
    Spec::method(
        CHAPTER,
        "bloblang",
        "Runs the text of a mapping on the value. It sees the value only.",
        bloblang,
    )
    .parameters(&[Parameter::required("mapping", Kind::Text, "The mapping.")])
    .examples(&[Example(
        r#"root = this.value.bloblang(this.how)"#,
        r#"{"value":{"a":3},"how":"root = this.a * 2"}"#,
        "6",
    )]),
    Spec::lazy(
        CHAPTER,
        "catch",
        "Gives the fallback when the query fails. A query as fallback sees the error as `this`.",
        catch,
    )
    .makes(Makes::Nothing)
    .parameters(&[Parameter::required("fallback", Kind::Query, "The value or query to fall back to.")])
    .examples(&[
        Example(r#"root.n = this.n.number().catch(0)"#, r#"{"n":"many"}"#, r#"{"n":0}"#),
        Example(
            r#"root.n = this.n.not_null().catch(err -> "failed: " + err)"#,
            r#"{"n":null}"#,
            r#"{"n":"failed: value is null"}"#,
        ),
    ]),
    Spec::lazy(CHAPTER, "or", "Gives the fallback when the query fails or gives null.", or)
        .makes(Makes::Nothing)
        .parameters(&[Parameter::required("fallback", Kind::Query, "The value or query to fall back to.")])
        .examples(&[Example(r#"root = this.name.or("nobody")"#, "{}", r#""nobody""#)]),
    Spec::lazy(CHAPTER, "from", "Evaluates the query on another message of the batch.", from)
        .makes(Makes::Nothing)
        .parameters(&[Parameter::required("index", Kind::Integer, "The index of the message.")])
        .examples(&[Example(r#"root = this.a.from(0)"#, r#"{"a":1}"#, "1")]),
    Spec::lazy(CHAPTER, "from_all", "Evaluates the query on every message of the batch.", from_all)
        .makes(Makes::Shell)
        .examples(&[Example(r#"root = this.a.from_all()"#, r#"{"a":1}"#, "[1]")]),
    Spec::method(
        CHAPTER,
        "get",
        "Reads a field by a path that may be computed; null when it is missing.",
        get,
    )
    .makes(Makes::Nothing)
    .parameters(&[Parameter::required(
        "path",
        Kind::Path,
        "A dot path; `~1` stands for a dot in a name, `~0` for `~`.",
    )])
    .examples(&[Example(
        r#"root = this.get(this.target)"#,
        r#"{"target":"a.b~1c","a":{"b.c":[1]}}"#,
        "[1]",
    )]),
    Spec::method(CHAPTER, "set", "A copy of the value with one field set.", set)
        .makes(Makes::Shell)
        .parameters(&[
            Parameter::required("path", Kind::Path, "A dot path."),
            Parameter::required("value", Kind::Any, "The new value; `deleted()` removes the field."),
        ])
        .examples(&[Example(r#"root = this.set("a.b", 1)"#, r#"{"c":2}"#, r#"{"a":{"b":1},"c":2}"#)]),
    Spec::method(
        CHAPTER,
        "map",
        "Evaluates a query with the value as `this`; `value.(query)` is the same.",
        map,
    )
    .makes(Makes::Nothing)
    .parameters(&[Parameter::required("query", Kind::Query, "The query.")])
    .examples(&[Example(r#"root = this.a.map(this.b + 1)"#, r#"{"a":{"b":1}}"#, "2")]),
    Spec::method(CHAPTER, "not", "The opposite of a bool.", |_, value, _| not(&value))
        .makes(Makes::Nothing)
        .examples(&[Example("root = this.ok.not()", r#"{"ok":true}"#, "false")]),
    Spec::method(CHAPTER, "exists", "Whether there is a field at a path, also when it is null.", exists)
        .makes(Makes::Nothing)
        .parameters(&[Parameter::required("path", Kind::Path, "A dot path.")])
        .examples(&[Example(
            r#"root = [this.exists("a.b"), this.exists("a.c")]"#,
            r#"{"a":{"b":null}}"#,
            "[true,false]",
        )]),
    Spec::lazy(CHAPTER, "type", "The name of the value's type.", |context, of, _| {
        Ok(Value::from(of.evaluate(context)?.type_name()))
    })
    .makes(Makes::Nothing)
    .examples(&[Example(
        "root = this.map_each(v -> v.type())",
        r#"[1,"a",null,true,[],{}]"#,
        r#"["number","string","null","bool","array","object"]"#,
    )]),
];

fn apply(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let index = match arguments.items.first() {
        Some(Argument::Map(index)) => *index,
        _ => {
            let name = arguments.text(context, 0)?;
            let found = context.program.map_names.get(&*name);
            *found.ok_or_else(|| Failure::new(format!("map {} was not found", short(&name))))?
        }
    };
    apply_map(context, index, value)
}

fn bloblang(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let text = arguments.text(context, 0)?;
    // Parsing and checking a text takes longer than running it.
    context.budget.step(100 + text.len() as u64)?;
    context.budget.make(text.len() as u64 * 16)?;
    let mapping = Mapping::parse(&Environment::pure(), &text)
        .map_err(|faults| Failure::new(faults.first().map(ToString::to_string).unwrap_or_default()))?;
    mapping.query_value(value, context).map_err(|error| Failure::new(error.to_string()))
}

fn catch(context: &mut Context<'_>, of: &Node, arguments: &Arguments) -> Evaluated {
    let contexts = context.frame.contexts.len();
    of.evaluate(context).or_else(|failure| {
        debug_assert_eq!(
            contexts,
            context.frame.contexts.len(),
            "a failure leaves the contexts as they were"
        );
        arguments.query(context, 0, Value::from(failure.to_string()))
    })
}

fn or(context: &mut Context<'_>, of: &Node, arguments: &Arguments) -> Evaluated {
    match of.evaluate(context) {
        Ok(value) if !value.is_absent() => Ok(value),
        _ => arguments.value(context, 0),
    }
}

fn from(context: &mut Context<'_>, of: &Node, arguments: &Arguments) -> Evaluated {
    let index = arguments.integer(context, 0)?;
    let size = context.batch.map_or(0, |batch| batch.len());
    let index = usize::try_from(index).ok().filter(|index| *index < size);
    let index = index.ok_or_else(|| Failure::new("the index is outside of the batch"))?;
    context.at_message(index, |context| of.evaluate(context))
}

fn from_all(context: &mut Context<'_>, of: &Node, _: &Arguments) -> Evaluated {
    let size = context.batch.map_or(0, |batch| batch.len());
    gather((0..size).map(|index| {
        context.count_step()?;
        context.at_message(index, |context| of.evaluate(context))
    }))
}

fn get(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let path = arguments.path(context, 0)?;
    let mut made = 0;
    let found = path::search(&value, &path, &mut made);
    context.budget.finds(made)?;
    Ok(found.unwrap_or(Value::Null))
}

fn set(context: &mut Context<'_>, mut value: Value, arguments: &Arguments) -> Evaluated {
    let new = arguments.value(context, 1)?;
    path::write(&mut value, &arguments.path(context, 0)?, new)?;
    Ok(value)
}

fn map(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    arguments.query(context, 0, value)
}

fn exists(context: &mut Context<'_>, value: Value, arguments: &Arguments) -> Evaluated {
    let path = arguments.path(context, 0)?;
    let mut made = 0;
    let found = path::search(&value, &path, &mut made);
    context.budget.finds(made)?;
    Ok(Value::Bool(found.is_some()))
}
