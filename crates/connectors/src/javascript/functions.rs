//! What a script can call: `bento.v0_…` and `console`.

use std::sync::Arc;

use rquickjs::function::{Func, Opt, Rest};
use rquickjs::{Coerced, Ctx, Exception, Object, Value};
use streams::Message;

use super::engine::{Current, Shared};
use super::fetch::Fetch;

/// What of the world outside an engine knows.
pub(super) struct Outside {
    pub(super) stream: Arc<str>,
    pub(super) path: Arc<str>,
    pub(super) fetch: Fetch,
}

/// A line of `console` is no longer than this, in bytes.
const LONGEST_LINE: usize = 16 << 10;

/// Runs `work` on the message of the run.
fn with<T>(
    context: &Ctx<'_>,
    current: &Shared,
    work: impl FnOnce(&mut Message) -> Result<T, String>,
) -> rquickjs::Result<T> {
    let done = match &mut current.lock().message {
        Some(message) => work(message),
        None => Err("there is no message now".to_owned()),
    };
    done.map_err(|fault| Exception::throw_message(context, &fault))
}

/// A value of the script as JSON text.
fn json<'js>(context: &Ctx<'js>, value: Value<'js>) -> rquickjs::Result<String> {
    match context.json_stringify(value)? {
        Some(text) => text.to_string(),
        None => Err(Exception::throw_type(context, "a value of this type cannot be part of a message")),
    }
}

/// Puts the functions into an engine.
pub(super) fn install(context: &Ctx<'_>, current: &Shared, outside: &Arc<Outside>) -> rquickjs::Result<()> {
    let functions = Object::new(context.clone())?;
    content(&functions, current)?;
    metadata(&functions, current)?;
    requests(&functions, current, outside)?;
    let globals = context.globals();
    globals.set("bento", functions.clone())?;
    globals.set("benthos", functions)?;
    console(context, outside)?;
    globals.set(
        "require",
        Func::from(|context: Ctx<'_>, name: Coerced<String>| -> rquickjs::Result<()> {
            let text = format!("`require` is not offered: put what `{}` does into the script", name.0);
            Err(Exception::throw_message(&context, &text))
        }),
    )
}

fn content(functions: &Object<'_>, current: &Shared) -> rquickjs::Result<()> {
    let state = current.clone();
    functions.set(
        "v0_msg_as_string",
        Func::from(move |context: Ctx<'_>| {
            with(&context, &state, |message| Ok(String::from_utf8_lossy(message.bytes()).into_owned()))
        }),
    )?;
    let state = current.clone();
    functions.set("v0_msg_as_structured", Func::from(move |context| as_structured(context, &state)))?;
    let state = current.clone();
    functions.set(
        "v0_msg_set_string",
        Func::from(move |context: Ctx<'_>, text: Coerced<String>| {
            with(&context, &state, |message| {
                message.set_bytes(text.0);
                Ok(())
            })
        }),
    )?;
    let state = current.clone();
    functions.set(
        "v0_msg_set_structured",
        Func::from(move |context, value| set_structured(context, value, &state)),
    )
}

fn as_structured<'js>(context: Ctx<'js>, current: &Shared) -> rquickjs::Result<Value<'js>> {
    let text = with(&context, current, |message| {
        // Checked here, so that the fault has the words that it has everywhere.
        message.value().map_err(str::to_owned)?;
        Ok(message.bytes().to_vec())
    })?;
    context.json_parse(text)
}

fn set_structured<'js>(context: Ctx<'js>, value: Value<'js>, current: &Shared) -> rquickjs::Result<()> {
    let text = json(&context, value)?;
    with(&context, current, |message| {
        message.set_bytes(text);
        Ok(())
    })
}

fn metadata(functions: &Object<'_>, current: &Shared) -> rquickjs::Result<()> {
    let state = current.clone();
    functions.set(
        "v0_msg_exists_meta",
        Func::from(move |context: Ctx<'_>, name: Coerced<String>| {
            with(&context, &state, |message| Ok(message.meta(&name.0).is_some()))
        }),
    )?;
    let state = current.clone();
    functions.set("v0_msg_get_meta", Func::from(move |context, name| get_meta(context, name, &state)))?;
    let state = current.clone();
    functions.set(
        "v0_msg_set_meta",
        Func::from(move |context, name, value| set_meta(context, name, value, &state)),
    )
}

