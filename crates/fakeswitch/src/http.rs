//! The dialplan's `${curl(http://... connect-timeout 1 timeout 1)}`: one GET, one body, one deadline.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The longest answer that is read; a dial string has some hundred bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// The body of the answer, whatever its status: mod_curl hands on the body of an error page too, and an extension that
/// is unknown to the controller has an empty one. `None` when there was no answer in time.
pub(crate) async fn get(address: &str, path: &str, limit: Duration) -> Option<String> {
    timeout(limit, exchange(address, path)).await.ok().flatten()
}

async fn exchange(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: freeswitch-curl/1.0\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    // A peer that resets the connection after its answer has answered.
    let read = stream.take(MAX_ANSWER).read_to_end(&mut answer).await;
    if read.is_err() && answer.is_empty() {
        return None;
    }
    body(&String::from_utf8_lossy(&answer))
}

fn body(answer: &str) -> Option<String> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.").then_some(())?;
    let chunked = head.lines().any(|line| {
        line.to_ascii_lowercase()
            .starts_with("transfer-encoding: chunked")
    });
    if chunked {
        unchunk(body)
    } else {
        Some(body.to_owned())
    }
}

/// RFC 9112, section 7.1, without extensions and trailers.
fn unchunk(mut body: &str) -> Option<String> {
    let mut whole = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        whole.push_str(rest.get(..size)?);
        body = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &str, expect: Option<&str>) {
        assert_eq!(body(answer).as_deref(), expect, "{answer:?}");
    }

    #[test]
    fn bodies() {
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbeep",
            Some("beep"),
        );
        check("HTTP/1.1 404 Not Found\r\n\r\n", Some(""));
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbeep\r\n1\r\n!\r\n0\r\n\r\n",
            Some("beep!"),
        );
        check("nonsense", None);
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nbeep",
            None,
        );
    }
}
