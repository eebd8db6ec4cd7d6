//! `sluicegate stream test`: the tests that stand beside configurations (streams contract 5.12).

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bloblang::Value;
use document::{Fault, nearest, pointer_join};
use serde_json::{Map, Value as Json, json};
use streams::{Batch, Message, Processors, Settings};

use super::cli::With;
use super::condition::{Beside, file, unmet};
use super::environment::{self, Given};
use super::lint::{check, sort_out};
use super::source::Source;
use super::{FAILED, UNREADABLE, fail, settings, settings_with};
use crate::cli::Form;
use crate::components;
use crate::lint::{files, tell};

/// What the file of tests beside a configuration is named after it.
const BESIDE: [&str; 2] = ["_bento_test", "_benthos_test"];

/// What a test may hold.
const FIELDS: [&str; 8] = [
    "name",
    "environment",
    "target_processors",
    "target_mapping",
    "mocks",
    "input_batch",
    "input_batches",
    "output_batches",
];

/// Runs the tests of all these files.
pub(super) fn test(paths: &[PathBuf], with: &With) -> ExitCode {
    let given = match environment::read(&with.env_file) {
        Ok(given) => given,
        Err(error) => return fail(UNREADABLE, &error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(FAILED, &format!("cannot start: {error}")),
    };
    let mut configurations: Vec<PathBuf> = Vec::new();
    for path in paths {
        match files(path) {
            Ok(found) => {
                for file in found.iter().map(|file| tested(file)) {
                    if !configurations.contains(&file) {
                        configurations.push(file);
                    }
                }
            }
            Err(error) => return fail(UNREADABLE, &format!("cannot read {}: {error}", path.display())),
        }
    }
    let (mut passed, mut failed) = (0, 0);
    for path in configurations {
        let outcome = runtime.block_on(Suite { path: &path, with, given: &given }.run());
        let out = &mut io::stdout().lock();
        // A reader that went away has seen what it wanted; the exit code tells the rest.
        let _ = match outcome {
            Err(code) => return code,
            Ok(cases) if cases.is_empty() => Ok(()),
            Ok(cases) => {
                let wrong = cases.iter().filter(|case| !case.faults.is_empty()).count();
                failed += wrong;
                passed += cases.len() - wrong;
                show(out, &path, &cases)
            }
        };
    }
    if passed + failed == 0 {
        return fail(FAILED, "there is no test in any of these files");
    }
    let _ = writeln!(io::stdout().lock(), "{passed} passed, {failed} failed");
    if failed > 0 { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
}

fn show(out: &mut impl Write, path: &Path, cases: &[Case]) -> io::Result<()> {
    for case in cases {
        if case.faults.is_empty() {
            writeln!(out, "{}: ok: {}", path.display(), case.name)?;
            continue;
        }
        writeln!(out, "{}: FAILED: {}", path.display(), case.name)?;
        for fault in &case.faults {
            writeln!(out, "  {fault}")?;
        }
    }
    Ok(())
}

/// The configuration that a file is about: itself, or the one that it is named after.
fn tested(file: &Path) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    match BESIDE.iter().find_map(|end| stem.strip_suffix(end)) {
        None => file.to_owned(),
        Some(name) => {
            let with = |extension: &str| file.with_file_name(format!("{name}.{extension}"));
            let own = with(&file.extension().unwrap_or_default().to_string_lossy());
            ["yaml", "yml", "json"].into_iter().map(with).find(|path| path.is_file()).unwrap_or(own)
        }
    }
}

/// The tests of one configuration.
struct Suite<'a> {
    path: &'a Path,
    with: &'a With,
    given: &'a Given,
}

struct Case {
    name: String,
    faults: Vec<String>,
}

