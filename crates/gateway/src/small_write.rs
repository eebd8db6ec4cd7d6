//! Small gathered writes as plain ones.
//!
//! hyper hands the heads and the data of HTTP/2 frames over as slices. For the usual small answer one `send` of a copied buffer costs
//! the kernel less than a `writev` of two; large bodies are still written from where they are.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// Up to here copying is cheaper.
const SMALL: usize = 4096;

/// Writes slices, as one plain write where they are small.
pub(crate) fn poll_write_slices<S: AsyncWrite>(
    stream: Pin<&mut S>,
    cx: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if let [only] = slices {
        return stream.poll_write(cx, only);
    }
    let total: usize = slices.iter().map(|slice| slice.len()).sum();
    if total > SMALL {
        return stream.poll_write_vectored(cx, slices);
    }
    let mut buffer = [0; SMALL];
    let mut filled = 0;
    for slice in slices {
        buffer[filled..filled + slice.len()].copy_from_slice(slice);
        filled += slice.len();
    }
    stream.poll_write(cx, &buffer[..filled])
}
