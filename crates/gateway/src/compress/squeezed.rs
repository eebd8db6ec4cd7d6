//! A body that is compressed as it comes. What has come is held back only while more is at hand: whoever waits for the next
//! piece sees all of the last one.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use apidef::ContentCoding;
use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use zstd::stream::write::Encoder as ZstdEncoder;

use crate::body::{Body, BodyError};

/// What is compressed at a time, and in one go before others have their turn.
const PIECE: usize = 8 << 10;
const TURN: usize = 64 << 10;
/// What is gathered before it goes out.
const GATHERED: usize = 8 << 10;
/// How far back is looked for what has been said before, as a power of two: it bounds the memory of a body, to some 2 MiB
/// at most. Clients need no more for gzip.
const WINDOW: u32 = 17;
/// How hard brotli tries: above it takes twice the time, below it gains less than zstd.
const QUALITY: u32 = 4;

pub(super) enum Encoder {
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Zstd(Box<ZstdEncoder<'static, Vec<u8>>>),
}

impl Encoder {
    pub(super) fn new(coding: ContentCoding) -> io::Result<Self> {
        Ok(match coding {
            ContentCoding::Brotli => {
                Self::Brotli(Box::new(CompressorWriter::new(Vec::new(), PIECE, QUALITY, WINDOW)))
            }
            ContentCoding::Gzip => Self::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::fast()))),
            ContentCoding::Zstd => {
                let mut encoder = ZstdEncoder::new(Vec::new(), 1)?;
                encoder.window_log(WINDOW)?;
                Self::Zstd(Box::new(encoder))
            }
        })
    }

    fn add(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Brotli(encoder) => encoder.write_all(piece),
            Self::Gzip(encoder) => encoder.write_all(piece),
            Self::Zstd(encoder) => encoder.write_all(piece),
        }
    }

    /// Lets go of all that was added.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Brotli(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }

    fn out(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            // It writes to memory, which does not fail.
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

/// See the module.
pub(super) struct Squeezed {
    /// Kept when it has ended, too: it counts for its server as long as it lives.
    body: Body,
    /// Gone once all is out.
    encoder: Option<Encoder>,
    /// Come, and not compressed yet.
    waiting: Bytes,
    /// Something is with the encoder.
    held: bool,
    trailers: Option<HeaderMap>,
}

impl Squeezed {
    pub(super) fn new(body: Body, encoder: Encoder) -> Self {
        Self { body, encoder: Some(encoder), waiting: Bytes::new(), held: false, trailers: None }
    }
}

impl HttpBody for Squeezed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let mut left = TURN;
        loop {
            let Some(encoder) = &mut this.encoder else {
                return Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            };
            if !this.waiting.is_empty() {
                if left == 0 {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let piece = this.waiting.split_to(this.waiting.len().min(PIECE));
                left = left.saturating_sub(PIECE);
                encoder.add(&piece)?;
                this.held = true;
                if encoder.out().len() >= GATHERED {
                    return Poll::Ready(Some(Ok(Frame::data(std::mem::take(encoder.out()).into()))));
                }
                continue;
            }
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.waiting = data,
                    Err(frame) => this.trailers = frame.into_trailers().ok(),
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => {
                    let rest = this.encoder.take().map(Encoder::finish).transpose()?.unwrap_or_default();
                    return Poll::Ready(Some(Ok(Frame::data(rest.into()))));
                }
                Poll::Pending => {
                    if this.held {
                        encoder.flush()?;
                        this.held = false;
                    }
                    // The next time this is asked, nothing is held and the body is.
                    let gathered = std::mem::take(encoder.out());
                    ready!(if gathered.is_empty() { Poll::Pending } else { Poll::Ready(()) });
                    return Poll::Ready(Some(Ok(Frame::data(gathered.into()))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use futures_util::StreamExt as _;
    use http_body_util::StreamBody;
    use tokio::sync::mpsc;

    use super::*;

    fn decoder<'a>(coding: ContentCoding, bytes: &'a [u8]) -> Box<dyn io::Read + 'a> {
        match coding {
            ContentCoding::Brotli => Box::new(brotli::Decompressor::new(bytes, PIECE)),
            ContentCoding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
            ContentCoding::Zstd => Box::new(zstd::stream::read::Decoder::new(bytes).unwrap()),
        }
    }

    fn plain(coding: ContentCoding, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        decoder(coding, bytes).read_to_end(&mut plain).unwrap();
        plain
    }

    async fn next(body: &mut Squeezed) -> Option<Result<Frame<Bytes>, BodyError>> {
        std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
    }

    fn squeezed(body: Body, coding: ContentCoding) -> Squeezed {
        Squeezed::new(body, Encoder::new(coding).unwrap())
    }

    #[tokio::test]
    async fn what_comes_out_is_what_went_in_and_trailers_stay_behind_it() {
        let text: Vec<u8> =
            (0..3_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 29) as u8).collect();
        for coding in ContentCoding::ALL {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-after", "1".parse().unwrap());
            let mut frames: Vec<_> =
                text.chunks(70_001).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
            frames.push(Ok(Frame::trailers(trailers)));
            let body = Body::boxed(Box::pin(StreamBody::new(futures_util::stream::iter(frames))));
            let mut body = squeezed(body, coding);
            let (mut out, mut last) = (Vec::new(), None);
            while let Some(frame) = next(&mut body).await {
                assert!(last.is_none());
                match frame.unwrap().into_data() {
                    Ok(data) => out.extend_from_slice(&data),
                    Err(frame) => last = frame.into_trailers().ok(),
                }
            }
            assert!(body.is_end_stream());
            assert!(out.len() < text.len() / 2, "{coding:?}: {}", out.len());
            assert_eq!(plain(coding, &out), text);
            assert_eq!(last.unwrap()["x-after"], "1");
        }
    }

    #[tokio::test]
    async fn nothing_is_held_back_from_who_waits() {
        for coding in ContentCoding::ALL {
            let (sender, receiver) = mpsc::unbounded_channel::<&str>();
            let pieces = futures_util::stream::unfold(receiver, async |mut receiver| {
                Some((receiver.recv().await?, receiver))
            });
            let frames = pieces.map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))));
            let mut body = squeezed(Body::boxed(Box::pin(StreamBody::new(frames))), coding);
            let (mut out, mut said) = (Vec::new(), String::new());
            for piece in ["one", "two", "three"] {
                sender.send(piece).unwrap();
                said.push_str(piece);
                let frame = next(&mut body).await.unwrap().unwrap();
                out.extend_from_slice(frame.data_ref().unwrap());
                let mut seen = vec![0; said.len()];
                decoder(coding, &out).read_exact(&mut seen).unwrap();
                assert_eq!(seen, said.as_bytes(), "{coding:?}");
            }
            drop(sender);
            while let Some(frame) = next(&mut body).await {
                out.extend_from_slice(frame.unwrap().data_ref().unwrap());
            }
            assert_eq!(plain(coding, &out), said.as_bytes());
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_breaks_and_does_not_end() {
        let frames = [Ok(Frame::data(Bytes::from_static(b"begun"))), Err("broken".into())];
        let body = Body::boxed(Box::pin(StreamBody::new(futures_util::stream::iter(frames))));
        let mut body = squeezed(body, ContentCoding::Gzip);
        let mut failed = false;
        while let Some(frame) = next(&mut body).await {
            if frame.is_err() {
                failed = true;
                break;
            }
        }
        assert!(failed && !body.is_end_stream());
    }
}
