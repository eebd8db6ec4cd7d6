//! The code of users on the way of requests and answers (contract 2.6, 3.2 "middleware.global", 9.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use document::{Fault, pointer_join};
use serde_json::{Map, Value, json};

use crate::fields::{Field, acts, each, section};
use crate::identity::{self, IdExtractor};
use crate::section::Section;

/// The plugins of an API, in the order in which they are called.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plugins {
    /// What runs them: `otto`, `javascript`, `grpc` …; empty = a server, as `grpc`.
    pub driver: Box<str>,
    /// The bundle that they come with.
    pub bundle: Option<Box<str>>,
    /// Before authentication.
    pub pre: Box<[Plugin]>,
    /// In its place.
    pub auth: Option<Box<Plugin>>,
    /// What tells those apart whom that one has let in.
    pub identity: Option<Box<IdExtractor>>,
    /// After authentication.
    pub post_key_auth: Box<[Plugin]>,
    /// Right before the backend.
    pub post: Box<[Plugin]>,
    /// On answers.
    pub response: Box<[Plugin]>,
    /// On records, before they are stored.
    pub records: Option<Box<Plugin>>,
    /// What they are told (`config_data`).
    pub config: Value,
    /// Where the bundle is named.
    pub bundle_pointer: Box<str>,
}

/// One plugin.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plugin {
    /// Its name in the code.
    pub name: Box<str>,
    /// The file of the code.
    pub path: Box<str>,
    /// The code itself, where there is no file.
    pub code: Box<str>,
    /// It is given the session of the caller.
    pub require_session: bool,
    /// It is given the body as bytes and not as text.
    pub raw_body_only: bool,
    /// Where it stands in the definition.
    pub pointer: Box<str>,
}

