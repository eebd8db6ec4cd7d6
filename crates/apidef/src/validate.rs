//! Checks of what a definition says in both formats (contract 2.8), with the contract's words. They also look at
//! sections that are refused or not acted on yet: whoever mends the one should hear of the other.

use crate::fields::in_use;
use crate::section::Section;
use document::Fault;
use serde_json::Value;

/// Load balancing that is on needs a target. `weighs` tells whether an entry takes part.
pub(crate) fn targets(holder: &Section<'_>, key: &str, weighs: fn(&Value) -> bool, faults: &mut Vec<Fault>) {
    let targets = holder.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !targets.iter().any(weighs) {
        let message = "all load balancing targets have weight 0, at least one target must have weight > 0";
        faults.push(Fault::error(holder.at(key), message));
    }
}

/// Names that differ between the formats.
pub(crate) struct UpstreamAuthNames {
    pub(crate) basic: &'static str,
    pub(crate) types: &'static str,
    pub(crate) client_credentials: &'static str,
}

/// Credentials towards an upstream are of one kind.
pub(crate) fn upstream_auth(auth: &Section<'_>, names: &UpstreamAuthNames, faults: &mut Vec<Fault>) {
    let on = |section: &Section<'_>| section.get("enabled").is_some_and(in_use);
    let oauth = auth.section("oauth", faults);
    if !on(auth) || !on(&oauth) {
        return;
    }
    if on(&auth.section(names.basic, faults)) {
        faults.push(Fault::error(auth.pointer.clone(), "multiple upstream authentication modes not allowed"));
    }
    let types = oauth.texts(names.types, faults);
    let (message, section) = match &*types {
        [] => (Some("upstream OAuth authorization type is required"), ""),
        [one] => match &**one {
            "clientCredentials" => (None, names.client_credentials),
            "password" => (None, "password"),
            _ => (Some("invalid OAuth authorization type"), ""),
        },
        _ => (Some("multiple upstream OAuth authorization type not allowed"), ""),
    };
    if let Some(message) = message {
        faults.push(Fault::error(oauth.at(names.types), message));
        return;
    }
    let credentials = oauth.section(section, faults);
    let method = credentials.text("method", faults);
    if !matches!(method, "" | "client_secret_basic" | "client_secret_post") {
        faults.push(Fault::error(
            credentials.at("method"),
            "invalid upstream OAuth client authentication method, valid values are: client_secret_basic, client_secret_post",
        ));
    }
}
