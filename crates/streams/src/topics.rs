//! stub

/// The in-process topics that `inproc` components meet on.
#[derive(Debug, Clone, Default)]
pub struct Topics {}
