//! `callhop watch` as a person sees it: the real program in a terminal, on a running controller and a fake FreeSWITCH.

// What a test cannot go on without ends it.
#![allow(clippy::unwrap_used)]

mod site;

use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU16;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Instant;

use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};

use site::{SOON, Site};

/// A terminal of 80 by 24 with `callhop watch` in it.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    output: mpsc::Receiver<Vec<u8>>,
    screen: vt100::Parser,
}

impl Terminal {
    fn start(folder: &Path) -> Self {
        let size = PtySize {
            rows: 24,
            cols: 80,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_callhop"));
        command.arg("watch");
        command.cwd(folder);
        command.env_clear();
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).unwrap();
        let keys = pair.master.take_writer().unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The terminal ends with an error once nobody has it open any more.
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        let [rows, columns] = [24, 80].map(|cells| NonZeroU16::new(cells).unwrap());
        Self {
            child,
            keys,
            output,
            screen: vt100::Parser::new(rows, columns, 0),
        }
    }

    fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Waits until the screen is so.
    #[track_caller]
    fn until(&mut self, so: impl Fn(&vt100::Screen) -> bool) {
        let end = Instant::now() + SOON;
        while !so(self.screen.screen()) {
            let left = end.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(error) => panic!("{error}\n{}", self.text()),
            }
        }
    }

    #[track_caller]
    fn shows(&mut self, text: &str) {
        self.until(|screen| screen.contents().contains(text));
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// The terminal is as it was before, and the program has ended well.
    #[track_caller]
    fn ends_well(mut self) {
        self.until(|screen| !screen.alternate_screen() && !screen.hide_cursor());
        assert_eq!(self.child.wait().unwrap().exit_code(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_seen_to_ring_to_be_answered_and_to_move() {
    let site = Site::start().await;
    let desk = site.fake.register("1001@lab.test").await.unwrap();
    let mobile = site.fake.register("1002@lab.test").await.unwrap();
    let customer = site.fake.outside("901").await.unwrap();
    let mut terminal = Terminal::start(site.folder());
    terminal.shows("Calls 0");
    terminal.shows("1001 registered, 1002 registered, 1003 not registered");
    customer.dial("1000").await.unwrap();
    terminal.shows("1001 ringing, 1002 ringing, 1003 not registered");
    desk.answer().await.unwrap();
    terminal.shows("1001 talking, 1002 registered");
    terminal.shows("1001@lab.test talking");
    mobile.dial("*33").await.unwrap();
    terminal.shows("1001 registered, 1002 talking");
    terminal.shows("1001 to 1002");
    terminal.shows("moved, in");

    terminal.press("/2000");
    terminal.shows("Show only what has: 2000");
    terminal.shows("Extensions 1 of 2");
    terminal.press("\r?");
    terminal.shows("Any key goes back.");
    terminal.press(" q");
    terminal.ends_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_and_control_c_give_the_terminal_back() {
    let site = Site::start().await;
    let mut terminal = Terminal::start(site.folder());
    terminal.shows("Calls 0");
    terminal.press("\x03");
    terminal.ends_well();

    let mut terminal = Terminal::start(site.folder());
    terminal.shows("Calls 0");
    let id = terminal.child.process_id().unwrap().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.unwrap().success());
    terminal.ends_well();
}

/// Answers one request with a stream that tells of these switches, and keeps it open until it is dropped.
fn tell(listener: &TcpListener, switch: &str) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
    while request.next().is_some_and(|line| !line.unwrap().is_empty()) {}
    let data = format!(r#"{{"switches":[{{"name":"{switch}","fresh":true,"legs":0}}]}}"#);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    write!(stream, "{head}event: snapshot\ndata: {data}\n\n").unwrap();
    stream
}

#[test]
fn a_controller_that_goes_is_said_and_one_that_comes_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = listener.local_addr().unwrap();
    let config = format!("[http]\nlisten = \"{listen}\"\n");
    std::fs::write(folder.path().join("callhop.toml"), config).unwrap();
    let mut terminal = Terminal::start(folder.path());
    let first = tell(&listener, "berlin");
    terminal.shows(": live");
    drop(first);
    terminal.shows(": away");
    terminal.shows("the controller has closed the stream; trying again in");
    // What was known is still there.
    terminal.shows("berlin");
    let _second = tell(&listener, "hamburg");
    terminal.shows(": live");
    terminal.until(|screen| {
        let text = screen.contents();
        text.contains("hamburg") && !text.contains("berlin")
    });
    terminal.press("q");
    terminal.ends_well();
}

#[test]
fn without_a_terminal_it_names_the_command_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_callhop"))
        .arg("watch")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("`callhop calls --json`"), "{said}");
}
