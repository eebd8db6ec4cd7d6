//! When something happens again: after an interval, or by a cron schedule (streams contract 3.9).

use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::units;

/// A pause, or the points in time at which something happens.
#[derive(Debug, Clone)]
pub(super) enum Schedule {
    /// At once, then always after this pause.
    Every(Duration),
    /// After this pause, and so on.
    After(Duration),
    Cron(Ticks),
}

impl Schedule {
    /// Reads `5s`, `@every 5s`, `@daily`, five cron fields or six with seconds first, the last ones perhaps behind a time
    /// zone as `TZ=Europe/Berlin`. Without one they are UTC.
    pub(super) fn parse(text: &str) -> Result<Schedule, String> {
        let text = text.trim();
        if !text.contains(' ') && !text.starts_with('@') {
            return units::duration(text).map(Schedule::Every);
        }
        let (zone, schedule) = match text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
            None => (TimeZone::UTC, text),
            Some(rest) => {
                let (name, schedule) = rest.split_once(' ').unwrap_or((rest, ""));
                let zone = TimeZone::get(name).map_err(|_| format!("there is no time zone `{name}`"))?;
                (zone, schedule.trim())
            }
        };
        if let Some(time) = schedule.strip_prefix("@every") {
            let time = units::duration(time.trim())?;
            // As the original: schedules have no finer grain than seconds.
            return Ok(Schedule::After(Duration::from_secs(time.as_secs().max(1))));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .sloppy_ranges(true)
            .build();
        let cron = parser.parse(schedule).map_err(|fault| {
            format!("`{schedule}` is neither a duration nor a cron schedule: {}", lower(&fault.to_string()))
        })?;
        let ticks = Ticks { cron: Box::new(cron), zone };
        match ticks.next(Timestamp::now(), None) {
            Some(_) => Ok(Schedule::Cron(ticks)),
            None => Err(format!("`{text}` never comes")),
        }
    }
}

/// The points in time of a cron schedule.
#[derive(Debug, Clone)]
pub(super) struct Ticks {
    cron: Box<Cron>,
    zone: TimeZone,
}

impl Ticks {
    /// The next one, given the time and the one before; what was missed does not come later. `None`: never again.
    pub(super) fn next(&self, now: Timestamp, last: Option<Timestamp>) -> Option<Timestamp> {
        let from = last.map_or(now, |last| last.max(now));
        let next = self.cron.find_next_occurrence(&from.to_zoned(self.zone.clone()), false).ok()?;
        Some(Zoned::timestamp(&next))
    }
}

/// A sentence of another crate as part of one of ours.
fn lower(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_come_when_they_say() {
        for (text, now, expected) in [
            ("*/5 * * * *", "2026-03-01T00:01:00Z", "2026-03-01T00:05:00Z 2026-03-01T00:10:00Z"),
            ("30 */5 * * * *", "2026-03-01T00:01:00Z", "2026-03-01T00:05:30Z 2026-03-01T00:10:30Z"),
            ("0 30 3 * * ?", "2026-03-01T00:01:00Z", "2026-03-01T03:30:00Z 2026-03-02T03:30:00Z"),
            ("@daily", "2026-03-01T00:01:00Z", "2026-03-02T00:00:00Z 2026-03-03T00:00:00Z"),
            ("@hourly", "2026-03-01T00:01:00Z", "2026-03-01T01:00:00Z 2026-03-01T02:00:00Z"),
            ("0 9 * * MON-FRI", "2026-02-28T00:00:00Z", "2026-03-02T09:00:00Z 2026-03-03T09:00:00Z"),
            // One of both days is enough, as everywhere.
            ("0 0 13 * 5", "2026-03-01T00:00:00Z", "2026-03-06T00:00:00Z 2026-03-13T00:00:00Z"),
            (
                "TZ=Europe/Berlin 0 9 * * *",
                "2026-03-28T00:00:00Z",
                "2026-03-28T08:00:00Z 2026-03-29T07:00:00Z",
            ),
            (
                "CRON_TZ=America/New_York @daily",
                "2026-03-01T00:00:00Z",
                "2026-03-01T05:00:00Z 2026-03-02T05:00:00Z",
            ),
        ] {
            let Ok(Schedule::Cron(ticks)) = Schedule::parse(text) else { panic!("{text}") };
            let now: Timestamp = now.parse().unwrap();
            let first = ticks.next(now, None).unwrap();
            let second = ticks.next(now, Some(first)).unwrap();
            assert_eq!(format!("{first} {second}"), expected, "{text}");
        }
        for (text, every, seconds) in
            [("1m30s", true, 90), ("@every 90s", false, 90), ("@every 1ms", false, 1)]
        {
            let pause = match Schedule::parse(text) {
                Ok(Schedule::Every(pause)) if every => pause,
                Ok(Schedule::After(pause)) if !every => pause,
                other => panic!("{text}: {other:?}"),
            };
            assert_eq!(pause.as_secs(), seconds, "{text}");
        }
    }

    #[test]
    fn wrong_schedules_are_refused() {
        for (text, expected) in [
            ("soon", "`soon` is not a duration"),
            ("@every soon", "`soon` is not a duration"),
            ("@sometimes", "neither a duration nor a cron schedule"),
            ("* * *", "neither a duration nor a cron schedule"),
            ("61 * * * *", "neither a duration nor a cron schedule"),
            ("* * * * * * 2030", "neither a duration nor a cron schedule"),
            ("TZ=Nowhere/There * * * * *", "there is no time zone `Nowhere/There`"),
            ("TZ=UTC", "`TZ=UTC` is not a duration"),
            ("0 0 30 2 *", "`0 0 30 2 *` never comes"),
        ] {
            let fault = Schedule::parse(text).unwrap_err();
            assert!(fault.contains(expected), "{text}: {fault}");
        }
    }
}
