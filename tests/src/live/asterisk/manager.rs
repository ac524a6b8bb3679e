//! The lab's own line to the manager interface: a question and its answer, one after the other.
//!
//! It is no part of what is tested: the client under test is `callhop-ami`, and the judge does not use it.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail};

/// One packet: its lines `Key: value`, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packet(Vec<(String, String)>);

impl Packet {
    /// The first value of the key; empty where there is none.
    #[must_use]
    pub fn get(&self, key: &str) -> &str {
        let mut lines = self.0.iter();
        let found = lines.find(|(it, _)| it.eq_ignore_ascii_case(key));
        found.map_or("", |(_, value)| value)
    }

    /// Every value of the key.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let of_key = self
            .0
            .iter()
            .filter(move |(it, _)| it.eq_ignore_ascii_case(key));
        of_key.map(|(_, value)| value.as_str())
    }
}

/// The line.
#[derive(Debug)]
pub struct Manager {
    stream: BufReader<TcpStream>,
}

impl Manager {
    /// Connects and logs in, without events.
    ///
    /// # Errors
    /// When nobody listens, or the login is refused.
    pub fn connect(address: SocketAddr, user: &str, secret: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.set_nodelay(true)?;
        let mut manager = Self {
            stream: BufReader::new(stream),
        };
        manager.line()?;
        manager.ask(
            "Login",
            &[("Username", user), ("Secret", secret), ("Events", "off")],
        )?;
        Ok(manager)
    }

    /// Asks; the answer, and the events of a list behind it.
    ///
    /// # Errors
    /// When the switch says `Error`, or nothing within five seconds.
    pub fn ask(&mut self, action: &str, fields: &[(&str, &str)]) -> Result<Vec<Packet>> {
        let mut text = format!("Action: {action}\r\n");
        for (key, value) in fields {
            text += &format!("{key}: {value}\r\n");
        }
        text += "\r\n";
        self.stream.get_mut().write_all(text.as_bytes())?;
        let answer = self.packet()?;
        if answer.get("Response") == "Error" {
            bail!("{action}: {}", answer.get("Message"));
        }
        let is_list = answer.get("EventList") == "start";
        let mut all = vec![answer];
        if !is_list {
            return Ok(all);
        }
        loop {
            let next = self.packet()?;
            if next.get("EventList") == "Complete" {
                return Ok(all);
            }
            all.push(next);
        }
    }

    /// Runs a command of the switch's command line; its lines.
    ///
    /// # Errors
    /// As above.
    pub fn command(&mut self, command: &str) -> Result<Vec<String>> {
        let answer = self.ask("Command", &[("Command", command)])?;
        Ok(answer[0].all("Output").map(str::to_owned).collect())
    }

    fn packet(&mut self) -> Result<Packet> {
        let mut packet = Packet::default();
        loop {
            let line = self.line()?;
            if line.is_empty() && !packet.0.is_empty() {
                return Ok(packet);
            }
            if let Some((key, value)) = line.split_once(':') {
                packet.0.push((key.to_owned(), value.trim().to_owned()));
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line);
        if read.context("the switch does not answer")? == 0 {
            bail!("the switch has closed the connection");
        }
        Ok(line.trim_end().to_owned())
    }
}
