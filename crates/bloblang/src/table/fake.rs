//! Made-up data, for tests of streams.

use jiff::{Timestamp, tz::TimeZone};
use rand::RngExt;

use super::{Example, Fixed, Kind, Parameter, Spec};
use crate::run::{Arguments, Context, Evaluated, Failure};
use crate::{Capability, Value};

mod words;

use words::{
    CHINESE_FIRST, CHINESE_LAST, CURRENCIES, DAYS, DOMAINS, FEMALE, LAST, MALE, MONTHS, WORDS, ZONES,
};

/// Everything that can be made up.
const KINDS: &[&str] = &[
    "",
    "latitude",
    "longitude",
    "unix_time",
    "date",
    "time_string",
    "month_name",
    "year_string",
    "day_of_week",
    "day_of_month",
    "timestamp",
    "century",
    "timezone",
    "time_period",
    "email",
    "mac_address",
    "domain_name",
    "url",
    "username",
    "ipv4",
    "ipv6",
    "password",
    "jwt",
    "word",
    "sentence",
    "paragraph",
    "cc_type",
    "cc_number",
    "currency",
    "amount_with_currency",
    "title_male",
    "title_female",
    "first_name",
    "first_name_male",
    "first_name_female",
    "last_name",
    "name",
    "gender",
    "chinese_first_name",
    "chinese_last_name",
    "chinese_name",
    "phone_number",
    "toll_free_phone_number",
    "e164_phone_number",
    "uuid_hyphenated",
    "uuid_digit",
];

pub(crate) static TABLE: &[Spec] =
    &[Spec::function("fake", "Made-up data of a kind; random text without one.", fake)
        .parameters(&[Parameter::with_default("function", Kind::Choice(KINDS), Fixed::Text(""), "The kind.")])
        .examples(&[
            Example(r#"root = fake("email").contains("@")"#, "{}", "true"),
            Example(r#"root = fake("latitude") < 91"#, "{}", "true"),
            Example(r#"root = fake(this)"#, r#""colour""#, "error: unrecognised kind"),
        ])
        .needs(Capability::Random)];

fn fake(context: &mut Context<'_>, arguments: &Arguments) -> Evaluated {
    let kind = arguments.text(context, 0)?;
    made_up(&kind).ok_or_else(|| Failure::new(format!("unrecognised kind of made-up data: {kind}")))
}

fn number(low: i64, high: i64) -> i64 {
    rand::rng().random_range(low..=high)
}

fn one<'w>(list: &[&'w str]) -> &'w str {
    list.get(rand::rng().random_range(0..list.len())).copied().unwrap_or_default()
}

/// A text in which `#` stands for a digit.
fn digits(pattern: &str) -> String {
    pattern.chars().map(|c| if c == '#' { char::from(b'0' + (number(0, 9) as u8)) } else { c }).collect()
}

fn letters(length: usize) -> String {
    let letter = || char::from(if number(0, 1) == 0 { b'a' } else { b'A' } + (number(0, 25) as u8));
    std::iter::repeat_with(letter).take(length).collect()
}

fn coordinate(limit: f64) -> Value {
    Value::Float((rand::rng().random_range(-limit..=limit) * 1e6).round() / 1e6)
}

fn moment() -> jiff::Zoned {
    let time =
        Timestamp::from_second(number(0, Timestamp::now().as_second())).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(TimeZone::UTC)
}

fn first_name() -> &'static str {
    if number(0, 1) == 0 { one(MALE) } else { one(FEMALE) }
}

fn domain() -> String {
    format!("{}.{}", letters(7).to_lowercase(), one(DOMAINS))
}

fn sentence() -> String {
    let words: Vec<&str> = (0..number(4, 10)).map(|_| one(WORDS)).collect();
    let text = words.join(" ");
    let mut characters = text.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", characters.as_str())
}

/// A card number whose last digit fits (Luhn).
fn card() -> String {
    let mut number = digits("4##############");
    let sum: u32 = number
        .chars()
        .rev()
        .filter_map(|c| c.to_digit(10))
        .enumerate()
        .map(|(at, digit)| if at % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { digit })
        .sum();
    number.push_str(&((10 - sum % 10) % 10).to_string());
    number
}