fn get_meta<'js>(context: Ctx<'js>, name: Coerced<String>, current: &Shared) -> rquickjs::Result<Value<'js>> {
    let text = with(&context, current, |message| match message.meta(&name.0) {
        Some(value) => Ok(value.to_json()),
        None => Err("key not found".to_owned()),
    })?;
    context.json_parse(text)
}

fn set_meta<'js>(
    context: Ctx<'js>,
    name: Coerced<String>,
    value: Value<'js>,
    current: &Shared,
) -> rquickjs::Result<()> {
    let text = json(&context, value)?;
    with(&context, current, |message| {
        let value = bloblang::Value::parse_json(text.as_bytes())?;
        message.set_meta(name.0, value);
        Ok(())
    })
}

fn requests(functions: &Object<'_>, current: &Shared, outside: &Arc<Outside>) -> rquickjs::Result<()> {
    let (state, outside) = (current.clone(), outside.clone());
    functions.set(
        "v0_fetch",
        Func::from(move |context, url, headers, method, body| {
            fetch(context, url, headers, method, body, &state, &outside)
        }),
    )
}

fn fetch<'js>(
    context: Ctx<'js>,
    url: Coerced<String>,
    headers: Opt<Option<Object<'js>>>,
    method: Opt<Option<Coerced<String>>>,
    body: Opt<Option<Coerced<String>>>,
    current: &Shared,
    outside: &Outside,
) -> rquickjs::Result<Object<'js>> {
    let mut pairs = Vec::new();
    if let Some(headers) = headers.0.flatten() {
        for pair in headers.props::<String, Coerced<String>>() {
            let (name, value) = pair?;
            pairs.push((name, value.0));
        }
    }
    let method = method.0.flatten().map_or_else(|| "GET".to_owned(), |method| method.0);
    let body = body.0.flatten().map_or_else(String::new, |body| body.0);
    let may = current.lock().request();
    let longest = may.map_err(|fault| Exception::throw_message(&context, &fault))?;
    let begun = std::time::Instant::now();
    let answer = outside.fetch.fetch(&url.0, &pairs, &method, body, longest);
    {
        // Waiting is not the script's own time; how long it may be is counted apart.
        let current: &mut Current = &mut current.lock();
        current.until += begun.elapsed();
    }
    let (status, text) = answer.map_err(|fault| Exception::throw_message(&context, &fault))?;
    let answer = Object::new(context)?;
    answer.set("status", status)?;
    answer.set("body", text)?;
    Ok(answer)
}

fn console(context: &Ctx<'_>, outside: &Arc<Outside>) -> rquickjs::Result<()> {
    let console = Object::new(context.clone())?;
    for name in ["log", "info", "debug", "warn", "error", "trace"] {
        let outside = outside.clone();
        let write = move |context, values| write_line(context, values, name, &outside);
        console.set(name, Func::from(write))?;
    }
    context.globals().set("console", console)
}

fn write_line<'js>(
    context: Ctx<'js>,
    values: Rest<Value<'js>>,
    name: &'static str,
    outside: &Outside,
) -> rquickjs::Result<()> {
    let mut line = String::new();
    for value in values.0 {
        if !line.is_empty() {
            line.push(' ');
        }
        let text = match value.is_object() && !value.is_function() && !value.is_error() {
            true => json(&context, value)?,
            false => value.get::<Coerced<String>>()?.0,
        };
        line.push_str(&text);
        if line.len() > LONGEST_LINE {
            let end = (0..=LONGEST_LINE).rev().find(|&at| line.is_char_boundary(at)).unwrap_or(0);
            line.truncate(end);
            line.push('…');
            break;
        }
    }
    let (stream, path) = (&outside.stream, &outside.path);
    match name {
        "error" => tracing::error!(%stream, %path, "{line}"),
        "warn" => tracing::warn!(%stream, %path, "{line}"),
        "debug" => tracing::debug!(%stream, %path, "{line}"),
        "trace" => tracing::trace!(%stream, %path, "{line}"),
        _ => tracing::info!(%stream, %path, "{line}"),
    }
    Ok(())
}
