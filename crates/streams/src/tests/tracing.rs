//! Spans, trace context, ids of flows, and where a failure comes from.

use super::*;
use crate::registry::TracerSpec;

/// Keeps spans by the name of its test.
static KEPT: Mutex<Vec<(String, Span)>> = Mutex::new(Vec::new());

struct Keeper {
    test: String,
    sampled: bool,
}

#[async_trait]
impl Tracer for Keeper {
    fn sample(&self, _: u128, _: Option<bool>) -> bool {
        self.sampled
    }

    fn record(&self, span: Span) {
        KEPT.lock().push((self.test.clone(), span));
    }
}

/// Under it stands the name of the test; with a `-` before it nothing is sampled.
static KEEPER: TracerSpec = TracerSpec {
    name: "keeper",
    summary: "",
    config: Kind::Text,
    build: |node, _| {
        let text = node.as_text()?;
        let (test, sampled) = (text.trim_start_matches('-').to_owned(), !text.starts_with('-'));
        Ok(Some(Box::new(Keeper { test, sampled })))
    },
};

/// An input and an output as those that carry metadata: it takes from a topic, it gives to one.
static CARRIER_IN: InputSpec = InputSpec {
    name: "carrier",
    summary: "",
    config: Kind::Object(&[
        Field::required("topic", Kind::Text, ""),
        fields::EXTRACT_TRACING_MAP,
        fields::NEW_ROOT_SPAN_WITH_LINK,
    ]),
    build: |node, context| {
        let topic = node.text("topic")?;
        Ok(Box::new(Carrier(context.settings.topics.get(&topic))))
    },
};

static CARRIER_OUT: OutputSpec = OutputSpec {
    name: "carrier",
    summary: "",
    config: Kind::Object(&[Field::required("topic", Kind::Text, ""), fields::INJECT_TRACING_MAP]),
    build: |node, context| {
        let topic = node.text("topic")?;
        Ok(Box::new(Carrier(context.settings.topics.get(&topic))))
    },
};

struct Carrier(Arc<Topic>);

#[async_trait]
impl Input for Carrier {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }
    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        self.0.read().await.map(|transaction| (transaction.batch, transaction.ack)).ok_or(ReadError::End)
    }
    async fn close(&mut self) {}
}

#[async_trait]
impl Output for Carrier {
    async fn connect(&self) -> Result<(), ConnectError> {
        Ok(())
    }
    async fn write(&self, _: &[Message]) -> Result<(), WriteError> {
        Err(WriteError::NotConnected)
    }
    async fn consume(&self, batch: Batch, ack: Ack) -> Result<(), (Batch, Ack)> {
        self.0.write(Transaction { batch, ack }).await;
        Ok(())
    }
    async fn close(&self) {}
}

fn start(bench: &Bench, config: &Json) -> RunningStream {
    let mut registry = Registry::standard();
    registry.add_tracer(&KEEPER);
    registry.add_input(&CARRIER_IN);
    registry.add_output(&CARRIER_OUT);
    let settings = Settings { registry: Arc::new(registry), ..bench.settings() };
    build("test", config, "", &settings).unwrap().start()
}

