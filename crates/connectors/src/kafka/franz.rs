//! Builds what is written under `kafka_franz`.

use std::time::Duration;

use document::Fault;
use streams::{BuildContext, Input, Node, Output};

use super::connection::check;
use super::message::{HeaderRules, MetadataRules};
use super::options::{addressing, balancers};
use super::output::{self, KafkaOutput, Retry};
use super::partitioner::Rule;
use super::plan::{Membership, Particulars};
use super::producer::REQUESTS;
use super::security::config;
use super::topics::{self, Patterns, Topics};
use crate::fields::comma_list;
use streams::Selection;

/// What the original's client takes, where it has no field.
const MEMBERSHIP: Membership = Membership {
    session: Duration::from_secs(45),
    heartbeat: Duration::from_secs(3),
    rebalance: Duration::from_secs(60),
};
/// The library wants to be able to receive so much more than it asks for.
const ENVELOPE: u64 = 512;
/// The largest sizes that the library can be told.
const LARGEST: u64 = 1_000_000_000;

/// Builds the input.
pub(super) fn input(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let topics = if node.boolean("regexp_topics")? {
        let patterns = node.texts("topics")?;
        if patterns.is_empty() {
            return Err(node.field_fault("topics", "`topics` must name at least one"));
        }
        Patterns::parse(&patterns).map(Topics::Patterns)
    } else {
        topics::parse(&comma_list(node, "topics")?)
    };
    let topics = topics.map_err(|text| node.field_fault("topics", text))?;
    let (mut config, credentials) = config(node, "seed_brokers", context)?;
    let fetch = size(node, "fetch_max_bytes", 1)?;
    let wait = node.duration("fetch_max_wait")?.unwrap_or_default();
    config
        .set("partition.assignment.strategy", balancers(node, "group_balancers")?)
        .set("fetch.max.bytes", fetch.to_string())
        // No answer could be larger, and the library insists.
        .set("message.max.bytes", fetch.clamp(1000, 1_000_000).min(fetch).to_string())
        .set("receive.message.max.bytes", (fetch + ENVELOPE).max(1_000_000).to_string())
        .set("max.partition.fetch.bytes", size(node, "fetch_max_partition_bytes", 1)?.to_string())
        .set("fetch.wait.max.ms", wait.as_millis().min(300_000).to_string())
        .set(
            "socket.timeout.ms",
            (wait + Duration::from_secs(55)).as_millis().clamp(60_000, 300_000).to_string(),
        );
    let reset =
        match (node.optional_text("auto_offset_reset")?.as_deref(), node.boolean("start_from_oldest")?) {
            (Some("none"), _) => "error",
            (Some("latest"), _) | (None, false) => "latest",
            _ => "earliest",
        };
    let own = Particulars {
        config,
        credentials,
        topics,
        membership: MEMBERSHIP,
        reset,
        metadata_age: node.duration("metadata_max_age")?.unwrap_or(Duration::from_secs(300)),
        reconnect_on_unknown: node.boolean("reconnect_on_unknown_topic_or_partition")?,
        lag: false,
        rate_limit: context.rate_limit(&node.get("rate_limit"))?,
    };
    super::plan::build(node, context, own)
}

/// Builds the output.
pub(super) fn output(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    let partitioner = node.text("partitioner")?;
    let addressing = addressing(node, context, &partitioner)?;
    let max_in_flight = node.count("max_in_flight")?.max(1);
    let timeout = node.duration("timeout")?.unwrap_or(Duration::from_secs(10));
    let idempotent = node.boolean("idempotent_write")?;
    let age = node.duration("metadata_max_age")?.unwrap_or(Duration::from_secs(300));
    let compression = node.optional_text("compression")?;
    let held = node.integer("max_buffered_records")?;
    if held < 1 {
        return Err(node.field_fault("max_buffered_records", "a number from 1 up is expected"));
    }

    let (mut config, credentials) = config(node, "seed_brokers", context)?;
    output::throughput(&mut config);
    config
        .set("acks", "all")
        .set("enable.idempotence", idempotent.to_string())
        // Only one request at a time keeps the order when one has to be repeated without idempotence.
        .set("max.in.flight", if max_in_flight == 1 && !idempotent { "1" } else { REQUESTS })
        .set("message.timeout.ms", timeout.as_millis().max(1).to_string())
        .set("message.max.bytes", size(node, "max_message_bytes", 1000)?.to_string())
        .set("batch.size", size(node, "broker_write_max_bytes", 1)?.to_string())
        .set("queue.buffering.max.messages", held.to_string())
        .set("topic.metadata.refresh.interval.ms", age.as_millis().clamp(10, 3_600_000).to_string())
        .set("metadata.max.age.ms", age.as_millis().clamp(10, 86_400_000).to_string())
        .set("allow.auto.create.topics", node.boolean("allow_auto_topic_creation")?.to_string())
        .set("compression.type", compression.as_deref().unwrap_or("snappy"))
        .set("partitioner", "murmur2_random");
    let options = node.get("uniform_bytes_options");
    let rule = match partitioner.as_ref() {
        "round_robin" => Some(Rule::RoundRobin),
        "least_backup" => Some(Rule::LeastBackup),
        "uniform_bytes" => Some(Rule::UniformBytes {
            bytes: usize::try_from(options.size("bytes")?.unwrap_or(1_000_000)).unwrap_or(usize::MAX),
            adaptive: options.boolean("adaptive")?,
            keys: options.boolean("keys")?,
        }),
        _ => None,
    };
    output::ask_for_each(&mut config, rule);
    check(&config, node)?;
    context.with_batching(node)?;
    Ok(Box::new(KafkaOutput::new(output::Plan {
        config,
        credentials,
        egress: context.settings.egress.clone(),
        stream: context.stream.clone(),
        addressing,
        rule,
        headers: HeaderRules {
            fixed: Vec::new(),
            metadata: MetadataRules::Only(Selection::read(&node.get("metadata"))?),
        },
        max_in_flight,
        timeout,
        retry_as_batch: false,
        retry: Retry::never(),
        creation: None,
    })))
}

fn size(node: &Node<'_>, name: &str, least: u64) -> Result<u64, Fault> {
    let size = node.size(name)?.unwrap_or(LARGEST);
    if !(least..=LARGEST).contains(&size) {
        return Err(node.field_fault(name, format!("a size from {least} to {LARGEST} bytes is expected")));
    }
    Ok(size)
}
