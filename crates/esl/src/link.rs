//! What both kinds of connection share: a stream of frames with a peer that may fall silent.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::codec::Framed;

use crate::command::{Command, CommandCodecError};
use crate::frame::{ContentType, Frame, FrameCodec, FrameError, READ_AHEAD};

/// Why a connection is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The peer closed without a word.
    #[error("the switch closed the connection")]
    Closed,
    /// The peer said that it ends the connection: after `exit`, when it shuts down, or when we were too slow to read.
    #[error("the switch ended the connection: {text}")]
    Disconnected {
        /// What it said.
        text: String,
    },
    /// Nothing came in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// A frame that has no business here.
    #[error("unexpected {0}")]
    Unexpected(ContentType),
    /// More events than we keep came while an answer was waited for.
    #[error("more than {0} events before an answer")]
    Flooded(usize),
    /// What came is no frame, or reading or writing failed.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

#[derive(Debug)]
pub(crate) struct Link {
    framed: Framed<TcpStream, FrameCodec>,
}

impl Link {
    pub(crate) fn new(stream: TcpStream, max_frame: usize) -> Self {
        // Twice a read: what is left of a frame at the end of the buffer is moved to its front, and the buffer is used again.
        let framed = Framed::with_capacity(stream, FrameCodec::new(max_frame), 2 * READ_AHEAD);
        Self { framed }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.framed.get_ref()
    }

    /// The next frame. Loses nothing when it is dropped before it is done. A notice that the connection ends is an error;
    /// one that it will end later (linger) is a frame.
    pub(crate) async fn next(&mut self) -> Result<Frame, LinkError> {
        let frame = self.framed.next().await.ok_or(LinkError::Closed)??;
        if *frame.content_type() == ContentType::DisconnectNotice
            && frame.header("Content-Disposition").as_deref() != Some("linger")
        {
            return Err(LinkError::Disconnected {
                text: String::from_utf8_lossy(frame.body()).trim_end().to_owned(),
            });
        }
        Ok(frame)
    }

    pub(crate) async fn next_within(&mut self, limit: Duration) -> Result<Frame, LinkError> {
        timeout(limit, self.next())
            .await
            .map_err(|_| LinkError::Timeout(limit))?
    }

    pub(crate) async fn send(&mut self, command: &Command) -> Result<(), CommandCodecError> {
        self.framed.send(command).await
    }
}