/// What keys are called in one of the formats.
struct Names {
    name: &'static str,
    session: &'static str,
    raw: &'static str,
    /// The flag that switches one on, or off.
    switch: (&'static str, bool),
}

const CLASSIC_NAMES: Names =
    Names { name: "name", session: "require_session", raw: "raw_body_only", switch: ("disabled", true) };
const OAS_NAMES: Names =
    Names { name: "functionName", session: "requireSession", raw: "rawBodyOnly", switch: ("enabled", false) };
/// Of `analytics_plugin`, which has no session and no body.
const RECORDS_NAMES: Names = Names { name: "func_name", session: "", raw: "", switch: ("enable", false) };

const fn hook(names: &'static Names) -> [Field; 6] {
    [acts(names.switch.0), acts(names.name), acts("path"), acts("code"), acts(names.session), acts(names.raw)]
}

const CLASSIC_HOOK: &[Field] = &hook(&CLASSIC_NAMES);
const OAS_HOOK: &[Field] = &hook(&OAS_NAMES);

/// `custom_middleware`.
pub(crate) const CLASSIC: &[Field] = &[
    acts("driver"),
    each("pre", CLASSIC_HOOK),
    section("auth_check", CLASSIC_HOOK),
    each("post_key_auth", CLASSIC_HOOK),
    each("post", CLASSIC_HOOK),
    each("response", CLASSIC_HOOK),
    section("traffic_logs", CLASSIC_HOOK),
    section("id_extractor", identity::CLASSIC),
];

/// `analytics_plugin`.
pub(crate) const CLASSIC_RECORDS: &[Field] =
    &[acts(RECORDS_NAMES.switch.0), acts(RECORDS_NAMES.name), acts("plugin_path")];

/// `server.authentication.custom.config`.
pub(crate) const OAS_CHECK: &[Field] = &[
    acts("enabled"),
    acts(OAS_NAMES.name),
    acts("path"),
    acts("code"),
    acts(OAS_NAMES.session),
    acts(OAS_NAMES.raw),
    section("idExtractor", identity::OAS),
];
/// `prePlugins` and its like.
pub(crate) const OAS_LIST: &[Field] = OAS_HOOK;
/// `prePlugin` and its like, the older form.
pub(crate) const OAS_OLD: &[Field] = &[each("plugins", OAS_HOOK)];
/// `pluginConfig`.
pub(crate) const OAS_CONFIG: &[Field] = &[
    acts("driver"),
    section("bundle", &[acts("enabled"), acts("path")]),
    section("data", &[acts("enabled"), acts("value")]),
];

/// Whether plugins say who is calling; two of the keys are older names.
pub(crate) fn say_who_calls(root: &Section<'_>, faults: &mut Vec<Fault>) -> bool {
    let keys = ["custom_plugin_auth_enabled", "enable_coprocess_auth", "use_go_plugin_auth"];
    // All of them are looked at: each may be wrong.
    keys.map(|key| root.flag(key, faults)).contains(&true)
}

pub(crate) fn read_classic(root: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Box<Plugins>> {
    let middleware = root.section("custom_middleware", faults);
    let check = middleware.section("auth_check", faults);
    let names = &CLASSIC_NAMES;
    let auth = say_who_calls(root, faults).then(|| one(&check, names, faults)).flatten();
    let bundle = match root.flag("custom_middleware_bundle_disabled", faults) {
        true => "",
        false => root.text("custom_middleware_bundle", faults),
    };
    let config = match root.flag("config_data_disabled", faults) {
        true => Value::Null,
        // Nothing in it is as good as none.
        false => root.get("config_data").filter(|data| **data != json!({})).cloned().unwrap_or_default(),
    };
    let identity = auth.is_some().then(|| IdExtractor::classic(&middleware, faults)).flatten();
    let records = records_of_classic(root, &middleware, faults);
    let mut list = |key: &str| list(&middleware, key, names, faults);
    Plugins {
        pre: list("pre"),
        post_key_auth: list("post_key_auth"),
        post: list("post"),
        response: list("response"),
        auth: auth.map(Box::new),
        identity: identity.map(Box::new),
        records: records.map(Box::new),
        driver: middleware.text("driver", faults).into(),
        bundle: (!bundle.is_empty()).then(|| bundle.into()),
        config,
        bundle_pointer: root.at("custom_middleware_bundle").into(),
    }
    .some()
}

pub(crate) fn read_oas(
    global: &Section<'_>,
    authentication: &Section<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Box<Plugins>> {
    let settings = global.section("pluginConfig", faults);
    let (bundle, data) = (settings.section("bundle", faults), settings.section("data", faults));
    let names = &OAS_NAMES;
    let custom = authentication.section("custom", faults);
    let check = custom.section("config", faults);
    // It has a switch of its own, which is on where nothing is said.
    let is_on = custom.flag("enabled", faults) && check.get("enabled") != Some(&Value::Bool(false));
    let auth = is_on.then(|| written(&check, names, faults));
    let identity = auth.is_some().then(|| IdExtractor::oas(&check, faults)).flatten();
    let records = records_of_oas(&global.section("trafficLogs", faults), faults);
    // The older key counts where the newer one is not written.
    let mut of = |newer: &str, older: &str| match global.get(newer) {
        Some(_) => list(global, newer, names, faults),
        None => list(&global.section(older, faults), "plugins", names, faults),
    };
    Plugins {
        pre: of("prePlugins", "prePlugin"),
        post_key_auth: of("postAuthenticationPlugins", "postAuthenticationPlugin"),
        post: of("postPlugins", "postPlugin"),
        response: of("responsePlugins", "responsePlugin"),
        auth: auth.map(Box::new),
        identity: identity.map(Box::new),
        records: records.map(Box::new),
        driver: settings.text("driver", faults).into(),
        bundle: bundle.flag("enabled", faults).then(|| bundle.text("path", faults).into()),
        config: if data.flag("enabled", faults) {
            data.get("value").cloned().unwrap_or_default()
        } else {
            Value::Null
        },
        bundle_pointer: bundle.at("path").into(),
    }
    .some()
}

/// The plugins that a bundle names in its manifest; their places are in there.
///
/// # Errors
/// What is wrong with it.
pub fn of_bundle(custom_middleware: &Value) -> Result<Plugins, Vec<Fault>> {
    let mut faults = Vec::new();
    let middleware = Section::root(custom_middleware, &mut faults);
    let names = &CLASSIC_NAMES;
    let check = middleware.section("auth_check", &mut faults);
    let auth = one(&check, names, &mut faults);
    let identity = IdExtractor::classic(&middleware, &mut faults);
    let records = named(&middleware.section("traffic_logs", &mut faults), names, &mut faults);
    let mut list = |key: &str| list(&middleware, key, names, &mut faults);
    let plugins = Plugins {
        pre: list("pre"),
        post_key_auth: list("post_key_auth"),
        post: list("post"),
        response: list("response"),
        auth: auth.map(Box::new),
        identity: identity.map(Box::new),
        records: records.map(Box::new),
        driver: middleware.text("driver", &mut faults).into(),
        ..Plugins::default()
    };
    if faults.is_empty() { Ok(plugins) } else { Err(faults) }
}

fn list(holder: &Section<'_>, key: &str, names: &Names, faults: &mut Vec<Fault>) -> Box<[Plugin]> {
    let Some(value) = holder.get(key) else { return Box::default() };
    let Some(items) = value.as_array() else {
        faults.push(Fault::error(holder.at(key), format!("`{key}` must be an array of plugins")));
        return Box::default();
    };
    let plugin = |(index, item): (usize, &Value)| {
        let section =
            Section { object: item.as_object(), pointer: pointer_join(&holder.at(key), &index.to_string()) };
        named(&section, names, faults)
    };
    items.iter().enumerate().filter_map(plugin).collect()
}

/// The plugin on records: a hook as the others are, or the older form, which has keys of its own.
fn records_of_classic(
    root: &Section<'_>,
    middleware: &Section<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Plugin> {
    let hook = named(&middleware.section("traffic_logs", faults), &CLASSIC_NAMES, faults);
    let older = root.section("analytics_plugin", faults);
    if !older.flag(RECORDS_NAMES.switch.0, faults) {
        return hook;
    }
    if hook.is_some() {
        let text = "records have one plugin, and `custom_middleware.traffic_logs` names another";
        faults.push(Fault::error(older.pointer.clone(), text).hint("take one of them out").on_key());
        return hook;
    }
    let plugin = Plugin {
        name: older.text(RECORDS_NAMES.name, faults).into(),
        path: older.text("plugin_path", faults).into(),
        pointer: older.pointer.clone().into(),
        ..Plugin::default()
    };
    missing(&plugin, &older, &RECORDS_NAMES, faults);
    Some(plugin)
}

fn records_of_oas(logs: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Plugin> {
    let mut plugins = list(logs, "plugins", &OAS_NAMES, faults).into_iter();
    let first = plugins.next();
    if let Some(second) = plugins.next() {
        let text = "records have one plugin, and there is one before this";
        let hint = "let one function call the other, or take one of them out";
        faults.push(Fault::error(&*second.pointer, text).hint(hint));
    }
    first
}

/// A plugin that says what is to be called, unless it is switched off.
fn named(section: &Section<'_>, names: &Names, faults: &mut Vec<Fault>) -> Option<Plugin> {
    let plugin = one(section, names, faults)?;
    missing(&plugin, section, names, faults);
    Some(plugin)
}

fn missing(plugin: &Plugin, section: &Section<'_>, names: &Names, faults: &mut Vec<Fault>) {
    if plugin.name.is_empty() {
        let text = format!("`{}` is missing: what is to be called?", names.name);
        faults.push(Fault::error(section.at(names.name), text));
    }
}

/// A plugin, unless it is switched off.
fn one(section: &Section<'_>, names: &Names, faults: &mut Vec<Fault>) -> Option<Plugin> {
    let (switch, off) = names.switch;
    let name = section.text(names.name, faults);
    let is_written = !name.is_empty() || section.get("path").is_some() || section.get("code").is_some();
    if section.flag(switch, faults) == off || (off && !is_written) {
        return None;
    }
    Some(written(section, names, faults))
}

/// A plugin that is switched on.
fn written(section: &Section<'_>, names: &Names, faults: &mut Vec<Fault>) -> Plugin {
    let name = section.text(names.name, faults);
    let code =
        STANDARD.decode(section.text("code", faults)).ok().and_then(|code| String::from_utf8(code).ok());
    if code.is_none() {
        let fault = Fault::error(section.at("code"), "`code` must be the text of the plugin in Base64");
        faults.push(fault.hint("encode the file with `base64 -w0 FILE`"));
    }
    Plugin {
        name: name.into(),
        path: section.text("path", faults).into(),
        code: code.unwrap_or_default().into(),
        require_session: section.flag(names.session, faults),
        raw_body_only: section.flag(names.raw, faults),
        pointer: section.pointer.clone().into(),
    }
}

impl Plugins {
    /// Itself, where anything is said of what runs, or is to be told. The driver alone says something: files that no
    /// definition names may be its plugins.
    fn some(self) -> Option<Box<Self>> {
        let says_something = !self.driver.is_empty() || !self.config.is_null() || self.runs_any();
        says_something.then(|| Box::new(self))
    }

    /// Whether any are named, by the definition or by a bundle.
    pub fn runs_any(&self) -> bool {
        self.bundle.is_some() || self.all().next().is_some()
    }

    /// Whether there is nothing to run but what says who is calling.
    pub fn is_for_callers_alone(&self) -> bool {
        self.auth.is_some() && self.all().count() == 1
    }

    /// Does something to each of them.
    pub fn each_mut(&mut self, change: impl FnMut(&mut Plugin)) {
        let lists = [&mut self.pre, &mut self.post_key_auth, &mut self.post, &mut self.response];
        let single = [self.auth.as_deref_mut(), self.records.as_deref_mut()];
        lists.into_iter().flatten().chain(single.into_iter().flatten()).for_each(change);
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Plugin> {
        let lists = [&self.pre, &self.post_key_auth, &self.post, &self.response];
        lists.into_iter().flatten().chain(self.auth.as_deref()).chain(self.records.as_deref())
    }
}

pub(crate) fn write_classic(plugins: Option<&Plugins>, definition: &mut Value) {
    let Some(plugins) = plugins else { return };
    let one = |plugin: &Plugin| {
        let mut written = Map::new();
        written.insert("name".into(), json!(plugin.name));
        written.insert("path".into(), json!(plugin.path));
        if !plugin.code.is_empty() {
            written.insert("code".into(), STANDARD.encode(&*plugin.code).into());
        }
        written.insert("require_session".into(), plugin.require_session.into());
        written.insert("raw_body_only".into(), plugin.raw_body_only.into());
        Value::Object(written)
    };
    let list = |plugins: &[Plugin]| Value::Array(plugins.iter().map(one).collect());
    let middleware = &mut definition["custom_middleware"];
    middleware["driver"] = json!(plugins.driver);
    middleware["pre"] = list(&plugins.pre);
    middleware["post_key_auth"] = list(&plugins.post_key_auth);
    middleware["post"] = list(&plugins.post);
    middleware["response"] = list(&plugins.response);
    if let Some(auth) = &plugins.auth {
        middleware["auth_check"] = one(auth);
    }
    if let Some(identity) = &plugins.identity {
        middleware["id_extractor"] = identity.write_classic();
    }
    if let Some(records) = &plugins.records {
        middleware["traffic_logs"] = one(records);
    }
    if let Some(bundle) = &plugins.bundle {
        definition["custom_middleware_bundle"] = json!(bundle);
    }
    if !plugins.config.is_null() {
        definition["config_data"] = plugins.config.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Definition;

    fn classic(extra: Value) -> Result<Definition, Vec<Fault>> {
        let mut definition = json!({
            "api_id": "a", "name": "a", "use_keyless": true,
            "proxy": {"listen_path": "/a/", "target_url": "http://127.0.0.1:1"},
        });
        for (key, value) in extra.as_object().unwrap() {
            definition[key] = value.clone();
        }
        Definition::parse(&definition.to_string())
    }

    #[test]
    fn c2_2_row_10_older_keys_ask_plugins_too() {
        for key in ["custom_plugin_auth_enabled", "enable_coprocess_auth", "use_go_plugin_auth"] {
            let check = json!({"driver": "python", "auth_check": {"name": "who", "path": "who.py"}});
            let definition = classic(json!({"use_keyless": false, key: true, "custom_middleware": check}));
            let api = definition.unwrap().api.clone();
            assert_eq!(
                api.plugins.as_ref().unwrap().auth.as_ref().map(|auth| &*auth.name),
                Some("who"),
                "{key}"
            );
            assert!(!matches!(api.auth, crate::Auth::Keyless), "{key}");
        }
    }

    #[test]
    fn c2_6_row_5_the_classic_form_is_read_and_written_again() {
        let code = STANDARD.encode("var m;");
        let extra = json!({
            "custom_middleware": {
                "driver": "javascript",
                "pre": [{"name": "a", "path": "a.js"}, {"name": "off", "path": "b.js", "disabled": true}],
                "post": [{"name": "m", "code": code, "require_session": true, "raw_body_only": true}],
            },
            "config_data": {"k": "v"},
        });
        let plugins = classic(extra.clone()).unwrap().api.plugins.clone().unwrap();
        assert_eq!(
            (plugins.pre.len(), &*plugins.pre[0].name, &*plugins.pre[0].pointer),
            (1, "a", "/custom_middleware/pre/0")
        );
        assert_eq!((&*plugins.post[0].code, plugins.post[0].require_session), ("var m;", true));
        let mut written = json!({"custom_middleware": {}});
        write_classic(Some(&plugins), &mut written);
        let again = classic(written).unwrap().api.plugins.clone().unwrap();
        assert_eq!(again.post[0].code, plugins.post[0].code);
        assert_eq!(again.config, json!({"k": "v"}));
        assert_eq!(classic(json!({})).unwrap().api.plugins, None);
    }

    #[test]
    fn c2_6_a_driver_without_plugins_is_kept_in_both_formats() {
        let plugins =
            classic(json!({"custom_middleware": {"driver": "python"}})).unwrap().api.plugins.clone();
        let plugins = plugins.unwrap();
        assert_eq!((&*plugins.driver, plugins.runs_any()), ("python", false));
        let mut written = json!({"custom_middleware": {}});
        write_classic(Some(&plugins), &mut written);
        assert_eq!(written["custom_middleware"]["driver"], "python");
        let global = json!({"pluginConfig": {"driver": "lua"}});
        let mut faults = Vec::new();
        let (global, nothing) = (Section::root(&global, &mut faults), json!({}));
        let plugins = read_oas(&global, &Section::root(&nothing, &mut Vec::new()), &mut faults).unwrap();
        assert_eq!((&*plugins.driver, faults.len()), ("lua", 0));
    }

    #[test]
    fn c2_6_row_3_the_plugin_on_records_is_read_from_each_of_its_forms() {
        let newer = json!({"driver": "lua", "traffic_logs": {"name": "mask", "path": "mask.lua"}});
        let older = json!({"enable": true, "plugin_path": "mask.lua", "func_name": "mask"});
        for (extra, at) in [
            (json!({"custom_middleware": newer}), "/custom_middleware/traffic_logs"),
            (json!({"custom_middleware": {"driver": "lua"}, "analytics_plugin": older}), "/analytics_plugin"),
        ] {
            let plugins = classic(extra).unwrap().api.plugins.clone().unwrap();
            let records = plugins.records.as_deref().unwrap();
            assert_eq!((&*records.name, &*records.path, &*records.pointer), ("mask", "mask.lua", at));
            let mut written = json!({"custom_middleware": {}});
            write_classic(Some(&plugins), &mut written);
            let again = classic(written).unwrap().api.plugins.clone().unwrap();
            assert_eq!(again.records.as_deref().map(|plugin| &*plugin.name), Some("mask"));
        }
        for off in [
            json!({"custom_middleware": {"traffic_logs": {"name": "mask", "disabled": true}}}),
            json!({"analytics_plugin": {"enable": false, "plugin_path": "mask.so", "func_name": "mask"}}),
        ] {
            assert_eq!(classic(off).unwrap().api.plugins, None);
        }
        let faults = classic(json!({"custom_middleware": newer, "analytics_plugin": older})).unwrap_err();
        assert!(faults.iter().any(|fault| fault.pointer == "/analytics_plugin"), "{faults:?}");
        let faults = classic(json!({"analytics_plugin": {"enable": true}})).unwrap_err();
        assert!(faults.iter().any(|fault| fault.pointer == "/analytics_plugin/func_name"), "{faults:?}");
    }

    #[test]
    fn c2_6_what_cannot_be_called_is_a_fault_at_its_place() {
        for (hook, at) in [
            (json!({"path": "a.js"}), "/custom_middleware/pre/0/name"),
            (json!({"name": "a", "code": "%"}), "/custom_middleware/pre/0/code"),
        ] {
            let faults =
                classic(json!({"custom_middleware": {"driver": "otto", "pre": [hook]}})).unwrap_err();
            assert!(faults.iter().any(|fault| fault.pointer == at), "{faults:?}");
        }
    }
}
