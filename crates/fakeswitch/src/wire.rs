//! The server side of the event socket: bytes in and out. Written without the product's own client, so that a mistake
//! in one is not repeated in the other.
//!
//! ```text
//! command  = line *( name ": " value LF ) LF [body]   empty lines before it are ignored
//! greeting = "Content-Type: auth/request" LF LF
//! reply    = "Content-Type: command/reply" LF "Reply-Text: " text LF [headers] LF
//! api      = "Content-Type: api/response" LF "Content-Length: " n LF LF body
//! event    = "Content-Length: " n LF "Content-Type: text/event-plain" LF LF body
//! ```
//!
//! Refuses commands longer than 64 KiB by closing the link.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use crate::{config::Faults, model::Input};

/// A link of the event socket, counted from the start.
pub(crate) type LinkId = u64;

const MAX_COMMAND: usize = 64 * 1024;

/// What a client has sent: the first line and the headers under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    /// What follows the headers, as long as `Content-Length` says.
    pub(crate) body: String,
}

impl Command {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// What the switch wants to be written.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// At once, before events that still wait.
    Reply(Vec<u8>),
    /// An event, which may wait.
    Event(Vec<u8>),
    /// The faults have changed.
    Faults(Faults),
    /// Write what waits, then close.
    Close,
}

/// A reply without a body.
pub(crate) fn reply(text: &str, headers: &str) -> Vec<u8> {
    format!("Content-Type: command/reply\nReply-Text: {text}\n{headers}\n").into_bytes()
}

/// The result of an API command.
pub(crate) fn api_response(body: &str) -> Vec<u8> {
    format!(
        "Content-Type: api/response\nContent-Length: {}\n\n{body}",
        body.len()
    )
    .into_bytes()
}

/// An event in its frame.
pub(crate) fn event(body: &str) -> Vec<u8> {
    format!(
        "Content-Length: {}\nContent-Type: text/event-plain\n\n{body}",
        body.len()
    )
    .into_bytes()
}

/// What the switch says before it closes a link.
pub(crate) fn disconnect_notice() -> Vec<u8> {
    const TEXT: &str = "Disconnected, goodbye.\n";
    format!(
        "Content-Type: text/disconnect-notice\nContent-Length: {}\n\n{TEXT}",
        TEXT.len()
    )
    .into_bytes()
}

/// Takes the next whole command out of what has been read.
pub(crate) fn next_command(buffer: &mut Vec<u8>) -> Option<Command> {
    let start = buffer
        .iter()
        .take_while(|b| matches!(b, b'\n' | b'\r'))
        .count();
    buffer.drain(..start);
    let end = buffer.windows(2).position(|pair| pair == b"\n\n");
    let end_cr = buffer.windows(4).position(|four| four == b"\r\n\r\n");
    let (end, skip) = match (end, end_cr) {
        (Some(lf), Some(cr)) if cr < lf => (cr, 4),
        (Some(lf), _) => (lf, 2),
        (None, Some(cr)) => (cr, 4),
        (None, None) => return None,
    };
    let text = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = text.lines();
    let line = lines.next().unwrap_or_default().to_owned();
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let mut command = Command {
        line,
        headers,
        body: String::new(),
    };
    let length = command.header("Content-Length").map(str::parse::<usize>);
    let length = length.and_then(Result::ok).unwrap_or(0);
    let whole = (end + skip).checked_add(length)?;
    if buffer.len() < whole {
        return None;
    }
    let body = &buffer[end + skip..whole];
    command.body = String::from_utf8_lossy(body).into_owned();
    buffer.drain(..whole);
    Some(command)
}

/// Accepts clients until it is aborted.
pub(crate) async fn listen(
    listener: TcpListener,
    inputs: mpsc::UnboundedSender<Input>,
    frozen: watch::Receiver<bool>,
    faults: Faults,
) {
    let mut next: LinkId = 0;
    // An error of accept is about the client that was to come, not about the listener.
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        next += 1;
        let link = serve(next, stream, inputs.clone(), frozen.clone(), faults);
        // The world is told by the link itself, once it can be aborted.
        tokio::spawn(link);
    }
}

async fn serve(
    id: LinkId,
    stream: TcpStream,
    inputs: mpsc::UnboundedSender<Input>,
    frozen: watch::Receiver<bool>,
    faults: Faults,
) {
    // Small frames must not wait for each other; without it they would, and only the timing would differ.
    let _ = stream.set_nodelay(true);
    let (read, write) = stream.into_split();
    let (queue, outgoing) = mpsc::unbounded_channel();
    let greeting = b"Content-Type: auth/request\n\n".to_vec();
    if queue.send(Outgoing::Reply(greeting)).is_err() {
        return;
    }
    let reader = read_commands(id, read, inputs.clone(), frozen.clone());
    let writer = write_frames(write, outgoing, frozen, faults);
    let both = tokio::spawn(async move {
        tokio::select! {
            () = reader => (),
            () = writer => (),
        }
    });
    let up = Input::LinkUp(id, queue, both.abort_handle());
    if inputs.send(up).is_err() {
        both.abort();
    }
    // Aborted or ended: either way the link is down.
    let _ = both.await;
    let _ = inputs.send(Input::LinkDown(id));
}

