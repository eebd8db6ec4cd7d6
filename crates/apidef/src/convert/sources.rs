//! Where templates and functions of paths are: a kind and a source, or one of two keys (contract 2.5, 3.2).

use super::To;
use super::value::{is_blank, put, take, text};
use serde_json::{Value, json};

/// `template_data` of transforms.
pub(super) fn template(to: To, from: &mut Value, out: &mut Value) {
    source(to, ["/template_data/template_mode", "/template_data/template_source"], "blob", from, out);
    match to {
        To::Oas => drop(take(from, "/template_data/enable_session")), // what is lost is told of the definition
        To::Classic => put(out, "/template_data/enable_session", true.into()),
    }
}

/// The function of a virtual endpoint.
pub(super) fn function(to: To, from: &mut Value, out: &mut Value) {
    if matches!(to, To::Classic) {
        // The older name counts where the newer one is not written.
        let older = take(from, "/name");
        if let Some(name) = older.filter(|_| out.get("response_function_name").is_none_or(is_blank)) {
            put(out, "/response_function_name", name);
        }
    }
    source(to, ["/function_source_type", "/function_source_uri"], "file", from, out);
}

/// `usual` is the kind where none is written.
fn source(to: To, [kind, at]: [&str; 2], usual: &str, from: &mut Value, out: &mut Value) {
    match to {
        To::Oas => {
            let written = text(from, kind);
            let target = match if written.is_empty() { usual } else { written } {
                "file" => "/path",
                "blob" => "/body",
                _ => return,
            };
            take(from, kind);
            put(out, target, take(from, at).unwrap_or_else(|| json!("")));
        }
        To::Classic => {
            let (path, body) = (take(from, "/path"), take(from, "/body"));
            let file = path.filter(|path| !is_blank(path));
            let (named, value) = match file {
                Some(path) => ("file", path),
                None => ("blob", body.unwrap_or_else(|| json!(""))),
            };
            put(out, kind, named.into());
            put(out, at, value);
        }
    }
}