fn kept(test: &str) -> Vec<Span> {
    KEPT.lock().iter().filter(|(of, _)| of == test).map(|(_, span)| span.clone()).collect()
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Sends one message with the trace context of somebody else, and gives what comes out, acknowledged.
async fn one(bench: &Bench, text: &'static str) -> Message {
    let mut transaction = bench.transaction(&[text]);
    transaction.batch[0].set_meta("traceparent", TRACEPARENT);
    transaction.batch[0].set_meta("tracestate", "a=b");
    bench.topic("in").write(transaction).await;
    let Transaction { batch, ack } = bench.topic("out").read().await.unwrap();
    ack.done(Ok(()));
    bench.until(1).await;
    batch.into_iter().next().unwrap()
}

#[tokio::test]
async fn every_component_makes_a_span_below_that_of_the_input() {
    let bench = Bench::default();
    let _stream = start(
        &bench,
        &json!({
            "input": { "label": "source", "carrier": { "topic": "in", "extract_tracing_map": "root = @" } },
            "pipeline": { "threads": 1, "processors": [
                { "mapping": "root.trace = tracing_id()\nroot.span = tracing_span().traceparent" },
                { "try": [{ "mapping": "root = throw(\"no\")" }, { "noop": {} }] },
                { "catch": [{ "noop": {} }] },
            ] },
            "output": { "broker": { "outputs": [{ "carrier": {
                "topic": "out", "inject_tracing_map": "root.carried = this\nmeta = @.assign(this)",
            } }] } },
            "tracer": { "keeper": "every" },
        }),
    );
    let message = one(&bench, "{}").await;
    let spans = kept("every");
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    // A processor that does nothing runs on the failed message, too; the second one runs on the caught one.
    assert_eq!(
        names,
        ["mapping", "mapping", "try", "noop", "catch", "output_carrier", "output_broker", "input_carrier"]
    );
    let input = named("input_carrier")[0];
    assert!(spans.iter().all(|span| format!("{:032x}", span.trace_id) == TRACE));
    assert_eq!((input.parent_id, input.link), (0x00f0_67aa_0ba9_02b7, None));
    assert_eq!(input.state.as_deref(), Some("a=b"));
    let tags: Vec<(&str, &str)> = input.tags.iter().map(|(name, text)| (&**name, &**text)).collect();
    assert_eq!(tags, [("path", "root.input"), ("label", "source")]);
    for (child, parent) in [
        ("try", input),
        ("catch", input),
        ("noop", named("catch")[0]),
        ("output_broker", input),
        ("output_carrier", named("output_broker")[0]),
    ] {
        assert_eq!(named(child)[0].parent_id, parent.span_id, "{child}");
        assert!(named(child)[0].start_ns >= parent.start_ns && named(child)[0].end_ns <= parent.end_ns);
    }
    assert_eq!(
        [0, 1].map(|index| named("mapping")[index].parent_id),
        [input.span_id, named("try")[0].span_id]
    );
    let failed: Vec<&str> =
        spans.iter().filter(|span| span.error.is_some()).map(|span| &*span.name).collect();
    assert_eq!(failed, ["mapping", "try"]);

    // Inside of the first mapping its own span was the innermost one.
    let document: Json = message.value().unwrap().clone().into();
    let innermost = |span: &Span| format!("00-{TRACE}-{:016x}-01", span.span_id);
    assert_eq!(document["trace"], TRACE);
    assert_eq!(document["span"], innermost(named("mapping")[0]));
    assert_eq!(
        document["carried"],
        json!({ "traceparent": innermost(named("output_carrier")[0]), "tracestate": "a=b" })
    );
    assert_eq!(message.meta("traceparent"), Some(&innermost(named("output_carrier")[0]).as_str().into()));
}

#[tokio::test]
async fn traces_begin_continue_or_link_as_they_are_told() {
    for (test, tracer, extract, link, parent, linked, recorded) in [
        ("own", "own", "", false, false, false, true),
        ("continued", "continued", "root = @", false, true, false, true),
        ("linked", "linked", "root = @", true, false, true, true),
        ("no object", "no object", "root = \"x\"", false, false, false, true),
        ("fails", "fails", "root = throw(\"no\")", false, false, false, true),
        ("unsampled", "-unsampled", "root = @", false, true, false, false),
    ] {
        let bench = Bench::default();
        let _stream = start(
            &bench,
            &json!({
                "input": { "carrier": {
                    "topic": "in", "extract_tracing_map": extract, "new_root_span_with_link": link,
                } },
                "pipeline": { "processors": [{ "mapping": "root = tracing_span().traceparent" }] },
                "output": { "carrier": { "topic": "out", "inject_tracing_map": "meta sent = this.traceparent" } },
                "tracer": { "keeper": tracer },
            }),
        );
        let message = one(&bench, "{}").await;
        let spans = kept(test);
        let root = spans.iter().find(|span| span.name == "input_carrier");
        assert_eq!(root.is_some(), recorded, "{test}");
        let seen = texts(std::slice::from_ref(&message)).remove(0);
        assert_eq!(seen.contains(TRACE), parent, "{test}: {seen}");
        assert!(seen.ends_with(if recorded { "-01" } else { "-00" }), "{test}: {seen}");
        assert!(message.meta("sent").is_some());
        if let Some(root) = root {
            assert_eq!(root.parent_id != 0, parent, "{test}");
            let expected =
                linked.then_some((u128::from_str_radix(TRACE, 16).unwrap(), 0x00f0_67aa_0ba9_02b7));
            assert_eq!(root.link, expected, "{test}");
        }
    }
}

#[tokio::test]
async fn without_a_tracer_trace_context_passes_as_it_is() {
    let bench = Bench::default();
    let _stream = start(
        &bench,
        &json!({
            "input": { "carrier": { "topic": "in", "extract_tracing_map": "root = @" } },
            "pipeline": { "processors": [{ "mapping": "root.id = tracing_id()\nroot.span = tracing_span()" }] },
            "output": { "carrier": { "topic": "out", "inject_tracing_map": "meta sent = this.traceparent" } },
            "tracer": { "none": {} },
        }),
    );
    let message = one(&bench, "{}").await;
    assert_eq!(message.meta("traceparent"), Some(&TRACEPARENT.into()));
    assert_eq!(message.meta("sent"), None);
    let document: Json = message.value().unwrap().clone().into();
    assert_eq!(document, json!({ "id": "0".repeat(32), "span": null }));
}

#[tokio::test]
async fn a_failure_knows_its_component_until_it_is_caught() {
    let bench = Bench::default();
    let asked = "root.at = [error_source_label(), error_source_path(), error_source_type()]";
    let _stream = start(
        &bench,
        &json!({
            "input": { "inproc": "in" },
            "pipeline": { "processors": [
                { "mapping": asked },
                { "try": [{ "label": "broken", "mapping": "root = throw(\"no\")" }] },
                { "mapping": "root.before = this.at\nroot.at = [error_source_label(), error_source_path(), error_source_type()]" },
                { "catch": [] },
                { "mapping": "root = this\nroot.after = error_source_label()" },
            ] },
            "output": { "inproc": "out" },
        }),
    );
    let message = one(&bench, "{}").await;
    let document: Json = message.value().unwrap().clone().into();
    let expected = json!({
        "before": [null, null, null],
        "at": ["broken", "root.pipeline.processors.1.try.0", "mapping"],
        "after": null,
    });
    assert_eq!(document, expected);
}

#[tokio::test]
async fn flows_have_an_id_where_somebody_asks() {
    let bench = Bench::default();
    let _stream = start(
        &bench,
        &json!({
            "input": { "inproc": "in" },
            "pipeline": { "processors": [
                { "mapping": "root.first = flow_id()" },
                { "mapping": "root.first = this.first\nroot.second = flow_id()" },
            ] },
            "output": { "inproc": "out" },
            "tracer": { "keeper": "flows" },
        }),
    );
    let message = one(&bench, "{}").await;
    let document: Json = message.value().unwrap().clone().into();
    assert_eq!(document["first"].as_str().map(str::len), Some(36), "{document}");
    assert_eq!(document["first"], document["second"]);
}
