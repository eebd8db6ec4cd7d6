//! Where a catalog is, as an address: a folder or a database.

use std::{fmt, path::PathBuf};

use crate::Secret;

/// A folder, or the URL of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A folder with `apps`, `policies`, `certificates` and `clients`.
    Folder(PathBuf),
    /// A SQLite database file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(Secret),
    /// A MongoDB database.
    Mongo(Secret),
}

/// Why a text is no address. It does not show the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The URL names something else.
    #[error(
        "this is no address of a catalog: use a folder, sqlite:FILE, postgresql://USER:PASSWORD@HOST/DATABASE or \
         mongodb://HOST/DATABASE"
    )]
    Scheme,
    /// A catalog that is gone with its connection.
    #[error("a SQLite catalog is a file that is named: use sqlite:FILE")]
    Memory,
    /// The parameters of the database do not fit.
    #[error("this address of a database cannot be used: {0}")]
    Unusable(String),
    /// Which database of the server is not said.
    #[error("the address names no database: put its name behind the host, as in mongodb://HOST/DATABASE")]
    NoDatabase,
    /// This binary cannot do it.
    #[error("this binary is built without MongoDB (feature `mongodb`)")]
    NoMongo,
    /// The name of the table is none.
    #[error("{0:?} cannot name the table of a catalog: use 1 to 40 of a-z 0-9 _, beginning with a letter")]
    Name(String),
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// When it is none, in words that do not show it.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
            return if text.is_empty() {
                Err(AddressError::Scheme)
            } else {
                Ok(Address::Folder(text.into()))
            };
        };
        match scheme {
            "file" => match rest.strip_prefix("//").unwrap_or(rest) {
                "" => Err(AddressError::Scheme),
                path => Ok(Address::Folder(path.into())),
            },
            "sqlite" => match rest.strip_prefix("//").unwrap_or(rest) {
                "" => Err(AddressError::Scheme),
                path if path.starts_with(":memory:") => Err(AddressError::Memory),
                path if path.contains('?') => {
                    Err(AddressError::Unusable("a SQLite catalog takes no parameters".to_owned()))
                }
                path => Ok(Address::Sqlite(path.into())),
            },
            "postgres" | "postgresql" if rest.starts_with("//") => Ok(Address::Postgres(text.into())),
            "mongodb" | "mongodb+srv" if rest.starts_with("//") => Ok(Address::Mongo(text.into())),
            _ => Err(AddressError::Scheme),
        }
    }

    /// The engine, in one word.
    pub fn engine(&self) -> &'static str {
        match self {
            Address::Folder(_) => "files",
            Address::Sqlite(_) => "sqlite",
            Address::Postgres(_) => "postgresql",
            Address::Mongo(_) => "mongodb",
        }
    }
}

/// Two letters at least: one is a drive.
fn is_scheme(text: &str) -> bool {
    text.len() > 1
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || b"+.-".contains(&byte))
        && text.starts_with(|first: char| first.is_ascii_lowercase())
}

/// Without user, password and parameters.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Folder(path) => write!(f, "{}", path.display()),
            Address::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Address::Postgres(url) | Address::Mongo(url) => f.write_str(&bare(url.expose())),
        }
    }
}

/// A URL without what may be secret in it: what stands before the last `@` of the authority, and parameters.
fn bare(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (head, parameters) = rest.split_once(['?', '#']).unwrap_or((rest, ""));
    match head.rsplit_once('@') {
        // A password that holds a slash by mistake must not be shown, either.
        Some((_, head)) => format!("{scheme}://{head}"),
        // Nor one with a question mark.
        None if parameters.contains('@') => format!("{scheme}://..."),
        None => format!("{scheme}://{head}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, shown) in [
            ("apis", Ok("apis")),
            ("/etc/x", Ok("/etc/x")),
            ("./a:b", Ok("./a:b")),
            ("file:///etc/x", Ok("/etc/x")),
            ("sqlite:x.db", Ok("sqlite:x.db")),
            ("sqlite:///var/x.db", Ok("sqlite:/var/x.db")),
            ("sqlite::memory:", Err(AddressError::Memory)),
            ("sqlite:", Err(AddressError::Scheme)),
            ("", Err(AddressError::Scheme)),
            ("postgres://u:canary@h:5/db?password=canary", Ok("postgres://h:5/db")),
            ("postgresql://u:can/canary@h/db", Ok("postgresql://h/db")),
            ("mongodb://u:canary@a,b:2/db?x=canary", Ok("mongodb://a,b:2/db")),
            ("mongodb+srv://u:canary@a/db", Ok("mongodb+srv://a/db")),
            ("postgres://u:ca?canary@h/db", Ok("postgres://...")),
            ("mysql://canary@h/db", Err(AddressError::Scheme)),
            ("http://h", Err(AddressError::Scheme)),
            ("postgres:x", Err(AddressError::Scheme)),
        ] {
            let read = Address::parse(text);
            let debug = format!("{read:?}");
            assert!(!debug.contains("canary"), "{debug}");
            match (read, shown) {
                (Ok(address), Ok(shown)) => assert_eq!(address.to_string(), shown, "{text}"),
                (Err(error), Err(expected)) => assert_eq!(error, expected, "{text}"),
                (read, expected) => panic!("{text}: {read:?}, not {expected:?}"),
            }
        }
    }
}
