//! What the polling thread asks brokers beside messages: whether they live, where partitions end, which topics there are.

use std::time::Instant;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::consumer::{PROBE, Poller};
use super::topics::{Explicit, Topics};

impl Poller {
    /// Asks for a sign of life while there is none; the client library connects by itself. `false` when it would connect
    /// where it may not.
    pub(super) fn connect(&mut self) -> bool {
        let monitor = &self.context.monitor;
        if monitor.is_up() || Instant::now() < self.next_probe {
            return true;
        }
        let topic = match &self.plan.topics {
            Topics::Balanced(topics) => topics.first().map(String::as_str),
            Topics::Patterns(_) => None,
            Topics::Explicit(partitions) => partitions.first().map(|one| one.topic.as_str()),
        };
        let answer = self.consumer.fetch_metadata(topic, PROBE);
        if let Ok(metadata) = &answer
            && let Err(reason) = monitor.allows(&self.plan.egress, metadata)
        {
            monitor.deny(&reason);
            return false;
        }
        let answer = answer.map(drop).and_then(|()| self.place());
        let monitor = &self.context.monitor;
        match answer {
            Ok(()) => monitor.up(),
            Err(fault) => {
                monitor.down(&fault);
                self.next_probe = Instant::now() + PROBE / 4;
            }
        }
        true
    }

    /// Finds the ends of partitions that begin there, and assigns all partitions once it has them.
    fn place(&mut self) -> KafkaResult<()> {
        if self.unplaced.is_empty() {
            return Ok(());
        }
        while let Some((topic, partition)) = self.unplaced.last() {
            match self.consumer.fetch_watermarks(topic, *partition, PROBE) {
                Ok((_, high)) => drop(self.begun.insert((topic.as_str().into(), *partition), high)),
                // Not there: the client library tells of it, and begins at its end when it comes.
                Err(fault) if is_unknown(&fault) => {}
                Err(fault) => return Err(fault),
            }
            self.unplaced.pop();
        }
        let Topics::Explicit(partitions) = &self.plan.topics else { return Ok(()) };
        let mut list = TopicPartitionList::new();
        for Explicit { topic, partition, .. } in partitions {
            let known = self.begun.get(&(topic.as_str().into(), *partition));
            let begin = known.map_or(self.plan.begin, |position| Offset::Offset(*position));
            list.add_partition_offset(topic, *partition, begin)?;
        }
        self.consumer.assign(&list)
    }

    /// Looks for topics that patterns name, from time to time; `false` when they cannot be subscribed to.
    pub(super) fn look(&mut self) -> bool {
        let Topics::Patterns(patterns) = &self.plan.topics else { return true };
        let now = Instant::now();
        if now < self.next_look || !self.context.monitor.is_up() {
            return true;
        }
        self.next_look = now + self.plan.look_every;
        let Ok(metadata) = self.consumer.fetch_metadata(None, PROBE) else { return true };
        let monitor = &self.context.monitor;
        if let Err(reason) = monitor.allows(&self.plan.egress, &metadata) {
            monitor.deny(&reason);
            return false;
        }
        let found =
            metadata.topics().iter().filter(|topic| topic.error().is_none()).map(|topic| topic.name());
        let mut found: Vec<String> = found.filter(|name| patterns.takes(name)).map(str::to_owned).collect();
        found.sort_unstable();
        if found == self.subscribed || found.is_empty() {
            return true;
        }
        tracing::info!(stream = %self.plan.stream, topics = found.len(), "kafka topics found by pattern");
        if let Err(fault) = self.consumer.subscribe(&found.iter().map(String::as_str).collect::<Vec<_>>()) {
            tracing::error!(stream = %self.plan.stream, %fault, "kafka topics cannot be subscribed to");
            return false;
        }
        self.subscribed = found;
        true
    }
}

/// Whether the brokers do not know a topic or partition.
fn is_unknown(fault: &KafkaError) -> bool {
    use RDKafkaErrorCode::{UnknownPartition, UnknownTopic, UnknownTopicOrPartition};
    matches!(fault.rdkafka_error_code(), Some(UnknownPartition | UnknownTopic | UnknownTopicOrPartition))
}
