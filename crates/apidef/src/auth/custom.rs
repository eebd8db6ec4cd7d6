//! Authentication by plugins (contract 2.2, 2.6, 3.3, 5.8): a function of the operator's says who is calling.

use crate::fields::{Field, acts, section};
use crate::plugins;
use crate::section::Section;
use document::Fault;
use serde_json::{Value, json};

/// A function that says who is calling.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Custom {
    /// What runs it: `otto`, `javascript`, `goplugin`, `grpc`, `python`, `lua`.
    pub driver: Box<str>,
    /// Its name.
    pub function: Box<str>,
    /// The file that it is in, if it is in one.
    pub path: Box<str>,
    /// It wants the body as bytes and nothing else.
    pub raw_body_only: bool,
}

/// `server.authentication.custom`.
pub(crate) const OAS: &[Field] = &[acts("enabled"), section("config", plugins::OAS_CHECK)];

impl Custom {
    /// `None`: nothing of the kind is switched on.
    pub(super) fn classic(root: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        let middleware = root.section("custom_middleware", faults);
        let check = middleware.section("auth_check", faults);
        if !crate::plugins::say_who_calls(root, faults) || check.flag("disabled", faults) {
            return None;
        }
        let found = Self {
            driver: middleware.text("driver", faults).into(),
            function: check.text("name", faults).into(),
            path: check.text("path", faults).into(),
            raw_body_only: check.flag("raw_body_only", faults),
        };
        let in_bundle = !root.text("custom_middleware_bundle", faults).is_empty()
            && !root.flag("custom_middleware_bundle_disabled", faults);
        // What a bundle has is told by the bundle.
        if !in_bundle {
            found.check((&middleware, "driver"), (&check, "name"), faults);
        }
        Some(found)
    }

    pub(super) fn oas(root: &Section<'_>, custom: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let config = custom.section("config", faults);
        let plugins = root
            .section(crate::oas::EXTENSION, faults)
            .section("middleware", faults)
            .section("global", faults)
            .section("pluginConfig", faults);
        let found = Self {
            driver: plugins.text("driver", faults).into(),
            function: config.text("functionName", faults).into(),
            path: config.text("path", faults).into(),
            raw_body_only: config.flag("rawBodyOnly", faults),
        };
        if !plugins.section("bundle", faults).flag("enabled", faults) {
            found.check((&plugins, "driver"), (&config, "functionName"), faults);
        }
        found
    }

    fn check(&self, driver: (&Section<'_>, &str), function: (&Section<'_>, &str), faults: &mut Vec<Fault>) {
        // Of scripts it may be the one whose file is in the folder of the API.
        let named = !self.function.is_empty() || matches!(&*self.driver, "otto" | "javascript");
        for ((holder, key), given, what) in [
            (driver, !self.driver.is_empty(), "what runs the plugin?"),
            (function, named, "which function is it?"),
        ] {
            if !given {
                faults.push(Fault::error(holder.at(key), format!("authentication by a plugin: {what}")));
            }
        }
    }

    pub(super) fn write_classic(&self, definition: &mut Value) {
        definition["custom_plugin_auth_enabled"] = true.into();
        definition["custom_middleware"]["driver"] = json!(self.driver);
        definition["custom_middleware"]["auth_check"] =
            json!({"name": self.function, "path": self.path, "raw_body_only": self.raw_body_only});
    }
}
