//! Where a body ends, and its bytes without their framing (RFC 9112 section 6).

use bytes::{Bytes, BytesMut};
use http::header::HeaderMap;

use super::chunked::{Chunked, Part};

/// A body in the course of being read.
#[derive(Debug)]
pub(crate) enum Decoder {
    /// There is none, or no more of it.
    Ended,
    /// So many bytes are still to come.
    Sized(u64),
    /// In chunks, each with its size.
    Chunked(Chunked),
    /// It ends where the connection does.
    UntilClose,
}

/// What a body goes on with.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Never empty.
    Data(Bytes),
    /// The last of it; never empty.
    Trailers(HeaderMap),
    /// Nothing more comes.
    End,
}

impl Decoder {
    /// A chunked body from a client: read strictly.
    pub(crate) fn chunked_request() -> Self {
        Self::Chunked(Chunked::default())
    }

    /// A chunked body from an upstream.
    pub(crate) fn chunked_answer() -> Self {
        Self::Chunked(Chunked::lenient())
    }

    /// Whether nothing more is to come.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// How many bytes are still to come, where that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self {
            Self::Ended => Some(0),
            Self::Sized(left) => Some(*left),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// Takes the next piece out of `buffer`; `None` when more bytes are needed.
    ///
    /// # Errors
    /// What is wrong with a chunked body.
    pub(crate) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Piece>, &'static str> {
        match self {
            Self::Ended => Ok(Some(Piece::End)),
            _ if buffer.is_empty() => Ok(None),
            Self::Sized(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                *left -= taken as u64;
                if *left == 0 {
                    *self = Self::Ended;
                }
                Ok(Some(Piece::Data(buffer.split_to(taken).freeze())))
            }
            Self::Chunked(chunked) => Ok(match chunked.decode(buffer)? {
                None => None,
                Some(Part::Data(data)) => Some(Piece::Data(data)),
                Some(Part::End(trailers)) => {
                    *self = Self::Ended;
                    Some(if trailers.is_empty() { Piece::End } else { Piece::Trailers(trailers) })
                }
            }),
            Self::UntilClose => Ok(Some(Piece::Data(buffer.split().freeze()))),
        }
    }

    /// The connection has ended. Gives whether the body is complete with that.
    pub(crate) fn close(&mut self) -> bool {
        if matches!(self, Self::UntilClose) {
            *self = Self::Ended;
        }
        self.has_ended()
    }
}