impl Suite<'_> {
    async fn run(&self) -> Result<Vec<Case>, ExitCode> {
        let settings = settings_with(self.with, self.given)?;
        let config = self.config(self.given, &settings)?;
        let (mut tests, mut cases) = (Vec::new(), Vec::new());
        let found = std::iter::once(written(config.get("tests"))).chain(self.beside()?);
        for found in found {
            match found {
                Ok(more) => tests.extend(more),
                Err(fault) => cases.push(Case { name: "tests".to_owned(), faults: vec![fault] }),
            }
        }
        for (index, test) in tests.iter().enumerate() {
            let name = test["name"].as_str().map_or_else(|| format!("test {index}"), str::to_owned);
            let faults = match self.case(test, &config, &settings).await {
                Ok(faults) => faults,
                Err(CaseFault::Told(text)) => vec![text],
                Err(CaseFault::Exit(code)) => return Err(code),
            };
            cases.push(Case { name, faults });
        }
        Ok(cases)
    }

    /// The configuration with its resources, checked; what is wrong is told at once.
    fn config(&self, given: &Given, settings: &Settings) -> Result<Json, ExitCode> {
        let (reports, unreadable, config) = match check(self.path, self.with, given, settings) {
            Ok((merged, reports)) => (reports, Vec::new(), merged.value),
            Err(unread) => {
                let (mut reports, mut unreadable) = (Vec::new(), Vec::new());
                sort_out(unread, &mut reports, &mut unreadable);
                (reports, unreadable, Json::Null)
            }
        };
        let wrong = reports.iter().flat_map(|report| &report.faults).any(Fault::is_error);
        if wrong || !unreadable.is_empty() {
            return Err(tell(&reports, &unreadable, Form::Human, &mut io::stderr().lock()));
        }
        Ok(config)
    }

    /// The tests in the files beside the configuration, or why one has none.
    fn beside(&self) -> Result<Vec<Result<Vec<Json>, String>>, ExitCode> {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let mut tests = Vec::new();
        for end in BESIDE {
            for extension in ["yaml", "yml", "json"] {
                let path = self.path.with_file_name(format!("{stem}{end}.{extension}"));
                if !path.is_file() {
                    continue;
                }
                match Source::read(&path, self.given) {
                    Ok(source) => tests.push(match source.document.value().get("tests") {
                        None => Err(format!("{}: there are no `tests`", path.display())),
                        found => written(found).map_err(|fault| format!("{}: {fault}", path.display())),
                    }),
                    Err(unread) => {
                        let (mut reports, mut unreadable) = (Vec::new(), Vec::new());
                        sort_out(vec![unread], &mut reports, &mut unreadable);
                        return Err(tell(&reports, &unreadable, Form::Human, &mut io::stderr().lock()));
                    }
                }
            }
        }
        Ok(tests)
    }

    async fn case(&self, test: &Json, config: &Json, settings: &Settings) -> Result<Vec<String>, CaseFault> {
        if let Some(unknown) =
            test.as_object().into_iter().flatten().find(|(key, _)| !FIELDS.contains(&key.as_str()))
        {
            let near = nearest(unknown.0, FIELDS.into_iter());
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(format!("unknown field `{}` in a test{near}", unknown.0).into());
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let own_settings;
        let mut with_files = settings.clone();
        with_files.environment = super::beside(settings, self.path);
        let mut settings = &with_files;
        let mut config = config.clone();
        let environment = test["environment"].as_object();
        if let Some(own) = environment.filter(|own| !own.is_empty()) {
            let mut given = self.given.clone();
            let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            given.extend(own.iter().map(|(name, value)| (name.clone(), text(value))));
            let mut own = self::settings(components::registry(), &given);
            own.templates = settings.templates.clone();
            own.environment = super::beside(&own, self.path);
            own_settings = own;
            settings = &own_settings;
            config = self.config(&given, settings).map_err(CaseFault::Exit)?;
        }
        let target = match test["target_mapping"].as_str().filter(|file| !file.is_empty()) {
            Some(name) => {
                config = json!({"pipeline": {"processors": [{"mapping": file(folder, name)?}]}});
                "/pipeline/processors".to_owned()
            }
            None => {
                let target = test["target_processors"].as_str().unwrap_or("/pipeline/processors");
                let (other, target) = target.split_once('#').unwrap_or(("", target));
                if !other.is_empty() {
                    let path = folder.join(other);
                    let suite = Suite { path: &path, with: self.with, given: self.given };
                    config = suite.config(self.given, settings).map_err(CaseFault::Exit)?;
                }
                place(&config, target)?
            }
        };
        mock(&mut config, test.get("mocks"))?;
        let faults = streams::lint(&config, "", settings);
        if let Some(fault) = faults.iter().find(|fault| fault.is_error()) {
            return Err(format!("{}: {}", fault.pointer, fault.message).into());
        }
        let processors = Processors::of_config(&config, &target, settings)
            .map_err(|fault| format!("{}: {}", fault.pointer, fault.message))?;
        let mut made = Vec::new();
        for batch in batches(test, folder)? {
            made.extend(processors.run(batch).await);
        }
        let beside = Beside { folder, environment: &settings.environment };
        Ok(compare(&list(test.get("output_batches")), &made, &beside))
    }
}

/// Why a case has no result.
enum CaseFault {
    Told(String),
    /// It was told already.
    Exit(ExitCode),
}

impl From<String> for CaseFault {
    fn from(text: String) -> CaseFault {
        CaseFault::Told(text)
    }
}

