//! Who waits for events is told, each by itself: a slow one keeps no request, and has places of its own. All together have as
//! many as eight slow ones take; beyond them handlers are missed, and counted.

use std::sync::Arc;

use super::handlers::{Handler, Handlers};
use super::queue::Waiting;
use super::told::Told;
use crate::gate::Gate;

/// Compiles the gate's own handlers, and tells events until the gate closes. Await it once, before the first request, and
/// run what it gives.
///
/// # Errors
/// What is wrong with a handler of the configuration.
pub fn run(gate: &Arc<Gate>) -> Result<impl Future<Output = ()> + Send + use<>, String> {
    let own = Handlers::compile(&gate.settings.events.handlers, "", gate).map_err(|faults| {
        let told = faults.iter().map(|fault| format!("event_handlers: {}: {}", fault.pointer, fault.message));
        told.collect::<Vec<_>>().join("; ")
    })?;
    if let Some(own) = own {
        // It is set once: whoever calls this a second time gets no receiver either.
        drop(gate.events.of_all.set(own));
    }
    let gate = Arc::clone(gate);
    Ok(async move {
        let Some(mut waiting) = gate.events.receiver() else { return };
        let telling = async {
            loop {
                let next = tokio::select! {
                    next = waiting.recv() => next,
                    () = gate.closed() => return,
                };
                let Some(next) = next else { return };
                tell(&gate, next);
            }
        };
        tokio::join!(telling, super::certificates::watch(&gate));
    })
}

fn tell(gate: &Arc<Gate>, waiting: Waiting) {
    let told = Arc::new(waiting.told);
    gate.events.missed(gate.events.followers.tell(&told));
    for handlers in waiting.handlers.into_iter().flatten() {
        for handler in handlers.of(told.event) {
            if let Handler::Log { prefix } = handler {
                log(prefix, &told);
                continue;
            }
            let Ok(place) = Arc::clone(&gate.events.places).try_acquire_owned() else {
                missed(gate, &told, "too many handlers are called already");
                continue;
            };
            let (gate, handler, told) = (Arc::clone(gate), handler.clone(), Arc::clone(&told));
            tokio::spawn(async move {
                if let Err(why) = call(&gate, handler, &told).await {
                    missed(&gate, &told, &why);
                }
                drop(place);
            });
        }
    }
}

async fn call(gate: &Arc<Gate>, handler: Handler, told: &Told) -> Result<(), String> {
    match handler {
        Handler::Log { prefix } => {
            log(&prefix, told);
            Ok(())
        }
        Handler::Webhook(hook) => hook.send(gate, told).await,
        Handler::Script { name, scripts } => {
            let (event, context) = (told.json().to_string(), told.context().to_string());
            scripts.event(&name, &event, &context).await.map_err(|fault| fault.to_string())
        }
        Handler::Server { name, servers } => {
            let payload =
                serde_json::json!({"handler_name": &*name, "message": told.json(), "spec": told.context()});
            servers.event(payload.to_string()).await.map_err(|fault| fault.to_string())
        }
    }
}

/// One line at most each second is told aloud.
fn missed(gate: &Gate, told: &Told, why: &str) {
    gate.events.missed(1);
    let (event, api_id) = (told.event.name(), told.api.as_deref());
    if gate.metrics.may_warn() {
        tracing::warn!(event, api_id, why, "a handler of an event was not reached");
    } else {
        tracing::debug!(event, api_id, why, "a handler of an event was not reached");
    }
}

/// The line of the log handler: prefix, kind, and of some kinds what is most wanted.
fn log(prefix: &str, told: &Told) {
    let mut line = format!("{prefix}:{}", told.event.name());
    let more: &[&str] = match told.event {
        apidef::Event::QuotaExceeded => &["Key", "Origin", "Path"],
        apidef::Event::BreakerTriggered => &["APIID", "Path"],
        _ => &[],
    };
    for name in more {
        line.push(':');
        line.push_str(told.text(name));
    }
    if told.event == apidef::Event::BreakerTriggered {
        line.push_str(&format!(": [STATUS] {}", told.meta.get("CircuitEvent").unwrap_or_default()));
    }
    let (api_id, message) = (told.api.as_deref(), told.text("Message"));
    tracing::warn!(target: "events", api_id, event_message = message, "{line}");
}
