//! What the configuration says of events.

use std::path::PathBuf;

use apidef::EventHandler;

use super::{ExpirySettings, MonitorSettings};

/// What the configuration says of events (contract 1.3).
#[derive(Debug, Clone, Default)]
pub struct EventSettings {
    /// Who is told of the events of all APIs, and of the gate's own (`event_handlers`).
    pub handlers: Box<[EventHandler]>,
    /// Whose quotas are watched (`monitor`); its webhook is among the handlers.
    pub monitor: Option<MonitorSettings>,
    /// When certificates are told of.
    pub expiry: ExpirySettings,
    /// Where the template is that takes the place of the built-in one, if it is there (`template_path`).
    pub templates: PathBuf,
}
