//! Scripts that are plugins because of where they are (contract 9.1, "File convention"): no definition names them.

#![allow(clippy::disallowed_methods, reason = "definitions are compiled on threads that may block")]

use std::path::{Component, Path};

use apidef::{Api, Auth, Plugin, Plugins, SecurityScheme};
use document::{Fault, pointer_join};

use super::hosts::runs_scripts;

/// The folders of an API, in `middleware_path`.
const FOLDERS: [&str; 4] = ["pre", "auth", "post_auth", "post"];
/// What such a name ends with gets the session of the caller.
const WITH_SESSION: &str = "_with_session";

/// Where such files are, below the folder of plugins, in the order in which they are called; of those in `auth` only where
/// the API asks a plugin who is calling.
pub(super) fn files(folder: &Path, api: &Api) -> Vec<Box<str>> {
    let id = Path::new(&*api.id);
    let is_plain = matches!(id.components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
    if !is_plain || !folder.join(id).is_dir() {
        return Vec::new();
    }
    let mut all = Vec::new();
    for of_hook in FOLDERS.iter().filter(|name| **name != "auth" || asked(api).is_some()) {
        let Ok(entries) = folder.join(id).join(of_hook).read_dir() else { continue };
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.retain(|name| name.ends_with(".js"));
        names.sort_unstable();
        all.extend(names.into_iter().map(|name| format!("{}/{of_hook}/{name}", api.id).into()));
    }
    all
}

/// Adds the plugins of these files to those that the definition names.
pub(super) fn add(model: &mut Plugins, files: &[Box<str>], api: &Api) -> Result<(), Vec<Fault>> {
    if let Some(first) = files.first() {
        if model.driver.is_empty() && model.all().next().is_none() {
            model.driver = "javascript".into();
        }
        if !runs_scripts(&model.driver) {
            let driver = if model.driver.is_empty() { "grpc" } else { &model.driver };
            let text = format!(
                "`{first}` is a script, and the plugins of this API are run by `{driver}`; the API is refused so that it does not run without it"
            );
            let hint = "take the file away, or name `javascript` as the `driver`";
            return Err(vec![Fault::error("", text).hint(hint)]);
        }
    }
    for file in files {
        let plugin = plugin(file);
        let of_hook = file.rsplit('/').nth(1).unwrap_or_default();
        match of_hook {
            "pre" => push(&mut model.pre, plugin),
            "post_auth" => push(&mut model.post_key_auth, plugin),
            "post" => push(&mut model.post, plugin),
            _ => model.auth = Some(Box::new(plugin)),
        }
    }
    if !asked(api).is_some_and(runs_scripts) {
        return Ok(());
    }
    let pointer = match model.auth.as_deref() {
        None => "/custom_middleware/auth_check/name".to_owned(),
        Some(plugin) if plugin.name.is_empty() => pointer_join(&plugin.pointer, "functionName"),
        Some(_) => return Ok(()),
    };
    let hint = format!("name it, or put its file into the folder `{}/auth` of `middleware_path`", api.id);
    Err(vec![Fault::error(pointer, "authentication by a plugin: which function is it?").hint(hint)])
}

fn push(list: &mut Box<[Plugin]>, plugin: Plugin) {
    let mut all = std::mem::take(list).into_vec();
    all.push(plugin);
    *list = all.into();
}

fn plugin(file: &str) -> Plugin {
    let name = Path::new(file).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.split('.').next().unwrap_or_default();
    Plugin {
        name: name.into(),
        path: file.into(),
        require_session: name.ends_with(WITH_SESSION),
        ..Plugin::default()
    }
}

/// Whether no definition names a plugin.
pub(super) fn is_by_place(plugin: &Plugin) -> bool {
    plugin.pointer.is_empty()
}

/// What runs the plugin that says who is calling, where an API asks one.
fn asked(api: &Api) -> Option<&str> {
    let Auth::Guarded(guarded) = &api.auth else { return None };
    guarded.schemes().find_map(|scheme| match scheme {
        SecurityScheme::Custom(custom) => Some(&*custom.driver),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(list: &[Plugin]) -> Vec<(&str, &str, bool)> {
        list.iter().map(|plugin| (&*plugin.name, &*plugin.path, plugin.require_session)).collect()
    }

    fn api(more: &str) -> Api {
        let text = format!(
            r#"{{"api_id": "a", "proxy": {{"listen_path": "/a/", "target_url": "http://h"}}, {more}}}"#
        );
        Api::clone(&apidef::Definition::parse(&text).unwrap().api)
    }

    #[test]
    fn c9_1_row_8_a_file_is_a_plugin_by_its_folder_and_its_name() {
        let files =
            ["a/pre/b.x.js", "a/post_auth/c_with_session.js", "a/post/d.js", "a/auth/e.js", "a/auth/f.js"];
        let files = files.map(Box::from);
        let mut model =
            Plugins { pre: Box::new([plugin("a/pre/a.js")]), driver: "otto".into(), ..Plugins::default() };
        let asking = api(r#""custom_plugin_auth_enabled": true, "custom_middleware": {"driver": "otto"}"#);
        add(&mut model, &files, &asking).unwrap();
        assert_eq!(named(&model.pre), [("a", "a/pre/a.js", false), ("b", "a/pre/b.x.js", false)]);
        assert_eq!(named(&model.post_key_auth), [("c_with_session", "a/post_auth/c_with_session.js", true)]);
        assert_eq!(named(&model.post), [("d", "a/post/d.js", false)]);
        assert_eq!(model.auth.map(|auth| auth.name).as_deref(), Some("f"));
        let none =
            add(&mut Plugins { driver: "otto".into(), ..Plugins::default() }, &[], &asking).unwrap_err();
        assert_eq!(none[0].pointer, "/custom_middleware/auth_check/name");
    }

    #[test]
    fn c9_1_row_9_what_runs_such_files_is_javascript() {
        let open = api(r#""use_keyless": true"#);
        let files = [Box::from("a/pre/a.js")];
        for (driver, has_others, runs) in [
            ("", false, Some("javascript")),
            ("otto", true, Some("otto")),
            ("javascript", false, Some("javascript")),
            ("", true, None),
            ("python", true, None),
            ("wasm", false, None),
        ] {
            let others = if has_others { vec![plugin("x/post/x.js")] } else { Vec::new() };
            let mut model = Plugins { driver: driver.into(), post: others.into(), ..Plugins::default() };
            let added = add(&mut model, &files, &open);
            assert_eq!(added.ok().map(|()| &*model.driver), runs, "{driver} {has_others}");
        }
    }
}
