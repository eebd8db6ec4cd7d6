//! The signatures that are known (RFC 7518 section 3.1, RFC 8037). `none` is not one of them.

use apidef::SigningMethod;
use aws_lc_rs::{hmac, signature};

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

/// Those of shared secrets.
pub(crate) const SHARED: [(Algorithm, hmac::Algorithm); 3] = [
    (Algorithm::Hs256, hmac::HMAC_SHA256),
    (Algorithm::Hs384, hmac::HMAC_SHA384),
    (Algorithm::Hs512, hmac::HMAC_SHA512),
];

/// Those of RSA keys; keys of less than 2048 bits are not taken (RFC 7518 sections 3.3 and 3.5).
pub(crate) const RSA: [(Algorithm, &signature::RsaParameters); 6] = [
    (Algorithm::Rs256, &signature::RSA_PKCS1_2048_8192_SHA256),
    (Algorithm::Rs384, &signature::RSA_PKCS1_2048_8192_SHA384),
    (Algorithm::Rs512, &signature::RSA_PKCS1_2048_8192_SHA512),
    (Algorithm::Ps256, &signature::RSA_PSS_2048_8192_SHA256),
    (Algorithm::Ps384, &signature::RSA_PSS_2048_8192_SHA384),
    (Algorithm::Ps512, &signature::RSA_PSS_2048_8192_SHA512),
];

/// One of elliptic curves: its name in a JWK, the bytes of a coordinate, and its only algorithm.
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) coordinate: usize,
    pub(crate) algorithm: Algorithm,
    pub(crate) verifier: &'static signature::EcdsaVerificationAlgorithm,
}

pub(crate) const CURVES: [Curve; 3] = [
    Curve {
        name: "P-256",
        coordinate: 32,
        algorithm: Algorithm::Es256,
        verifier: &signature::ECDSA_P256_SHA256_FIXED,
    },
    Curve {
        name: "P-384",
        coordinate: 48,
        algorithm: Algorithm::Es384,
        verifier: &signature::ECDSA_P384_SHA384_FIXED,
    },
    Curve {
        name: "P-521",
        coordinate: 66,
        algorithm: Algorithm::Es512,
        verifier: &signature::ECDSA_P521_SHA512_FIXED,
    },
];

impl Algorithm {
    /// By its name, which is case-sensitive (RFC 7515 section 4.1.1).
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::Hs256,
            "HS384" => Self::Hs384,
            "HS512" => Self::Hs512,
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "ES512" => Self::Es512,
            "EdDSA" => Self::EdDsa,
            _ => return None,
        })
    }

    /// The family that a definition chooses.
    pub(crate) fn method(self) -> SigningMethod {
        match self {
            Self::Hs256 | Self::Hs384 | Self::Hs512 => SigningMethod::Hmac,
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                SigningMethod::Rsa
            }
            Self::Es256 | Self::Es384 | Self::Es512 => SigningMethod::Ecdsa,
            Self::EdDsa => SigningMethod::Eddsa,
        }
    }
}