async fn read_commands(
    id: LinkId,
    mut stream: OwnedReadHalf,
    inputs: mpsc::UnboundedSender<Input>,
    mut frozen: watch::Receiver<bool>,
) {
    let mut buffer = Vec::new();
    loop {
        if frozen.wait_for(|frozen| !frozen).await.is_err() {
            return;
        }
        while let Some(command) = next_command(&mut buffer) {
            if inputs.send(Input::Command(id, command)).is_err() {
                return;
            }
        }
        let read = stream.read_buf(&mut buffer).await;
        if !matches!(read, Ok(1..)) || buffer.len() > MAX_COMMAND {
            return;
        }
    }
}

async fn write_frames(
    mut stream: OwnedWriteHalf,
    mut outgoing: mpsc::UnboundedReceiver<Outgoing>,
    mut frozen: watch::Receiver<bool>,
    mut faults: Faults,
) {
    let mut waiting = Vec::new();
    let mut due: Option<Instant> = None;
    loop {
        let flush = sleep_until(due.unwrap_or_else(Instant::now));
        let (bytes, close) = tokio::select! {
            biased;
            next = outgoing.recv() => match next {
                Some(Outgoing::Reply(bytes)) => (bytes, false),
                Some(Outgoing::Event(bytes)) if faults.delay.is_zero() => (bytes, false),
                Some(Outgoing::Event(bytes)) => {
                    waiting.extend(bytes);
                    due.get_or_insert_with(|| Instant::now() + faults.delay);
                    continue;
                }
                Some(Outgoing::Faults(new)) => {
                    faults = new;
                    continue;
                }
                Some(Outgoing::Close) | None => (std::mem::take(&mut waiting), true),
            },
            () = flush, if due.is_some() => {
                due = None;
                (std::mem::take(&mut waiting), false)
            }
        };
        if frozen.wait_for(|frozen| !frozen).await.is_err() {
            return;
        }
        if write_slowly(&mut stream, &bytes, faults.slow_bytes)
            .await
            .is_err()
        {
            return;
        }
        if close {
            // The client may have gone already.
            let _ = stream.shutdown().await;
            return;
        }
    }
}

async fn write_slowly(
    stream: &mut OwnedWriteHalf,
    bytes: &[u8],
    slow_bytes: usize,
) -> std::io::Result<()> {
    if slow_bytes == 0 {
        return stream.write_all(bytes).await;
    }
    for part in bytes.chunks(slow_bytes) {
        stream.write_all(part).await?;
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &str, expect: &[(&str, &[(&str, &str)])]) {
        let mut buffer = bytes.as_bytes().to_vec();
        let mut found = Vec::new();
        while let Some(command) = next_command(&mut buffer) {
            found.push(command);
        }
        let expect: Vec<Command> = expect
            .iter()
            .map(|(line, headers)| Command {
                line: (*line).to_owned(),
                headers: headers
                    .iter()
                    .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                    .collect(),
                body: String::new(),
            })
            .collect();
        assert_eq!(found, expect, "{bytes:?}");
    }

    #[test]
    fn commands() {
        check("auth ClueCon\n\n", &[("auth ClueCon", &[])]);
        check("\n\n\napi status\n\n\n", &[("api status", &[])]);
        check(
            "bgapi status\nJob-UUID: 1\n\napi version\n\n",
            &[("bgapi status", &[("Job-UUID", "1")]), ("api version", &[])],
        );
        check(
            "auth x\r\n\r\nexit\r\n\r\n",
            &[("auth x", &[]), ("exit", &[])],
        );
        check("api half\n", &[]);
    }

    #[test]
    fn a_body_is_part_of_its_command() {
        let whole = b"sendmsg 1\ncontent-length: 3\n\na=bexit\n\n";
        for cut in 0..whole.len() - "exit\n\n".len() {
            assert_eq!(next_command(&mut whole[..cut].to_vec()), None, "{cut}");
        }
        let mut buffer = whole.to_vec();
        let bodies: Vec<String> = std::iter::from_fn(|| next_command(&mut buffer))
            .map(|command| command.body)
            .collect();
        assert_eq!(bodies, ["a=b", ""]);
    }
}
