//! Objects of JSON as they are written: members in their order, values untouched. What goes through here unchanged is not
//! written anew, so that no number or escape is another one behind the gate.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object; a name may be there twice.
#[derive(Debug)]
pub(crate) struct Members<'t>(pub(crate) Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'t> Members<'t> {
    /// `None`: the text is no object.
    pub(crate) fn of(text: &'t str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The only member of this name, in this spelling.
    pub(crate) fn sole(&self, name: &str) -> Result<Option<&'t RawValue>, Ambiguous> {
        let mut found = None;
        let any_case = folded(name);
        for (known, value) in &self.0 {
            if known == name && found.is_none() {
                found = Some(*value);
            } else if folded(known) == any_case {
                return Err(Ambiguous);
            }
        }
        Ok(found)
    }

    /// The first member of this name.
    pub(crate) fn first(&self, name: &str) -> Option<&'t RawValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// There is one more member that some would take for this one.
#[derive(Debug)]
pub(crate) struct Ambiguous;

/// A name as lenient readers compare it: in lower case, with the letters that upper case makes of others. Go's decoder is one
/// of these.
pub(crate) fn folded(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return name.into();
    }
    let plain = name.chars().map(|c| match c {
        'ſ' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    });
    plain.collect::<String>().into()
}

/// A name, borrowed where nothing in it is escaped.
struct Name<'t>(Cow<'t, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct OfName;
        impl<'de> Visitor<'de> for OfName {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(name.into()))
            }
            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(name.to_owned().into()))
            }
        }
        input.deserialize_str(OfName)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct OfObject;
        impl<'de> Visitor<'de> for OfObject {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        input.deserialize_map(OfObject)
    }
}

/// An object with some values put in the place of others.
pub(crate) fn write<'t>(members: impl Iterator<Item = (&'t str, &'t str)>) -> String {
    let mut out = "{".to_owned();
    for (name, value) in members {
        if out.len() > 1 {
            out.push(',');
        }
        // A name can always be written.
        out.push_str(&serde_json::Value::from(name).to_string());
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_text() {
        let text = r#"{"a": 1.50, "b\u0063": [ 1 , {"x":null}], "a": "\u00e9"}"#;
        let members = Members::of(text).unwrap();
        let told: Vec<(&str, &str)> = members.0.iter().map(|(name, value)| (&**name, value.get())).collect();
        assert_eq!(told, [("a", "1.50"), ("bc", r#"[ 1 , {"x":null}]"#), ("a", r#""\u00e9""#)]);
        assert_eq!(write(told.into_iter()), r#"{"a":1.50,"bc":[ 1 , {"x":null}],"a":"\u00e9"}"#);
        for none in ["[]", "1", "", "{", "{} {}"] {
            assert!(Members::of(none).is_none(), "{none}");
        }
    }

    #[test]
    fn a_name_is_there_once_in_one_spelling() {
        for (text, found) in [
            (r#"{"params": 1}"#, Some(Some("1"))),
            (r#"{"other": 1}"#, Some(None)),
            (r#"{"p\u0061rams": 1}"#, Some(Some("1"))),
            (r#"{"params": 1, "params": 2}"#, None),
            (r#"{"params": 1, "Params": 2}"#, None),
            (r#"{"PARAMS": 2}"#, None),
            (r#"{"paramſ": 2}"#, None),
        ] {
            let members = Members::of(text).unwrap();
            let sole = members.sole("params").ok().map(|found| found.map(RawValue::get));
            assert_eq!(sole, found, "{text}");
        }
        for (text, found) in
            [(r#"{"aB": 1}"#, Some(Some("1"))), (r#"{"aB": 1, "aB": 2}"#, None), (r#"{"ab": 1}"#, None)]
        {
            let members = Members::of(text).unwrap();
            let sole = members.sole("aB").ok().map(|found| found.map(RawValue::get));
            assert_eq!(sole, found, "{text}");
        }
    }
}
