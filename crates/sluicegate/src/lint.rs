//! `sluicegate lint`: every fault of definitions, stream configurations, policies and configuration files, with its
//! place. Nothing is connected or started.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use apidef::{Definition, Policy, Session};
use document::{Document, Fault, Format};
use gateway::Gate;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use streams::placeholders;

use crate::cli::Form;
use crate::config::Config;
use crate::{components, config};

const FAULTS_FOUND: u8 = 1;
const UNREADABLE: u8 = 2;

/// Where an OAS definition holds its streams (contract 3.7).
const STREAMS: &str = "/x-tyk-streaming/streams";

/// What a file was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Oas,
    Classic,
    Policy,
    Policies,
    Key,
    Stream,
    Configuration,
    Manifest,
    Unknown,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Oas => "oas definition",
            Kind::Classic => "classic definition",
            Kind::Policy => "policy",
            Kind::Policies => "policies",
            Kind::Key => "key",
            Kind::Stream => "stream configuration",
            Kind::Configuration => "configuration",
            Kind::Manifest => "manifest of a bundle",
            Kind::Unknown => "unknown",
        }
    }
}

/// By which settings it is judged.
pub(crate) struct Judge {
    streams: streams::Settings,
    /// A gate as it would run; none: no particular one.
    gate: Option<Arc<Gate>>,
}

impl Default for Judge {
    fn default() -> Self {
        Self { streams: components::lint_settings(), gate: None }
    }
}

impl Judge {
    /// A gate that runs with this configuration.
    ///
    /// # Errors
    /// Why it could not start.
    pub(crate) fn of(config: &Config) -> Result<Self, String> {
        let gate = crate::run::judge(config)?;
        let streams =
            streams::Settings { allow_unsafe: config.streaming.allow_unsafe.clone(), ..gate.streams.clone() };
        Ok(Self { streams, gate: Some(gate) })
    }
}

/// What is to be told about one file.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) path: String,
    pub(crate) kind: Kind,
    /// As it may be shown: the secrets of a configuration are covered.
    pub(crate) text: String,
    pub(crate) faults: Vec<Fault>,
}

/// Checks the files, and the definitions and configurations in the folders, and tells what was found on `out`.
/// Blocking. The exit code is 0 without faults, 1 with faults, 2 when a file could not be read.
pub(crate) fn lint(paths: &[PathBuf], judge: &Judge, form: Form, out: &mut dyn Write) -> ExitCode {
    let mut reports = Vec::new();
    let mut unreadable = Vec::new();
    for path in paths {
        match files(path) {
            Ok(found) if found.is_empty() => {
                unreadable.push((
                    path.display().to_string(),
                    "the folder holds no *.json, *.yaml or *.yml".to_owned(),
                ));
            }
            Ok(found) => {
                for file in found {
                    match read(&file) {
                        Ok(bytes) => reports.push(inspect(&file, bytes, judge)),
                        Err(error) => unreadable.push((file.display().to_string(), error.to_string())),
                    }
                }
            }
            Err(error) => unreadable.push((path.display().to_string(), error.to_string())),
        }
    }
    tell(&reports, &unreadable, form, out)
}

/// Tells what was found; gives the exit code.
pub(crate) fn tell(
    reports: &[Report],
    unreadable: &[(String, String)],
    form: Form,
    out: &mut dyn Write,
) -> ExitCode {
    let errors = reports.iter().flat_map(|report| &report.faults).filter(|fault| fault.is_error()).count();
    let told = match form {
        Form::Human => tell_people(reports, unreadable, out),
        Form::Json => tell_programs(reports, unreadable, out),
    };
    match () {
        // A reader that went away (`| head`) has seen what it wanted; the exit code still tells.
        () if !unreadable.is_empty() || told.is_err_and(|e| e.kind() != io::ErrorKind::BrokenPipe) => {
            ExitCode::from(UNREADABLE)
        }
        () if errors > 0 => ExitCode::from(FAULTS_FOUND),
        () => ExitCode::SUCCESS,
    }
}

