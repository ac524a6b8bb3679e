//! The HTTP API of a running controller, on a fake FreeSWITCH. Every answer is held against the OpenAPI document.

// A test that cannot be set up fails.
#![allow(clippy::unwrap_used)]

mod site;

use serde_json::{Value, json};
use site::{SOON, Site};

const ONE: &str = "/v1/extensions/1000@lab.test";
const ROUTE: &str = "/v1/extensions/1000@lab.test/route";

#[tokio::test(flavor = "multi_thread")]
async fn extensions_are_listed_put_and_removed() {
    let site = Site::start().await;
    let admin = site.token("provisioning", "admin");
    let put = |path: &str, more: &[&str], body: &str| {
        let headers = [&[admin.as_str()], more].concat();
        site.change("PUT", path, &headers, body)
    };

    let page = site.get("/v1/extensions?limit=1").is(200).body;
    assert_eq!(page["extensions"][0]["id"], "1000@lab.test");
    assert_eq!(page["next"], "1000@lab.test");
    let page = site.get("/v1/extensions?after=1000@lab.test").is(200).body;
    assert_eq!(page["extensions"][0]["devices"], json!(["2001"]));
    assert_eq!(page["next"], Value::Null);

    let new = "/v1/extensions/3000@lab.test";
    let body = r#"{"devices":["3001","3002"]}"#;
    site.get(new).says(404, "urn:callhop:not-found");
    put(new, &["If-Match: *"], body).says(412, "changed");
    let made = put(new, &["If-None-Match: *"], body).is(201);
    assert_eq!(made.body["devices"], json!(["3001", "3002"]));
    put(new, &["If-None-Match: *"], body).says(412, "changed");
    let same = put(new, &[], body).is(200);
    assert_eq!(same.etag(), made.etag());
    let seen = format!("If-Match: {}", made.etag());
    let other = put(new, &[&seen], r#"{"devices":["3002"]}"#).is(200);
    let late = put(new, &[&seen], r#"{"devices":["3001"]}"#).says(412, "changed");
    assert_eq!(late.body["etag"], other.etag());
    put(new, &[], r#"{"devices":["1001"]}"#).says(409, "belongs to");
    put(new, &[], r#"{"devices":[]}"#).says(409, "at least one");

    let headers = [admin.as_str(), &seen];
    site.change("DELETE", new, &headers, "")
        .says(412, "changed");
    site.change("DELETE", new, &[&admin], "").is(204);
    site.change("DELETE", new, &[&admin], "")
        .says(404, "there is no extension");
    // The command line reads the same.
    assert!(!site.cli(&["extension", "list"]).contains("3000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_set_once_by_the_same_rules_as_with_a_star_code() {
    let site = Site::start().await;
    let _device = site.fake.register("1002@lab.test").await.unwrap();
    let token = site.token("reception", "route");
    let put = |more: &[&str], body: &str| {
        let headers = [&[token.as_str()], more].concat();
        site.change("PUT", ROUTE, &headers, body)
    };

    let first = site.get(ROUTE).is(200);
    assert_eq!(first.body["rings"], "all_devices");
    let set = put(&[], r#"{"to":"1002"}"#).is(200);
    assert_eq!(set.body["to"], "1002@lab.test");
    // Two who saw the same: the second one is told.
    let seen = format!("If-Match: {}", first.etag());
    put(&[&seen], r#"{"to":"1001"}"#).says(412, "Somebody else was faster");
    let seen = format!("If-Match: {}", set.etag());
    let once = put(&[&seen], r#"{"to":"2000","next_call":true}"#).is(200);
    assert_eq!(
        (&once.body["rings"], &once.body["next_call"]),
        (&json!("colleague"), &json!(true))
    );
    let until = put(&[], r#"{"to":"1002","until":"2999-12-24T18:00:00+01:00"}"#).is(200);
    assert_eq!(until.body["until"], "2999-12-24T17:00:00Z");
    put(&[], r#"{"to":"1002","until":"8h"}"#).is(200);

    for (body, status, words) in [
        (r#"{"to":"2001"}"#, 409, "device of another extension"),
        (r#"{"to":"4711"}"#, 409, "no device of this extension"),
        (r#"{"to":"1000"}"#, 409, "lead back"),
        (r#"{"to":"1002","until":"tomorrow"}"#, 400, "neither a time"),
        (
            r#"{"to":"1002","until":"1h","next_call":true}"#,
            400,
            "not both",
        ),
        (
            r#"{"to":"1002","until":"2001-01-01T00:00:00Z"}"#,
            409,
            "not later than now",
        ),
        (r#"{"to":"10 02"}"#, 400, "not allowed"),
        (r#"{"to":"1002","unti":"8h"}"#, 400, "unti"),
        (r#"{"#, 400, "urn:callhop:bad-request"),
    ] {
        put(&[], body).says(status, words);
    }

    // The switch has it by then, and the trail says who it was.
    let rings = |hash: &callhop_fakeswitch::SwitchView| {
        let targets: String = hash
            .hash
            .iter()
            .map(|(_, _, value)| value.as_str())
            .collect();
        targets.contains("1002@lab.test") && !targets.contains("1001@lab.test")
    };
    site.fake.wait_until(rings, SOON).await.unwrap();
    assert!(
        site.cli(&["route", "history", "1000@lab.test"])
            .contains("api:reception")
    );

    let reset = site.change("DELETE", ROUTE, &[&token], "").is(200);
    assert_eq!(reset.body["rings"], "all_devices");
    site.change("DELETE", ROUTE, &[&token], "").is(200);
    let nobody = "/v1/extensions/4711@lab.test/route";
    site.get(nobody).says(404, "there is no extension");
    site.change("PUT", nobody, &[&token], r#"{"to":"1"}"#)
        .is(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_address_is_there_and_every_change_needs_its_token() {
    let site = Site::start().await;
    let reader = site.token("reader", "read");
    let unknown = format!("Authorization: Bearer callhop_{}", "0".repeat(64));
    let paths = site.document["paths"].as_object().unwrap();
    site::schema::check_references(&site.document, &site.document);
    let mut changes = 0;
    for (template, item) in paths {
        let path = template
            .replace("{extension}", "1000@lab.test")
            .replace("{id}", "00000000-0000-0000-0000-000000000001");
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase();
            let needs = operation["security"].is_array();
            if template == "/v1/events" {
                assert!(!needs);
                continue;
            }
            let body = operation["requestBody"].is_object().then_some("{}");
            let ask = |headers: &[&str]| site.ask(&method, &path, headers, body);
            ask(&[&unknown]).says(401, "no such token");
            ask(&["Authorization: Basic YTpi"]).says(401, "a token comes as");
            ask(&["Host: evil.test"]).says(403, "loopback name");
            ask(&["Origin: http://evil.test"]).says(403, "another site");
            if !needs {
                assert_eq!(method, "GET");
                ask(&[]).is(200);
                continue;
            }
            let none = ask(&[]).says(401, "callhop token add");
            assert_eq!(none.header("www-authenticate"), Some("Bearer"));
            if method == "GET" {
                ask(&[&reader]).is(200);
            } else {
                changes += 1;
                // The body is not even looked at, though it may be wrong.
                let refused = ask(&[&reader]);
                assert!(matches!(refused.status, 400 | 403), "{refused:?}");
            }
        }
    }
    assert_eq!(changes, 7);
    let set = |token: &str, method, path, body| site.change(method, path, &[token], body);
    let devices = r#"{"devices":["1001"]}"#;
    let route = site.token("reception", "route");
    set(&reader, "PUT", ROUTE, r#"{"to":"1002"}"#).says(403, "scope route");
    set(&reader, "DELETE", ROUTE, "").says(403, "scope route");
    set(&route, "PUT", ONE, devices).says(403, "scope admin");
    set(&route, "DELETE", ONE, "").says(403, "scope admin");
    set(&route, "PUT", ROUTE, r#"{"to":"1002"}"#).is(200);

    let who = site.ask("GET", "/v1/token", &[&route], None).is(200).body;
    assert_eq!(
        (&who["name"], &who["may"]),
        (&json!("reception"), &json!(["read", "route"]))
    );
    let list = site.cli(&["token", "list", "--json"]);
    assert!(!list.contains("callhop_"), "{list}");
    site.cli(&["token", "remove", "reception"]);
    set(&route, "PUT", ROUTE, r#"{"to":"1001"}"#).says(401, "no such token");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_in_one_form() {
    let site = Site::start().await;
    let admin = site.token("provisioning", "admin");
    let put = |headers: &[&str], body: &str| {
        let headers = [&[admin.as_str()], headers].concat();
        site.change("PUT", ONE, &headers, body)
    };
    for path in [
        "/v1/extensions/1000",
        "/v1/extensions/10%2000@lab.test",
        "/v1/extensions/%ff@lab.test",
        "/v1/why/x@y@z",
        "/v1/extensions?limit=0",
        "/v1/extensions?limit=501",
        "/v1/extensions?after=1000",
        "/v1/extensions?nonsense=1",
        "/v1/moves?limit=-1",
        "/v1/moves?extension=%3Cscript%3E",
        "/v1/moves?after=1",
        "/v1/moves?after=00000000-0000-0000-0000-000000000001",
    ] {
        site.get(path).says(400, "urn:callhop:bad-request");
    }
    site.get("/v1/nothing").says(404, "nothing at this address");
    let method = site.raw("POST", "/v1/calls", &[], None);
    assert!(method.header("allow").is_some());
    method.says(405, "urn:callhop:method");
    put(&["Content-Type: text/plain"], "{}").says(415, "Content-Type");
    put(&["If-Match: 7"], r#"{"devices":["1001"]}"#).says(400, "If-Match");
    let large = format!(r#"{{"devices":["{}"]}}"#, "1".repeat(100_000));
    put(&[], &large).says(413, "64 KiB");
    let many: Vec<String> = (0..51).map(|n| format!("{n}")).collect();
    put(&[], &json!({ "devices": many }).to_string()).says(409, "at most 50");
    // What others ask keeps its form: a dialplan that is told nothing goes on.
    let question = site.raw("GET", "/freeswitch/nowhere/star/x", &[], None);
    assert_eq!((question.status, question.text.as_str()), (404, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_seen_with_its_devices_and_moves() {
    let site = Site::start().await;
    let desk = site.fake.register("1001@lab.test").await.unwrap();
    let mobile = site.fake.register("1002@lab.test").await.unwrap();
    let customer = site.fake.outside("901").await.unwrap();
    let state = |body: &Value, device: usize| {
        let on = &body["devices"][device]["switches"][0];
        format!("{} {}", on["registered"], on["state"].as_str().unwrap())
    };
    let devices = format!("{ONE}/devices");

    let until = async |expect: &str| {
        let now = |body: &Value| {
            let all: Vec<_> = (0..3).map(|n| state(body, n)).collect();
            all.join(", ")
        };
        site.until(&devices, |answer| now(&answer.body) == expect)
            .await;
        // Once more, held against the document.
        site.get(&devices).is(200);
        let calls = site.get("/v1/calls").is(200).body;
        site.get("/v1/why/1000@lab.test").is(200);
        site.get("/v1/switches").is(200);
        site.get("/v1/status").is(200);
        calls
    };
    until("1 idle, 1 idle, 0 idle").await;
    customer.dial("1000").await.unwrap();
    until("1 ringing, 1 ringing, 0 idle").await;
    desk.answer().await.unwrap();
    let calls = until("1 talking, 1 idle, 0 idle").await;
    assert_eq!(calls["calls"][0]["legs"].as_array().unwrap().len(), 2);
    desk.hold().await.unwrap();
    until("1 held, 1 idle, 0 idle").await;

    mobile.dial("*33").await.unwrap();
    until("1 idle, 1 talking, 0 idle").await;
    let moves = site
        .until("/v1/moves?extension=1000@lab.test", |answer| {
            answer.body["moves"][0]["outcome"] == "moved"
        })
        .await;
    assert_eq!(moves.body["moves"][0]["to"], "1002@lab.test");
    let moves = site.get("/v1/moves?limit=1").is(200).body;
    assert_eq!(moves["moves"][0]["kind"], "pull");
    assert_eq!(
        site.get("/v1/moves?extension=2000@lab.test").body["moves"],
        json!([])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_pulled_and_pushed_by_who_is_at_no_phone() {
    let site = Site::start().await;
    let desk = site.fake.register("1001@lab.test").await.unwrap();
    let mobile = site.fake.register("1002@lab.test").await.unwrap();
    let colleague = site.fake.register("2001@lab.test").await.unwrap();
    let customer = site.fake.outside("901").await.unwrap();
    let token = site.token("switchboard", "move");
    let post =
        |what: &str, body: &str| site.change("POST", &format!("{ONE}/{what}"), &[&token], body);
    let last = || site.get("/v1/moves?limit=1").is(200).body["moves"][0].clone();
    let ended = async |outcome: &str| {
        site.until("/v1/moves?limit=1", |answer| {
            answer.body["moves"][0]["outcome"] == outcome
        })
        .await;
    };
    let rings = |phone: &callhop_fakeswitch::PhoneView| phone.ringing().count() == 1;
    let is_free = |phone: &callhop_fakeswitch::PhoneView| phone.calls.is_empty();

    post("pull", r#"{"to":"1002"}"#).says(409, "no other device of the extension has a call");
    customer.dial("1000").await.unwrap();
    desk.wait_until(rings, SOON).await.unwrap();
    post("push", r#"{"to":"2000"}"#).says(409, "has not been answered yet");
    desk.answer().await.unwrap();
    customer
        .wait_until(|p| p.talks_to("1001"), SOON)
        .await
        .unwrap();
    mobile.wait_until(is_free, SOON).await.unwrap();
    for (what, body, status, words) in [
        (
            "pull",
            r#"{"to":"1001"}"#,
            409,
            "1001@lab.test has that call already",
        ),
        (
            "pull",
            r#"{"to":"1003"}"#,
            409,
            "1003@lab.test is not registered",
        ),
        (
            "pull",
            r#"{"to":"2001"}"#,
            409,
            "2001 is not a device of the extension",
        ),
        (
            "push",
            r#"{"to":"0190123"}"#,
            409,
            "push.allow has no pattern for it",
        ),
        ("push", r#"{"to":"1 2"}"#, 400, "not allowed"),
        ("push", r#"{}"#, 400, "missing field"),
    ] {
        post(what, body).says(status, words);
    }
    let reader = site.token("page", "route");
    site.change(
        "POST",
        &format!("{ONE}/pull"),
        &[&reader],
        r#"{"to":"1002"}"#,
    )
    .says(403, "scope move");

    // The call goes on until somebody answers.
    let offered = post("pull", r#"{"to":"1002"}"#).is(202).body;
    assert_eq!(
        (&offered["stage"], &offered["from"]),
        (&json!("offered"), &json!("1001@lab.test"))
    );
    let seen = mobile.wait_until(rings, SOON).await.unwrap();
    assert_eq!(seen.ringing().next().unwrap().display, "901");
    assert!(customer.view().await.unwrap().talks_to("1001"));
    post("pull", r#"{"to":"1002"}"#).says(409, "being offered already");
    mobile.answer().await.unwrap();
    customer
        .wait_until(|p| p.talks_to("1002"), SOON)
        .await
        .unwrap();
    ended("moved").await;
    assert_eq!(
        (&last()["id"], &last()["kind"]),
        (&offered["id"], &json!("pull"))
    );
    desk.wait_until(is_free, SOON).await.unwrap();

    // Nobody takes it, or it is withdrawn: nothing has happened to it.
    post("push", r#"{"to":"2000","from":"1002"}"#).is(202);
    colleague.wait_until(rings, SOON).await.unwrap();
    colleague.reject().await.unwrap();
    ended("not_moved").await;
    assert_eq!(last()["cause"], "call_rejected");
    let offered = post("push", r#"{"to":"2001"}"#).is(202).body;
    colleague.wait_until(rings, SOON).await.unwrap();
    let path = format!("/v1/moves/{}", offered["id"].as_str().unwrap());
    site.change("DELETE", &path, &[&token], "").is(200);
    colleague.wait_until(is_free, SOON).await.unwrap();
    ended("not_moved").await;
    assert_eq!(last()["cause"], "cancelled");
    site.change("DELETE", &path, &[&token], "")
        .says(404, "no offer, or not any more");
    site.change("DELETE", "/v1/moves/x", &[&token], "")
        .says(400, "not the id of a move");
    assert!(customer.view().await.unwrap().talks_to("1002"));

    post("push", r#"{"to":"2000"}"#).is(202);
    colleague.wait_until(rings, SOON).await.unwrap();
    colleague.answer().await.unwrap();
    customer
        .wait_until(|p| p.talks_to("2001"), SOON)
        .await
        .unwrap();
    ended("moved").await;
    assert_eq!(last()["kind"], "push");

    let all = site.get("/v1/moves?extension=1000@lab.test").is(200).body;
    assert_eq!(all["next"], Value::Null);
    let mut pages = Vec::new();
    let mut path = "/v1/moves?limit=2".to_owned();
    loop {
        let page = site.get(&path).is(200).body;
        let moves = page["moves"].as_array().unwrap().clone();
        assert!((1..=2).contains(&moves.len()), "{page}");
        pages.extend(moves);
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/v1/moves?limit=2&after={next}");
    }
    assert!(pages.len() > 2, "{pages:?}");
    assert_eq!(json!(pages), all["moves"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_gets_the_page_and_is_told_to_keep_everything_else_out() {
    let site = Site::start().await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let answer = site.raw("GET", path, &[], None).is(200);
        assert_eq!(answer.header("content-type"), Some(kind));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        // Nothing from elsewhere, and no script between the tags.
        for foreign in [
            "https://",
            "<script>",
            "onclick=",
            "style=\"",
            "innerHTML",
            "eval(",
        ] {
            assert!(!answer.text.contains(foreign), "{path}: {foreign}");
        }
        site.raw("GET", path, &["Host: evil.test"], None).is(403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_what_is_there_and_then_what_changes() {
    let site = Site::start().await;
    let desk = site.fake.register("1001@lab.test").await.unwrap();
    let customer = site.fake.outside("901").await.unwrap();
    let mut stream = site.events();
    assert!(stream.head.contains("text/event-stream"), "{}", stream.head);
    let (name, first) = stream.next();
    assert_eq!(name, "snapshot");
    assert_eq!(first["extensions"][0]["id"], "1000@lab.test");
    assert_eq!(first["status"]["database"], true);
    assert_eq!((&first["calls"], &first["moves"]), (&json!([]), &json!([])));

    let token = site.token("reception", "route");
    site.change("PUT", ROUTE, &[&token], r#"{"to":"1002"}"#)
        .is(200);
    let change = stream.until(|data| data["extensions"][0]["route"]["rings"] == "device");
    // Only what is different.
    assert_eq!(change["extensions"].as_array().unwrap().len(), 1);
    assert!(change.get("moves").is_none(), "{change}");
    site.cli(&["route", "reset", "1000@lab.test"]);
    stream.until(|data| data["extensions"][0]["route"]["rings"] == "all_devices");

    customer.dial("1000").await.unwrap();
    desk.wait_until(|phone| phone.ringing().count() == 1, SOON)
        .await
        .unwrap();
    stream.until(|data| {
        data["calls"]
            .as_array()
            .is_some_and(|calls| calls.len() == 1)
    });
    desk.answer().await.unwrap();
    stream.until(|data| data["extensions"][0]["devices"][0]["switches"][0]["state"] == "talking");
    site.cli(&["extension", "remove", "2000@lab.test"]);
    let gone = stream.until(|data| data["removed"].is_array());
    assert_eq!(gone["removed"], json!(["2000@lab.test"]));

    // Somebody who comes later sees what is there by then.
    let (_, later) = site.events().next();
    assert_eq!(later["extensions"].as_array().unwrap().len(), 1);
    assert_eq!(later["calls"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_without_end_are_refused_and_leave_room_for_questions() {
    let site = Site::start().await;
    let streams: Vec<_> = (0..256).map(|_| site.events()).collect();
    assert!(streams.iter().all(|s| s.head.starts_with("HTTP/1.1 200")));
    let refused = site.get("/v1/events").says(429, "too many pages");
    assert_eq!(refused.header("retry-after"), Some("1"));
    site.get("/v1/status").is(200);
    assert_eq!(site.raw("GET", "/healthz", &[], None).status, 200);
    drop(streams);
    // Who goes makes room, as soon as that is seen.
    let end = std::time::Instant::now() + SOON;
    while !site.events().head.starts_with("HTTP/1.1 200") {
        assert!(std::time::Instant::now() < end);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
