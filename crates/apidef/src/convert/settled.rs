//! What the formats write in different orders or places although it is the same API.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::at_path::{AtPath, WrittenAt, precedence};
use crate::upstream::greatest_divisor;
use crate::{Api, Backend, Mock, Paths, Target, Upstream, VersionLocation, Virtual};

/// An API in which only what differs between two of them is different.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) api: Api,
    /// Which bodies are looked at, with the status of the refusal. Classic definitions have a schema for the path,
    /// OpenAPI ones for the operation; that one was made from the other has been seen to where it was.
    pub(super) bodies: Vec<(Box<str>, Box<str>, u16)>,
}

/// Lists in the order in which OpenAPI definitions try them, targets each as often as its share says and no oftener,
/// fixed answers in one place, and nothing of where it is written.
pub(super) fn settled(api: Arc<Api>) -> Settled {
    let mut api = Arc::unwrap_or_clone(api);
    if let Backend::Upstream(upstream) = &mut api.backend {
        share(upstream);
        ordered(&mut upstream.endpoints.timeouts);
        ordered(&mut upstream.endpoints.breakers);
    }
    if let Some(versioning) = api.versioning.as_mut().filter(|known| known.location != VersionLocation::Path)
    {
        // It stands in paths alone.
        versioning.slug = Box::default();
    }
    let bodies = paths(&mut api.paths);
    if let Some(cache) = &mut api.cache {
        ordered(&mut cache.paths);
    }
    let transforms = &mut api.transforms;
    ordered(&mut transforms.headers.of_request_paths);
    ordered(&mut transforms.headers.of_answer_paths);
    ordered(&mut transforms.methods);
    ordered(&mut transforms.rewrites);
    for trigger in transforms.rewrites.iter_mut().flat_map(|rewrite| rewrite.value.triggers.iter_mut()) {
        trigger.rules.sort_by(|a, b| (a.place as u8, &a.name).cmp(&(b.place as u8, &b.name)));
    }
    ordered(&mut transforms.bodies.requests);
    ordered(&mut transforms.bodies.answers);
    ordered(&mut transforms.bodies.request_programs);
    ordered(&mut transforms.bodies.answer_programs);
    match &mut api.backend {
        Backend::Streams(streams) => streams.pointer = Box::default(),
        Backend::Upstream(_) | Backend::Graph => {}
    }
    if let Some(graph) = &mut api.graphql {
        graph.at = Box::default();
        let sources = graph.engine.as_mut().map(|engine| engine.sources.as_mut()).unwrap_or_default();
        sources.iter_mut().for_each(|source| source.at = Box::default());
        let parts = graph.supergraph.as_mut().map(|graph| graph.parts.as_mut()).unwrap_or_default();
        parts.iter_mut().for_each(|part| part.at = Box::default());
    }
    if let Some(plugins) = &mut api.plugins {
        plugins.bundle_pointer = Box::default();
        plugins.each_mut(|plugin| plugin.pointer = Box::default());
        if let Some(extractor) = &mut plugins.identity {
            extractor.pointer = Box::default();
        }
    }
    // Those of one kind of event are told in their order.
    api.events.sort_by_key(|handler| handler.event.name());
    api.events.iter_mut().for_each(|handler| handler.pointer = Box::default());
    Settled { api, bodies }
}

fn share(upstream: &mut Upstream) {
    let mut shares: Vec<(&Target, usize)> = Vec::new();
    for target in &upstream.targets {
        match shares.iter_mut().find(|(known, _)| *known == target) {
            Some((_, share)) => *share += 1,
            None => shares.push((target, 1)),
        }
    }
    let divisor = shares.iter().fold(0, |known, (_, share)| greatest_divisor(known, *share)).max(1);
    shares.sort_by_cached_key(|(target, _)| format!("{target:?}"));
    let settled = shares.iter().flat_map(|(target, share)| (0..share / divisor).map(|_| (*target).clone()));
    upstream.targets = settled.collect();
}

/// Entries for different methods do not come in each other's way.
fn ordered<T>(list: &mut [AtPath<T>]) {
    list.sort_by(|a, b| match precedence(&a.path).cmp(&precedence(&b.path)) {
        Ordering::Equal => a.method.cmp(&b.method),
        other => other,
    });
}

/// Gives which bodies are looked at.
fn paths(paths: &mut Paths) -> Vec<(Box<str>, Box<str>, u16)> {
    let lists = &mut paths.lists;
    for list in [&mut lists.internal, &mut lists.ignored, &mut lists.blocked, &mut lists.allowed] {
        ordered(list);
    }
    let replies = std::mem::take(&mut lists.replies).into_iter().map(|reply| AtPath {
        method: reply.method,
        path: reply.path,
        ignore_case: reply.ignore_case,
        value: Mock::Fixed(reply.value),
        at: WrittenAt::default(),
    });
    paths.mocks = std::mem::take(&mut paths.mocks).into_iter().chain(replies).collect();
    ordered(&mut paths.mocks);
    ordered(&mut paths.sizes.endpoints);
    ordered(&mut paths.tracking.tracked);
    ordered(&mut paths.tracking.untracked);
    ordered(&mut paths.virtuals);
    for Virtual { function, .. } in paths.virtuals.iter_mut().map(|at| &mut at.value) {
        function.pointer = Box::default();
    }
    ordered(&mut paths.persisted);
    ordered(&mut paths.hooks);
    for hook in &mut paths.hooks {
        hook.value.pointer = Box::default();
    }
    let mut bodies: Vec<_> = std::mem::take(&mut paths.bodies)
        .into_iter()
        .map(|body| (body.method, body.path, body.value.status))
        .collect();
    let answers = |validation: &crate::Validation| {
        validation.operations.iter().any(|operation| operation.value.answers.is_some())
    };
    if let Some(validation) = paths.validation.take_if(|validation| !answers(validation)) {
        bodies.extend(validation.guarded.into_iter().map(|at| (at.method, at.path, at.value)));
    }
    bodies.sort();
    bodies
}