/// The file itself, or what a folder holds, at any depth, in order.
pub(crate) fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.metadata()?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir()? {
            let entry = entry?;
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            let kind = entry.file_type()?; // of the link itself, so that no loop of links is followed
            let path = entry.path();
            let extension = path.extension().and_then(|e| e.to_str());
            match () {
                () if hidden => {}
                () if kind.is_dir() => folders.push(path),
                () if matches!(extension, Some("json" | "yaml" | "yml")) => found.push(path),
                () => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

#[expect(clippy::disallowed_methods, reason = "a tool without async threads")]
fn read(path: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(path)
}

fn inspect(path: &Path, bytes: Vec<u8>, judge: &Judge) -> Report {
    let name = path.display().to_string();
    let alone =
        |text: String, fault| Report { path: name.clone(), kind: Kind::Unknown, text, faults: vec![fault] };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            return alone(
                String::new(),
                Fault::error("", format!("not UTF-8 text: byte {at} cannot be read")),
            );
        }
    };
    let format = config::format_of(path, &text);
    let document = match Document::parse(text.as_str(), format) {
        Ok(document) => document,
        Err(fault) => return alone(text, fault),
    };
    let kind = kind_of(document.value());
    let mut faults = match kind {
        Kind::Oas | Kind::Classic => judge.definition(&document, format, kind),
        Kind::Policy => shape::<Policy>(document.value(), "", "policy"),
        Kind::Key => shape::<Session>(document.value(), "", "key"),
        Kind::Policies => policies(document.value()),
        Kind::Stream => judge.stream("stream", document.value(), ""),
        Kind::Configuration => config::faults(&document),
        Kind::Manifest => manifest(document.value()),
        Kind::Unknown => vec![Fault::error("", "cannot tell what this file is").hint(
            "a definition has `openapi` or `proxy`, a stream `input` and `output`, a policy `access_rights`",
        )],
    };
    if kind != Kind::Configuration {
        faults.extend(document.repeated_keys()); // a configuration's check tells them itself
    }
    streams::locate(&document, &mut faults);
    faults.sort_by_key(|fault| fault.place.map(|place| (place.line, place.column)));
    let text = if kind == Kind::Configuration { config::mask(&text, document.value()) } else { text };
    Report { path: name, kind, text, faults }
}

/// The faults of what a bundle of plugins says of itself.
fn manifest(value: &Value) -> Vec<Fault> {
    const PLUGINS: &str = "custom_middleware";
    let plugins = value.get(PLUGINS).cloned().unwrap_or_default();
    let Err(mut faults) = apidef::of_bundle(&plugins) else { return Vec::new() };
    for fault in &mut faults {
        fault.pointer = format!("/{PLUGINS}{}", fault.pointer);
    }
    faults
}

/// Tells by its content what a document is.
fn kind_of(value: &Value) -> Kind {
    const OAS: &[&str] = &["openapi", "x-tyk-api-gateway", "x-tyk-streaming"];
    const CLASSIC: &[&str] = &["api_id", "proxy", "version_data"];
    const STREAM: &[&str] = &[
        "input",
        "output",
        "pipeline",
        "buffer",
        "input_resources",
        "processor_resources",
        "output_resources",
        "cache_resources",
        "rate_limit_resources",
    ];
    let Some(members) = value.as_object() else { return Kind::Unknown };
    let has = |names: &[&str]| names.iter().any(|name| members.contains_key(*name));
    // What policies and keys share, and what only a policy has.
    let grants = |value: &Value| {
        const GRANTS: &[&str] = &["access_rights", "quota_max", "rate", "partitions", "key_expires_in"];
        value.as_object().is_some_and(|policy| GRANTS.iter().any(|name| policy.contains_key(*name)))
    };
    const POLICY: &[&str] = &["id", "_id", "name", "partitions", "key_expires_in", "active"];
    match () {
        () if has(OAS) => Kind::Oas,
        () if has(&["file_list"]) => Kind::Manifest,
        () if has(CLASSIC) => Kind::Classic,
        () if has(STREAM) => Kind::Stream,
        () if grants(value) && has(POLICY) => Kind::Policy,
        () if grants(value) => Kind::Key,
        () if members.keys().any(|name| config::knows(name)) => Kind::Configuration,
        () if !members.is_empty() && members.values().all(grants) => Kind::Policies,
        () => Kind::Unknown,
    }
}

impl Judge {
    fn definition(&self, document: &Document, format: Format, kind: Kind) -> Vec<Fault> {
        // Definitions are JSON. One that is written in YAML is checked as the same JSON; its places are found in the YAML.
        let text = match format {
            Format::Json => document.text().to_owned(),
            Format::Yaml => document.value().to_string(),
        };
        let parsed = match kind {
            Kind::Oas => Definition::parse_oas(&text),
            _ => Definition::parse_classic(&text),
        };
        let (parsed, mut faults) = match parsed {
            Ok(definition) => {
                let warnings = definition.warnings.clone();
                (Some(definition), warnings)
            }
            Err(faults) => (None, faults),
        };
        if format == Format::Yaml {
            faults.iter_mut().for_each(|fault| fault.place = None);
        }
        // The streams inside, even where the definition around them is refused: all faults are told at once.
        let streams = document.value().pointer(STREAMS).and_then(Value::as_object).into_iter().flatten();
        for (name, stream) in streams {
            faults.extend(self.stream(name, stream, &document::pointer_join(STREAMS, name)));
        }
        if let (Some(gate), Some(definition)) = (&self.gate, parsed)
            && !faults.iter().any(Fault::is_error)
        {
            faults.extend(gateway::reload::check(gate, definition));
        }
        // Only a running gate knows what they stand for, but for the secrets of a configuration that was looked at.
        let elsewhere = apidef::references::pointers(document.value());
        let known = |fault: &Fault| fault.message.starts_with("there is no value for `$secret_");
        faults.retain(|fault| !elsewhere.contains(&fault.pointer) || known(fault));
        faults
    }

