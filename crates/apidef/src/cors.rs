//! Which pages of other origins may call an API from a browser (contract 2.3, 8.7).

use crate::fields::{Field, acts, ignored};
use crate::section::Section;
use document::Fault;
use serde_json::{Value, json};

/// The rules of cross-origin requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Origins, in lower case; `*` stands for any text in one of them, and alone for all.
    pub origins: Box<[Box<str>]>,
    /// Methods, upper case.
    pub methods: Box<[Box<str>]>,
    /// Request header fields, in lower case; `*` for all.
    pub headers: Box<[Box<str>]>,
    /// Response header fields that pages may read.
    pub exposed: Box<[Box<str>]>,
    /// Requests may carry credentials of the browser.
    pub credentials: bool,
    /// Seconds for which a browser may believe an answer to its question; 0 = it decides.
    pub max_age: u32,
    /// Questions of browsers, and all other requests with `OPTIONS`, go to the upstream, past every guard.
    pub passthrough: bool,
}

/// What counts where a list is empty.
const ORIGINS: &[&str] = &["*"];
const METHODS: &[&str] = &["GET", "POST", "HEAD"];
const HEADERS: &[&str] = &["origin", "accept", "content-type", "x-requested-with"];

/// What keys are called in one of the formats.
struct Names {
    enabled: &'static str,
    origins: &'static str,
    methods: &'static str,
    headers: &'static str,
    exposed: &'static str,
    credentials: &'static str,
    max_age: &'static str,
    passthrough: &'static str,
}

const CLASSIC_NAMES: Names = Names {
    enabled: "enable",
    origins: "allowed_origins",
    methods: "allowed_methods",
    headers: "allowed_headers",
    exposed: "exposed_headers",
    credentials: "allow_credentials",
    max_age: "max_age",
    passthrough: "options_passthrough",
};

const OAS_NAMES: Names = Names {
    enabled: "enabled",
    origins: "allowedOrigins",
    methods: "allowedMethods",
    headers: "allowedHeaders",
    exposed: "exposedHeaders",
    credentials: "allowCredentials",
    max_age: "maxAge",
    passthrough: "optionsPassthrough",
};

const fn fields(names: &'static Names) -> [Field; 9] {
    [
        acts(names.enabled),
        acts(names.origins),
        acts(names.methods),
        acts(names.headers),
        acts(names.exposed),
        acts(names.credentials),
        acts(names.max_age),
        acts(names.passthrough),
        ignored("debug"),
    ]
}

pub(crate) const CLASSIC: &[Field] = &fields(&CLASSIC_NAMES);
pub(crate) const OAS: &[Field] = &fields(&OAS_NAMES);

pub(crate) fn read_classic(root: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Box<Cors>> {
    read(&root.section("CORS", faults), &CLASSIC_NAMES, faults)
}

pub(crate) fn read_oas(global: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Box<Cors>> {
    read(&global.section("cors", faults), &OAS_NAMES, faults)
}

fn read(section: &Section<'_>, names: &Names, faults: &mut Vec<Fault>) -> Option<Box<Cors>> {
    if !section.flag(names.enabled, faults) {
        return None;
    }
    let mut list = |key: &str, usual: &[&str], change: fn(&str) -> String| {
        let written = section.texts(key, faults);
        if written.is_empty() {
            return usual.iter().map(|text| (*text).into()).collect();
        }
        written.iter().map(|text| change(text.trim()).into()).collect::<Box<[Box<str>]>>()
    };
    let (origins, methods) =
        (list(names.origins, ORIGINS, str::to_lowercase), list(names.methods, METHODS, str::to_uppercase));
    let headers = list(names.headers, HEADERS, str::to_lowercase);
    let exposed = list(names.exposed, &[], str::to_owned);
    let credentials = section.flag(names.credentials, faults);
    if credentials && origins.iter().any(|origin| &**origin == "*") {
        let text = "browsers do not send credentials where every origin is allowed";
        let fault = Fault::warning(section.at(names.credentials), text).on_key();
        faults.push(fault.hint(format!("name the origins in `{}`", names.origins)));
    }
    let max_age = section.number(names.max_age, faults);
    Some(Box::new(Cors {
        origins,
        methods,
        headers,
        exposed,
        credentials,
        max_age: max_age.clamp(0.0, f64::from(u32::MAX)) as u32,
        passthrough: section.flag(names.passthrough, faults),
    }))
}

/// The same in a classic definition.
pub(crate) fn write_classic(cors: Option<&Cors>, definition: &mut Value) {
    definition["CORS"] = match cors {
        None => json!({"enable": false}),
        Some(cors) => json!({
            "enable": true,
            "allowed_origins": cors.origins,
            "allowed_methods": cors.methods,
            "allowed_headers": cors.headers,
            "exposed_headers": cors.exposed,
            "allow_credentials": cors.credentials,
            "max_age": cors.max_age,
            "options_passthrough": cors.passthrough,
        }),
    };
}
