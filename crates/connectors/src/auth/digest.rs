//! Digest authentication (RFC 7616): the answer to a server's challenge.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use document::Fault;
use http::{HeaderMap, HeaderValue, Method};
use md5::{Digest as _, Md5};
use parking_lot::Mutex;
use sha2::{Sha256, Sha512_256};
use streams::Node;
use url::Url;

use super::secret_header;

/// Who answers, and the challenge that is answered until the server sends another.
pub(crate) struct Digest {
    user: String,
    password: String,
    challenge: Mutex<Option<Challenge>>,
    count: AtomicU32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    session: bool,
    /// The server knows `auth`; otherwise the older form is used.
    counted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Md5,
    Sha256,
    Sha512,
}

impl Algorithm {
    fn of(name: &str) -> Option<(Algorithm, bool)> {
        let upper = name.to_ascii_uppercase();
        let (name, session) = match upper.strip_suffix("-SESS") {
            Some(name) => (name, true),
            None => (upper.as_str(), false),
        };
        let algorithm = match name {
            "MD5" => Algorithm::Md5,
            "SHA-256" => Algorithm::Sha256,
            "SHA-512-256" => Algorithm::Sha512,
            _ => return None,
        };
        Some((algorithm, session))
    }

    fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha512 => "SHA-512-256",
        }
    }

    fn hash(self, text: &str) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Algorithm::Md5 => hex(&Md5::digest(text)),
            Algorithm::Sha256 => hex(&Sha256::digest(text)),
            Algorithm::Sha512 => hex(&Sha512_256::digest(text)),
        }
    }
}

impl Digest {
    /// Reads the field `digest_auth`; `None` when it is not enabled.
    pub(crate) fn read(node: &Node<'_>) -> Result<Option<Digest>, Fault> {
        if !node.boolean("enabled")? {
            return Ok(None);
        }
        Ok(Some(Digest {
            user: node.text("username")?.into_owned(),
            password: node.text("password")?.into_owned(),
            challenge: Mutex::new(None),
            count: AtomicU32::new(0),
        }))
    }

    /// Takes a refusal's challenge; whether there is a new one to answer.
    pub(crate) fn challenged(&self, headers: &HeaderMap) -> bool {
        let values = headers.get_all(http::header::WWW_AUTHENTICATE).iter();
        let found = values.filter_map(|value| value.to_str().ok()).flat_map(challenges);
        let Some(challenge) = found.max_by_key(|challenge| challenge.algorithm) else { return false };
        let mut known = self.challenge.lock();
        // The same nonce again: name or password are wrong, and asking once more changes nothing.
        let new = known.as_ref().is_none_or(|known| known.nonce != challenge.nonce);
        if new {
            self.count.store(0, Ordering::Relaxed);
        }
        *known = Some(challenge);
        new
    }

    /// The `Authorization` header, once there was a challenge.
    pub(crate) fn header(&self, method: &Method, url: &Url) -> Result<Option<HeaderValue>, String> {
        let Some(challenge) = self.challenge.lock().clone() else { return Ok(None) };
        let count = self.count.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let own = format!("{:016x}", rand::random::<u64>());
        secret_header(&self.answer(&challenge, method, url, count, &own)).map(Some)
    }

    fn answer(&self, challenge: &Challenge, method: &Method, url: &Url, count: u32, own: &str) -> String {
        let Challenge { realm, nonce, algorithm, .. } = challenge;
        let hash = |text: String| algorithm.hash(&text);
        let uri = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut secret = hash(format!("{}:{realm}:{}", self.user, self.password));
        if challenge.session {
            secret = hash(format!("{secret}:{nonce}:{own}"));
        }
        let what = hash(format!("{method}:{uri}"));
        let response = if challenge.counted {
            hash(format!("{secret}:{nonce}:{count:08x}:{own}:auth:{what}"))
        } else {
            hash(format!("{secret}:{nonce}:{what}"))
        };
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let session = if challenge.session { "-sess" } else { "" };
        let mut header = format!(
            "Digest username={}, realm={}, nonce={}, uri=\"{uri}\", response=\"{response}\", algorithm={}{session}",
            quoted(&self.user),
            quoted(realm),
            quoted(nonce),
            algorithm.name(),
        );
        if challenge.counted {
            header.push_str(&format!(", qop=auth, nc={count:08x}, cnonce=\"{own}\""));
        } else if challenge.session {
            header.push_str(&format!(", cnonce=\"{own}\""));
        }
        if let Some(opaque) = &challenge.opaque {
            header.push_str(&format!(", opaque={}", quoted(opaque)));
        }
        header
    }
}

