//! What other machines may ask of a running controller: `[http.public]`, with TLS and behind a proxy.

// A test that cannot be set up fails.
#![allow(clippy::unwrap_used)]

mod site;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use callhop::config::{Public, TlsFiles};
use site::{Answer, SOON, Site};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const NAME: &str = "callhop.test";
const HOST: &str = "Host: callhop.test";
const ROUTE: &str = "/v1/extensions/1000@lab.test/route";

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// A site that is behind a proxy.
async fn proxied() -> (Site, SocketAddr) {
    let listen = free();
    let public = Public {
        listen,
        names: vec![NAME.into()],
        tls: None,
    };
    let site = Site::start_with(|config, _| config.http.public = Some(public)).await;
    (site, listen)
}

/// A site with a certificate, and a client that trusts it.
async fn with_tls() -> (Site, Client) {
    let address = free();
    let made = rcgen::generate_simple_self_signed(vec![NAME.into()]).unwrap();
    let pem = made.cert.pem();
    let site = Site::start_with(|config, folder| {
        let files = TlsFiles {
            certificate: folder.join("tls.pem"),
            key: folder.join("tls.key"),
        };
        std::fs::write(&files.certificate, &pem).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        config.http.public = Some(Public {
            listen: address,
            names: vec![NAME.into()],
            tls: Some(files),
        });
    })
    .await;
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    (site, Client { address, config })
}

struct Client {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Client {
    fn connect(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let tcp = connect(self.address);
        let name = ServerName::try_from(NAME).unwrap();
        StreamOwned::new(
            ClientConnection::new(self.config.clone(), name).unwrap(),
            tcp,
        )
    }

    #[track_caller]
    fn get(&self, path: &str, headers: &[&str]) -> Answer {
        let headers = [&[HOST], headers].concat();
        site::exchange(self.connect(), "GET", path, &headers, None)
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(SOON * 2)).unwrap();
    tcp
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_but_the_page_needs_a_token() {
    let (site, public) = proxied().await;
    let ask = |method: &str, path: &str, headers: &[&str], body: Option<&str>| {
        let named = headers.iter().any(|line| line.starts_with("Host:"));
        let host = (!named).then_some(HOST);
        let headers: Vec<_> = host.into_iter().chain(headers.iter().copied()).collect();
        site::exchange(connect(public), method, path, &headers, body)
    };
    let get = |path: &str, headers: &[&str]| ask("GET", path, headers, None);
    let reader = site.token("reader", "read");
    let admin = site.token("provisioning", "admin");

    for path in [
        "/",
        "/page.js",
        "/page.css",
        "/icon.svg",
        "/healthz",
        "/readyz",
    ] {
        get(path, &[]).is(200);
    }
    let mut asked = 0;
    let paths = site.document["paths"].as_object().unwrap();
    for (template, item) in paths {
        let path = template.replace("{extension}", "1000@lab.test");
        for method in item.as_object().unwrap().keys() {
            asked += 1;
            let method = method.to_uppercase();
            ask(&method, &path, &[], Some("{}")).says(401, "callhop token add");
            if method == "GET" && path != "/v1/events" {
                get(&path, &[&reader]).is(200);
            }
        }
    }
    assert!(asked > 10);
    for path in ["/metrics", "/v1/openapi.json"] {
        get(path, &[]).says(401, "callhop token add");
        get(path, &[&reader]).is(200);
    }
    // A dialplan asks on the machine itself, or nobody.
    let question = "/freeswitch/lab/push/x";
    assert_eq!(site.raw("GET", question, &[], None).text, "back");
    get(question, &[&admin]).is(404);

    let set = |headers: &[&str]| ask("PUT", ROUTE, headers, Some(r#"{"to":"1002"}"#));
    set(&[&reader]).says(403, "scope route");
    let foreign = [&*admin, "Origin: https://evil.test"];
    set(&foreign).says(403, "another site");
    set(&[&admin, "Host: evil.test"]).says(403, "http.public.names");
    set(&[&admin, "Host: localhost"]).says(403, "http.public.names");
    set(&[&admin, "Origin: https://callhop.test"]).is(200);
    let address = format!("Host: {public}");
    set(&[&admin, &address]).is(200);
    let large = format!(r#"{{"to":"{}"}}"#, "1".repeat(100_000));
    ask("PUT", ROUTE, &[&admin], Some(&large)).says(413, "64 KiB");
    // The machine itself goes on as before.
    site.get("/v1/status").is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_and_an_address_that_asks_too_much_is_refused() {
    let (site, client) = with_tls().await;
    let reader = site.token("reader", "read");
    let status = "/v1/status";
    client.get(status, &[]).says(401, "callhop token add");
    client.get(status, &[&reader]).is(200);
    client.get("/", &[]).is(200);
    client
        .get(status, &[&reader, "Origin: http://callhop.test"])
        .says(403, "another site");
    client
        .get(status, &[&reader, "Origin: https://callhop.test"])
        .is(200);

    // Requests, all on one connection.
    let mut stream = client.connect();
    let request = format!("GET / HTTP/1.1\r\n{HOST}\r\n\r\n").repeat(600);
    let end = format!("GET /healthz HTTP/1.1\r\n{HOST}\r\nConnection: close\r\n\r\n");
    let writing = std::thread::scope(|scope| {
        let mut text = String::new();
        // Small enough for what lies between, so that nobody waits for anybody.
        stream.write_all(request.as_bytes()).unwrap();
        stream.write_all(end.as_bytes()).unwrap();
        scope
            .spawn(move || {
                stream.read_to_string(&mut text).unwrap();
                text
            })
            .join()
            .unwrap()
    });
    let answered = |status: &str| writing.matches(&format!("HTTP/1.1 {status}")).count();
    assert!(answered("200") >= 200, "{}", answered("200"));
    assert!(answered("429") >= 1 && writing.contains("this address asks too often"));

    // Wrong tokens: in the end not even a right one is looked at.
    let wrong = format!("Authorization: Bearer callhop_{}", "0".repeat(64));
    let end = std::time::Instant::now() + SOON;
    loop {
        let answer = client.get(status, &[&wrong]);
        if answer.text.contains("too many wrong tokens") {
            assert_eq!(answer.status, 429);
            break;
        }
        assert!(std::time::Instant::now() < end, "{answer:?}");
    }
    loop {
        // The limit of all requests may come first.
        let answer = client.get(status, &[&reader]).is(429);
        if answer.text.contains("too many wrong tokens") {
            break;
        }
        assert!(std::time::Instant::now() < end, "{answer:?}");
    }
    // Without an effect on the machine itself.
    site.ask("GET", status, &[&reader], None).is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_nothing_or_slowly_is_let_go() {
    let (_site, client) = with_tls().await;
    let start = std::time::Instant::now();
    let mut silent = connect(client.address);
    let mut slow = client.connect();
    slow.write_all(format!("GET / HTTP/1.1\r\n{HOST}\r\n").as_bytes())
        .unwrap();
    let (mut nothing, mut text) = (Vec::new(), String::new());
    // Until it is closed; the way how does not count.
    let _ = silent.read_to_end(&mut nothing);
    let _ = slow.read_to_string(&mut text);
    assert!(nothing.is_empty());
    assert!(!text.contains("200 OK"), "{text}");
    let took = start.elapsed();
    assert!(
        took >= Duration::from_secs(9) && took < Duration::from_secs(18),
        "{took:?}"
    );
}
