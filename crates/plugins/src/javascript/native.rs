//! The functions of the gate that scripts call, below the names that they know.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use parking_lot::Mutex;
use rquickjs::function::Func;
use rquickjs::{Ctx, Exception, Object};
use serde_json::json;

use super::engine::Left;
use crate::outside::shortened;
use crate::{Outgoing, Outside};

/// Makes the object with all of them.
pub(super) fn functions<'js>(
    context: &Ctx<'js>,
    left: &Arc<Mutex<Left>>,
    outside: &Arc<dyn Outside>,
) -> rquickjs::Result<Object<'js>> {
    let functions = Object::new(context.clone())?;
    let (gate, own) = (Arc::clone(outside), Arc::clone(left));
    functions.set(
        "log",
        Func::from(move |text: String| {
            let line = shortened(&text).to_owned();
            // The lock is not held while the line is written.
            let now = own.lock().keep_line(line);
            now.iter().for_each(|line| gate.log(line));
        }),
    )?;
    functions.set(
        "encode",
        Func::from(|text: String, padded: bool| match padded {
            true => STANDARD.encode(text),
            false => STANDARD_NO_PAD.encode(text),
        }),
    )?;
    functions.set("decode", Func::from(|text: String| decoded(&text)))?;
    requests(&functions, left, outside)?;
    sessions(&functions, left, outside)?;
    storage(&functions, left, outside)?;
    Ok(functions)
}

/// Ends a call that is only tried: asking for something outside takes its time.
fn may_ask(context: &Ctx<'_>, left: &Mutex<Left>) -> rquickjs::Result<()> {
    if left.lock().may_ask() { Ok(()) } else { Err(Exception::throw_message(context, "it is put off")) }
}

fn requests(
    functions: &Object<'_>,
    left: &Arc<Mutex<Left>>,
    outside: &Arc<dyn Outside>,
) -> rquickjs::Result<()> {
    let (gate, own) = (Arc::clone(outside), Arc::clone(left));
    // A script that gets no answer gets nothing: it asks `if (!answer)`.
    functions.set(
        "send",
        Func::from(move |context: Ctx<'_>, text: String| -> rquickjs::Result<Option<String>> {
            may_ask(&context, &own)?;
            let request: Outgoing = match serde_json::from_str(&text) {
                Ok(request) => request,
                Err(fault) => {
                    gate.log(&format!("TykMakeHttpRequest: this is no request: {fault}"));
                    return Ok(None);
                }
            };
            let longest = own.lock().request().map_err(|fault| Exception::throw_message(&context, &fault))?;
            match gate.send(&request, longest) {
                Ok(answer) => {
                    let (code, body, headers) = (answer.code, &answer.body, &answer.headers);
                    // Both spellings are in use.
                    let text = json!({"Code": code, "Body": body, "Headers": headers,
                        "code": code, "body": body, "headers": headers});
                    Ok(Some(text.to_string()))
                }
                Err(fault) => {
                    gate.log(&format!("TykMakeHttpRequest: {fault}"));
                    Ok(None)
                }
            }
        }),
    )?;
    let (gate, own) = (Arc::clone(outside), Arc::clone(left));
    functions.set(
        "batch",
        Func::from(move |context: Ctx<'_>, text: String| -> rquickjs::Result<Option<String>> {
            may_ask(&context, &own)?;
            let longest = own.lock().request().map_err(|fault| Exception::throw_message(&context, &fault))?;
            let answer = gate.batch(&text, longest);
            Ok(answer.inspect_err(|fault| gate.log(&format!("TykBatchRequest: {fault}"))).ok())
        }),
    )
}

fn sessions(
    functions: &Object<'_>,
    left: &Arc<Mutex<Left>>,
    outside: &Arc<dyn Outside>,
) -> rquickjs::Result<()> {
    let (gate, own) = (Arc::clone(outside), Arc::clone(left));
    functions.set(
        "session",
        Func::from(move |context: Ctx<'_>, key: String, api: String| -> rquickjs::Result<String> {
            may_ask(&context, &own)?;
            let missing = || json!({"status": "error", "message": "Key not found"}).to_string();
            Ok(gate.session(&key, &api).unwrap_or_else(missing))
        }),
    )?;
    let (gate, own) = (Arc::clone(outside), Arc::clone(left));
    functions.set(
        "putSession",
        Func::from(move |context: Ctx<'_>, key: String, session: String, suppress: bool| {
            may_ask(&context, &own)?;
            let stored = gate.put_session(&key, &session, suppress);
            stored.map_err(|fault| Exception::throw_message(&context, &format!("TykSetKeyData: {fault}")))
        }),
    )
}

fn storage(
    functions: &Object<'_>,
    left: &Arc<Mutex<Left>>,
    outside: &Arc<dyn Outside>,
) -> rquickjs::Result<()> {
    fn thrown<T>(context: &Ctx<'_>, done: Result<T, String>) -> rquickjs::Result<T> {
        done.map_err(|fault| Exception::throw_message(context, &format!("the storage of scripts: {fault}")))
    }
    let (gate, own) = (Arc::clone(outside), Arc::clone(left));
    functions.set(
        "stored",
        Func::from(move |context: Ctx<'_>, name: String| {
            may_ask(&context, &own)?;
            thrown(&context, gate.stored(&name))
        }),
    )?;
    let (gate, own) = (Arc::clone(outside), Arc::clone(left));
    functions.set(
        "store",
        Func::from(move |context: Ctx<'_>, name: String, text: String, seconds: f64, new: bool| {
            may_ask(&context, &own)?;
            thrown(&context, gate.store(&name, &text, seconds.max(0.0) as u64, new))
        }),
    )?;
    let (gate, own) = (Arc::clone(outside), Arc::clone(left));
    functions.set(
        "forget",
        Func::from(move |context: Ctx<'_>, name: String| {
            may_ask(&context, &own)?;
            thrown(&context, gate.forget(&name))
        }),
    )?;
    let (gate, own) = (Arc::clone(outside), Arc::clone(left));
    functions.set(
        "secondsLeft",
        Func::from(move |context: Ctx<'_>, name: String| -> rquickjs::Result<f64> {
            may_ask(&context, &own)?;
            thrown(&context, gate.seconds_left(&name)).map(|seconds| seconds as f64)
        }),
    )?;
    let (gate, own) = (Arc::clone(outside), Arc::clone(left));
    functions.set(
        "add",
        Func::from(move |context: Ctx<'_>, name: String, by: f64| -> rquickjs::Result<f64> {
            may_ask(&context, &own)?;
            thrown(&context, gate.add(&name, by as i64)).map(|sum| sum as f64)
        }),
    )
}

/// The text of Base64, of either alphabet, padded or not; nothing where it is none.
fn decoded(text: &str) -> String {
    let plain: String = text.trim().trim_end_matches('=').replace('-', "+").replace('_', "/");
    let bytes = STANDARD_NO_PAD.decode(plain).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
