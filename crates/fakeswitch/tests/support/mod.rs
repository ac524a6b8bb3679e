//! A small client of the event socket, on raw TCP, and what the stories share.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used
)] // each test file uses a part of it; a test may panic

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use callhop_fakeswitch::{Config, FakeSwitch, Phone};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

/// Longer than anything takes; only a failing test waits for it.
pub const SOON: Duration = Duration::from_secs(5);

/// One frame as it came.
#[derive(Debug, Clone)]
pub struct Frame {
    pub head: String,
    pub body: String,
}

impl Frame {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

/// An event, decoded.
#[derive(Debug, Clone)]
pub struct Event {
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Event {
    pub fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let headers = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), percent_decode(value)))
            .collect();
        Self {
            headers,
            body: body.to_owned(),
        }
    }

    pub fn get(&self, name: &str) -> &str {
        let mut headers = self.headers.iter();
        headers
            .find(|(n, _)| n == name)
            .map_or("", |(_, value)| value)
    }

    pub fn name(&self) -> &str {
        self.get("Event-Name")
    }

    pub fn channel(&self) -> &str {
        self.get("Unique-ID")
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(n, _)| *n == name)
        .map(|(_, value)| value)
}

pub fn percent_decode(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        if *first == b'%' && more.len() >= 2 {
            let hex = std::str::from_utf8(&more[..2]).unwrap();
            bytes.push(u8::from_str_radix(hex, 16).unwrap());
            rest = &more[2..];
        } else {
            bytes.push(*first);
            rest = more;
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// A link to the event socket.
pub struct Link {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

impl Link {
    /// Connects without a word.
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (read, write) = stream.into_split();
        Self {
            read: BufReader::new(read),
            write,
        }
    }

    /// Connects and authenticates.
    pub async fn connect(address: SocketAddr) -> Self {
        let mut link = Self::open(address).await;
        let greeting = link.frame().await;
        assert_eq!(greeting.header("Content-Type"), Some("auth/request"));
        assert_eq!(link.command("auth ClueCon").await, "+OK accepted");
        link
    }

    /// Connects and listens.
    pub async fn listen(address: SocketAddr, what: &str) -> Self {
        let mut link = Self::connect(address).await;
        let reply = link.command(&format!("event plain {what}")).await;
        assert_eq!(reply, "+OK event listener enabled plain");
        link
    }

    pub async fn send(&mut self, text: &str) {
        self.write.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next frame; `None` at the end of the stream.
    pub async fn try_frame(&mut self) -> Option<Frame> {
        let mut head = String::new();
        loop {
            let mut line = String::new();
            let read = timeout(SOON, self.read.read_line(&mut line)).await;
            match read.expect("a frame in time") {
                Ok(0) | Err(_) => return None,
                Ok(_) if line == "\n" && head.is_empty() => {}
                Ok(_) if line == "\n" => break,
                Ok(_) => head.push_str(&line),
            }
        }
        let length = header(&head, "Content-Length").map_or(0, |n| n.trim().parse().unwrap());
        let mut body = vec![0; length];
        self.read.read_exact(&mut body).await.unwrap();
        Some(Frame {
            head,
            body: String::from_utf8(body).unwrap(),
        })
    }

    pub async fn frame(&mut self) -> Frame {
        self.try_frame().await.expect("the link is up")
    }

    /// Sends a command and gives its Reply-Text.
    pub async fn command(&mut self, text: &str) -> String {
        self.send(&format!("{text}\n\n")).await;
        let frame = self.frame().await;
        frame.header("Reply-Text").unwrap_or_default().to_owned()
    }

    /// Sends an API command and gives the body of the answer.
    pub async fn api(&mut self, text: &str) -> String {
        self.send(&format!("api {text}\n\n")).await;
        let frame = self.frame().await;
        assert_eq!(
            frame.header("Content-Type"),
            Some("api/response"),
            "{frame:?}"
        );
        frame.body
    }

    pub async fn event(&mut self) -> Event {
        let frame = self.frame().await;
        let kind = frame.header("Content-Type");
        assert_eq!(kind, Some("text/event-plain"), "{frame:?}");
        Event::parse(&frame.body)
    }

    /// Reads events up to and including the first that fits.
    pub async fn events_until(&mut self, fits: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut seen = Vec::new();
        loop {
            let event = self.event().await;
            let done = fits(&event);
            seen.push(event);
            if done {
                return seen;
            }
        }
    }
}

/// What a call's channels are called in a story: the label of the phone, and `NAME event` per line.
pub fn summary(events: &[Event], names: &HashMap<String, String>) -> Vec<String> {
    events
        .iter()
        .map(|event| {
            let who = names.get(event.channel()).map_or("?", |n| n.as_str());
            format!("{} {who}", event.name().trim_start_matches("CHANNEL_"))
        })
        .collect()
}

/// A site with three devices of one person, a colleague and a customer outside.
pub struct Site {
    pub switch: FakeSwitch,
    pub desk: Phone,
    pub mobile: Phone,
    pub tablet: Phone,
    pub colleague: Phone,
    pub customer: Phone,
}

impl Site {
    pub async fn start(config: Config) -> Self {
        let switch = FakeSwitch::start(config).await.unwrap();
        Self {
            desk: switch.register("1001@lab.test").await.unwrap(),
            mobile: switch.register("1002@lab.test").await.unwrap(),
            tablet: switch.register("1003@lab.test").await.unwrap(),
            colleague: switch.register("2001@lab.test").await.unwrap(),
            customer: switch.outside("901").await.unwrap(),
            switch,
        }
    }

    /// A controller that always says the same; gives back what it was asked.
    pub async fn controller(&self, answer: &str) {
        let address = controller(answer.to_owned()).await;
        self.switch.set_controller(Some(address)).await.unwrap();
    }

    pub fn devices(&self) -> [&Phone; 3] {
        [&self.desk, &self.mobile, &self.tablet]
    }

    /// Waits until all three devices ring.
    pub async fn all_ring(&self) {
        for phone in self.devices() {
            phone
                .wait_until(|p| p.ringing().count() == 1, SOON)
                .await
                .unwrap();
        }
    }
}

/// An HTTP server that answers every question with this body.
pub async fn controller(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let _ = stream.read(&mut request).await;
                let length = answer.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}
