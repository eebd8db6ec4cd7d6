//! Plugins in Python (gateway contract 9.4): in processes of their own, each of which serves one call at a time.
//!
//! What is needed is a `python3` with its standard library. A process is started by the gate, speaks with it over a pair of
//! sockets, and is killed when a call takes too long: so a plugin that hangs costs only its own request. It ends when the
//! gate does, however that ends.

mod process;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::code::{Limits, Source};
use crate::grpc::{self, messages::Object, session::SessionState};
use crate::pool::{self, Host, Pool};
use crate::{Call, Fault, Outcome, Outside, Spec};
use process::{Frame, Process};

/// Processes of one API, and so calls at once; more wait.
const MOST: usize = 16;
/// Starting a process and loading the plugins takes no longer.
const LONGEST_START: Duration = Duration::from_secs(20);
/// Where processes die again and again, the next one is started after this, and then after twice as long.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What runs Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The interpreter: a name that is looked for in `PATH`, or a path.
    pub program: String,
    /// Where plugins import from, beside their own folder.
    pub path: Option<PathBuf>,
    /// What a call may take; memory is the system's business.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self { program: "python3".to_owned(), path: None, limits: Limits::default() }
    }
}

/// Where the code is.
#[derive(Debug, Clone, Default)]
pub struct Code {
    /// The bundle whose files it needs.
    pub bundle: Option<Arc<Bundle>>,
    /// The files that are loaded, in their order: paths, or names in the bundle.
    pub files: Vec<PathBuf>,
    /// Code that is in no file.
    pub texts: Vec<Source>,
}

/// The plugins of one API.
pub struct Python {
    settings: Settings,
    outside: Arc<dyn Outside>,
    /// What a process is told first.
    load: Vec<u8>,
    pool: Pool<Process>,
    deaths: Mutex<Deaths>,
    /// The files of the bundle; gone with the plugins.
    _folder: Option<Folder>,
}

impl std::fmt::Debug for Python {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Python").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Processes that died without a call that went well in between.
#[derive(Debug, Default)]
struct Deaths {
    in_a_row: u32,
    not_before: Option<Instant>,
}

impl Python {
    /// Starts a process and loads the plugins, which have to define these names. Blocks.
    ///
    /// # Errors
    /// What is wrong with them, and where.
    pub fn load(
        code: &Code,
        names: &[&str],
        settings: Settings,
        outside: Arc<dyn Outside>,
    ) -> Result<Self, Fault> {
        let folder = code.bundle.as_deref().map(Folder::of).transpose().map_err(Fault::Unusable)?;
        let mut paths: Vec<PathBuf> = folder.iter().map(|folder| folder.0.clone()).collect();
        let mut modules = Vec::new();
        for file in &code.files {
            let file = folder.as_ref().map_or_else(|| file.clone(), |folder| folder.0.join(file));
            // Python itself may stand elsewhere.
            let file = std::path::absolute(&file).unwrap_or(file);
            if let Some(parent) = file.parent().filter(|parent| !paths.iter().any(|path| path == parent)) {
                paths.push(parent.to_owned());
            }
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            modules.push(json!({"name": name, "file": file.to_string_lossy()}));
        }
        for text in &code.texts {
            modules.push(json!({"name": text.stem(), "file": text.name, "text": text.text}));
        }
        paths.extend(settings.path.clone());
        let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
        let load = json!({"paths": paths, "modules": modules, "hooks": names}).to_string().into_bytes();
        let pool = Pool::new(MOST, MOST, settings.limits.time);
        let python = Self { settings, outside, load, pool, deaths: Mutex::default(), _folder: folder };
        let (process, found) = python.begin()?;
        if let Some(missing) = names.iter().find(|name| !found.iter().any(|found| found == **name)) {
            return Err(Fault::Missing((*missing).to_owned()));
        }
        pool::give_back(&python, process);
        Ok(python)
    }

    /// Calls a plugin from its hook.
    ///
    /// # Errors
    /// Why it gives no outcome.
    pub async fn call(self: &Arc<Self>, name: &str, call: &Call<'_>) -> Result<Outcome, Fault> {
        let frame = asked(name, call)?;
        let Frame { text, bodies: [request, answer], .. } = self.ask(frame).await?;
        let mut object: Object =
            serde_json::from_slice(&text).map_err(|why| Fault::Shape(why.to_string()))?;
        if let Some(given) = &mut object.request {
            given.raw_body = request;
        }
        if let Some(given) = &mut object.response {
            given.raw_body = answer;
        }
        Ok(grpc::outcome(object, call))
    }