    /// The faults of one stream: those that its tables tell, and where there are none, those that only building finds.
    fn stream(&self, name: &str, value: &Value, pointer: &str) -> Vec<Fault> {
        let (_, mut faults) = placeholders::placeholders(value, pointer, &self.streams);
        let value = match &self.gate {
            None => value.clone(),
            Some(_) => match placeholders::with_secrets(value, pointer, &self.streams) {
                Ok(value) => value,
                Err(missing) => {
                    faults.extend(missing);
                    value.clone()
                }
            },
        };
        let value = placeholders::sampled(&value, &self.streams);
        faults.extend(streams::lint(&value, pointer, &self.streams));
        if !faults.iter().any(Fault::is_error)
            && let Err(built) = streams::build(name, &value, pointer, &self.streams)
        {
            faults.extend(built.into_iter().filter(Fault::is_error));
        }
        faults
    }
}

/// Whether the value has the shape of what it was taken for.
fn shape<T: DeserializeOwned>(value: &Value, pointer: &str, name: &str) -> Vec<Fault> {
    match serde_json::from_value::<T>(value.clone()) {
        Ok(_) => Vec::new(),
        Err(error) => vec![Fault::error(pointer, format!("not a {name}: {error}"))],
    }
}

fn policies(value: &Value) -> Vec<Fault> {
    let members = value.as_object().into_iter().flatten();
    members
        .flat_map(|(id, value)| shape::<Policy>(value, &document::pointer_join("", id), "policy"))
        .collect()
}

fn tell_people(reports: &[Report], unreadable: &[(String, String)], out: &mut dyn Write) -> io::Result<()> {
    let (mut errors, mut warnings) = (0, 0);
    for report in reports {
        for fault in &report.faults {
            if fault.is_error() {
                errors += 1
            } else {
                warnings += 1
            }
            writeln!(out, "{}\n", document::render(&report.path, &report.text, fault).trim_end())?;
        }
    }
    for (path, error) in unreadable {
        writeln!(out, "{path}: cannot be read: {error}\n")?;
    }
    let count = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
    let mut summary = format!(
        "{} checked: {}, {}",
        count(reports.len(), "file"),
        count(errors, "error"),
        count(warnings, "warning")
    );
    if !unreadable.is_empty() {
        summary.push_str(&format!(", {} not readable", unreadable.len()));
    }
    writeln!(out, "{summary}")
}

