//! What a mapping is allowed to learn from outside of its message.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::run::Limits;

/// Something outside of the message that a function may read. All are off unless they are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Environment variables of the process: `env`.
    Env,
    /// Files of the machine: `import`, `from` and functions that read files. See [`Environment::with_files`].
    File,
    /// The name of the machine: `hostname`.
    Hostname,
    /// Caches of the stream: `cache_get` and its like. See [`Environment::with_caches`].
    Cache,
    /// Chance: `uuid_v4`, `random_int`, `fake` and their like. There unless it is taken away.
    Random,
}

impl Capability {
    const fn bit(self) -> u8 {
        match self {
            Capability::Env => 1,
            Capability::File => 2,
            Capability::Hostname => 4,
            Capability::Cache => 8,
            Capability::Random => 16,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Capability::Env => "environment variables",
            Capability::File => "files",
            Capability::Hostname => "the host name",
            Capability::Cache => "caches",
            Capability::Random => "random numbers",
        }
    }

    /// What a mapping does with it, and may do.
    pub(crate) const fn verb(self) -> (&'static str, &'static str) {
        match self {
            Capability::Random => ("draws", "draw"),
            _ => ("reads", "read"),
        }
    }
}

/// A file that a mapping asked for.
#[derive(Debug, Clone)]
pub struct File {
    /// Its full name, by which it is recognised when it is asked for in another way.
    pub name: String,
    /// What is in it.
    pub content: Bytes,
}

/// Where the files of mappings come from; this crate reads none itself.
pub trait Files: Send + Sync {
    /// The file at a path as it was written, perhaps within another file, whose full name is `within`. Implementors bound
    /// its size.
    ///
    /// # Errors
    /// Why there is no such file, in words that do not repeat the path.
    fn open(&self, path: &str, within: Option<&str>) -> Result<File, String>;

    /// The files below a folder, by their paths from there, in order. Implementors bound how many, and how deep folders
    /// lie in each other; links to folders are not followed.
    ///
    /// # Errors
    /// Why there is no such folder, in words that do not repeat the path.
    fn list(&self, _folder: &str) -> Result<Vec<String>, String> {
        Err("folders cannot be looked through here".to_owned())
    }
}

/// The caches that mappings use by their labels; this crate has none itself.
pub trait Caches: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// When there is no such cache, no such key, or the cache cannot be reached.
    fn get(&self, cache: &str, key: &str) -> Result<Bytes, String>;
    /// Sets a key, whether it is there or not.
    ///
    /// # Errors
    /// When there is no such cache, or it cannot be reached.
    fn set(&self, cache: &str, key: &str, value: Bytes) -> Result<(), String>;
    /// Sets a key that is not there yet.
    ///
    /// # Errors
    /// When there is no such cache, the key is there, or the cache cannot be reached.
    fn add(&self, cache: &str, key: &str, value: Bytes) -> Result<(), String>;
    /// Removes a key, if it is there.
    ///
    /// # Errors
    /// When there is no such cache, or it cannot be reached.
    fn delete(&self, cache: &str, key: &str) -> Result<(), String>;
}

/// The rules under which a mapping is checked: which capabilities its functions have, and where files come from.
#[derive(Clone)]
pub struct Environment {
    granted: u8,
    files: Option<Arc<dyn Files>>,
    caches: Option<Arc<dyn Caches>>,
    variables: Arc<BTreeMap<String, String>>,
    within: Option<Arc<str>>,
    beside: Option<Arc<str>>,
    limits: Limits,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("granted", &self.granted)
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}

impl Default for Environment {
    fn default() -> Environment {
        Environment::pure()
    }
}

impl Environment {
    /// Messages and time only: no environment variables, no files, no host name.
    pub fn pure() -> Environment {
        Environment {
            granted: Capability::Random.bit(),
            files: None,
            caches: None,
            variables: Arc::default(),
            within: None,
            beside: None,
            limits: Limits::default(),
        }
    }

    /// The same environment with one more capability.
    #[must_use]
    pub fn with(mut self, capability: Capability) -> Environment {
        self.granted |= capability.bit();
        self
    }

