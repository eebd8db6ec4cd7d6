//! Whether a stream could tell how its messages are batched.
//!
//! Batches are visible: to processors that work on them as a whole, to mappings that ask for their place, to outputs that
//! send one request each. Where nothing of that kind is configured, an input may put together what it has of one
//! source, which is far cheaper than messages that go alone; nobody can notice.

use serde_json::Value as Json;

/// Processors that treat each message for itself.
const PROCESSORS: &[&str] = &["bloblang", "log", "mapping", "mutation", "noop"];
/// Outputs that send each message for itself, and say which ones failed.
const OUTPUTS: &[&str] = &["drop", "kafka", "kafka_franz"];
/// What a mapping or an interpolation asks with when the batch matters to it. A variable of such a name is taken for
/// the function, too: then messages go alone.
const QUESTIONS: &[&str] = &["batch_", "from(", "from_all(", "from \"", "import"];
/// Inputs that ask. Others may have inputs with processors under them.
const INPUTS: &[&str] = &["kafka", "kafka_franz"];

/// Whether nothing of the stream with this configuration sees batches.
pub(crate) fn batches_unseen(stream: &Json) -> bool {
    let Some(input) = stream.get("input").filter(|input| component(input, INPUTS).is_some()) else {
        return false;
    };
    let pipeline = stream.get("pipeline").and_then(|pipeline| pipeline.get("processors"));
    let buffered =
        stream.get("buffer").and_then(Json::as_object).is_some_and(|buffer| !buffer.contains_key("none"));
    !buffered
        && processors(input.get("processors"))
        && processors(pipeline)
        && stream.get("output").is_some_and(output)
}

/// Whether something of the stream asks for the ids of flows, perhaps in a file that is imported.
pub(crate) fn flow_ids_seen(config: &Json) -> bool {
    match config {
        Json::String(text) => ["flow_id", "import", "from "].iter().any(|question| text.contains(question)),
        Json::Array(members) => members.iter().any(flow_ids_seen),
        Json::Object(members) => members.values().any(flow_ids_seen),
        _ => false,
    }
}

fn processors(list: Option<&Json>) -> bool {
    let empty = Vec::new();
    let list = list.and_then(Json::as_array).unwrap_or(&empty);
    list.iter().all(|processor| component(processor, PROCESSORS).is_some_and(asks_nothing))
}

fn output(output: &Json) -> bool {
    let Some(config) = component(output, OUTPUTS) else { return false };
    let policy = config.get("batching").and_then(Json::as_object).is_some_and(|policy| !policy.is_empty());
    let together = config.get("retry_as_batch").is_some_and(|value| value != false);
    !policy && !together && asks_nothing(config) && processors(output.get("processors"))
}

/// What stands under the type key, when the component is one of these.
fn component<'a>(component: &'a Json, known: &[&str]) -> Option<&'a Json> {
    let name = crate::build::type_of(component).ok()?;
    known.contains(&name).then(|| component.get(name).unwrap_or(&Json::Null))
}

fn asks_nothing(config: &Json) -> bool {
    match config {
        Json::String(text) => !QUESTIONS.iter().any(|question| text.contains(question)),
        Json::Array(members) => members.iter().all(asks_nothing),
        Json::Object(members) => members.values().all(asks_nothing),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_streams_that_cannot_tell_get_batches() {
        let stream = |processors: Json, output: Json| json!({"input": {"kafka": {}}, "pipeline": {"processors": processors}, "output": output});
        let kafka = || json!({"kafka": {"topic": "${! json(\"t\") }"}});
        for (stream, unseen) in [
            (stream(json!([]), kafka()), true),
            (
                stream(
                    json!([{"mapping": "root.a = this.b"}, {"label": "l", "log": {"message": "x"}}]),
                    kafka(),
                ),
                true,
            ),
            (stream(json!([]), json!({"drop": {}, "processors": [{"noop": {}}]})), true),
            (stream(json!([]), json!({"kafka": {"batching": {}}})), true),
            (stream(json!([{"mapping": "root.i = batch_index()"}]), kafka()), false),
            (stream(json!([{"mapping": "root.i = json(\"a\").from(0)"}]), kafka()), false),
            (stream(json!([{"archive": {"format": "lines"}}]), kafka()), false),
            (stream(json!([]), json!({"kafka": {"topic": "${! batch_size() }"}})), false),
            (stream(json!([]), json!({"kafka": {"batching": {"count": 10}}})), false),
            (stream(json!([]), json!({"kafka": {"retry_as_batch": true}})), false),
            (stream(json!([]), json!({"http_client": {}})), false),
            (stream(json!([]), json!({"drop": {}, "processors": [{"split": {}}]})), false),
            (json!({"input": {"kafka": {}, "processors": [{"split": {}}]}, "output": kafka()}), false),
            (json!({"input": {"kafka": {}}, "buffer": {"memory": {}}, "output": kafka()}), false),
            (json!({"input": {"kafka": {}}}), false),
            (json!({"input": {"broker": {"inputs": [{"kafka": {}}]}}, "output": kafka()}), false),
        ] {
            assert_eq!(batches_unseen(&stream), unseen, "{stream}");
        }
    }
}
