//! How streams are told of what happens around them, without knowing what that is.

use bytes::Bytes;
use tokio::sync::mpsc;

/// Tells of what happens. The gateway does; where no gate is, nothing happens.
pub trait Happenings: Send + Sync {
    /// Whether anything of this name may happen.
    ///
    /// # Errors
    /// What is wrong with the name.
    fn check(&self, name: &str) -> Result<(), String>;

    /// Tells of what happens from now on, until the receiver is dropped; nothing where nothing ever happens.
    /// `names`: only of these; none: of all.
    fn follow(&self, names: &[String]) -> Option<mpsc::Receiver<Happening>>;
}

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Happening {
    /// Its kind.
    pub name: &'static str,
    /// A JSON document that tells of it.
    pub body: Bytes,
}

/// Nothing ever happens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Happenings for Quiet {
    fn check(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn follow(&self, _: &[String]) -> Option<mpsc::Receiver<Happening>> {
        None
    }
}
