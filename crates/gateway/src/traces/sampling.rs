//! Which traces are recorded (contract 1.3, `sampling`).

/// Which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Which of those that begin here, and of all where `parent_based` is false.
    pub sampler: Sampler,
    /// Of those that somebody else began, these that are recorded there.
    pub parent_based: bool,
}

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampler {
    /// All.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// This part of all, from 0 to 1.
    Ratio(f64),
}

impl Sampling {
    /// By the words of the configuration.
    ///
    /// # Errors
    /// Which setting has to be changed.
    pub fn read(kind: &str, rate: f64, parent_based: bool) -> Result<Self, String> {
        let sampler = match kind {
            "AlwaysOn" => Sampler::AlwaysOn,
            "AlwaysOff" => Sampler::AlwaysOff,
            "TraceIDRatioBased" if (0.0..=1.0).contains(&rate) => Sampler::Ratio(rate),
            "TraceIDRatioBased" => return Err(format!("`sampling.rate`: {rate} is not between 0 and 1")),
            other => return Err(format!("`sampling.type`: there is no `{other}`")),
        };
        Ok(Self { sampler, parent_based })
    }

    /// Whether a trace is recorded. `parent`: what whoever began it says of that, if somebody else did and says so.
    pub(crate) fn takes(&self, trace_id: u128, parent: Option<bool>) -> bool {
        if let Some(sampled) = parent.filter(|_| self.parent_based) {
            return sampled;
        }
        match self.sampler {
            Sampler::AlwaysOn => true,
            Sampler::AlwaysOff => false,
            // As the SDKs of OpenTelemetry decide, so that all services decide alike: by 63 bits of the id.
            Sampler::Ratio(ratio) => {
                ratio >= 1.0 || ((trace_id as u64) >> 1) < (ratio * (1_u64 << 63) as f64) as u64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c1_3_samplers() {
        const LOW: u128 = 1 << 64;
        const HIGH: u128 = u128::MAX;
        for (kind, rate, parent_based, trace, parent, taken) in [
            ("AlwaysOn", 0.0, false, HIGH, Some(false), true),
            ("AlwaysOn", 0.0, true, HIGH, Some(false), false),
            ("AlwaysOn", 0.0, true, HIGH, None, true),
            ("AlwaysOff", 1.0, false, LOW, Some(true), false),
            ("AlwaysOff", 1.0, true, LOW, Some(true), true),
            ("TraceIDRatioBased", 0.5, false, LOW, Some(false), true),
            ("TraceIDRatioBased", 0.5, false, HIGH, Some(true), false),
            ("TraceIDRatioBased", 0.5, true, HIGH, Some(true), true),
            ("TraceIDRatioBased", 0.5, true, HIGH, None, false),
            ("TraceIDRatioBased", 1.0, false, HIGH, None, true),
            ("TraceIDRatioBased", 0.0, false, LOW, None, false),
        ] {
            let sampling = Sampling::read(kind, rate, parent_based).unwrap();
            assert_eq!(sampling.takes(trace, parent), taken, "{sampling:?} {trace:x} {parent:?}");
        }
        assert!(Sampling::read("TraceIDRatioBased", 1.5, false).is_err());
        assert!(Sampling::read("Sometimes", 0.5, false).is_err());
    }

    #[test]
    fn a_ratio_takes_about_that_part() {
        let sampling = Sampling::read("TraceIDRatioBased", 0.25, false).unwrap();
        let taken = (0..20_000).filter(|_| sampling.takes(rand::random(), None)).count();
        assert!((4_500..5_500).contains(&taken), "{taken} of 20000");
    }
}
