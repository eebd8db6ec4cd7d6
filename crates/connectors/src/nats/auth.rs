//! Who the client is: names, tokens, nkeys, and users with a JWT.

use async_nats::{Auth, AuthError};
use document::Fault;
use nkeys::KeyPair;
use streams::Node;

/// Longest file of an nkey or of credentials.
const LONGEST: u64 = 64 * 1024;

/// What the field `auth` says. Files are read only when a connection is made: they are renewed.
#[derive(Default)]
pub(super) struct Identity {
    key: Option<Key>,
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
}

/// Where a key comes from, with the JWT that it may belong to.
enum Key {
    Seed(String),
    SeedFile(String),
    User { jwt: String, seed: String },
    UserFile(String),
}

impl Identity {
    /// Reads `auth`.
    pub(super) fn read(component: &Node<'_>) -> Result<Identity, Fault> {
        let node = component.get("auth");
        let text = |name: &str| -> Result<Option<String>, Fault> {
            let text = node.optional_text(name)?;
            Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
        };
        let mut keys = Vec::new();
        keys.extend(text("nkey")?.map(Key::Seed));
        keys.extend(text("nkey_file")?.map(Key::SeedFile));
        keys.extend(text("user_credentials_file")?.map(Key::UserFile));
        match (text("user_jwt")?, text("user_nkey_seed")?) {
            (Some(jwt), Some(seed)) => keys.push(Key::User { jwt, seed }),
            (None, None) => {}
            (Some(_), None) => return Err(node.field_fault("user_jwt", "`user_jwt` needs `user_nkey_seed`")),
            (None, Some(_)) => {
                return Err(node.field_fault("user_nkey_seed", "`user_nkey_seed` needs `user_jwt`"));
            }
        }
        if keys.len() > 1 {
            return Err(node.fault(
                "a client is one user; write one of `nkey`, `nkey_file`, `user_credentials_file`, and `user_jwt` with `user_nkey_seed`",
            ));
        }
        let key = keys.pop();
        for seed in [&key].into_iter().filter_map(|key| match key {
            Some(Key::Seed(seed) | Key::User { seed, .. }) => Some(seed),
            _ => None,
        }) {
            // The seed stays out of the fault.
            KeyPair::from_seed(seed).map_err(|_| {
                let field = if matches!(key, Some(Key::Seed(_))) { "nkey" } else { "user_nkey_seed" };
                node.field_fault(field, "this is no nkey seed; a user's begins with `SU`")
            })?;
        }
        Ok(Identity { key, user: text("user")?, password: text("password")?, token: text("token")? })
    }

    /// The answer to a server that may want a nonce signed; what the URL says goes before the fields.
    pub(super) async fn credentials(&self, url: &UrlIdentity) -> Result<Credentials, String> {
        let (jwt, seed) = match &self.key {
            None => (None, None),
            Some(Key::Seed(seed)) => (None, Some(seed.clone())),
            Some(Key::User { jwt, seed }) => (Some(jwt.clone()), Some(seed.clone())),
            Some(Key::SeedFile(path)) => {
                let text = read(path).await?;
                let seed = text.split_whitespace().find(|word| word.starts_with('S') && word.len() > 50);
                let seed = seed.ok_or_else(|| format!("{path}: there is no nkey seed in it"))?;
                (None, Some(seed.to_owned()))
            }
            Some(Key::UserFile(path)) => {
                let text = read(path).await?;
                let (jwt, seed) = user_file(&text)
                    .ok_or_else(|| format!("{path}: a user's JWT and nkey seed are not both in it"))?;
                (Some(jwt), Some(seed))
            }
        };
        let pair = seed.map(|seed| KeyPair::from_seed(&seed)).transpose();
        let (user, password, token) = match url {
            UrlIdentity::None => (self.user.clone(), self.password.clone(), self.token.clone()),
            UrlIdentity::User(user, password) => (Some(user.clone()), Some(password.clone()), None),
            UrlIdentity::Token(token) => (None, None, Some(token.clone())),
        };
        Ok(Credentials {
            user,
            password,
            token,
            jwt,
            pair: pair.map_err(|fault| format!("the nkey seed cannot be used: {fault}"))?,
        })
    }
}

/// Who a URL says that the client is.
pub(super) enum UrlIdentity {
    None,
    User(String, String),
    Token(String),
}

/// Who the client is on one connection.
pub(super) struct Credentials {
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
    jwt: Option<String>,
    pair: Option<KeyPair>,
}

impl Credentials {
    /// What is told to a server that greets with this nonce.
    pub(super) fn answer(&self, nonce: &[u8]) -> Result<Auth, AuthError> {
        let mut auth = Auth::new();
        auth.username.clone_from(&self.user);
        auth.password.clone_from(&self.password);
        auth.token.clone_from(&self.token);
        auth.jwt.clone_from(&self.jwt);
        // A server that knows no keys sends no nonce.
        if let Some(pair) = self.pair.as_ref().filter(|_| !nonce.is_empty()) {
            auth.signature = Some(pair.sign(nonce).map_err(AuthError::new)?);
            if self.jwt.is_none() {
                auth.nkey = Some(pair.public_key());
            }
        }
        Ok(auth)
    }
}

async fn read(path: &str) -> Result<String, String> {
    let wrong = |fault: std::io::Error| format!("{path}: {fault}");
    let length = tokio::fs::metadata(path).await.map_err(wrong)?.len();
    if length > LONGEST {
        return Err(format!("{path}: longer than {LONGEST} bytes, which no credentials are"));
    }
    tokio::fs::read_to_string(path).await.map_err(wrong)
}

/// JWT and seed of a `.creds` file: each is the line after its heading.
fn user_file(text: &str) -> Option<(String, String)> {
    let after = |heading: &str| {
        let mut lines = text.lines().map(str::trim).skip_while(|line| !line.contains(heading));
        lines.next();
        lines.find(|line| !line.is_empty()).filter(|line| !line.starts_with('-')).map(str::to_owned)
    };
    Some((after("BEGIN NATS USER JWT")?, after("BEGIN USER NKEY SEED")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_files_are_read() {
        let whole = "-----BEGIN NATS USER JWT-----\neyJ0.x.y\n------END NATS USER JWT------\n\nnote\n\
                     -----BEGIN USER NKEY SEED-----\r\nSUABC\r\n------END USER NKEY SEED------\n";
        assert_eq!(user_file(whole), Some(("eyJ0.x.y".to_owned(), "SUABC".to_owned())));
        for wrong in [
            "",
            "eyJ0.x.y",
            "-----BEGIN NATS USER JWT-----\neyJ0.x.y\n",
            "-----BEGIN NATS USER JWT-----\n------END NATS USER JWT------\n-----BEGIN USER NKEY SEED-----\nSU",
        ] {
            assert_eq!(user_file(wrong), None, "{wrong}");
        }
    }
}
