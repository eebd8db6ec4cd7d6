//! Builds what is written under `kafka`.

use std::time::Duration;

use document::Fault;
use parking_lot::Mutex;
use streams::{BuildContext, Input, Node, Output};

use super::addressing::Addressing;
use super::connection::check;
use super::message::{HeaderRules, MetadataRules};
use super::output::{self, KafkaOutput, Retry, TopicCreation};
use super::partitioner::Rule;
use super::plan::{Membership, Particulars};
use super::producer::REQUESTS;
use super::security::config;
use super::topics;
use crate::fields::comma_list;

/// How old what is known of topics may get.
const METADATA_AGE: Duration = Duration::from_secs(300);

/// Builds the input.
pub(super) fn input(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let topics =
        topics::parse(&comma_list(node, "topics")?).map_err(|text| node.field_fault("topics", text))?;
    let (mut config, credentials) = config(node, "addresses", context)?;
    let group = node.get("group");
    let duration = |name| group.duration(name).map(Option::unwrap_or_default);
    config
        .set("partition.assignment.strategy", balancers(&group, "balancers")?)
        .set("allow.auto.create.topics", "true");
    if node.boolean("debug")? {
        config.set("debug", "consumer,cgrp,topic,fetch,broker");
        config.set_log_level(rdkafka::config::RDKafkaLogLevel::Debug);
    }
    let own = Particulars {
        config,
        credentials,
        topics,
        membership: Membership {
            session: duration("session_timeout")?,
            heartbeat: duration("heartbeat_interval")?,
            rebalance: duration("rebalance_timeout")?,
        },
        reset: if node.boolean("start_from_oldest")? { "earliest" } else { "latest" },
        metadata_age: METADATA_AGE,
        reconnect_on_unknown: false,
        lag: true,
        rate_limit: None,
    };
    super::plan::build(node, context, own)
}

/// The client library's names for ways to share partitions.
pub(super) fn balancers(node: &Node<'_>, name: &str) -> Result<String, Fault> {
    let wanted = node.texts(name)?;
    let mut names = Vec::new();
    for balancer in &wanted {
        names.push(match balancer.as_str() {
            "round_robin" => "roundrobin",
            "cooperative_sticky" => "cooperative-sticky",
            "range" => "range",
            _ => {
                return Err(node
                    .field_fault(name, format!("the client library has no balancer `{balancer}`"))
                    .hint("`cooperative_sticky` keeps partitions where they are, too"));
            }
        });
    }
    if names.is_empty() {
        return Err(node.field_fault(name, "name at least one way to share partitions"));
    }
    if names.len() > 1 && names.contains(&"cooperative-sticky") {
        return Err(node.field_fault(
            name,
            "`cooperative_sticky` cannot stand beside others: they hand over partitions in another way",
        ));
    }
    Ok(names.join(","))
}

/// Builds the output.
pub(super) fn output(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    let partitioner = node.text("partitioner")?;
    let addressing = addressing(node, context, &partitioner)?;
    let max_in_flight = node.count("max_in_flight")?.max(1);
    let timeout = node.duration("timeout")?.unwrap_or(Duration::from_secs(5));
    let idempotent = node.boolean("idempotent_write")?;
    let most = node.size("max_msg_bytes")?.unwrap_or(1_000_000);

    let (mut config, credentials) = config(node, "addresses", context)?;
    config
        .set("acks", if idempotent || node.boolean("ack_replicas")? { "all" } else { "1" })
        .set("enable.idempotence", idempotent.to_string())
        // Only one request at a time keeps the order when one has to be repeated without idempotence.
        .set("max.in.flight", if max_in_flight == 1 && !idempotent { "1" } else { REQUESTS })
        .set("message.timeout.ms", timeout.as_millis().max(1).to_string())
        .set("message.max.bytes", most.to_string())
        .set("compression.type", node.text("compression")?);
    output::throughput(&mut config);
    let rule = match partitioner.as_ref() {
        "fnv1a_hash" => {
            config.set("partitioner", "fnv1a_random");
            None
        }
        "murmur2_hash" => {
            config.set("partitioner", "murmur2_random");
            None
        }
        "random" => {
            config.set("partitioner", "random");
            None
        }
        "round_robin" => Some(Rule::RoundRobin),
        _ => None,
    };
    output::ask_for_each(&mut config, rule);
    check(&config, node)?;

    let retries = node.get("backoff");
    let interval = |name| retries.duration(name).map(Option::unwrap_or_default);
    let creation = node.get("custom_topic_creation");
    let creation = match creation.boolean("enabled")? {
        false => None,
        true => Some(TopicCreation {
            partitions: number(&creation, "partitions")?,
            replicas: number(&creation, "replication_factor")?,
            known: Mutex::default(),
        }),
    };
    context.with_batching(node)?;
    Ok(Box::new(KafkaOutput::new(output::Plan {
        config,
        credentials,
        egress: context.settings.egress.clone(),
        stream: context.stream.clone(),
        addressing,
        rule,
        headers: HeaderRules {
            fixed: node.pairs("static_headers")?,
            metadata: MetadataRules::Without(node.get("metadata").texts("exclude_prefixes")?),
        },
        max_in_flight,
        timeout,
        retry_as_batch: node.boolean("retry_as_batch")?,
        retry: Retry {
            most: node.count("max_retries")?,
            initial: interval("initial_interval")?,
            longest: interval("max_interval")?,
            elapsed: Some(interval("max_elapsed_time")?).filter(|elapsed| !elapsed.is_zero()),
        },
        creation,
    })))
}

/// The templates of a message's way, which both field sets name alike.
pub(super) fn addressing(
    node: &Node<'_>,
    context: &BuildContext<'_>,
    partitioner: &str,
) -> Result<Addressing, Fault> {
    let partition = node.optional_template("partition", context)?;
    match (partitioner, &partition) {
        ("manual", None) => {
            return Err(node.field_fault("partition", "`partitioner: manual` needs a `partition`"));
        }
        ("manual", Some(_)) | (_, None) => {}
        (_, Some(_)) => {
            return Err(node
                .field_fault("partition", "`partition` has an effect with `partitioner: manual` only")
                .hint("write `partitioner: manual`"));
        }
    }
    Ok(Addressing {
        topic: node.template("topic", context)?,
        key: node.optional_template("key", context)?,
        partition,
        timestamp: node.optional_template("timestamp_ms", context)?,
    })
}

fn number(node: &Node<'_>, name: &str) -> Result<i32, Fault> {
    i32::try_from(node.integer(name)?).ok().filter(|&number| number == -1 || number > 0).ok_or_else(|| {
        node.field_fault(name, "a number from 1 up is expected, or -1 for the broker's default")
    })
}