/// The Digest challenges of one `WWW-Authenticate` header that can be answered.
fn challenges(header: &str) -> Vec<Challenge> {
    let mut found: Vec<HashMap<String, String>> = Vec::new();
    let mut inside = false;
    let mut rest = header.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| matches!(c, '=' | ',') || c.is_whitespace()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let after = after.trim_start();
        match after.strip_prefix('=') {
            Some(value) if !word.is_empty() => {
                let (value, after) = parameter(value.trim_start());
                if inside && let Some(last) = found.last_mut() {
                    last.insert(word.to_ascii_lowercase(), value);
                }
                rest = after;
            }
            // A stray sign; it is passed over.
            Some(after) => rest = after,
            None => {
                if !word.is_empty() {
                    inside = word.eq_ignore_ascii_case("digest");
                    if inside {
                        found.push(HashMap::new());
                    }
                }
                rest = after;
            }
        }
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
    }
    found.into_iter().filter_map(challenge).collect()
}

/// A parameter's value, and what follows it.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    (value, "")
}

fn challenge(mut parameters: HashMap<String, String>) -> Option<Challenge> {
    let (algorithm, session) = match parameters.get("algorithm") {
        Some(name) => Algorithm::of(name)?,
        None => (Algorithm::Md5, false),
    };
    let counted = match parameters.get("qop") {
        None => false,
        // `auth-int` alone signs the body, which few servers ask for.
        Some(offered) => {
            offered.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")).then_some(true)?
        }
    };
    Some(Challenge {
        realm: parameters.remove("realm").unwrap_or_default(),
        nonce: parameters.remove("nonce")?,
        opaque: parameters.remove("opaque"),
        algorithm,
        session,
        counted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7616, 3.9.1.
    #[test]
    fn the_examples_of_the_standard_are_answered_as_it_says() {
        let digest = Digest {
            user: "Mufasa".into(),
            password: "Circle of Life".into(),
            challenge: Mutex::new(None),
            count: AtomicU32::new(0),
        };
        let url = Url::parse("http://www.example.org/dir/index.html").unwrap();
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let header = format!(
                "Basic realm=\"x\", Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            );
            let found = challenges(&header);
            assert_eq!(found.len(), 1);
            let own = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
            let answer = digest.answer(&found[0], &Method::GET, &url, 1, own);
            assert!(answer.contains(&format!("response=\"{response}\"")), "{answer}");
            assert!(answer.contains("nc=00000001") && answer.contains("opaque="));
        }
    }

    #[test]
    fn strange_challenges_are_passed_over() {
        for (header, expected) in [
            ("", 0),
            ("Digest", 0),
            ("Digest nonce=a", 1),
            ("digest nonce=\"a\\\"b\", qop=auth-int", 0),
            ("Digest nonce=a, algorithm=TIGER", 0),
            ("Digest nonce=a Digest nonce=b", 2),
            ("Basic realm=\"Digest nonce=a\"", 0),
            ("Digest nonce=\"open", 1),
            ("==,,= Digest ,nonce = a", 1),
        ] {
            assert_eq!(challenges(header).len(), expected, "{header}");
        }
    }

    #[test]
    fn the_same_challenge_is_answered_once() {
        let digest = Digest {
            user: "u".into(),
            password: "p".into(),
            challenge: Mutex::new(None),
            count: AtomicU32::new(0),
        };
        let with = |nonce: &str| {
            let value = HeaderValue::from_str(&format!("Digest realm=r, nonce={nonce}")).unwrap();
            HeaderMap::from_iter([(http::header::WWW_AUTHENTICATE, value)])
        };
        assert!(digest.challenged(&with("a")));
        assert!(!digest.challenged(&with("a")), "credentials are wrong");
        assert!(digest.challenged(&with("b")), "the nonce has expired");
    }
}
