//! What a mapping is allowed to learn from outside of its message.

/// Something outside of the message that a function may read. All are off unless they are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Environment variables of the process: `env`.
    Env,
    /// Files of the machine: `import` (not built yet).
    File,
    /// The name of the machine: `hostname`.
    Hostname,
}

impl Capability {
    const fn bit(self) -> u8 {
        match self {
            Capability::Env => 1,
            Capability::File => 2,
            Capability::Hostname => 4,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Capability::Env => "environment variables",
            Capability::File => "files",
            Capability::Hostname => "the host name",
        }
    }
}

/// The rules under which a mapping is checked: which capabilities its functions have.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    granted: u8,
}

impl Environment {
    /// Messages and time only: no environment variables, no files, no host name.
    pub fn pure() -> Environment {
        Environment::default()
    }

    /// The same environment with one more capability.
    #[must_use]
    pub fn with(mut self, capability: Capability) -> Environment {
        self.granted |= capability.bit();
        self
    }

    /// Whether functions that need `capability` may be used.
    pub fn allows(&self, capability: Capability) -> bool {
        self.granted & capability.bit() != 0
    }
}
