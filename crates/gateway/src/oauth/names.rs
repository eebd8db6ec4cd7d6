//! Under which keys the OAuth 2.0 server of an API keeps what it knows (contract 5.1). The last three are ours.

/// Keys of one API.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a>(pub(super) &'a str);

/// How the key of a client begins, behind that of its API; an index names clients with it.
pub(super) const CLIENT: &str = "oauth-clientid.";

impl Names<'_> {
    fn named(self, kind: &str, name: &str) -> String {
        format!("oauth-data.{}.{kind}{name}", self.0)
    }

    pub(super) fn client(self, id: &str) -> String {
        self.named(CLIENT, id)
    }

    /// A list of clients' key names.
    pub(super) fn index(self, org: &str) -> String {
        self.named("oauth-client-index.", org)
    }

    /// A set of clients, whole; what gates on a cluster list them by.
    pub(super) fn set(self) -> String {
        self.named("oauth-clientset.", CLIENT)
    }

    pub(super) fn code(self, code: &str) -> String {
        self.named("oauth-authorize.", code)
    }

    /// `name`: what the token's session is stored under.
    pub(super) fn access(self, name: &str) -> String {
        self.named("oauth-access.", name)
    }

    pub(super) fn refresh(self, token: &str) -> String {
        self.named("oauth-refresh.", token)
    }

    /// Names of a client's access tokens, sorted by when they end.
    pub(super) fn tokens(self, client: &str) -> String {
        self.named("oauth-client-tokens.", client)
    }

    /// When everything that a client had was taken back.
    pub(super) fn revoked(self, client: &str) -> String {
        self.named("oauth-revoked.", client)
    }

    /// What one authorisation has led to.
    pub(super) fn family(self, id: &str) -> String {
        self.named("oauth-family.", id)
    }

    /// The family of a refresh token that has been used.
    pub(super) fn spent(self, digest: &str) -> String {
        self.named("oauth-spent.", digest)
    }
}
