//! The side that sends: as much of a FreeSWITCH as it takes to get a client going.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use anyhow::Context;

/// Octets per write. Larger than the switch's (it writes frame by frame), so that the sender isn't what is measured.
const WRITE: usize = 256 * 1024;

/// A listener for one client.
pub(crate) struct Switch {
    listener: TcpListener,
    /// Octets that came after the handshake.
    pub(crate) drained: Arc<AtomicU64>,
}

impl Switch {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(("127.0.0.1", 0)).context("can't listen")?,
            drained: Arc::default(),
        })
    }

    pub(crate) fn addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves one client: the handshake, then, once told to, the events, then a notice that it is over.
    pub(crate) fn serve(
        &self,
        events: &[u8],
        passes: u64,
        go: &Receiver<()>,
    ) -> anyhow::Result<()> {
        let (mut stream, _) = self.listener.accept()?;
        stream.set_nodelay(true)?;
        self.shake_hands(&mut stream)?;
        // One client writes all the time; it would wait for ever if nobody read that.
        let mut drain = stream.try_clone()?;
        let drained = Arc::clone(&self.drained);
        std::thread::spawn(move || {
            let mut scratch = [0; 4096];
            while let Ok(n) = drain.read(&mut scratch)
                && n > 0
            {
                drained.fetch_add(n as u64, Ordering::Relaxed);
            }
        });
        if go.recv().is_err() {
            // The client has failed, and says so itself.
            return Ok(());
        }
        for _ in 0..passes {
            for part in events.chunks(WRITE) {
                stream.write_all(part)?;
            }
        }
        // A client may have what it wanted and be gone. Those that are not need both: one goes on reading for ever without the
        // notice, and another hands out its last events only once the stream has ended.
        let _ = stream.write_all(
            b"Content-Type: text/disconnect-notice\nContent-Length: 13\n\nDisconnected\n",
        );
        let _ = stream.shutdown(Shutdown::Write);
        Ok(())
    }

    fn shake_hands(&self, stream: &mut TcpStream) -> anyhow::Result<()> {
        stream.write_all(b"Content-Type: auth/request\n\n")?;
        // Octet by octet, so that what comes after the handshake stays in the socket.
        let mut reader = BufReader::with_capacity(1, stream.try_clone()?);
        loop {
            let mut command = String::new();
            let mut line = String::new();
            while reader.read_line(&mut line)? > 0 && !line.trim_end().is_empty() {
                command.push_str(&line);
                line.clear();
            }
            anyhow::ensure!(!line.is_empty(), "the client has closed");
            let text = if command.starts_with("auth") {
                "+OK accepted"
            } else {
                "+OK event listener enabled plain"
            };
            write!(
                stream,
                "Content-Type: command/reply\nReply-Text: {text}\n\n"
            )?;
            if command.starts_with("event") {
                return Ok(());
            }
        }
    }
}
