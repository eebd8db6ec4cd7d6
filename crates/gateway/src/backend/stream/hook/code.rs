//! The code of a hook: in its configuration, in a file, or in a bundle.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use document::Fault;
use plugins::bundle::{self, Bundle};
use plugins::javascript::Source;
use plugins::{lua, python};
use streams::{BuildContext, Node};

/// Largest code, in bytes.
const LARGEST: usize = 16 << 20;

/// The code of a hook.
pub(super) struct Code {
    /// The field that it is in.
    field: &'static str,
    /// What is loaded, in its order: names of files, and what is in them.
    main: Vec<(String, Vec<u8>)>,
    /// The bundle that these are files of.
    bundle: Option<Arc<Bundle>>,
}

impl Code {
    pub(super) fn read(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Self, Fault> {
        let places: Vec<&'static str> =
            ["code", "file", "bundle"].into_iter().filter(|field| node.has(field)).collect();
        let field = match places[..] {
            [field] => field,
            [] => return Err(node.fault("one of `code`, `file` and `bundle` is required")),
            [_, second, ..] => {
                return Err(node.field_fault(second, "write only one of `code`, `file` and `bundle`"));
            }
        };
        let (driver, name, written) = (node.text("driver")?, node.text("name")?, node.text(field)?);
        let is_module = node.boolean("module")?;
        if is_module && (driver != "javascript" || field != "code") {
            let text = "only a script in `code` may be said to be a module";
            let hint = "files say so by their ending: `.mjs`";
            return Err(node.field_fault("module", text).hint(hint));
        }
        let endings: &[&str] = match &*driver {
            "lua" => &["lua"],
            "wasm" => &["wasm"],
            "python" => &["py"],
            _ if is_module => &["mjs"],
            _ => &["js", "mjs"],
        };
        let mut bundle = None;
        let main = match field {
            "code" => {
                let content = match &*driver {
                    "wasm" => STANDARD
                        .decode(&*written)
                        .map_err(|why| node.field_fault(field, format!("this is no Base64: {why}")))?,
                    _ => written.into_owned().into_bytes(),
                };
                vec![(format!("{name}.{}", endings[0]), content)]
            }
            "file" => {
                let file = Path::new(&*written).file_name().unwrap_or_default();
                vec![(file.to_string_lossy().into_owned(), open(node, field, &written, context)?)]
            }
            _ => {
                let archive = open(node, field, &written, context)?;
                // Who may write streams may write code into them: a signature would keep nobody out.
                let read = bundle::read(&archive, None);
                let read = read.map_err(|why| node.field_fault(field, why.to_string()))?;
                let main = of_bundle(&read, &name, endings).map_err(|why| node.field_fault(field, why))?;
                bundle = Some(Arc::new(read));
                main
            }
        };
        if main.iter().any(|(_, content)| content.len() > LARGEST) {
            return Err(node.field_fault(field, format!("it is longer than {LARGEST} bytes")));
        }
        Ok(Self { field, main, bundle })
    }

    /// A fault of the code.
    pub(super) fn fault(&self, node: &Node<'_>, why: &plugins::Fault) -> Fault {
        node.field_fault(self.field, why.to_string())
    }

    /// Scripts, and modules that they may import.
    pub(super) fn scripts(&self, node: &Node<'_>) -> Result<Vec<Source>, Fault> {
        let mut sources = self.beside(".mjs");
        for source in self.texts(node)? {
            if !sources.iter().any(|other| other.name == source.name) {
                sources.push(source);
            }
        }
        Ok(sources)
    }

    pub(super) fn lua(&self, node: &Node<'_>) -> Result<lua::Code, Fault> {
        Ok(lua::Code { main: self.texts(node)?, modules: self.beside(".lua") })
    }

    pub(super) fn python(&self, node: &Node<'_>) -> Result<python::Code, Fault> {
        Ok(match &self.bundle {
            Some(bundle) => {
                let files = self.main.iter().map(|(name, _)| PathBuf::from(name)).collect();
                python::Code { bundle: Some(Arc::clone(bundle)), files, texts: Vec::new() }
            }
            None => python::Code { texts: self.texts(node)?, ..python::Code::default() },
        })
    }

    /// The module of a filter.
    pub(super) fn module(&self) -> Arc<[u8]> {
        self.main.first().map(|(_, content)| content.as_slice()).unwrap_or_default().into()
    }

    fn texts(&self, node: &Node<'_>) -> Result<Vec<Source>, Fault> {
        let text = |(name, content): &(String, Vec<u8>)| {
            let text = str::from_utf8(content);
            let text =
                text.map_err(|_| node.field_fault(self.field, format!("`{name}` is not UTF-8 text")))?;
            Ok(Source { name: name.as_str().into(), text: text.into() })
        };
        self.main.iter().map(text).collect()
    }

    /// The files of the bundle with an ending.
    fn beside(&self, ending: &str) -> Vec<Source> {
        let files = self.bundle.iter().flat_map(|bundle| &bundle.files);
        let text = |(name, content): (&String, &Vec<u8>)| Source {
            name: name.as_str().into(),
            text: String::from_utf8_lossy(content).into(),
        };
        files.filter(|(name, _)| name.ends_with(ending)).map(text).collect()
    }
}

/// The file that a bundle names for a plugin; where it names none, those at its top.
fn of_bundle(bundle: &Bundle, name: &str, endings: &[&str]) -> Result<Vec<(String, Vec<u8>)>, String> {
    let listed = match &bundle.manifest.custom_middleware {
        serde_json::Value::Null => apidef::Plugins::default(),
        listed => apidef::of_bundle(listed).map_err(|faults| {
            let told = faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.message));
            format!("the manifest of the bundle: {}", told.collect::<Vec<_>>().join("; "))
        })?,
    };
    let path = listed.all().find(|plugin| *plugin.name == *name).map(|plugin| &*plugin.path);
    let is_meant = |file: &str| match path {
        Some(path) if !path.is_empty() => file == path,
        _ => {
            !file.contains('/') && file.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending))
        }
    };
    let files = bundle.manifest.file_list.iter().filter(|file| is_meant(file));
    let found: Vec<_> =
        files.filter_map(|file| Some((file.clone(), bundle.files.get(file)?.clone()))).collect();
    if found.is_empty() {
        return Err(format!("the bundle has no file for `{name}`: name it in its `custom_middleware`"));
    }
    Ok(found)
}

/// What is in a file that streams may read.
fn open(node: &Node<'_>, field: &str, file: &str, context: &BuildContext<'_>) -> Result<Vec<u8>, Fault> {
    let read = context.settings.environment.read_file(file);
    let read = read.map_err(|why| {
        let fault = node.field_fault(field, format!("`{file}` cannot be read: {why}"));
        fault.hint("write the plugin into `code`, or let streams read files: `streaming.mappings.files`")
    })?;
    Ok(read.content.to_vec())
}
