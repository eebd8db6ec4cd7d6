//! `<34>Oct 11 22:14:15 host app[123]: message` (RFC 3164, section 4).

use jiff::Zoned;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{Fields, Year, rfc3339, word};

/// What a line does not say itself.
pub(super) struct Rules {
    pub(super) rfc3339: bool,
    pub(super) year: Year,
    pub(super) zone: TimeZone,
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Fills in the fields until the end or the first fault.
pub(super) fn parse(text: &str, rules: &Rules, fields: &mut Fields) -> Result<(), String> {
    let rest = fields.priority(text)?;
    fields.begun = true;
    let rest = timestamp(rest, rules, fields)?;
    let (host, rest) = word(rest);
    let printable = host.bytes().all(|byte| (33..=126).contains(&byte));
    if host.is_empty() || host.len() > 255 || !printable {
        return Err("the hostname is not 1 to 255 printable characters".to_owned());
    }
    fields.text("hostname", host);
    let message = match tag(rest) {
        Some((name, process, message)) => {
            fields.text("appname", name);
            if let Some(process) = process {
                fields.text("procid", process);
            }
            message
        }
        None => rest,
    };
    if !message.is_empty() {
        fields.text("message", message);
    }
    Ok(())
}

/// The time and the space behind it; gives the rest.
fn timestamp<'t>(text: &'t str, rules: &Rules, fields: &mut Fields) -> Result<&'t str, String> {
    let (first, after) = word(text);
    if rules.rfc3339
        && let Some(time) = rfc3339(first)
    {
        fields.text("timestamp", &time);
        return Ok(after);
    }
    let wrong = || "a time such as `Oct 11 22:14:15` is expected".to_owned();
    let (time, rest) = text.split_at_checked(15).ok_or_else(wrong)?;
    let rest = rest.strip_prefix(' ').ok_or_else(wrong)?;
    let now = Zoned::now().with_time_zone(rules.zone.clone());
    let year = match rules.year {
        Year::Current => now.year(),
        Year::Fixed(year) => year,
    };
    let time = civil(time, year).ok_or_else(wrong)?;
    let zoned = time.to_zoned(rules.zone.clone()).map_err(|_| wrong())?;
    let offset = zoned.offset().seconds();
    let zone = match offset {
        0 => "Z".to_owned(),
        seconds => {
            let sign = if seconds < 0 { '-' } else { '+' };
            format!("{sign}{:02}:{:02}", seconds.abs() / 3600, seconds.abs() / 60 % 60)
        }
    };
    fields.text("timestamp", &format!("{time}{zone}"));
    Ok(rest)
}

/// `Oct 11 22:14:15`; days of one digit have a space or a zero before them.
fn civil(text: &str, year: i16) -> Option<DateTime> {
    let month = MONTHS.iter().position(|name| text.get(..3) == Some(*name))?;
    let number = |from: usize| -> Option<i8> {
        let digits = text.get(from..from + 2)?;
        let digits = if from == 4 { digits.trim_start_matches(' ') } else { digits };
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let separators = [(3, " "), (6, " "), (9, ":"), (12, ":")];
    if separators.iter().any(|(at, separator)| text.get(*at..at + 1) != Some(*separator)) {
        return None;
    }
    let month = i8::try_from(month).ok()? + 1;
    DateTime::new(year, month, number(4)?, number(7)?, number(10)?, number(13)?, 0).ok()
}

/// `app[123]: message` or `app: message`.
fn tag(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let end = text.find([' ', ':', '['])?;
    let (name, rest) = text.split_at(end);
    if name.is_empty() || name.len() > 32 || !name.bytes().all(|byte| (33..=126).contains(&byte)) {
        return None;
    }
    let (process, rest) = match rest.strip_prefix('[') {
        Some(inner) => {
            let (process, rest) = inner.split_once(']')?;
            (Some(process), rest)
        }
        None => (None, rest),
    };
    let message = rest.strip_prefix(':')?;
    Some((name, process, message.strip_prefix(' ').unwrap_or(message)))
}
