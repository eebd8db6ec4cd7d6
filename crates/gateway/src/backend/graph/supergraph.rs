//! Supergraphs: the parts that a definition names, and the schema that they make together.

use std::sync::Arc;

use apidef::{Fields, SuperGraph, Target};
use document::Fault;
use graphql::Schema;
use graphql::engine::{Engine, Federation, Part, Template, merged};

use super::engine::template;
use super::opening::asking;

/// The schema of the parts together; why they make none.
pub(super) fn schema(graph: &SuperGraph) -> Result<String, String> {
    let parts: Vec<(&str, &str)> = graph.parts.iter().map(|part| (&*part.name, &*part.sdl)).collect();
    merged(&parts)
}

/// The engine of a supergraph.
pub(super) fn engine(graph: &SuperGraph, schema: &Arc<Schema>) -> Result<Engine, Fault> {
    let mut parts = Vec::with_capacity(graph.parts.len());
    for part in &graph.parts {
        let url = &*part.url;
        if !Target::is_inner(url) && !url.starts_with("http://") && !url.starts_with("https://") {
            let text = "the URL of a part begins with `http://`, `https://` or `tyk://`";
            return Err(Fault::error(&*part.at, text));
        }
        parts.push(Part {
            name: part.name.to_string(),
            sdl: part.sdl.to_string(),
            url: template(url, &part.at)?,
            headers: pairs(&part.headers, &part.at)?,
            asking: asking(part.subscriptions),
        });
    }
    let at = "/graphql/supergraph";
    let headers = pairs(&graph.headers, at)?;
    let federation = Federation::new(schema, parts, headers, graph.alone)
        .map_err(|why| Fault::error(at, format!("the parts do not make this graph: {why}")))?;
    Ok(Engine::federated(Arc::clone(schema), federation))
}

fn pairs(fields: &Fields, at: &str) -> Result<Vec<(String, Template)>, Fault> {
    fields.iter().map(|(name, text)| Ok((name.to_string(), template(text, at)?))).collect()
}
