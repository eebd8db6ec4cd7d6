//! Paths that scripts answer in the place of the backend (contract 2.5 `virtual`, 3.2 `virtualEndpoint`, 8.5).

use crate::at_path::{classic as list, oas as operations, write_classic};
use crate::fields::{Field, acts, kept};
use crate::section::Section;
use crate::{AtPath, Plugin};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use document::Fault;
use serde_json::{Value, json};

/// `virtual` of `extended_paths`.
pub(crate) const CLASSIC: &[Field] = &[
    acts("path"),
    acts("method"),
    acts("disabled"),
    acts("response_function_name"),
    acts("function_source_type"),
    acts("function_source_uri"),
    acts("use_session"),
    acts("proxy_on_error"),
];
/// `virtualEndpoint` of an operation.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    kept("name"),
    acts("functionName"),
    acts("path"),
    acts("body"),
    acts("requireSession"),
    acts("proxyOnError"),
];

/// A function that answers requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Virtual {
    /// Its name and where its code is.
    pub function: Plugin,
    /// Where it fails, the backend answers.
    pub proxy_on_error: bool,
}

pub(super) fn classic(
    extended: &Section<'_>,
    ignore_case: bool,
    faults: &mut Vec<Fault>,
) -> Box<[AtPath<Virtual>]> {
    list(extended, "virtual", ignore_case, faults, |entry, faults| {
        let written = entry.text("function_source_uri", faults);
        let (path, code) = match entry.text("function_source_type", faults) {
            "blob" => ("", code(entry, "function_source_uri", written, faults)?),
            "file" | "" => (written, Box::default()),
            other => {
                let text = format!("`{other}` is no kind of source");
                let fault = Fault::error(entry.at("function_source_type"), text);
                faults.push(fault.hint("write `file` or `blob`"));
                return None;
            }
        };
        let source = Source { path, code, session: entry.flag("use_session", faults) };
        made(entry, "response_function_name", source, entry.flag("proxy_on_error", faults), faults)
    })
}

pub(super) fn oas(
    root: &Section<'_>,
    middleware: &Section<'_>,
    faults: &mut Vec<Fault>,
) -> Box<[AtPath<Virtual>]> {
    operations(root, middleware, "virtualEndpoint", faults, |entry, faults| {
        let (path, body) = (entry.text("path", faults), entry.text("body", faults));
        let code = if path.is_empty() { code(entry, "body", body, faults)? } else { Box::default() };
        let source = Source { path, code, session: entry.flag("requireSession", faults) };
        // The older name counts where the newer one is not written.
        let name = if entry.get("functionName").is_some() { "functionName" } else { "name" };
        made(entry, name, source, entry.flag("proxyOnError", faults), faults)
    })
}

struct Source<'v> {
    path: &'v str,
    code: Box<str>,
    session: bool,
}

fn made(
    entry: &Section<'_>,
    key: &str,
    source: Source<'_>,
    proxy_on_error: bool,
    faults: &mut Vec<Fault>,
) -> Option<Virtual> {
    let name = entry.text(key, faults);
    if name.is_empty() {
        faults.push(Fault::error(entry.at(key), format!("`{key}` is missing: what is to be called?")));
        return None;
    }
    let function = Plugin {
        name: name.into(),
        path: source.path.into(),
        code: source.code,
        require_session: source.session,
        raw_body_only: false,
        pointer: entry.pointer.clone().into(),
    };
    Some(Virtual { function, proxy_on_error })
}

fn code(entry: &Section<'_>, key: &str, written: &str, faults: &mut Vec<Fault>) -> Option<Box<str>> {
    let code = STANDARD.decode(written).ok().and_then(|code| String::from_utf8(code).ok());
    let code = code.filter(|code| !code.is_empty());
    if code.is_none() {
        let fault =
            Fault::error(entry.at(key), format!("`{key}` must be the text of the function in Base64"));
        faults.push(fault.hint("encode the file with `base64 -w0 FILE`"));
    }
    code.map(Into::into)
}

pub(super) fn write(all: &[AtPath<Virtual>], version: &mut Value) {
    write_classic(all, "virtual", version, |one, entry| {
        let function = &one.function;
        let (kind, source) = match function.code.is_empty() {
            true => ("file", function.path.to_string()),
            false => ("blob", STANDARD.encode(&*function.code)),
        };
        entry["response_function_name"] = json!(function.name);
        entry["function_source_type"] = json!(kind);
        entry["function_source_uri"] = json!(source);
        entry["use_session"] = json!(function.require_session);
        entry["proxy_on_error"] = json!(one.proxy_on_error);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c8_5_functions_of_paths_in_both_formats() {
        let encoded = STANDARD.encode("function b() {}");
        let value = json!({
            "virtual": [
                {"path": "/a", "method": "GET", "response_function_name": "a", "function_source_type": "file",
                    "function_source_uri": "a.js", "use_session": true, "proxy_on_error": true},
                {"path": "/b", "method": "GET", "response_function_name": "b", "function_source_type": "blob",
                    "function_source_uri": encoded},
                {"path": "/off", "method": "GET", "disabled": true},
                {"path": "/c", "method": "GET", "response_function_name": "c", "function_source_type": "url"},
                {"path": "/d", "method": "GET", "function_source_uri": "d.js"},
                {"path": "/e", "method": "GET", "response_function_name": "e", "function_source_type": "blob",
                    "function_source_uri": "-"},
            ],
            "paths": {"/a": {"get": {"operationId": "a"}}, "/b": {"get": {"operationId": "b"}}},
            "m": {"operations": {
                "a": {"virtualEndpoint": {"enabled": true, "functionName": "a", "path": "a.js",
                    "requireSession": true, "proxyOnError": true}},
                "b": {"virtualEndpoint": {"enabled": true, "name": "b", "body": encoded}},
            }},
        });
        let mut faults = Vec::new();
        let root = Section::root(&value, &mut faults);
        let of_classic = classic(&root, false, &mut faults);
        let pointers: Vec<&str> = faults.iter().map(|fault| &*fault.pointer).collect();
        assert_eq!(
            pointers,
            [
                "/virtual/3/function_source_type",
                "/virtual/4/response_function_name",
                "/virtual/5/function_source_uri"
            ]
        );
        let middleware = root.section("m", &mut faults);
        let of_oas = oas(&root, &middleware, &mut faults);
        let told = |all: &[AtPath<Virtual>]| -> Vec<_> {
            let one = |at: &AtPath<Virtual>| {
                let Virtual { function, proxy_on_error } = &at.value;
                let Plugin { name, path, code, require_session, .. } = function.clone();
                (at.path.clone(), name, path, code, require_session, *proxy_on_error)
            };
            all.iter().map(one).collect()
        };
        let expected = [
            ("/a".into(), "a".into(), "a.js".into(), "".into(), true, true),
            ("/b".into(), "b".into(), "".into(), "function b() {}".into(), false, false),
        ];
        assert_eq!(told(&of_classic), expected);
        assert_eq!(told(&of_oas), expected);
        let mut version = json!({});
        write(&of_oas, &mut version);
        let again = Section::root(&version, &mut faults).section("extended_paths", &mut faults);
        assert_eq!(told(&classic(&again, false, &mut faults)), expected);
    }
}
