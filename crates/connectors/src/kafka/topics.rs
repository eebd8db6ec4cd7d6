//! Which topics and partitions an input reads.

use std::ops::RangeInclusive;

/// The longest name that Kafka takes.
const LONGEST_NAME: usize = 249;
/// More explicit partitions than any topic has are a slip of the pen, not a wish.
const MOST_PARTITIONS: i32 = 100_000;

/// What the field `topics` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Topics {
    /// Partitions of these topics are shared among the consumers of the group.
    Balanced(Vec<String>),
    /// Exactly these partitions.
    Explicit(Vec<(String, i32)>),
}

/// Reads entries such as `t`, `t:0` and `t:0-5`.
pub(super) fn parse(entries: &[String]) -> Result<Topics, String> {
    let mut balanced = Vec::new();
    let mut explicit = Vec::new();
    for entry in entries {
        match entry.split_once(':') {
            None => balanced.push(name(entry)?.to_owned()),
            Some((topic, partitions)) => {
                let topic = name(topic)?;
                explicit.extend(range(partitions)?.map(|partition| (topic.to_owned(), partition)));
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
            Ok(Topics::Explicit(explicit))
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
        let expected =
            [("a", 0), ("a", 1), ("a", 2), ("b", 7)].map(|(topic, number)| (topic.to_owned(), number));
        assert_eq!(read(&["b:7", "a:0-2", "a:1"]), Ok(Topics::Explicit(expected.to_vec())));
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
        ] {
            assert!(read(entries).is_err(), "{entries:?}");
        }
    }
}
