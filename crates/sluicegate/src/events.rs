//! What the configuration says of events, for the gate.

use apidef::{Event, EventHandler, EventWay, handlers_of, webhook_of};
use document::Fault;
use gateway::{EventSettings, ExpirySettings, MonitorSettings};

use crate::config::Config;

/// # Errors
/// What is wrong with a handler, and where.
pub(crate) fn settings(config: &Config) -> Result<EventSettings, String> {
    let (handlers, warnings) = handlers_of(&config.event_handlers).map_err(|faults| told("", &faults))?;
    if !warnings.is_empty() {
        tracing::warn!("{}", told("", &warnings));
    }
    let mut handlers = handlers.into_vec();
    let monitor = &config.monitor;
    if monitor.enable_trigger_monitors {
        let webhook = webhook_of(&monitor.configuration)
            .map_err(|faults| told("monitor.configuration: ", &faults))?
            .ok_or("monitor.configuration: `target_path` is missing: where is the webhook sent?")?;
        handlers.push(EventHandler {
            event: Event::TriggerExceeded,
            way: EventWay::Webhook(Box::new(webhook)),
            pointer: "/monitor/configuration".into(),
        });
    }
    Ok(EventSettings {
        handlers: handlers.into(),
        monitor: monitor.enable_trigger_monitors.then_some(MonitorSettings {
            threshold: monitor.global_trigger_limit,
            keys: monitor.monitor_user_keys,
            organisations: monitor.monitor_org_keys,
        }),
        expiry: expiry(config),
        templates: config.template_path.as_str().into(),
    })
}

fn expiry(config: &Config) -> ExpirySettings {
    let monitor = &config.security.certificate_expiry_monitor;
    let options = &config.http_server_options;
    let files = options.certificates.iter().map(|entry| &entry.cert_file);
    ExpirySettings {
        days: monitor.warning_threshold_days,
        every: monitor.check_cooldown_seconds,
        silence: monitor.event_cooldown_seconds,
        of_listeners: options.ssl_certificates.iter().chain(files).map(|name| name.as_str().into()).collect(),
    }
}

fn told(before: &str, faults: &[Fault]) -> String {
    let one = |fault: &Fault| {
        let hint = fault.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!(
            "{before}{}: {}{hint}",
            fault.pointer.trim_start_matches('/').replace('/', "."),
            fault.message
        )
    };
    faults.iter().map(one).collect::<Vec<_>>().join("; ")
}
