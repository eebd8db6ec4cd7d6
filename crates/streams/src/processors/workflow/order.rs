//! Which branches run after which.

use bloblang::Text;
use document::Fault;

use super::Named;
use crate::node::Node;

/// The tiers as they were written; every branch stands in one of them.
pub(super) fn written(node: &Node<'_>, tiers: &[Node<'_>], all: &[Named]) -> Result<Vec<Vec<usize>>, Fault> {
    let mut placed = vec![false; all.len()];
    let mut found = Vec::new();
    for tier in tiers {
        let mut members = Vec::new();
        for name in tier.members() {
            let text = name.as_text()?;
            let Some(at) = all.iter().position(|named| *named.name == *text) else {
                return Err(name.fault(format!("there is no branch `{text}`")));
            };
            if std::mem::replace(&mut placed[at], true) {
                return Err(name.fault(format!("the branch `{text}` stands in `order` twice")));
            }
            members.push(at);
        }
        found.push(members);
    }
    match placed.iter().position(|placed| !placed) {
        None => Ok(found),
        Some(at) => Err(node
            .field_fault("order", format!("the branch `{}` stands in no tier", all[at].name))
            .hint("name every branch, or leave `order` out")),
    }
}

/// The tiers that follow from what the branches read and write.
pub(super) fn derived(node: &Node<'_>, all: &[Named]) -> Result<Vec<Vec<usize>>, Fault> {
    let reads: Vec<Vec<Vec<Text>>> = all.iter().map(|named| named.branch.reads()).collect();
    let writes: Vec<Vec<Vec<Text>>> = all.iter().map(|named| named.branch.writes()).collect();
    let after = |needs: fn(&[Text], &[Text]) -> bool| -> Vec<Vec<usize>> {
        let depends = |one: usize, other: usize| {
            one != other && reads[one].iter().any(|read| writes[other].iter().any(|write| needs(read, write)))
        };
        (0..all.len()).map(|one| (0..all.len()).filter(|&other| depends(one, other)).collect()).collect()
    };
    // Reading an object of which another branch writes a part is a reason to wait, but none to refuse a circle: who reads
    // all of a document may mean what was there before.
    tiers(&after(reads_part)).or_else(|_| tiers(&after(reads_whole))).map_err(|circle| {
        let names: Vec<&str> = circle.iter().map(|&at| all[at].name.as_str()).collect();
        let last = names.last().copied().unwrap_or_default();
        let circle = format!("{last} -> {}", names.join(" -> "));
        node.field_fault("branches", format!("the branches read each other's results in a circle: {circle}"))
            .hint("break the circle, or give an `order`")
    })
}

/// Whether what is read stands in what is written.
fn reads_whole(read: &[Text], write: &[Text]) -> bool {
    read.len() >= write.len() && read[..write.len()] == *write && !read.is_empty()
}

/// As [`reads_whole`], or the other way round.
fn reads_part(read: &[Text], write: &[Text]) -> bool {
    reads_whole(read, write) || (!read.is_empty() && write.len() > read.len() && write[..read.len()] == *read)
}

/// Tiers in which each comes after what it depends on.
///
/// # Errors
/// A circle, each one depending on the one before it, the first one on the last.
pub(super) fn tiers(after: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, Vec<usize>> {
    let mut placed = vec![false; after.len()];
    let mut found = Vec::new();
    while placed.iter().any(|placed| !placed) {
        let ready = |at: &usize| !placed[*at] && after[*at].iter().all(|&other| placed[other]);
        let tier: Vec<usize> = (0..after.len()).filter(ready).collect();
        if tier.is_empty() {
            return Err(circle(after, &placed));
        }
        tier.iter().for_each(|&at| placed[at] = true);
        found.push(tier);
    }
    Ok(found)
}

/// Each of those that are not placed waits for another one: following them comes back to one that was seen.
fn circle(after: &[Vec<usize>], placed: &[bool]) -> Vec<usize> {
    let mut walked: Vec<usize> = Vec::new();
    let mut at = placed.iter().position(|placed| !placed).unwrap_or(0);
    loop {
        if let Some(start) = walked.iter().position(|&seen| seen == at) {
            let mut circle = walked.split_off(start);
            circle.reverse();
            return circle;
        }
        walked.push(at);
        match after[at].iter().find(|&&other| !placed[other]) {
            Some(&next) => at = next,
            None => return walked,
        }
    }
}
