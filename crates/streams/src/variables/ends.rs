//! Where the defaults of variables end, for a whole text at once: what opens and never closes is not looked for again
//! from every place where another variable may begin.

/// The places of a text that matter to defaults.
pub(super) struct Ends {
    /// Where `${` stands.
    opens: Vec<usize>,
    /// Where `}` stands.
    closes: Vec<usize>,
    /// For each of these, where a default ends that is looked at from behind it.
    behind: Vec<Option<usize>>,
}

impl Ends {
    pub(super) fn new(text: &str) -> Ends {
        let places = |what: &str| text.match_indices(what).map(|(at, _)| at).collect();
        let closes: Vec<usize> = places("}");
        let mut ends = Ends { opens: places("${"), behind: vec![None; closes.len()], closes };
        for index in (1..ends.closes.len()).rev() {
            ends.behind[index - 1] = ends.find(ends.closes[index - 1] + 1, index);
        }
        ends
    }

    /// Where a default ends that begins at this place: at the first `}` that closes no `${` of its own. One level may be
    /// nested.
    pub(super) fn of(&self, start: usize) -> Option<usize> {
        self.find(start, self.closes.partition_point(|close| *close < start))
    }

    /// `index` is that of the first `}` from there on.
    fn find(&self, start: usize, index: usize) -> Option<usize> {
        let close = *self.closes.get(index)?;
        let open = self.opens.get(self.opens.partition_point(|open| *open < start));
        match open {
            Some(open) if *open < close => self.behind[index],
            _ => Some(close),
        }
    }
}
