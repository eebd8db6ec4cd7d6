//! Resources that the streams of streams mode share by their labels.

use std::sync::Arc;

use document::Fault;
use http::StatusCode;
use serde_json::{Value as Json, json};
use streams::Sort;

use super::api::{Kept, Origin, Refused, put, read, settings};
use super::streams::Place;
use super::users;
use crate::gate::Gate;

#[derive(Debug)]
pub(super) struct Resource {
    pub(super) config: Json,
    /// It was set with `chilled`: what lint finds in it is no fault of the streams that share it.
    pub(super) lenient: bool,
}

/// Keeps a resource that was read when the process started.
pub(super) fn add_resource(kept: &Kept, field: &'static str, label: &str, config: Json, lenient: bool) {
    kept.resources.lock().insert((field, label.to_owned()), Resource { config, lenient });
}

/// Sets a resource, for the streams that use it already, too.
pub(super) async fn set_resource(
    gate: &Arc<Gate>,
    kept: &Kept,
    (sort, label): (&str, &str),
    body: &[u8],
    lenient: bool,
) -> Result<Json, Refused> {
    let sorts = [Sort::Cache, Sort::Input, Sort::Output, Sort::Processor, Sort::RateLimit];
    let field = sorts
        .iter()
        .filter_map(|sort| sort.resources())
        .find(|field| field.strip_suffix("_resources") == Some(sort));
    let Some(field) = field else {
        let text = "resources are of `cache`, `input`, `output`, `processor` or `rate_limit`".to_owned();
        return Err(Refused::Text(StatusCode::NOT_FOUND, text));
    };
    let document = read(body)?;
    let mut config = document.value().clone();
    let Some(members) = config.as_object_mut() else {
        return Err(Refused::Text(StatusCode::BAD_REQUEST, "an object is expected".to_owned()));
    };
    members.insert("label".to_owned(), label.into());
    let base = format!("/{field}/0");
    let alone = json!({"input": {"generate": {"mapping": "root = {}"}}, "output": {"drop": {}}, field: [config.clone()]});
    // It may refer to others.
    let (whole, _) = with_resources(kept, alone);
    let mut faults = ::streams::lint(&whole, "", &settings(gate, &Origin { lenient, file: None }));
    if !faults.iter().any(|fault| fault.is_error() && is_inside(&fault.pointer, &base)) {
        // Every stream has it from now on, so no stream could be built any more with one that cannot.
        let place = Place { id: "resource", path: "/", lenient: true, file: None };
        faults.extend(gate.built(place, whole).await.err().unwrap_or_default());
    }
    faults.retain(|fault| is_inside(&fault.pointer, &base));
    for fault in &mut faults {
        fault.pointer = fault.pointer.strip_prefix(&base).unwrap_or_default().to_owned();
    }
    ::streams::locate(&document, &mut faults);
    if faults.iter().any(Fault::is_error) {
        return Err(Refused::Faults(vec![(String::new(), faults)]));
    }
    let _changing = kept.changing.lock().await;
    kept.resources.lock().insert((field, label.to_owned()), Resource { config, lenient });
    // Whoever uses it is built anew, before the old one is stopped.
    let users: Vec<(String, Json, Origin)> = kept
        .streams
        .lock()
        .iter()
        .filter(|(_, stream)| users::uses(kept, &stream.config, field, label))
        .map(|(id, stream)| (id.clone(), stream.config.clone(), stream.origin.clone()))
        .collect();
    for (id, config, origin) in users {
        let put = put(gate, kept, &id, config, origin).await;
        put.map_err(|faults| Refused::Faults(vec![(id, faults)]))?;
    }
    Ok(json!({}))
}

/// Whether a pointer leads to what is at `at`, or into it.
pub(super) fn is_inside(pointer: &str, at: &str) -> bool {
    pointer.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The configuration with the shared resources behind its own, whose labels win; and the pointers of those among them
/// that were set with `chilled`.
pub(super) fn with_resources(kept: &Kept, mut config: Json) -> (Json, Vec<String>) {
    let mut lenient = Vec::new();
    let Some(members) = config.as_object_mut() else { return (config, lenient) };
    for ((field, label), resource) in kept.resources.lock().iter() {
        let list = members.entry(*field).or_insert_with(|| json!([]));
        if list.is_null() {
            *list = json!([]);
        }
        let Some(list) = list.as_array_mut() else { continue };
        if !list.iter().any(|own| own["label"] == label.as_str()) {
            if resource.lenient {
                lenient.push(format!("/{field}/{}", list.len()));
            }
            list.push(resource.config.clone());
        }
    }
    (config, lenient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_resources_win_over_shared_ones() {
        let kept = Kept::default();
        for label in ["a", "b"] {
            add_resource(
                &kept,
                "cache_resources",
                label,
                json!({"label": label, "memory": {}}),
                label == "b",
            );
        }
        let config = json!({"cache_resources": [{"label": "a", "noop": {}}]});
        let expected = json!({"cache_resources": [{"label": "a", "noop": {}}, {"label": "b", "memory": {}}]});
        assert_eq!(with_resources(&kept, config), (expected, vec!["/cache_resources/1".to_owned()]));
        for (pointer, inside) in [("/a/1", true), ("/a/1/b", true), ("/a/10", false), ("/a", false)] {
            assert_eq!(is_inside(pointer, "/a/1"), inside, "{pointer}");
        }
    }
}
