//! What a webhook is told by a running controller: everything, signed, in order, and without a move that waits for it.

// A test that cannot be set up fails.
#![allow(clippy::unwrap_used)]

mod site;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use callhop::config::{Secret, Webhook, WebhookEvent};
use callhop_fakeswitch::Phone;
use hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use site::{SOON, Site};

/// What a receiver does with a message.
enum Reply {
    Status(u16),
    Hang,
}

#[derive(Debug)]
struct Message {
    id: String,
    body: Value,
    /// Whether it was taken.
    taken: bool,
}

impl Message {
    fn kind(&self) -> &str {
        self.body["type"].as_str().unwrap()
    }

    fn extension(&self) -> &str {
        self.body["data"]["extension"].as_str().unwrap()
    }
}

/// A receiver that holds each message against its signature.
struct Crm {
    address: SocketAddr,
    secret: Secret,
    messages: Receiver<Message>,
}

impl Crm {
    /// `reply` is asked with the body and how often that message has come.
    fn start(reply: impl Fn(&Value, u32) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let key = [7; 32];
        let (send, messages) = channel();
        std::thread::spawn(move || {
            let (mut seen, mut hanging) = (HashMap::new(), Vec::new());
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (id, body) = read(&stream, &key);
                let count = seen.entry(id.clone()).or_insert(0);
                *count += 1;
                let taken = match reply(&body, *count) {
                    Reply::Hang => {
                        hanging.push(stream);
                        false
                    }
                    Reply::Status(status) => {
                        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
                        stream.write_all(answer.as_bytes()).unwrap();
                        (200..300).contains(&status)
                    }
                };
                if send.send(Message { id, body, taken }).is_err() {
                    return;
                }
            }
        });
        Self {
            address,
            secret: Secret::of_webhook(&key),
            messages,
        }
    }

    fn webhook(&self) -> Webhook {
        Webhook {
            name: "crm".parse().unwrap(),
            url: format!("http://{}/callhop?from=test", self.address)
                .parse()
                .unwrap(),
            secret: self.secret.clone(),
            events: WebhookEvent::ALL.to_vec(),
            domains: vec!["lab.test".parse().unwrap()],
        }
    }

    /// The next message.
    fn next(&self) -> Message {
        self.messages.recv_timeout(SOON * 3).unwrap()
    }

    /// The next message that is taken.
    fn taken(&self) -> Message {
        loop {
            let message = self.next();
            if message.taken {
                return message;
            }
        }
    }
}

/// One request; its signature is right.
fn read(stream: &TcpStream, key: &[u8]) -> (String, Value) {
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut reader = BufReader::new(stream);
    let (mut line, mut headers) = (String::new(), HashMap::new());
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "POST /callhop?from=test HTTP/1.1\r\n");
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length: usize = headers["content-length"].parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    let id = &headers["webhook-id"];
    let signed = format!("{id}.{}.{body}", headers["webhook-timestamp"]);
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(signed.as_bytes());
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(headers["webhook-signature"], signature);
    assert_eq!(headers["content-type"], "application/json");
    (id.clone(), serde_json::from_str(&body).unwrap())
}

async fn site(crm: &Crm) -> Site {
    let webhook = crm.webhook();
    Site::start_with(|config, _| config.webhooks.push(webhook)).await
}