    /// Has a plugin edit a record, which is JSON before and after.
    ///
    /// # Errors
    /// Why it gives none.
    pub async fn record(self: &Arc<Self>, name: &str, record: &str, spec: &Spec) -> Result<String, Fault> {
        let unusable = |why: serde_json::Error| Fault::Unusable(why.to_string());
        let record: Value = serde_json::from_str(record).map_err(unusable)?;
        let text = json!({"hook_name": name, "record": record, "spec": grpc::spec(spec)});
        let frame = Frame { kind: b'E', text: text.to_string().into_bytes(), ..Frame::default() };
        let given = self.ask(frame).await?;
        String::from_utf8(given.text).map_err(|why| Fault::Shape(why.to_string()))
    }

    /// Sends a frame to a process that has nothing to do.
    async fn ask(self: &Arc<Self>, frame: Frame) -> Result<Frame, Fault> {
        let limit = self.settings.limits.time;
        let given = pool::run(self, move |process| process.ask(&frame, limit)).await;
        match &given {
            Ok(_) | Err(Fault::Thrown(_)) => *self.deaths.lock() = Deaths::default(),
            // Nobody has to wait because one took its time.
            Err(Fault::Late(_)) => {}
            Err(_) => self.died(),
        }
        given
    }

    fn begin(&self) -> Result<(Process, Vec<String>), Fault> {
        let mut process = Process::start(&self.settings.program, Arc::clone(&self.outside))?;
        let frame = Frame { kind: b'L', text: self.load.clone(), ..Frame::default() };
        let given = process.ask(&frame, LONGEST_START).map_err(|fault| match fault {
            Fault::Thrown(text) => Fault::Unusable(format!("the plugins cannot be loaded: {text}")),
            other => other,
        })?;
        let given: Value = serde_json::from_slice(&given.text).unwrap_or_default();
        let found = given["found"].as_array().into_iter().flatten();
        Ok((process, found.filter_map(|name| name.as_str().map(str::to_owned)).collect()))
    }

    fn died(&self) {
        let mut deaths = self.deaths.lock();
        // Who is refused during a pause is no death: a pause that each of them made longer would have no end.
        if deaths.not_before.is_some_and(|when| Instant::now() < when) {
            return;
        }
        deaths.in_a_row = deaths.in_a_row.saturating_add(1);
        // The first one is replaced at once.
        let pause = PAUSE.saturating_mul(1 << deaths.in_a_row.saturating_sub(2).min(10)).min(LONGEST_PAUSE);
        deaths.not_before = (deaths.in_a_row > 1).then(|| Instant::now() + pause);
    }
}

impl Host for Python {
    type Engine = Process;

    fn pool(&self) -> &Pool<Process> {
        &self.pool
    }

    fn make(&self) -> Result<Process, Fault> {
        let wait = self.deaths.lock().not_before.map(|when| when.saturating_duration_since(Instant::now()));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            let text = format!("processes of Python die; the next one is started in {wait:.1?}");
            return Err(Fault::Unusable(text));
        }
        self.begin().map(|(process, _)| process)
    }

    fn is_sound(engine: &Process) -> bool {
        engine.is_sound()
    }
}

fn asked(name: &str, call: &Call<'_>) -> Result<Frame, Fault> {
    let mut object = grpc::question(name, call);
    // Hooks set fields of a session that is not there yet.
    object.session.get_or_insert_with(SessionState::default);
    let mut bodies = [Vec::new(), Vec::new()];
    if let Some(request) = &mut object.request {
        request.body.clear();
        bodies[0] = std::mem::take(&mut request.raw_body);
    }
    if let Some(response) = &mut object.response {
        response.body.clear();
        bodies[1] = std::mem::take(&mut response.raw_body);
    }
    let text = serde_json::to_vec(&json!({"object": object, "raw": call.raw_body_only}));
    Ok(Frame { kind: b'C', text: text.map_err(|why| Fault::Unusable(why.to_string()))?, bodies })
}

/// The files of a bundle, laid out for Python; gone when this is.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn of(bundle: &Bundle) -> Result<Self, String> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let wrong = |path: &Path, why: std::io::Error| format!("{} cannot be written: {why}", path.display());
        let path = loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("sluicegate-python-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            // Only who runs the gate may look into it, or put files there.
            let mut made = std::fs::DirBuilder::new();
            match std::os::unix::fs::DirBuilderExt::mode(&mut made, 0o700).create(&path) {
                Ok(()) => break path,
                // Of a gate that had this number and was killed.
                Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(why) => return Err(wrong(&path, why)),
            }
        };
        let folder = Self(path);
        for (name, content) in &bundle.files {
            let path = folder.0.join(name);
            let parent = path.parent().unwrap_or(&folder.0);
            std::fs::create_dir_all(parent).map_err(|why| wrong(parent, why))?;
            let written = std::fs::File::create(&path)
                .and_then(|mut file| std::io::Write::write_all(&mut file, content));
            written.map_err(|why| wrong(&path, why))?;
        }
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
