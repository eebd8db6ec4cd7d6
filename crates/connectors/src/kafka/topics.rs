//! Which topics and partitions an input reads.

use std::ops::RangeInclusive;

use regex::RegexSet;

/// The longest name that Kafka takes.
const LONGEST_NAME: usize = 249;
/// More explicit partitions than any topic has are a slip of the pen, not a wish.
const MOST_PARTITIONS: i32 = 100_000;

/// What the field `topics` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Topics {
    /// Partitions of these topics are shared among the consumers of the group.
    Balanced(Vec<String>),
    /// The same of all topics in whose name one of these is found.
    Patterns(Patterns),
    /// Exactly these partitions.
    Explicit(Vec<Explicit>),
}

/// One partition, and the offset to begin at if one is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Explicit {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: Option<i64>,
}

/// Regular expressions (RE2 syntax) for names of topics.
#[derive(Debug, Clone)]
pub(super) struct Patterns(RegexSet);

impl PartialEq for Patterns {
    fn eq(&self, other: &Patterns) -> bool {
        self.0.patterns() == other.0.patterns()
    }
}
impl Eq for Patterns {}

impl Patterns {
    /// Reads the members of `topics` as regular expressions.
    pub(super) fn parse(texts: &[String]) -> Result<Patterns, String> {
        RegexSet::new(texts).map(Patterns).map_err(|fault| format!("not a regular expression: {fault}"))
    }

    /// Whether the topic is meant. Kafka's own topics never are, unless a pattern begins as they do.
    pub(super) fn takes(&self, topic: &str) -> bool {
        let own = !topic.starts_with("__") || self.0.patterns().iter().any(|text| text.contains("__"));
        own && self.0.is_match(topic)
    }
}

/// Reads entries such as `t`, `t:0`, `t:0-5` and `t:0-5:100`.
pub(super) fn parse(entries: &[String]) -> Result<Topics, String> {
    let mut balanced = Vec::new();
    let mut explicit = Vec::new();
    for entry in entries {
        match entry.split_once(':') {
            None => balanced.push(name(entry)?.to_owned()),
            Some((topic, rest)) => {
                let topic = name(topic)?;
                let (partitions, offset) = match rest.split_once(':') {
                    None => (rest, None),
                    Some((partitions, offset)) => (partitions, Some(self::offset(offset)?)),
                };
                let one = |partition| Explicit { topic: topic.to_owned(), partition, offset };
                explicit.extend(range(partitions)?.map(one));
            }
        }
    }
    match (balanced.is_empty(), explicit.is_empty()) {
        (false, false) => {
            Err("topics that the group shares and explicit partitions cannot be mixed in one input; use two inputs \
                 under a `broker`"
                .to_owned())
        }
        (true, _) => {
            explicit.sort();
            explicit.dedup();
            let same = |pair: &[Explicit]| {
                (&pair[0].topic, pair[0].partition) == (&pair[1].topic, pair[1].partition)
            };
            match explicit.windows(2).find(|pair| same(pair)) {
                None => Ok(Topics::Explicit(explicit)),
                Some(pair) => Err(format!(
                    "partition {} of `{}` is named with two different offsets",
                    pair[0].partition, pair[0].topic
                )),
            }
        }
        (false, true) => Ok(Topics::Balanced(balanced)),
    }
}

// The client library takes a name with `^` in front for a regular expression; Kafka has no such names.
fn name(topic: &str) -> Result<&str, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if topic.is_empty() || topic.len() > LONGEST_NAME || !topic.chars().all(legal) {
        return Err(format!(
            "`{topic}` is not a topic name: 1 to {LONGEST_NAME} letters, digits, dots, underscores and hyphens"
        ));
    }
    Ok(topic)
}

fn offset(text: &str) -> Result<i64, String> {
    let number = text.trim().parse::<i64>().ok().filter(|&number| number >= 0);
    number
        .ok_or_else(|| format!("`{text}` is not an offset; write a number from 0 up, such as `orders:0:100`"))
}

fn range(text: &str) -> Result<RangeInclusive<i32>, String> {
    let wrong =
        || format!("`{text}` is not a partition or a range of partitions; write one such as `3` or `0-5`");
    let number = |text: &str| text.trim().parse::<i32>().ok().filter(|&number| number >= 0).ok_or_else(wrong);
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    if first > last || last >= MOST_PARTITIONS {
        return Err(wrong());
    }
    Ok(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entries: &[&str]) -> Result<Topics, String> {
        parse(&entries.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn topics_and_partitions_are_told_apart() {
        assert_eq!(read(&["a", "b.c-d_e"]), Ok(Topics::Balanced(vec!["a".into(), "b.c-d_e".into()])));
        let expected = [("a", 0, None), ("a", 1, None), ("a", 2, None), ("b", 7, None), ("c", 0, Some(5))];
        let expected = expected.map(|(topic, partition, offset)| Explicit {
            topic: topic.to_owned(),
            partition,
            offset,
        });
        assert_eq!(read(&["c:0:5", "b:7", "a:0-2", "a:1"]), Ok(Topics::Explicit(expected.to_vec())));
    }

    #[test]
    fn patterns_find_topics_but_not_those_of_kafka_itself() {
        let patterns =
            |texts: &[&str]| Patterns::parse(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        let both = patterns(&["^orders-\\d+$", "eu"]).expect("regular expressions");
        for (topic, taken) in
            [("orders-1", true), ("orders-x", false), ("my-eu-topic", true), ("other", false)]
        {
            assert_eq!(both.takes(topic), taken, "{topic}");
        }
        assert!(!patterns(&[".*"]).expect("a pattern").takes("__consumer_offsets"));
        assert!(patterns(&["^__consumer"]).expect("a pattern").takes("__consumer_offsets"));
        assert!(patterns(&["("]).is_err());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for entries in [
            &["a", "b:0"][..],
            &["^a.*"],
            &[":1"],
            &["a:"],
            &["a:-1"],
            &["a:3-1"],
            &["a:x"],
            &["a:0-999999999"],
            &["a:0:-1"],
            &["a:0:x"],
            &["a:0:1", "a:0:2"],
        ] {
            assert!(read(entries).is_err(), "{entries:?}");
        }
    }
}