/// What differs between what is expected and what came out.
fn compare(expected: &[Json], made: &[Batch], beside: &Beside<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    if expected.len() != made.len() {
        faults.push(format!("expected {} batches, {} came out", expected.len(), made.len()));
    }
    for (number, (expected, batch)) in expected.iter().zip(made).enumerate() {
        let expected = list(Some(expected));
        if expected.len() != batch.len() {
            let (wanted, found) = (expected.len(), batch.len());
            faults.push(format!("batch {number}: expected {wanted} messages, {found} came out"));
        }
        for (index, conditions) in expected.iter().enumerate().take(batch.len()) {
            let unmet = unmet(conditions, batch, index, beside);
            faults.extend(unmet.into_iter().map(|text| format!("batch {number} message {index}: {text}")));
            if let Some(error) = batch[index].error().filter(|_| !faults.is_empty()) {
                faults.push(format!("batch {number} message {index} carries the error: {error}"));
            }
        }
    }
    for (number, batch) in made.iter().enumerate().skip(expected.len()) {
        for (index, message) in batch.iter().enumerate() {
            let text = String::from_utf8_lossy(message.bytes());
            faults.push(format!("batch {number} message {index} was not expected: {text}"));
        }
    }
    faults
}

/// The tests that are written; none where nothing is.
fn written(tests: Option<&Json>) -> Result<Vec<Json>, String> {
    match tests {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::Array(tests)) => Ok(tests.clone()),
        Some(_) => Err("`tests` must be a list".to_owned()),
    }
}

fn list(value: Option<&Json>) -> Vec<Json> {
    value.and_then(Json::as_array).cloned().unwrap_or_default()
}

/// The pointer that a pointer or a label means.
fn place(config: &Json, target: &str) -> Result<String, String> {
    if target.is_empty() || target.starts_with('/') {
        return Ok(target.to_owned());
    }
    labelled(config, target, "").ok_or_else(|| format!("no component has the label `{target}`"))
}

/// Where the component of a label stands.
fn labelled(value: &Json, label: &str, pointer: &str) -> Option<String> {
    match value {
        Json::Object(members) if members.get("label").and_then(Json::as_str) == Some(label) => {
            Some(pointer.to_owned())
        }
        Json::Object(members) => {
            members.iter().find_map(|(key, member)| labelled(member, label, &pointer_join(pointer, key)))
        }
        Json::Array(items) => (items.iter().enumerate())
            .find_map(|(index, item)| labelled(item, label, &pointer_join(pointer, &index.to_string()))),
        _ => None,
    }
}

/// Puts other processors in the place of some.
fn mock(config: &mut Json, mocks: Option<&Json>) -> Result<(), String> {
    let none = Map::new();
    for (target, replacement) in mocks.and_then(Json::as_object).unwrap_or(&none) {
        let pointer = place(config, target)?;
        let Some(found) = config.pointer_mut(&pointer) else {
            return Err(format!("`mocks`: the configuration has nothing at `{pointer}`"));
        };
        let label = found.get("label").cloned();
        *found = replacement.clone();
        // Others may refer to it by its label.
        if let (Some(label), Some(members)) = (label, found.as_object_mut()) {
            members.entry("label").or_insert(label);
        }
    }
    Ok(())
}

/// The batches that a test gives.
fn batches(test: &Json, folder: &Path) -> Result<Vec<Batch>, String> {
    let mut all = list(test.get("input_batches"));
    all.extend(test.get("input_batch").cloned());
    if all.is_empty() {
        return Err("the test gives nothing: write `input_batch`".to_owned());
    }
    let batch = |batch: &Json| {
        let messages = batch.as_array().ok_or("a batch of a test must be a list of messages")?;
        messages.iter().map(|item| message(item, folder)).collect()
    };
    all.iter().map(batch).collect()
}

/// What a message of a test may say.
const MESSAGE: [&str; 4] = ["content", "json_content", "file_content", "metadata"];

fn message(item: &Json, folder: &Path) -> Result<Message, String> {
    let members = item.as_object().ok_or("a message of a test must be an object")?;
    if let Some(unknown) = members.keys().find(|key| !MESSAGE.contains(&key.as_str())) {
        let near = nearest(unknown, MESSAGE.into_iter());
        let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        return Err(format!("unknown field `{unknown}` in a message of a test{near}"));
    }
    let mut message = match (item.get("json_content"), item["file_content"].as_str()) {
        (Some(content), _) => Message::new(content.to_string()),
        (None, Some(name)) => Message::new(file(folder, name)?),
        (None, None) => {
            Message::new(item["content"].as_str().map_or_else(|| plain(item.get("content")), str::to_owned))
        }
    };
    let none = Map::new();
    for (key, value) in item["metadata"].as_object().unwrap_or(&none) {
        message.set_meta(key.as_str(), Value::from(value.clone()));
    }
    Ok(message)
}

/// YAML reads `content: 5` as a number.
fn plain(content: Option<&Json>) -> String {
    content.filter(|content| !content.is_null()).map_or_else(String::new, Json::to_string)
}
