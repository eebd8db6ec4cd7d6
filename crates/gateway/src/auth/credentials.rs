//! The `Authorization` field of basic authentication (RFC 7617), read as strictly as the contract has it (5.3). Depends
//! on nothing of the gate, so that it can be fuzzed alone.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// A user's name and password as they were sent.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// The user's name.
    pub(crate) user: String,
    /// The password; any bytes.
    pub(crate) password: Vec<u8>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What a client reads of a field that is no basic authentication.
pub(crate) const NOT_BASIC: &str = "Attempted access with malformed header, header not in basic auth format";
const NOT_ENCODED: &str = "Attempted access with malformed header, auth data not encoded correctly";
const NOT_A_PAIR: &str = "Attempted access with malformed header, values not in basic auth format";

/// Reads `Basic <base64 of name:password>`; a password that contains `:` is refused.
pub(crate) fn read(field: &str) -> Result<Credentials, &'static str> {
    let Some((scheme, encoded)) = field.split_once(' ') else { return Err(NOT_BASIC) };
    if !scheme.eq_ignore_ascii_case("basic") || encoded.contains(' ') {
        return Err(NOT_BASIC);
    }
    let decoded = BASE64_STANDARD.decode(encoded).map_err(|_| NOT_ENCODED)?;
    let mut parts = decoded.split(|byte| *byte == b':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(user), Some(password), None) => {
            let user = std::str::from_utf8(user).map_err(|_| NOT_A_PAIR)?.to_owned();
            Ok(Credentials { user, password: password.to_vec() })
        }
        _ => Err(NOT_A_PAIR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c5_3_row_2_hostile_fields_are_refused_with_the_contract_s_words() {
        let encoded = |bytes: &[u8]| format!("Basic {}", BASE64_STANDARD.encode(bytes));
        type Expected = Result<(&'static str, &'static [u8]), &'static str>;
        let cases: &[(String, Expected)] = &[
            (encoded(b"ann:secret"), Ok(("ann", b"secret"))),
            (encoded(b"ann:secret").replace("Basic", "bASIC"), Ok(("ann", b"secret"))),
            (encoded("änn:s€cret".as_bytes()), Ok(("änn", "s€cret".as_bytes()))),
            (encoded(b":secret"), Ok(("", b"secret"))),
            (encoded(b"ann:"), Ok(("ann", b""))),
            (encoded(b":"), Ok(("", b""))),
            (encoded(b"ann:\xff\x00"), Ok(("ann", b"\xff\x00"))),
            (encoded(b"ann:a b"), Ok(("ann", b"a b"))),
            // No basic authentication.
            (String::new(), Err(NOT_BASIC)),
            ("Basic".into(), Err(NOT_BASIC)),
            ("YW5uOnNlY3JldA==".into(), Err(NOT_BASIC)),
            ("Bearer YW5uOnNlY3JldA==".into(), Err(NOT_BASIC)),
            ("Basic  YW5uOnNlY3JldA==".into(), Err(NOT_BASIC)),
            ("Basic YW5uOnNlY3JldA== x".into(), Err(NOT_BASIC)),
            ("Basic YW5uOnNlY3JldA==, Basic eDp5".into(), Err(NOT_BASIC)),
            ("Basic\tYW5uOnNlY3JldA==".into(), Err(NOT_BASIC)),
            (" Basic YW5uOnNlY3JldA==".into(), Err(NOT_BASIC)),
            // Not encoded.
            ("Basic ".into(), Err(NOT_A_PAIR)),
            ("Basic ann:secret".into(), Err(NOT_ENCODED)),
            ("Basic YW5uOnNlY3JldA".into(), Err(NOT_ENCODED)),
            ("Basic YW5uOnNlY3JldA===".into(), Err(NOT_ENCODED)),
            ("Basic YW5uOnNlY3JldB==".into(), Err(NOT_ENCODED)),
            ("Basic YW5u\tOnNlY3JldA==".into(), Err(NOT_ENCODED)),
            ("Basic YW5uOnNlY3JldA-_".into(), Err(NOT_ENCODED)),
            ("Basic %59W5uOnNlY3JldA==".into(), Err(NOT_ENCODED)),
            ("Basic é".into(), Err(NOT_ENCODED)),
            // No pair.
            (encoded(b"ann"), Err(NOT_A_PAIR)),
            (encoded(b"ann:se:cret"), Err(NOT_A_PAIR)),
            (encoded(b"::"), Err(NOT_A_PAIR)),
            (encoded(b"\xff:secret"), Err(NOT_A_PAIR)),
        ];
        for (field, expected) in cases {
            let found = read(field);
            let found = found.as_ref().map(|found| (found.user.as_str(), found.password.as_slice()));
            assert_eq!(found, expected.as_ref().copied(), "{field:?}");
        }
        assert!(!format!("{:?}", read(&encoded(b"ann:canary"))).contains("canary"));
    }
}