/// A call to 1000 that the desk answers and the mobile pulls.
async fn pull(customer: &Phone, desk: &Phone, mobile: &Phone) {
    customer.dial("1000").await.unwrap();
    let ringing = |phone: &callhop_fakeswitch::PhoneView| phone.ringing().count() == 1;
    desk.wait_until(ringing, SOON).await.unwrap();
    desk.answer().await.unwrap();
    let talks = |phone: &callhop_fakeswitch::PhoneView| phone.talks_to("901");
    desk.wait_until(talks, SOON).await.unwrap();
    mobile.dial("*33").await.unwrap();
    mobile.wait_until(talks, SOON).await.unwrap();
    mobile.hangup().await.unwrap();
    customer
        .wait_until(|phone| phone.is_idle(), SOON)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_comes_again_in_order_and_holds_up_no_other_extension() {
    let crm = Crm::start(|body, count| {
        let late = body["data"]["extension"] == "1000@lab.test" && count <= 2;
        Reply::Status(if late { 500 } else { 204 })
    });
    let site = site(&crm).await;
    site.cli(&["route", "set", "1000@lab.test", "1002"]);
    let first = crm.next();
    assert_eq!((first.kind(), first.taken), ("route.set", false));
    site.cli(&["route", "reset", "1000@lab.test"]);
    site.cli(&["route", "set", "2000@lab.test", "2001"]);
    let token = site.token("reception", "route");
    let route = "/v1/extensions/1000@lab.test/route";
    let body = r#"{"to":"1003","until":"2s"}"#;
    site.change("PUT", route, &[&token], body).is(200);

    let mut of_1000 = Vec::new();
    let mut other = None;
    while of_1000.len() < 4 {
        let message = crm.taken();
        match message.extension() {
            "1000@lab.test" => of_1000.push(message),
            extension => {
                assert_eq!(extension, "2000@lab.test");
                other.get_or_insert(of_1000.len());
            }
        }
    }
    // The other one did not wait for two failures of each message.
    assert!(other.is_some_and(|before| before < 2), "{other:?}");
    let kinds: Vec<_> = of_1000.iter().map(Message::kind).collect();
    assert_eq!(
        kinds,
        ["route.set", "route.reset", "route.set", "route.ended"]
    );
    assert_eq!(of_1000[0].id, first.id);
    assert_eq!(of_1000[0].body["data"]["by"], "cli:alice");
    assert_eq!(of_1000[2].body["data"]["by"], "api:reception");
    assert_eq!(of_1000[2].body["data"]["route"]["to"], "1003@lab.test");

    let customer = site.fake.outside("901").await.unwrap();
    let desk = site.fake.register("1001@lab.test").await.unwrap();
    let mobile = site.fake.register("1002@lab.test").await.unwrap();
    pull(&customer, &desk, &mobile).await;
    let moved = crm.taken();
    assert_eq!(moved.kind(), "move.moved");
    assert_eq!(moved.body["data"]["to"], "1002@lab.test");
    let moves = site.get("/v1/moves?limit=1").body;
    assert_eq!(moved.body["data"], moves["moves"][0]);
    let metrics = site.raw("GET", "/metrics", &[], None).text;
    let delivered = r#"callhop_webhook_deliveries_total{webhook="crm",result="delivered"} "#;
    assert!(metrics.contains(delivered), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_taken_survives_a_kill_and_what_happened_meanwhile_is_told() {
    let open = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_open = open.clone();
    let crm = Crm::start(move |_, _| {
        let open = is_open.load(std::sync::atomic::Ordering::SeqCst);
        Reply::Status(if open { 200 } else { 503 })
    });
    let mut site = site(&crm).await;
    site.configure_cli(&format!(
        "[[webhook]]\nname = 'crm'\nurl = 'http://{}/x'\nsecret = '{}'\n",
        crm.address,
        crm.secret.reveal()
    ));
    site.cli(&["route", "set", "1000@lab.test", "1002"]);
    let first = crm.next();
    assert!(!first.taken);
    let end = std::time::Instant::now() + SOON;
    loop {
        let list: Value = serde_json::from_str(&site.cli(&["webhook", "list", "--json"])).unwrap();
        assert_eq!(list[0]["waiting"], 1, "{list}");
        if list[0]["last_error"] == "it answers 503" {
            break;
        }
        assert!(std::time::Instant::now() < end, "{list}");
    }
    let text = site.cli(&["webhook", "list"]);
    assert!(text.contains("it answers 503"), "{text}");
    site.stop().await;
    site.cli(&["route", "reset", "1000@lab.test"]);
    open.store(true, std::sync::atomic::Ordering::SeqCst);
    site.restart().await;
    let again = crm.taken();
    assert_eq!((again.id, again.body), (first.id, first.body));
    assert_eq!(crm.taken().kind(), "route.reset");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_holds_up_no_move() {
    let crm = Crm::start(|_, _| Reply::Hang);
    let site = site(&crm).await;
    let customer = site.fake.outside("901").await.unwrap();
    let desk = site.fake.register("1001@lab.test").await.unwrap();
    let mobile = site.fake.register("1002@lab.test").await.unwrap();
    pull(&customer, &desk, &mobile).await;
    // It hangs from here on for longer than the next moves take.
    assert_eq!(crm.next().kind(), "move.moved");
    let start = std::time::Instant::now();
    for _ in 0..5 {
        pull(&customer, &desk, &mobile).await;
    }
    assert!(start.elapsed() < Duration::from_secs(10));
    let took = |moves: &Value, n: usize| moves["moves"][n]["took_ms"].as_u64();
    let all = |answer: &site::Answer| (0..6).all(|n| took(&answer.body, n).is_some());
    let moves = site.until("/v1/moves", all).await.body;
    assert!((0..6).all(|n| took(&moves, n) < Some(1000)), "{moves}");
    // Nothing else of the extension is sent meanwhile.
    assert!(crm.messages.try_recv().is_err());
}
