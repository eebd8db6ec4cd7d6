//! What a stored session has of its own, and what it has in common with others.
//!
//! Of a million keys most say the same but for a name and some times. What they have in common needs to be understood
//! once. Splitting is quick and strict: a text in which it is not plain which part is which, is not split.

use serde_json::{Map, Value};

use super::Session;

/// Members that differ from key to key, and that neither rights nor limits nor policies depend on.
const OWN: [(&str, Kind); 8] = [
    ("alias", Kind::Text),
    ("date_created", Kind::Text),
    ("last_updated", Kind::Text),
    ("expires", Kind::Number),
    ("last_check", Kind::Number),
    ("quota_renews", Kind::Number),
    ("id_extractor_deadline", Kind::Number),
    ("meta_data", Kind::Object),
];
const ALIAS: usize = 0;
const EXPIRES: usize = 3;

/// Members of `meta_data` that something depends on: policies, counters, what opens a session, labels of records.
const DECIDE: [&str; 4] = ["policies", "rate_limit_pattern", "TykJWTSessionID", "tyk_developer_id"];

/// Digits of a number that fit for certain.
const DIGITS: usize = 18;
/// No deeper, so that the whole can be read as deep as its parts.
const DEPTH: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Without escapes.
    Text,
    Number,
    /// Without escapes.
    Object,
}

/// What is often asked for of a session's own part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Own<'t> {
    /// See [`Session`].
    pub alias: &'t str,
    /// See [`Session`].
    pub expires: i64,
}