    /// The same environment with one capability less.
    #[must_use]
    pub fn without(mut self, capability: Capability) -> Environment {
        self.granted &= !capability.bit();
        self
    }

    /// The same environment with the capability to read files, from here.
    #[must_use]
    pub fn with_files(mut self, files: Arc<dyn Files>) -> Environment {
        self.files = Some(files);
        self.with(Capability::File)
    }

    /// The same environment with the capability to use caches, these ones.
    #[must_use]
    pub fn with_caches(mut self, caches: Arc<dyn Caches>) -> Environment {
        self.caches = Some(caches);
        self.with(Capability::Cache)
    }

    /// The same environment with the capability to read environment variables, these ones before those of the process.
    #[must_use]
    pub fn with_variables(mut self, variables: Arc<BTreeMap<String, String>>) -> Environment {
        self.variables = variables;
        self.with(Capability::Env)
    }

    /// An environment variable.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned().or_else(|| std::env::var(name).ok())
    }

    /// The same environment for a text that stands in a file, to which relative paths refer.
    #[must_use]
    pub fn within(mut self, file: &str) -> Environment {
        self.within = Some(Arc::from(file));
        self
    }

    /// The same environment for texts that stand in a configuration: `file_rel` reads what is relative to its file,
    /// imports and `file` stay as they are.
    #[must_use]
    pub fn beside(mut self, file: &str) -> Environment {
        self.beside = Some(Arc::from(file));
        self
    }

    /// The same environment with other limits for one run of a mapping: how many queries and maps it may start, and how
    /// many bytes it may build (50 million and 1 GiB when nothing is said). A run of ten seconds ends in any case.
    #[must_use]
    pub fn limited(mut self, steps: u64, bytes: u64) -> Environment {
        self.limits = Limits { steps, bytes, ..self.limits };
        self
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// A file by its path, relative to where the process runs: for components that have a file in their configuration.
    ///
    /// # Errors
    /// When files are not allowed here, or there is no such file, in words that do not repeat the path.
    pub fn read_file(&self, path: &str) -> Result<File, String> {
        self.open_plain(path)
    }

    /// The files below a folder, by their paths from there: for components that have a folder in their configuration.
    ///
    /// # Errors
    /// When files are not allowed here, or there is no such folder, in words that do not repeat the path.
    pub fn list_files(&self, folder: &str) -> Result<Vec<String>, String> {
        match &self.files {
            Some(files) if self.allows(Capability::File) => files.list(folder),
            _ => Err("reading files is not allowed here".to_owned()),
        }
    }

    /// A file by its path, relative to the file in which the mapping stands.
    pub(crate) fn open(&self, path: &str, within: Option<&str>) -> Result<File, String> {
        match &self.files {
            Some(files) if self.allows(Capability::File) => {
                files.open(path, within.or(self.within.as_deref()))
            }
            _ => Err("reading files is not allowed here".to_owned()),
        }
    }

    /// A file by its path, relative to the file in which the mapping stands, or the configuration that it stands in.
    pub(crate) fn open_beside(&self, path: &str, within: Option<&str>) -> Result<File, String> {
        self.open(path, within.or(self.within.as_deref()).or(self.beside.as_deref()))
    }

    /// A file by its path, relative to where the process runs.
    pub(crate) fn open_plain(&self, path: &str) -> Result<File, String> {
        match &self.files {
            Some(files) if self.allows(Capability::File) => files.open(path, None),
            _ => Err("reading files is not allowed here".to_owned()),
        }
    }

    /// The caches, if there are any.
    pub(crate) fn caches(&self) -> Result<&dyn Caches, String> {
        match &self.caches {
            Some(caches) if self.allows(Capability::Cache) => Ok(&**caches),
            _ => Err("caches are not allowed here".to_owned()),
        }
    }

    /// Whether functions that need `capability` may be used.
    pub fn allows(&self, capability: Capability) -> bool {
        self.granted & capability.bit() != 0
    }
}
