//! Code that is a text, and what running it may take.

use std::time::Duration;

/// What a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time, waiting for the world outside included.
    pub time: Duration,
    /// Memory of an engine, in bytes.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(5), memory: 64 << 20 }
    }
}

/// A file of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name, for faults; that of a module is what others import it by.
    pub name: Box<str>,
    /// Its text.
    pub text: Box<str>,
}

impl Source {
    /// Whether it is a module of JavaScript.
    pub(crate) fn is_module(&self) -> bool {
        self.name.ends_with(".mjs")
    }

    /// The name of the file alone.
    pub(crate) fn stem(&self) -> &str {
        let file = self.name.rsplit('/').next().unwrap_or(&self.name);
        file.rsplit_once('.').map_or(file, |(stem, _)| stem)
    }
}
