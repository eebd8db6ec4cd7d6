//! What errors say: templates and rules of the configuration.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use apidef::ErrorOverrides;
use gateway::{ErrorPages, NAMED_REFUSALS, Overrides, Settings, StatusCode, Words};
use serde_json::Value;

use crate::config::Config;

/// Puts what the configuration says of errors into the settings. Blocking: reads the folder of templates.
///
/// # Errors
/// Which template, rule or text cannot be used, and why.
pub(crate) fn set(config: &Config, settings: &mut Settings) -> Result<(), String> {
    let folder = PathBuf::from(&config.template_path);
    let pages = ErrorPages::load(&folder)?;
    if pages.count() == 0 && folder != Path::new("templates") {
        let folder = folder.display().to_string();
        tracing::warn!(
            folder,
            "`template_path` holds no templates of errors; those that are built in are used"
        );
    }
    settings.error_pages = Arc::new(pages);
    settings.error_overrides = Arc::new(overrides(&config.error_overrides, &folder)?);
    settings.messages = messages(&config.override_messages)?;
    settings.template_path = folder;
    Ok(())
}

fn overrides(value: &Value, folder: &Path) -> Result<Overrides, String> {
    let told = |pointer: &str, message: &str| format!("`error_overrides{pointer}`: {message}");
    let model = ErrorOverrides::parse(value).map_err(|faults| {
        let first = faults.iter().find(|fault| fault.is_error());
        first.map_or_else(String::new, |fault| told(&fault.pointer, &fault.message))
    })?;
    Overrides::new(&model, folder).map_err(|fault| told(&fault.pointer, &fault.message))
}

/// `override_messages`: names of refusals, each with `code` and `message`.
fn messages(value: &Value) -> Result<HashMap<String, Words>, String> {
    let mut all = HashMap::new();
    for (name, words) in value.as_object().into_iter().flatten() {
        if !NAMED_REFUSALS.contains(&name.as_str()) {
            tracing::warn!(name, "`override_messages` names a refusal that there is not; it has no effect");
            continue;
        }
        let wrong = || {
            format!("`override_messages.{name}` needs a `code` that is a status of an error, and a `message`")
        };
        let status = match words.get("code").and_then(Value::as_u64) {
            None | Some(0) if words.is_object() => None,
            Some(code @ 400..600) => StatusCode::from_u16(code as u16).ok(),
            _ => return Err(wrong()),
        };
        let message = match words.get("message") {
            None => None,
            Some(Value::String(message)) => Some(message.as_str()).filter(|message| !message.is_empty()),
            Some(_) => return Err(wrong()),
        };
        all.insert(name.clone(), Words { status, message: message.map(Into::into) });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn c4_2_words_are_read_by_name() {
        let name = "auth.key_not_found";
        for (words, read) in [
            (json!({"code": 401, "message": "no"}), Some((Some(401), Some("no")))),
            (json!({"message": "no"}), Some((None, Some("no")))),
            (json!({"code": 0, "message": ""}), Some((None, None))),
            (json!({"code": 200}), None),
            (json!({"code": 401, "message": 7}), None),
            (json!("no"), None),
        ] {
            let all = messages(&json!({name: words})).ok();
            let shown = all
                .as_ref()
                .map(|all| (all[name].status.map(|status| status.as_u16()), all[name].message.as_deref()));
            assert_eq!(shown, read, "{words}");
        }
        assert!(messages(&json!({"auth.other": {"code": 401}})).unwrap().is_empty());
    }

    #[test]
    fn rules_that_cannot_work_stop_the_start() {
        let error = overrides(&json!({"403": [{"response": {"template": "none"}}]}), Path::new("/none"));
        assert!(error.unwrap_err().starts_with("`error_overrides/403/0`: "));
        let error = overrides(&json!({"none": []}), Path::new("/none")).unwrap_err();
        assert!(error.starts_with("`error_overrides/none`: "), "{error}");
    }
}
