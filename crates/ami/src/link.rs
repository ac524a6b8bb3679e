//! What both kinds of links share: a stream of frames, plain or over TLS, with a peer that may fall silent.

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::BytesMut;
use futures::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::timeout;
use tokio_util::codec::FramedRead;

use crate::action::{Action, EncodeError};
use crate::frame::{Frame, FrameCodec, FrameError, FrameKind, Limits, READ_AHEAD};
use crate::word::ActionId;

/// Why a link is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The peer closed without a word. Asterisk does so when it stops, and to a client that doesn't read.
    #[error("the switch closed the connection")]
    Closed,
    /// Nothing came in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// A frame that has no business here.
    #[error("unexpected {0}")]
    Unexpected(FrameKind),
    /// More events than we keep came while an answer was waited for.
    #[error("more than {0} events before an answer")]
    Flooded(usize),
    /// What came is no frame, or reading failed.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Writing failed.
    #[error("can't write")]
    Write(#[source] io::Error),
}

/// A TCP or a TLS stream.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub(crate) struct Reader {
    framed: FramedRead<ReadHalf<Box<dyn Stream>>, FrameCodec>,
}

impl Reader {
    /// The next frame. Loses nothing when it is dropped before it is done.
    pub(crate) async fn next(&mut self) -> Result<Frame, LinkError> {
        let frame = self.framed.next().await.ok_or(LinkError::Closed)?;
        Ok(frame?)
    }
}

pub(crate) struct Writer {
    half: WriteHalf<Box<dyn Stream>>,
}

impl Writer {
    /// Not to be dropped before it is done: half an action would be left on the stream.
    pub(crate) async fn send(&mut self, octets: &[u8]) -> Result<(), LinkError> {
        self.half
            .write_all(octets)
            .await
            .map_err(LinkError::Write)?;
        self.half.flush().await.map_err(LinkError::Write)
    }
}

/// Both directions in one hand.
pub(crate) struct Link {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
}

impl Link {
    pub(crate) fn new(stream: Box<dyn Stream>, limits: Limits) -> Self {
        let (read, half) = tokio::io::split(stream);
        // Twice a read: what is left of a frame at the end of the buffer is moved to its front, and the buffer is used again.
        let framed = FramedRead::with_capacity(read, FrameCodec::new(limits), 2 * READ_AHEAD);
        Self {
            reader: Reader { framed },
            writer: Writer { half },
        }
    }

    pub(crate) async fn next_within(&mut self, limit: Duration) -> Result<Frame, LinkError> {
        timeout(limit, self.reader.next())
            .await
            .map_err(|_| LinkError::Timeout(limit))?
    }

    pub(crate) async fn send_within(
        &mut self,
        action: &Action,
        id: &ActionId,
        limit: Duration,
    ) -> Result<(), SendError> {
        let mut octets = BytesMut::new();
        action.encode(id, &mut octets)?;
        timeout(limit, self.writer.send(&octets))
            .await
            .map_err(|_| LinkError::Timeout(limit))??;
        Ok(())
    }
}

/// Why an action did not get on to its stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Link(#[from] LinkError),
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}