fn tell_programs(reports: &[Report], unreadable: &[(String, String)], out: &mut dyn Write) -> io::Result<()> {
    let count = |errors: bool| {
        reports.iter().flat_map(|report| &report.faults).filter(|f| f.is_error() == errors).count()
    };
    let files: Vec<Value> = reports
        .iter()
        .map(|report| json!({ "path": report.path, "kind": report.kind.as_str(), "faults": report.faults }))
        .collect();
    let unreadable: Vec<Value> =
        unreadable.iter().map(|(path, error)| json!({ "path": path, "error": error })).collect();
    let answer =
        json!({ "files": files, "unreadable": unreadable, "errors": count(true), "warnings": count(false) });
    writeln!(out, "{answer:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_tells_what_a_file_is() {
        for (text, kind) in [
            (r#"{"openapi": "3.0.3", "x-tyk-api-gateway": {}}"#, Kind::Oas),
            (r#"{"api_id": "a", "proxy": {"listen_path": "/a/"}}"#, Kind::Classic),
            (r#"{"input": {"generate": {}}, "output": {"drop": {}}}"#, Kind::Stream),
            (r#"{"name": "gold", "rate": 1, "per": 1, "access_rights": {}}"#, Kind::Policy),
            (r#"{"rate": 1, "per": 1, "access_rights": {}}"#, Kind::Key),
            (r#"{"gold": {"access_rights": {}}, "free": {"rate": 1, "per": 1}}"#, Kind::Policies),
            (r#"{"listen_port": 8080, "storage": {"type": "redis"}}"#, Kind::Configuration),
            (r#"{"streaming": {"enabled": true}, "whatever": 1}"#, Kind::Configuration),
            (r#"{"name": "x"}"#, Kind::Unknown),
            (r#"[]"#, Kind::Unknown),
            (r#"{}"#, Kind::Unknown),
        ] {
            assert_eq!(kind_of(&serde_json::from_str(text).unwrap()), kind, "{text}");
        }
    }

    fn report(name: &str, text: &str) -> Report {
        inspect(Path::new(name), text.as_bytes().to_vec(), &Judge::default())
    }

    fn told(report: Report) -> String {
        let mut out = Vec::new();
        tell_people(&[report], &[], &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_configuration_is_checked_and_its_secrets_are_covered() {
        let text = told(report("tyk.conf", r#"{"secret": "canary-5", "listen_port": "x"}"#));
        assert!(text.contains("tyk.conf:1:39: error: `listen_port`: expected a whole number"), "{text}");
        assert!(!text.contains("canary-5"), "{text}");
        assert!(text.ends_with("1 file checked: 1 error, 0 warnings\n"), "{text}");
    }

    #[test]
    fn texts_that_cannot_be_parsed_are_faults_with_a_place() {
        let text = told(report("a.json", "{\"openapi\": \n  nope}"));
        assert!(text.starts_with("a.json:2:4: error: not valid JSON"), "{text}");
        let text = told(inspect(Path::new("b.json"), vec![b'{', 0xff], &Judge::default()));
        assert!(text.contains("not UTF-8 text: byte 1"), "{text}");
    }

    #[test]
    fn faults_of_streams_are_found_inside_definitions_and_alone() {
        let stream = r#"{"input": {"generat": {"mapping": "root = 1"}}, "output": {"drop": {}}}"#;
        let alone = told(report("stream.json", stream));
        assert!(alone.contains("generat"), "{alone}");
        assert!(alone.contains("generate"), "no proposal: {alone}");
        let text = format!(
            r#"{{"openapi": "3.0.3", "info": {{"title": "t", "version": "1"}}, "paths": {{}},
            "x-tyk-api-gateway": {{"info": {{"name": "t", "id": "t", "state": {{"active": true}}}},
              "server": {{"listenPath": {{"value": "/t/"}}}}, "upstream": {{"url": ""}}}},
            "x-tyk-streaming": {{"streams": {{"s": {stream}}}}}}}"#
        );
        let report = report("oas.json", &text);
        let fault = report.faults.iter().find(|fault| fault.message.contains("generat"));
        let fault = fault.unwrap_or_else(|| panic!("{report:?}"));
        assert!(fault.pointer.starts_with("/x-tyk-streaming/streams/s/input"), "{fault:?}");
        assert!(fault.place.is_some());
    }

    #[test]
    fn a_fault_in_a_mapping_is_shown_where_it_stands_in_the_file() {
        let yaml =
            "input:\n  generate:\n    mapping: |\n      root.a = 1\n      root.b = )\noutput:\n  drop: {}\n";
        let report = report("stream.yaml", yaml);
        let places: Vec<_> = report.faults.iter().filter_map(|fault| fault.place).map(|p| p.line).collect();
        assert_eq!(places, [5], "{report:?}");
    }

    #[test]
    fn programs_get_one_object() {
        let mut out = Vec::new();
        let reports =
            [report("p.json", r#"{"name": "gold", "rate": "much", "per": 1, "access_rights": {}}"#)];
        tell_programs(&reports, &[("gone.json".into(), "no such file".into())], &mut out).unwrap();
        let answer: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(answer["files"][0]["kind"], "policy");
        assert_eq!(answer["files"][0]["faults"][0]["severity"], "error");
        assert_eq!((&answer["errors"], &answer["warnings"]), (&json!(1), &json!(0)));
        assert_eq!(answer["unreadable"][0]["path"], "gone.json");
    }

    #[test]
    fn exit_codes_are_for_scripts() {
        let folder = std::env::temp_dir().join(format!("sluicegate-lint-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a test without async threads")]
        let file = |name: &str, text: &str| {
            std::fs::write(folder.join(name), text).map(|()| folder.join(name)).unwrap()
        };
        let good = file("good.json", r#"{"listen_port": 8080}"#);
        let bad = file("bad.json", r#"{"listen_port": []}"#);
        let absent = folder.join("absent.json");
        let code = |paths: &[&PathBuf]| {
            let paths: Vec<PathBuf> = paths.iter().map(|path| (*path).clone()).collect();
            format!("{:?}", lint(&paths, &Judge::default(), Form::Json, &mut Vec::new()))
        };
        let expected = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(code(&[&good]), expected(0));
        assert_eq!(code(&[&good, &bad]), expected(1));
        assert_eq!(code(&[&folder]), expected(1));
        assert_eq!(code(&[&bad, &absent]), expected(2));
        let _ = std::fs::remove_dir_all(&folder);
    }
}
