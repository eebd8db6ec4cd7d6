//! Functions about the message's way through the stream, and about what is outside: files and caches.

use bytes::Bytes;

use super::{Example, Fixed, Kind, Parameter, Spec};
use crate::run::{Arguments, Context, Evaluated, Failure, Prepared};
use crate::{Caches, Capability, Environment, File, Value};

const RESOURCE: Parameter = Parameter::required("resource", Kind::Text, "The label of the cache.");
const KEY: Parameter = Parameter::required("key", Kind::Text, "The key.");
const VALUE: Parameter = Parameter::required("value", Kind::Any, "The value: text or bytes.");

pub(crate) static TABLE: &[Spec] = &[
    Spec::function("error_source_label", "The label of the component that failed on this message; null when none did.", |context, _| {
        Ok(context.message()?.error_source().map_or(Value::Null, |source| Value::from(source.label)))
    })
    .examples(&[Example("root.a = error_source_label()", "{}", r#"{"a":null}"#)]),
    Spec::function("error_source_path", "Where the component that failed on this message stands in the configuration; null when none did.", |context, _| {
        Ok(context.message()?.error_source().map_or(Value::Null, |source| Value::from(source.path)))
    })
    .examples(&[Example("root.a = error_source_path()", "{}", r#"{"a":null}"#)]),
    Spec::function("error_source_type", "The name of the component that failed on this message; null when none did.", |context, _| {
        Ok(context.message()?.error_source().map_or(Value::Null, |source| Value::from(source.kind)))
    })
    .examples(&[Example("root.a = error_source_type()", "{}", r#"{"a":null}"#)]),
    Spec::function("tracing_id", "The id of the trace that the message belongs to; zeros when there is none.", |context, _| {
        Ok(Value::from(context.message()?.trace().map_or_else(|| "0".repeat(32), |trace| trace.id)))
    })
    .examples(&[Example("root = tracing_id().length()", "{}", "32")]),
    Spec::function("tracing_span", "What hands the message's trace on, as `traceparent`; null when there is none.", |context, _| {
        let trace = context.message()?.trace();
        Ok(trace.map_or(Value::Null, |trace| {
            Value::object(trace.fields.into_iter().map(|(name, value)| (name, Value::from(value))).collect())
        }))
    })
    .examples(&[Example("root.a = tracing_span()", "{}", r#"{"a":null}"#)]),
    Spec::function("flow_id", "The id that the message keeps on its way through the stream; null where it is given none.", |context, _| {
        Ok(context.message()?.flow_id().map_or(Value::Null, Value::from))
    })
    .examples(&[Example("root.a = flow_id()", "{}", r#"{"a":null}"#)]),
    Spec::function("file", "The content of a file, relative to where the process runs. A file that is known when the mapping is read is read then, once.", |context, arguments| {
        read(context, arguments, |environment, _, path| environment.open_plain(path))
    })
    .prepare(|environment, arguments| keep(arguments, |path| environment.open_plain(path)))
    .parameters(&[
        Parameter::required("path", Kind::Text, "The path of the file."),
        Parameter::with_default("no_cache", Kind::Bool, Fixed::Bool(false), "Whether to read the file each time."),
    ])
    .examples(&[Example(r#"root.a = file("documented.json").parse_json().a"#, "{}", r#"{"a":1}"#)])
    .needs(Capability::File),
    Spec::function("file_rel", "The content of a file, relative to the file of the mapping, or of the stream in which it stands. A file that is known when the mapping is read is read then, once.", |context, arguments| {
        read(context, arguments, |environment, within, path| environment.open_beside(path, within))
    })
    .prepare(|environment, arguments| {
        keep(arguments, |path| environment.open_beside(path, arguments.memory.within.as_deref()))
    })
    .parameters(&[
        Parameter::required("path", Kind::Text, "The path of the file."),
        Parameter::with_default("no_cache", Kind::Bool, Fixed::Bool(false), "Whether to read the file each time."),
    ])
    .examples(&[Example(r#"root.a = file_rel("documented.json").parse_json().a"#, "{}", r#"{"a":1}"#)])
    .needs(Capability::File),
    Spec::function("file_rel_json", "The value of a JSON file, relative to the file of the mapping, or of the stream in which it stands. A file that is known when the mapping is read is read then, once.", |context, arguments| {
        if let Some(Prepared::Value(value)) = arguments.memory.prepared.get() {
            return Ok(value.clone());
        }
        let path = arguments.text(context, 0)?;
        let file = context.program.environment.open_beside(&path, arguments.memory.within.as_deref());
        json(&path, file)
    })
    .prepare(|environment, arguments| {
        let Some(path) = arguments.fixed_text(0) else { return Ok(()) };
        let value = json(path, environment.open_beside(path, arguments.memory.within.as_deref()))?;
        let _ = arguments.memory.prepared.set(Prepared::Value(value));
        Ok(())
    })
    .parameters(&[Parameter::required("path", Kind::Text, "The path of the file.")])
    .examples(&[Example(r#"root.a = file_rel_json("documented.json").a"#, "{}", r#"{"a":1}"#)])
    .needs(Capability::File),
    Spec::function("cache_get", "The value of a key in a cache; fails when it is not there.", |context, arguments| {
        let (cache, key) = (arguments.text(context, 0)?, arguments.text(context, 1)?);
        let caches = caches(context)?;
        caches.get(&cache, &key).map(Value::Bytes).map_err(|why| wrong("get", &cache, &why))
    })
    .parameters(&[RESOURCE, KEY])
    .examples(&[
        Example(r#"root.a = cache_get("documented", "a").string()"#, "{}", r#"{"a":"1"}"#),
        Example(r#"root.a = cache_get("documented", "b")"#, "{}", "error: key does not exist"),
    ])
    .needs(Capability::Cache),
    Spec::function("cache_set", "Sets a key of a cache; gives null.", |context, arguments| {
        let (cache, key) = (arguments.text(context, 0)?, arguments.text(context, 1)?);
        let value = payload(context, arguments)?;
        let caches = caches(context)?;
        caches.set(&cache, &key, value).map(|()| Value::Null).map_err(|why| wrong("set", &cache, &why))
    })
    .parameters(&[RESOURCE, KEY, VALUE])
    .examples(&[Example(r#"root.a = cache_set("documented", "c", "2")"#, "{}", r#"{"a":null}"#)])
    .needs(Capability::Cache),
    Spec::function("cache_add", "Sets a key of a cache that is not there yet, and fails when it is; gives null.", |context, arguments| {
        let (cache, key) = (arguments.text(context, 0)?, arguments.text(context, 1)?);
        let value = payload(context, arguments)?;
        let caches = caches(context)?;
        caches.add(&cache, &key, value).map(|()| Value::Null).map_err(|why| wrong("add to", &cache, &why))
    })
    .parameters(&[RESOURCE, KEY, VALUE])
    .examples(&[
        Example(r#"root.a = cache_add("documented", "c", "2")"#, "{}", r#"{"a":null}"#),
        Example(r#"root.a = cache_add("documented", "a", "2")"#, "{}", "error: key already exists"),
    ])
    .needs(Capability::Cache),
    Spec::function("cache_delete", "Removes a key from a cache; gives null.", |context, arguments| {
        let (cache, key) = (arguments.text(context, 0)?, arguments.text(context, 1)?);
        let caches = caches(context)?;
        caches.delete(&cache, &key).map(|()| Value::Null).map_err(|why| wrong("delete from", &cache, &why))
    })
    .parameters(&[RESOURCE, KEY])
    .examples(&[Example(r#"root.a = cache_delete("documented", "a")"#, "{}", r#"{"a":null}"#)])
    .needs(Capability::Cache),
];

/// The caches; each may be waited for.
fn caches<'r>(context: &mut Context<'r>) -> Evaluated<&'r dyn Caches> {
    context.budget.waits()?;
    context.program.environment.caches().map_err(Failure::new)
}

fn wrong(what: &str, cache: &str, why: &str) -> Failure {
    Failure::new(format!("failed to {what} cache `{cache}`: {why}"))
}

fn payload(context: &mut Context<'_>, arguments: &Arguments) -> Evaluated<Bytes> {
    Ok(arguments.value(context, 2)?.to_payload())
}

fn unreadable(path: &str, why: &str) -> Failure {
    Failure::new(format!("failed to read file `{path}`: {why}"))
}

/// Reads a file when the mapping is compiled, if its path is known and it need not be read anew.
fn keep(arguments: &Arguments, open: impl FnOnce(&str) -> Result<File, String>) -> Evaluated<()> {
    let Some(path) = arguments.fixed_text(0).filter(|_| arguments.fixed_bool(1) == Some(false)) else {
        return Ok(());
    };
    let file = open(path).map_err(|why| unreadable(path, &why))?;
    let _ = arguments.memory.prepared.set(Prepared::Value(Value::Bytes(file.content)));
    Ok(())
}

fn read(
    context: &mut Context<'_>,
    arguments: &Arguments,
    open: fn(&Environment, Option<&str>, &str) -> Result<File, String>,
) -> Evaluated {
    if let Some(Prepared::Value(value)) = arguments.memory.prepared.get() {
        return Ok(value.clone());
    }
    let path = arguments.text(context, 0)?;
    let file = open(&context.program.environment, arguments.memory.within.as_deref(), &path);
    file.map(|file| Value::Bytes(file.content)).map_err(|why| unreadable(&path, &why))
}

fn json(path: &str, file: Result<File, String>) -> Evaluated {
    let file = file.map_err(|why| unreadable(path, &why))?;
    Value::from_json(file.content)
        .map_err(|why| Failure::new(format!("failed to parse file `{path}` as JSON: {why}")))
}
