//! "Did you mean …".

/// Longer words are not compared.
const MAX_WORD: usize = 64;

/// The known word that `word` most likely meant: equal but for case, `_` and `-`, or else at most a third of its
/// characters mistyped (replaced, left out, added, or two neighbours swapped).
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let asked = plain(word);
    if asked.is_empty() || asked.len() > MAX_WORD {
        return None;
    }
    let allowed = (asked.len() / 3).max(1);
    known
        .filter(|candidate| candidate.len() <= 4 * MAX_WORD)
        .map(|candidate| (distance(&asked, &plain(candidate), allowed), candidate))
        .filter(|(distance, _)| *distance <= allowed && *distance < asked.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn plain(word: &str) -> Vec<char> {
    word.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).take(MAX_WORD + 1).collect()
}

/// Edit distance in which swapped neighbours count once; anything over `allowed` is only known to be more.
fn distance(a: &[char], b: &[char], allowed: usize) -> usize {
    if a.len().abs_diff(b.len()) > allowed {
        return allowed + 1;
    }
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}
