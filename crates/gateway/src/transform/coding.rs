//! Codings of bodies that are looked at (RFC 9110 section 8.4.1): taken off, and put on again.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use http::header::{self, HeaderMap};

/// Memory that a body in zstd may ask for, as a power of two: what RFC 9659 has all sides stay within. One in brotli may say that
/// it looks back further than the format has it (RFC 7932 section 9.1), and gets no more memory than it fills: what bounds that is
/// how large the decoded body may be.
const WINDOW: u32 = 23;
/// How brotli is written again: what it takes at a time, how hard it tries, and how far it looks back as a power of two.
const PIECE: usize = 8 << 10;
const QUALITY: u32 = 4;
const LOOKS_BACK: u32 = 17;

/// How a body is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    None,
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Why a body cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecoded {
    #[error("bodies coded as `{0}` are not looked at")]
    Unknown(String),
    #[error("the body cannot be decoded: {0}")]
    Broken(#[from] std::io::Error),
    #[error("the decoded body is larger than what may be looked at")]
    TooLarge,
}

impl Coding {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Undecoded> {
        let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
        let (Some(coding), None) = (codings.next(), codings.next()) else {
            return match headers.contains_key(header::CONTENT_ENCODING) {
                true => Err(Undecoded::Unknown("several".to_owned())),
                false => Ok(Self::None),
            };
        };
        match coding.to_str().unwrap_or("?").trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::None),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "br" => Ok(Self::Brotli),
            "zstd" => Ok(Self::Zstd),
            other => Err(Undecoded::Unknown(other.to_owned())),
        }
    }

    /// The body without its coding, up to `limit` bytes.
    pub(crate) fn decode(self, bytes: &Bytes, limit: usize) -> Result<Bytes, Undecoded> {
        match self {
            Self::None => Ok(bytes.clone()),
            Self::Gzip => read(MultiGzDecoder::new(&**bytes), limit),
            // Some send the bare stream.
            Self::Deflate => match read(ZlibDecoder::new(&**bytes), limit) {
                Err(Undecoded::Broken(_)) => read(DeflateDecoder::new(&**bytes), limit),
                read => read,
            },
            Self::Brotli => read(brotli::Decompressor::new(&**bytes, PIECE), limit),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(&**bytes)?;
                decoder.window_log_max(WINDOW)?;
                read(decoder, limit)
            }
        }
    }

    /// The body with its coding.
    pub(super) fn encode(self, bytes: Bytes) -> std::io::Result<Bytes> {
        match self {
            Self::None => Ok(bytes),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(&bytes)?;
                encoder.finish().map(Into::into)
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(&bytes)?;
                encoder.finish().map(Into::into)
            }
            Self::Brotli => {
                let mut encoder = brotli::CompressorWriter::new(Vec::new(), PIECE, QUALITY, LOOKS_BACK);
                encoder.write_all(&bytes)?;
                Ok(encoder.into_inner().into())
            }
            Self::Zstd => zstd::stream::encode_all(&*bytes, 1).map(Into::into),
        }
    }
}

fn read(decoder: impl Read, limit: usize) -> Result<Bytes, Undecoded> {
    let mut decoded = Vec::new();
    let read = decoder.take(limit as u64 + 1).read_to_end(&mut decoded)?;
    if read > limit { Err(Undecoded::TooLarge) } else { Ok(decoded.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c8_3_row_7_codings_come_off_and_on_within_the_limit() {
        let body = Bytes::from("a".repeat(10_000));
        for (written, coding) in [
            ("gzip", Coding::Gzip),
            ("Deflate", Coding::Deflate),
            ("br", Coding::Brotli),
            ("zstd", Coding::Zstd),
            ("identity", Coding::None),
            ("", Coding::None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, written.parse().unwrap());
            assert_eq!(Coding::of(&headers).unwrap(), coding);
            let encoded = coding.encode(body.clone()).unwrap();
            assert_eq!(coding.decode(&encoded, 10_000).unwrap(), body);
            if coding != Coding::None {
                assert!(matches!(coding.decode(&encoded, 9999), Err(Undecoded::TooLarge)), "{written}");
                assert!(matches!(coding.decode(&body, 10_000), Err(Undecoded::Broken(_))), "{written}");
            }
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, "compress".parse().unwrap());
        assert!(matches!(Coding::of(&headers), Err(Undecoded::Unknown(_))));
        let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
        bare.write_all(b"abc").unwrap();
        assert_eq!(Coding::Deflate.decode(&bare.finish().unwrap().into(), 3).unwrap(), "abc");
    }
}
