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
    let gate = Arc::clone(outside);
    functions.set("log", Func::from(move |text: String| gate.log(shortened(&text))))?;
    functions.set(
        "encode",
        Func::from(|text: String, padded: bool| match padded {
            true => STANDARD.encode(text),
            false => STANDARD_NO_PAD.encode(text),
        }),
    )?;
    functions.set("decode", Func::from(|text: String| decoded(&text)))?;
    requests(&functions, left, outside)?;
    sessions(&functions, outside)?;
    storage(&functions, outside)?;
    Ok(functions)
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
            let longest = own.lock().request().map_err(|fault| Exception::throw_message(&context, &fault))?;
            let answer = gate.batch(&text, longest);
            Ok(answer.inspect_err(|fault| gate.log(&format!("TykBatchRequest: {fault}"))).ok())
        }),
    )
}

fn sessions(functions: &Object<'_>, outside: &Arc<dyn Outside>) -> rquickjs::Result<()> {
    let gate = Arc::clone(outside);
    functions.set(
        "session",
        Func::from(move |key: String, api: String| {
            let missing = || json!({"status": "error", "message": "Key not found"}).to_string();
            gate.session(&key, &api).unwrap_or_else(missing)
        }),
    )?;
    let gate = Arc::clone(outside);
    functions.set(
        "putSession",
        Func::from(move |context: Ctx<'_>, key: String, session: String, suppress: bool| {
            let stored = gate.put_session(&key, &session, suppress);
            stored.map_err(|fault| Exception::throw_message(&context, &format!("TykSetKeyData: {fault}")))
        }),
    )
}

fn storage(functions: &Object<'_>, outside: &Arc<dyn Outside>) -> rquickjs::Result<()> {
    fn thrown<T>(context: &Ctx<'_>, done: Result<T, String>) -> rquickjs::Result<T> {
        done.map_err(|fault| Exception::throw_message(context, &format!("the storage of scripts: {fault}")))
    }
    let gate = Arc::clone(outside);
    functions.set(
        "stored",
        Func::from(move |context: Ctx<'_>, name: String| thrown(&context, gate.stored(&name))),
    )?;
    let gate = Arc::clone(outside);
    functions.set(
        "store",
        Func::from(move |context: Ctx<'_>, name: String, text: String, seconds: f64, new: bool| {
            thrown(&context, gate.store(&name, &text, seconds.max(0.0) as u64, new))
        }),
    )?;
    let gate = Arc::clone(outside);
    functions.set(
        "forget",
        Func::from(move |context: Ctx<'_>, name: String| thrown(&context, gate.forget(&name))),
    )?;
    let gate = Arc::clone(outside);
    functions.set(
        "secondsLeft",
        Func::from(move |context: Ctx<'_>, name: String| -> rquickjs::Result<f64> {
            thrown(&context, gate.seconds_left(&name)).map(|seconds| seconds as f64)
        }),
    )?;
    let gate = Arc::clone(outside);
    functions.set(
        "add",
        Func::from(move |context: Ctx<'_>, name: String, by: f64| -> rquickjs::Result<f64> {
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
