//! What a consumer needs to know, read from either field set.

use std::sync::Arc;
use std::time::Duration;

use document::Fault;
use rdkafka::config::ClientConfig;
use rdkafka::topic_partition_list::Offset;
use streams::{BuildContext, Egress, Input, Node, RateLimit};

use super::batching::Rules;
use super::connection::check;
use super::input::{Gathering, KafkaInput};
use super::security::Credentials;
use super::topics::{Explicit, Topics};
use crate::fields::filled;

/// What is fetched ahead, in KiB: the bound of a consumer's memory beside the messages on their way.
const FETCHED_AHEAD_KIB: &str = "32768";
/// How often the client library tells its figures, of which the lag is one.
const FIGURES_EVERY_MS: &str = "1000";
/// Topics and partitions that were made meanwhile are seen within this time.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Everything that a consumer needs to know.
pub(super) struct Plan {
    pub(super) config: ClientConfig,
    pub(super) credentials: Credentials,
    pub(super) egress: Arc<Egress>,
    pub(super) stream: Arc<str>,
    pub(super) topics: Topics,
    /// Whether offsets are read from the group and committed to it.
    pub(super) stored: bool,
    /// Where explicit partitions begin when nothing else says where.
    pub(super) begin: Offset,
    pub(super) limit: usize,
    pub(super) commit_period: Duration,
    /// How long a revoked partition's messages may take until it is given away.
    pub(super) drain: Duration,
    /// How often topics that patterns name are looked for.
    pub(super) look_every: Duration,
    /// Whether a topic or partition that the brokers do not know makes a new consumer.
    pub(super) reconnect_on_unknown: bool,
    pub(super) multi_header: bool,
    /// Whether messages tell how far behind they are.
    pub(super) lag: bool,
    /// What every message asks before it is read.
    pub(super) rate_limit: Option<Arc<dyn RateLimit>>,
}

/// How a member of a group shows that it lives, and how long handing over may take.
pub(super) struct Membership {
    pub(super) session: Duration,
    pub(super) heartbeat: Duration,
    pub(super) rebalance: Duration,
}

/// What differs between the field sets; the rest has the same names in both.
pub(super) struct Particulars {
    pub(super) config: ClientConfig,
    pub(super) credentials: Credentials,
    pub(super) topics: Topics,
    pub(super) membership: Membership,
    /// `earliest`, `latest` or `error`.
    pub(super) reset: &'static str,
    /// How old what is known of topics may get.
    pub(super) metadata_age: Duration,
    pub(super) reconnect_on_unknown: bool,
    pub(super) lag: bool,
    pub(super) rate_limit: Option<Arc<dyn RateLimit>>,
}

/// Builds the input from what differs and from the fields of the same name.
pub(super) fn build(
    node: &Node<'_>,
    context: &mut BuildContext<'_>,
    own: Particulars,
) -> Result<Box<dyn Input>, Fault> {
    let group = filled(node, "consumer_group")?;
    let shared = !matches!(own.topics, Topics::Explicit(_));
    if shared && group.is_none() {
        return Err(node
            .field_fault("consumer_group", "topics are shared within a consumer group, so one must be named")
            .hint("name a group, or name partitions such as `orders:0-5` to read them without one"));
    }
    if let (Topics::Explicit(list), Some(_)) = (&own.topics, &group)
        && list.iter().any(|Explicit { offset, .. }| offset.is_some())
    {
        return Err(node
            .field_fault("topics", "an offset to begin at has no meaning for a group, which keeps its own")
            .hint("leave `consumer_group` out, or the offset"));
    }
    if let (Topics::Explicit(list), Some(group)) = (&own.topics, &group) {
        for Explicit { topic, partition, .. } in list {
            // No group shares these out: the one that is replaced reads on from the same offset.
            context.claim(format!("kafka partition {topic}:{partition} for {group}"));
        }
    }
    let limit = node.count("checkpoint_limit")?;
    if limit == 0 {
        return Err(node.field_fault("checkpoint_limit", "at least one message must be on its way"));
    }
    let rules = Rules::read(node, context, limit)?;

    let Particulars { mut config, credentials, topics, membership, .. } = own;
    let look_every = own.metadata_age.clamp(Duration::from_millis(100), LOOK_EVERY);
    // Without a group nothing is stored; the client library wants a name nevertheless, and never uses it.
    config.set("group.id", group.as_deref().unwrap_or("none"));
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", own.reset)
        .set("session.timeout.ms", membership.session.as_millis().to_string())
        .set("heartbeat.interval.ms", membership.heartbeat.as_millis().to_string())
        .set("max.poll.interval.ms", membership.rebalance.max(membership.session).as_millis().to_string())
        .set("isolation.level", node.text("transaction_isolation_level")?)
        .set("topic.metadata.refresh.interval.ms", look_every.as_millis().to_string())
        .set("metadata.max.age.ms", own.metadata_age.max(look_every).as_millis().to_string())
        .set("queued.max.messages.kbytes", FETCHED_AHEAD_KIB)
        .set("fetch.queue.backoff.ms", "20");
    if own.lag {
        config.set("statistics.interval.ms", FIGURES_EVERY_MS);
    }
    if let Some(rack) = filled(node, "rack_id")? {
        config.set("client.rack", rack);
    }
    check(&config, node)?;

    let gathered = match rules {
        Some(rules) => Gathering::By(rules),
        None if limit > 1 && own.rate_limit.is_none() && context.batches_unseen() => Gathering::Together,
        None => Gathering::Alone,
    };
    let plan = Plan {
        config,
        credentials,
        egress: context.settings.egress.clone(),
        stream: context.stream.clone(),
        topics,
        stored: group.is_some(),
        begin: match own.reset {
            "latest" => Offset::End,
            _ => Offset::Beginning,
        },
        limit: match &gathered {
            Gathering::By(rules) => rules.most(),
            _ => limit,
        },
        commit_period: node.duration("commit_period")?.unwrap_or(Duration::from_secs(1)),
        drain: membership.session.min(membership.rebalance / 2),
        look_every,
        reconnect_on_unknown: own.reconnect_on_unknown,
        multi_header: node.boolean("multi_header")?,
        lag: own.lag,
        rate_limit: own.rate_limit,
    };
    context.with_replay(node, KafkaInput::new(plan, gathered))
}
