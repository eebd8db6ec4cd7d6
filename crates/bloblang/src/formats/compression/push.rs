//! Bytes that are unpacked as they arrive.

use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::Algorithm;
use super::unpack::{CUT, drain, lz4_is_whole, too_large};

/// The decoder is given so many packed bytes at once, and what they became is handed on before the next.
const STEP: usize = 4096;
/// What one step may become: 64 MiB.
const LARGEST: usize = 64 * 1024 * 1024;

/// Takes what was unpacked.
pub type Sink<'s> = dyn FnMut(Bytes) -> Result<(), String> + 's;

/// A decoder that is fed.
pub struct Push(Decoder);

enum Decoder {
    Flate(DeflateDecoder<Bounded>),
    Gzip(MultiGzDecoder<Bounded>),
    Zlib(ZlibDecoder<Bounded>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Bounded>>),
    /// Bzip2, lz4 and snappy frames: their decoders only pull, so that the packed bytes are gathered first.
    Gathered(Algorithm, BytesMut),
    /// A decoder that could not be made.
    Broken(String),
}

/// Keeps what was written, up to a limit.
#[derive(Default)]
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST {
            return Err(io::Error::other(too_large(LARGEST)));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for Push {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Push")
    }
}

impl Push {
    /// Begins.
    pub fn new(algorithm: Algorithm) -> Push {
        let out = Bounded::default();
        Push(match algorithm {
            Algorithm::Flate => Decoder::Flate(DeflateDecoder::new(out)),
            Algorithm::Gzip => Decoder::Gzip(MultiGzDecoder::new(out)),
            Algorithm::Zlib => Decoder::Zlib(ZlibDecoder::new(out)),
            Algorithm::Zstd => match zstd::stream::write::Decoder::new(out) {
                Ok(decoder) => Decoder::Zstd(Box::new(decoder)),
                Err(error) => Decoder::Broken(error.to_string()),
            },
            Algorithm::Bzip2 | Algorithm::Lz4 | Algorithm::Snappy => {
                Decoder::Gathered(algorithm, BytesMut::new())
            }
        })
    }

    /// Unpacks more bytes into `sink`.
    ///
    /// # Errors
    /// What is wrong with the packed bytes, that they become too large, or what the sink says.
    pub fn feed(&mut self, packed: &Bytes, sink: &mut Sink<'_>) -> Result<(), String> {
        if let Decoder::Gathered(_, gathered) = &mut self.0 {
            if gathered.len() + packed.len() > LARGEST {
                return Err(format!("the packed bytes are more than {LARGEST}"));
            }
            gathered.extend_from_slice(packed);
            return Ok(());
        }
        for step in packed.chunks(STEP) {
            let written = match &mut self.0 {
                Decoder::Flate(decoder) => decoder.write_all(step).and_then(|()| decoder.flush()),
                Decoder::Gzip(decoder) => decoder.write_all(step).and_then(|()| decoder.flush()),
                Decoder::Zlib(decoder) => decoder.write_all(step).and_then(|()| decoder.flush()),
                Decoder::Zstd(decoder) => decoder.write_all(step).and_then(|()| decoder.flush()),
                Decoder::Gathered(..) => Ok(()),
                Decoder::Broken(fault) => return Err(fault.clone()),
            };
            written.map_err(|error| error.to_string())?;
            self.hand_on(sink)?;
        }
        Ok(())
    }

    /// The packed bytes have ended.
    ///
    /// # Errors
    /// As of `feed`, and when the bytes end too early.
    pub fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), String> {
        let finished = match &mut self.0 {
            Decoder::Flate(decoder) => decoder.try_finish(),
            Decoder::Gzip(decoder) => decoder.try_finish(),
            Decoder::Zlib(decoder) => decoder.try_finish(),
            Decoder::Zstd(decoder) => decoder.do_finish(),
            Decoder::Broken(fault) => return Err(fault.clone()),
            Decoder::Gathered(algorithm, gathered) => {
                if *algorithm == Algorithm::Lz4 && !lz4_is_whole(gathered) {
                    return Err(CUT.to_owned());
                }
                let unpacked = match algorithm {
                    Algorithm::Bzip2 => drain(bzip2::read::MultiBzDecoder::new(&gathered[..]), LARGEST),
                    Algorithm::Lz4 => drain(lz4_flex::frame::FrameDecoder::new(&gathered[..]), LARGEST),
                    _ => drain(snap::read::FrameDecoder::new(&gathered[..]), LARGEST),
                };
                let unpacked = unpacked.map_err(|error| error.to_string())?;
                if unpacked.len() > LARGEST {
                    return Err(too_large(LARGEST));
                }
                return sink(unpacked.into());
            }
        };
        finished.map_err(|error| error.to_string())?;
        self.hand_on(sink)
    }

    fn hand_on(&mut self, sink: &mut Sink<'_>) -> Result<(), String> {
        let out = match &mut self.0 {
            Decoder::Flate(decoder) => decoder.get_mut(),
            Decoder::Gzip(decoder) => decoder.get_mut(),
            Decoder::Zlib(decoder) => decoder.get_mut(),
            Decoder::Zstd(decoder) => decoder.get_mut(),
            Decoder::Gathered(..) | Decoder::Broken(_) => return Ok(()),
        };
        if out.0.is_empty() { Ok(()) } else { sink(std::mem::take(&mut out.0).into()) }
    }
}