impl Session {
    /// Splits a stored session. Into `common` goes the text of a session that has nothing of its own, into `rest` that of one
    /// that has nothing else; it is empty where there is nothing. `None`: it cannot be split, which says nothing about
    /// whether it can be read.
    ///
    /// A text that was split can be read if what is common can be read, and is the same then as [`Session::with_own`]
    /// makes of both.
    pub fn split<'t>(text: &'t [u8], common: &mut Vec<u8>, rest: &mut Vec<u8>) -> Option<Own<'t>> {
        let mut scan = Scan { text: std::str::from_utf8(text).ok()?, at: 0 };
        let mut own = Own::default();
        let mut seen = [false; OWN.len()];
        common.clear();
        common.push(b'{');
        rest.clear();
        scan.pass_space();
        scan.expect(b'{')?;
        loop {
            scan.pass_space();
            let begin = scan.at;
            let key = scan.plain_text()?;
            scan.pass_space();
            scan.expect(b':')?;
            scan.pass_space();
            if let Some(place) = OWN.iter().position(|(name, _)| *name == key) {
                if std::mem::replace(seen.get_mut(place)?, true) {
                    return None;
                }
                match OWN[place].1 {
                    Kind::Text if place == ALIAS => own.alias = scan.plain_text()?,
                    Kind::Text => drop(scan.plain_text()?),
                    Kind::Number if place == EXPIRES => own.expires = scan.number()?,
                    Kind::Number => drop(scan.number()?),
                    Kind::Object => scan.plain_object()?,
                }
                rest.push(if rest.is_empty() { b'{' } else { b',' });
                rest.extend_from_slice(text.get(begin..scan.at)?);
            } else {
                scan.pass_value()?;
                if common.len() > 1 {
                    common.push(b',');
                }
                common.extend_from_slice(text.get(begin..scan.at)?);
            }
            scan.pass_space();
            match scan.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        scan.pass_space();
        common.push(b'}');
        if !rest.is_empty() {
            rest.push(b'}');
        }
        (scan.at == text.len()).then_some(own)
    }

    /// This session, which has nothing of its own but may have policies applied, with what `other` has of its own.
    pub fn with_own(self, other: Session) -> Session {
        let mut meta_data = other.meta_data;
        // Those of policies come after the session's own.
        meta_data.extend(self.meta_data);
        Session {
            alias: other.alias,
            date_created: other.date_created,
            last_updated: other.last_updated,
            expires: other.expires,
            last_check: other.last_check,
            quota_renews: other.quota_renews,
            id_extractor_deadline: other.id_extractor_deadline,
            meta_data,
            ..self
        }
    }
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scan<'t> {
    fn rest(&self) -> &'t [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = *self.rest().first()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    fn pass_space(&mut self) {
        let space = |byte: &&u8| matches!(**byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += self.rest().iter().take_while(space).count();
    }

    /// A string without escapes.
    fn plain_text(&mut self) -> Option<&'t str> {
        self.expect(b'"')?;
        let rest = self.rest();
        let end = rest.iter().position(|byte| matches!(*byte, b'"' | b'\\' | ..0x20))?;
        (rest[end] == b'"').then_some(())?;
        let text = self.text.get(self.at..self.at + end);
        self.at += end + 1;
        text
    }

    fn number(&mut self) -> Option<i64> {
        let rest = self.rest();
        let sign = usize::from(rest.first() == Some(&b'-'));
        let digits = rest.get(sign..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let leading_zero = digits > 1 && rest.get(sign) == Some(&b'0');
        if digits == 0 || digits > DIGITS || leading_zero {
            return None;
        }
        let end = sign + digits;
        let number = std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()?;
        self.at += end;
        Some(number)
    }

    /// An object without escapes, in which nothing is that decides anything.
    fn plain_object(&mut self) -> Option<()> {
        let begin = self.at;
        (self.rest().first() == Some(&b'{')).then_some(())?;
        self.pass_value()?;
        let object = self.text.get(begin..self.at)?;
        let plain = !object.contains('\\') && !DECIDE.iter().any(|name| object.contains(name));
        // Whoever reads the common part does not see it.
        (plain && serde_json::from_str::<Map<String, Value>>(object).is_ok()).then_some(())
    }

    /// Any value, as far as it is needed to find its end.
    fn pass_value(&mut self) -> Option<()> {
        match *self.rest().first()? {
            b'"' => self.pass_text(),
            b'{' | b'[' => {
                let mut depth = 0_usize;
                loop {
                    let rest = self.rest();
                    self.at +=
                        rest.iter().position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']'))?;
                    match self.rest().first()? {
                        b'"' => self.pass_text()?,
                        bracket => {
                            self.at += 1;
                            if matches!(bracket, b'{' | b'[') {
                                depth += 1;
                                (depth <= DEPTH).then_some(())?;
                            } else {
                                depth -= 1;
                                if depth == 0 {
                                    return Some(());
                                }
                            }
                        }
                    }
                }
            }
            _ => {
                let end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
                self.at += self.rest().iter().position(end).filter(|length| *length > 0)?;
                Some(())
            }
        }
    }

    fn pass_text(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            self.at += self.rest().iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            match self.next()? {
                b'"' => return Some(()),
                _ => drop(self.next()?),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::Policy;
    use crate::policies::apply;

    fn split(text: &str) -> Option<(String, Own<'_>)> {
        split_whole(text).map(|(common, _, own)| (common, own))
    }

    fn split_whole(text: &str) -> Option<(String, String, Own<'_>)> {
        let (mut common, mut rest) = (Vec::new(), Vec::new());
        let own = Session::split(text.as_bytes(), &mut common, &mut rest)?;
        Some((String::from_utf8(common).unwrap(), String::from_utf8(rest).unwrap(), own))
    }

    #[test]
    fn the_rest_is_what_is_not_common() {
        for (text, rest) in [
            (r#"{"rate":1.5}"#, ""),
            (r#"{"alias":"a","rate":1}"#, r#"{"alias":"a"}"#),
            (r#" { "expires" : -7 , "rate" : 1 , "alias" : "b" } "#, r#"{"expires" : -7,"alias" : "b"}"#),
            (
                r#"{"meta_data":{"x":{"expires":1}},"last_check":0}"#,
                r#"{"meta_data":{"x":{"expires":1}},"last_check":0}"#,
            ),
        ] {
            assert_eq!(split_whole(text).unwrap().1, rest, "{text}");
        }
    }

    #[test]
    fn what_is_own_and_what_is_common() {
        for (text, common, alias, expires) in [
            (r#"{"rate":1.5}"#, r#"{"rate":1.5}"#, "", 0),
            (r#"{"alias":"a","rate":1}"#, r#"{"rate":1}"#, "a", 0),
            (
                r#" { "expires" : -7 , "rate" : 1 , "tags" : [ "x" ] } "#,
                r#"{"rate" : 1,"tags" : [ "x" ]}"#,
                "",
                -7,
            ),
            (
                r#"{"a":"}\"{","alias":"ü","b":{"c":["]","\\"]}}"#,
                r#"{"a":"}\"{","b":{"c":["]","\\"]}}"#,
                "ü",
                0,
            ),
            (
                r#"{"meta_data":{"x":{"expires":1}},"date_created":"d","last_updated":"1","last_check":0,"quota_renews":9}"#,
                "{}",
                "",
                0,
            ),
            (
                r#"{"access_rights":{"a":{"alias":"inner","expires":5}}}"#,
                r#"{"access_rights":{"a":{"alias":"inner","expires":5}}}"#,
                "",
                0,
            ),
        ] {
            assert_eq!(split(text), Some((common.to_owned(), Own { alias, expires })), "{text}");
        }
    }

    #[test]
    fn what_is_not_plain_is_not_split() {
        for text in [
            "",
            "{",
            "{}",
            "[]",
            r#"{"alias":"a"}}"#,
            r#"{"alias":"a",}"#,
            r#"{"alias":"a" "rate":1}"#,
            r#"{"alias":"a","alias":"b"}"#,
            r#"{"al\u0069as":"a"}"#,
            r#"{"alias":"\u0061"}"#,
            "{\"alias\":\"a\nb\"}",
            r#"{"alias":null}"#,
            r#"{"alias":7}"#,
            r#"{"expires":"7"}"#,
            r#"{"expires":7.0}"#,
            r#"{"expires":7e3}"#,
            r#"{"expires":07}"#,
            r#"{"expires":-}"#,
            r#"{"expires":9223372036854775807}"#,
            r#"{"rate":}"#,
            r#"{"rate":[1}"#,
            r#"{"rate":"1}"#,
            r#"{"meta_data":null}"#,
            r#"{"meta_data":[]}"#,
            r#"{"meta_data":{"a":}}"#,
            r#"{"meta_data":{"a":1]}"#,
            r#"{"meta_data":{"a":"\n"}}"#,
            r#"{"meta_data":{"a":1e999}}"#,
            r#"{"meta_data":{"policies":[]}}"#,
            r#"{"meta_data":{"rate_limit_pattern":"x"}}"#,
            r#"{"meta_data":{"tyk_developer_id":"x"}}"#,
            r#"{"meta_data":{"TykJWTSessionID":"x"}}"#,
        ] {
            assert_eq!(split(text), None, "{text}");
        }
        assert_eq!(Session::split(b"{\"alias\":\"\xff\"}", &mut Vec::new(), &mut Vec::new()), None);
    }

    #[test]
    fn both_parts_are_the_session_also_with_policies() {
        let policy: Policy = serde_json::from_value(json!({
            "id": "gold", "rate": 5, "per": 1, "quota_max": 9, "tags": ["p"], "access_rights": {"a": {}},
            "meta_data": {"team": "of the policy", "more": 1},
        }))
        .unwrap();
        let policy = Arc::new(policy);
        let lookup = |id: &str| (id == "gold").then(|| Arc::clone(&policy));
        for text in [
            r#"{"alias":"a","rate":1,"per":2,"date_created":"d","quota_max":3,"expires":9,"quota_renews":4,"new":[1]}"#,
            r#"{"apply_policies":["gold"],"meta_data":{"own":true,"team":"own"},"alias":"b","tags":["s"],"quota_renews":4}"#,
            r#"{"apply_policies":["gold"],"last_check":7,"last_updated":"5","id_extractor_deadline":3}"#,
            r#"{"access_rights":{"a":{"limit":{"rate":3,"per":1}}},"meta_data":{"x":[{"y":null}]}}"#,
        ] {
            let (common, rest, _) = split_whole(text).unwrap();
            let whole: Session = serde_json::from_str(text).unwrap();
            let common: Session = serde_json::from_str(&common).unwrap();
            let rest: Session = serde_json::from_str(&rest).unwrap();
            let together = apply(&common, &lookup).unwrap().with_own(rest);
            assert_eq!(together, apply(&whole, &lookup).unwrap(), "{text}");
        }
    }
}
