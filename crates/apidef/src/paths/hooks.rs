//! Plugins that single paths have before the backend (contract 2.5 `go_plugin`, 3.2 `postPlugins`, 4.4 row 42).
//!
//! What such a file is to the original, nothing here can load; a script in its place can be called.

use crate::at_path::{Methods, classic_for, entries, oas_by, write_classic};
use crate::fields::{Field, acts};
use crate::section::Section;
use crate::{AtPath, Plugin};
use document::Fault;
use serde_json::{Value, json};

const OF_OPERATIONS: &str = "postPlugins";

/// `go_plugin` of `extended_paths`.
pub(crate) const CLASSIC: &[Field] =
    &[acts("path"), acts("method"), acts("disabled"), acts("plugin_path"), acts("func_name")];
/// `postPlugins` of an operation.
pub(crate) const OAS: &[Field] = &[acts("enabled"), acts("functionName"), acts("path")];

pub(super) fn classic(
    extended: &Section<'_>,
    ignore_case: bool,
    faults: &mut Vec<Fault>,
) -> Box<[AtPath<Plugin>]> {
    classic_for(extended, "go_plugin", Methods::Guarded, ignore_case, faults, |entry, faults| {
        made(entry, ["func_name", "plugin_path"], faults)
    })
}

pub(super) fn oas(
    root: &Section<'_>,
    middleware: &Section<'_>,
    faults: &mut Vec<Fault>,
) -> Box<[AtPath<Plugin>]> {
    oas_by(root, middleware, OF_OPERATIONS, first, faults, |entry, _, faults| {
        made(entry, ["functionName", "path"], faults)
    })
}

/// Of the plugins of an operation the first counts (contract 3.2).
fn first<'v>(operation: &Section<'v>, faults: &mut Vec<Fault>) -> Section<'v> {
    let at = operation.at(OF_OPERATIONS);
    if operation.get(OF_OPERATIONS).is_some_and(|value| !value.is_array()) {
        let text = format!("`{OF_OPERATIONS}` must be an array of plugins");
        faults.push(Fault::error(&*at, text));
    }
    let mut all = entries(operation, OF_OPERATIONS);
    let first = all.next().unwrap_or(Section { object: None, pointer: at });
    if let Some(other) = all.next() {
        faults.push(Fault::warning(other.pointer, "a path has one plugin, and there is one before this"));
    }
    first
}

fn made(entry: &Section<'_>, [name, path]: [&str; 2], faults: &mut Vec<Fault>) -> Option<Plugin> {
    let plugin = Plugin {
        name: entry.text(name, faults).into(),
        path: entry.text(path, faults).into(),
        // What it stands for could ask for it.
        require_session: true,
        pointer: entry.pointer.clone().into(),
        ..Plugin::default()
    };
    if !plugin.path.ends_with(".js") {
        let text = format!(
            "`{}` is no script, and a Go plugin is a shared object that only the build of Tyk loads which it was compiled for; \
             the API is refused so that it is not left open",
            plugin.path
        );
        let hint = "write the plugin in JavaScript, and name its file (`.js`)";
        faults.push(Fault::error(entry.at(path), text).hint(hint));
        return None;
    }
    if plugin.name.is_empty() {
        faults.push(Fault::error(entry.at(name), format!("`{name}` is missing: what is to be called?")));
        return None;
    }
    Some(plugin)
}

pub(super) fn write(all: &[AtPath<Plugin>], version: &mut Value) {
    write_classic(all, "go_plugin", version, |plugin, entry| {
        entry["func_name"] = json!(plugin.name);
        entry["plugin_path"] = json!(plugin.path);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c3_2_row_45_plugins_of_paths_in_both_formats() {
        let value = json!({
            "go_plugin": [
                {"path": "/a", "method": "GET", "plugin_path": "a.js", "func_name": "a"},
                {"path": "/off", "method": "GET", "disabled": true, "plugin_path": "a.so"},
                {"path": "/b", "method": "GET", "plugin_path": "b.so", "func_name": "b"},
                {"path": "/c", "method": "GET", "plugin_path": "c.js"},
                {"path": "/d", "plugin_path": "d.js", "func_name": "d"},
            ],
            "paths": {"/a": {"get": {"operationId": "a"}}, "/b": {"get": {"operationId": "b"}}, "/c": {"get": {"operationId": "c"}}},
            "m": {"operations": {
                "a": {"postPlugins": [{"enabled": true, "functionName": "a", "path": "a.js"}, {"enabled": true}]},
                "b": {"postPlugins": [{"enabled": false, "path": "b.so"}]},
                "c": {"postPlugins": {"enabled": true}},
            }},
        });
        let mut faults = Vec::new();
        let root = Section::root(&value, &mut faults);
        let of_classic = classic(&root, false, &mut faults);
        let middleware = root.section("m", &mut faults);
        let of_oas = oas(&root, &middleware, &mut faults);
        let told: Vec<_> = faults.iter().map(|fault| (&*fault.pointer, fault.is_error())).collect();
        assert_eq!(
            told,
            [
                ("/go_plugin/2/plugin_path", true),
                ("/go_plugin/3/func_name", true),
                ("/go_plugin/4", true),
                ("/m/operations/a/postPlugins/1", false),
                ("/m/operations/c/postPlugins", true),
            ]
        );
        for all in [&of_classic, &of_oas] {
            let [one] = &all[..] else { panic!("{all:?}") };
            assert_eq!((&*one.path, &*one.method), ("/a", "GET"));
            assert_eq!((&*one.value.name, &*one.value.path), ("a", "a.js"));
        }
        let mut version = json!({});
        write(&of_oas, &mut version);
        assert_eq!(
            version["extended_paths"]["go_plugin"],
            json!([{"path": "/a", "method": "GET", "disabled": false, "plugin_path": "a.js", "func_name": "a"}])
        );
    }
}