fn token() -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = format!(r#"{{"sub":"{}"}}"#, letters(8));
    format!("{}.{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(&claims), part(&letters(32)))
}

fn made_up(kind: &str) -> Option<Value> {
    let time = |format: &str| crate::time::format(&moment(), format);
    let text = match kind {
        "" => letters(25),
        "latitude" => return Some(coordinate(90.0)),
        "longitude" => return Some(coordinate(180.0)),
        "unix_time" => return Some(Value::Int(moment().timestamp().as_second())),
        "day_of_month" => number(1, 31).to_string(),
        "date" => time("2006-01-02"),
        "time_string" => time("15:04:05"),
        "month_name" => one(MONTHS).to_owned(),
        "year_string" => time("2006"),
        "day_of_week" => one(DAYS).to_owned(),
        "timestamp" => time("2006-01-02 15:04:05"),
        "century" => one(&[
            "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV", "XV", "XVI", "XVII",
            "XVIII", "XIX", "XX", "XXI",
        ])
        .to_owned(),
        "timezone" => one(ZONES).to_owned(),
        "time_period" => one(&["AM", "PM"]).to_owned(),
        "email" => format!("{}@{}", letters(7), domain()),
        "mac_address" => {
            std::iter::repeat_with(|| format!("{:02x}", number(0, 255))).take(6).collect::<Vec<_>>().join(":")
        }
        "domain_name" => domain(),
        "url" => format!("https://www.{}/{}", domain(), letters(7)),
        "username" => letters(7),
        "ipv4" => std::iter::repeat_with(|| number(0, 255).to_string()).take(4).collect::<Vec<_>>().join("."),
        "ipv6" => std::iter::repeat_with(|| format!("{:x}", number(0, 65_535)))
            .take(8)
            .collect::<Vec<_>>()
            .join(":"),
        "password" => letters(50),
        "jwt" => token(),
        "word" => one(WORDS).to_owned(),
        "sentence" => sentence(),
        "paragraph" => std::iter::repeat_with(sentence).take(4).collect::<Vec<_>>().join(" "),
        "cc_type" => {
            one(&["VISA", "MasterCard", "American Express", "Discover", "JCB", "Diners Club"]).to_owned()
        }
        "cc_number" => card(),
        "currency" => one(CURRENCIES).to_owned(),
        "amount_with_currency" => format!("{} {}.{}", one(CURRENCIES), number(1, 100_000), digits("##")),
        "title_male" => one(&["Mr.", "Dr.", "Prof.", "Lord", "King", "Prince"]).to_owned(),
        "title_female" => {
            one(&["Mrs.", "Ms.", "Miss", "Dr.", "Prof.", "Lady", "Queen", "Princess"]).to_owned()
        }
        "first_name" => first_name().to_owned(),
        "first_name_male" => one(MALE).to_owned(),
        "first_name_female" => one(FEMALE).to_owned(),
        "last_name" => one(LAST).to_owned(),
        "name" => format!("{} {}", first_name(), one(LAST)),
        "gender" => one(&["Male", "Female", "Prefer to skip"]).to_owned(),
        "chinese_first_name" => one(CHINESE_FIRST).to_owned(),
        "chinese_last_name" => one(CHINESE_LAST).to_owned(),
        "chinese_name" => format!("{}{}", one(CHINESE_LAST), one(CHINESE_FIRST)),
        "phone_number" => digits("###-###-####"),
        "toll_free_phone_number" => format!("({}) {}", one(&["777", "888"]), digits("###-######")),
        "e164_phone_number" => digits("+############"),
        "uuid_hyphenated" => uuid::Uuid::new_v4().to_string(),
        "uuid_digit" => uuid::Uuid::new_v4().simple().to_string(),
        _ => return None,
    };
    Some(Value::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_made_up() {
        assert_eq!(KINDS.len(), 46);
        for kind in KINDS {
            let value = made_up(kind).unwrap_or_else(|| panic!("{kind}"));
            assert!(!value.to_text().is_empty(), "{kind}");
        }
        for (kind, pattern) in [
            ("cc_number", r"^4\d{15}$"),
            ("ipv6", r"^([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$"),
            ("date", r"^\d{4}-\d\d-\d\d$"),
            ("e164_phone_number", r"^\+\d{12}$"),
            ("uuid_digit", "^[0-9a-f]{32}$"),
            ("jwt", r"^[\w-]+\.[\w-]+\.[\w-]+$"),
        ] {
            let value = made_up(kind).unwrap().to_text();
            assert!(regex::Regex::new(pattern).unwrap().is_match(&value), "{kind}: {value}");
        }
    }
}
