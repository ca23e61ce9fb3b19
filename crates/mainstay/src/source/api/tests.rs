//! The client against servers that tests make up.

use super::*;
use std::io::Read as _;
use std::sync::atomic::{AtomicU32, Ordering};
use testkit::http_mock::{MockAnswer, MockRequest, serve};
use zeroize::Zeroizing;

fn secret(text: &str) -> Secret {
    Secret::new(Zeroizing::new(text.as_bytes().to_vec()))
}

fn api(url: &str) -> Api {
    let options = Options {
        headers: vec![("Authorization".to_owned(), secret("Bearer hush"))],
        timeout: Duration::from_secs(2),
        patience: Duration::from_secs(3),
        ..Options::new(url)
    };
    Api::new(&options, &Cancel::default()).unwrap()
}

fn served(answer: impl Fn(&MockRequest) -> Option<MockAnswer> + Send + Sync + 'static) -> Api {
    api(&format!("{}/base/", serve(answer)))
}

fn with_header(status: u16, name: &str, value: &str) -> MockAnswer {
    let mut answer = MockAnswer::json(status, "{}");
    answer.headers.push((name.to_owned(), value.to_owned()));
    answer
}

#[test]
fn json_is_asked_for_and_sent_with_the_headers() {
    let api = served(|request| {
        assert_eq!(request.header("authorization"), Some("Bearer hush"));
        let said = format!(
            "[{:?}, {:?}, {:?}]",
            request.method,
            request.target,
            String::from_utf8_lossy(&request.body)
        );
        Some(MockAnswer::json(200, said))
    });
    let answer: Vec<String> = api.get_json(&api.at("/items?page=2").unwrap()).unwrap();
    assert_eq!(answer, ["GET", "/base/items?page=2", ""]);
    let url = api.below("/items", "a/ü").unwrap();
    let answer = api.send_json(Method::PUT, &url, &serde_json::json!({"a": 1})).unwrap();
    assert_eq!(
        answer,
        serde_json::json!(["PUT", "/base/items/a%2F%C3%BC", "{\"a\":1}"])
    );
    for path in ["items", "/../x", "/a/%2E%2e", "/a/.", "/a\\..\\x"] {
        assert!(api.at(path).is_err(), "{path}");
    }
    assert!(api.below("/items", "..").is_err() && api.below("/items", "").is_err());
}

#[test]
fn errors_say_what_is_wrong_and_never_the_secret() {
    for (status, expected) in [
        (401, "does not accept the key"),
        (403, "may not do that"),
        (404, "no such thing"),
        (500, "answers 500"),
    ] {
        let api = served(move |_| Some(MockAnswer::json(status, "{\"message\": \"no hush for you\"}")));
        let error = api.get(&api.at("/x?key=y").unwrap()).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(expected) && text.contains("no *** for you") && !text.contains("key=y"),
            "{text}"
        );
    }
    let error = api("http://127.0.0.1:1")
        .get(&Url::parse("http://127.0.0.1:1/x").unwrap())
        .unwrap_err();
    assert!(matches!(error.why, Why::Unreachable(_)), "{error}");
    let api = served(|_| Some(MockAnswer::json(200, "<html>")));
    let error = api.get_json::<serde_json::Value>(&api.at("/x").unwrap()).unwrap_err();
    assert!(error.to_string().contains("it is a web page"), "{error}");
    for url in ["localhost:80", "ftp://x", "http://u:hush@x", "http://x/?a=b"] {
        let error = Api::new(&Options::new(url), &Cancel::default()).unwrap_err();
        assert!(!error.to_string().contains("hush"), "{error}");
    }
}

#[test]
fn a_busy_server_is_asked_again_but_not_for_ever() {
    let asked = AtomicU32::new(0);
    let api = served(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => Some(with_header(429, "Retry-After", "0")),
        1 => Some(with_header(503, "Retry-After", "1")),
        _ => Some(MockAnswer::json(200, "7")),
    });
    assert_eq!(api.get_json::<u32>(&api.at("/x").unwrap()).unwrap(), 7);
    let api = served(|_| Some(with_header(429, "Retry-After", "60")));
    let error = api.get(&api.at("/x").unwrap()).unwrap_err();
    assert!(matches!(error.why, Why::Busy { status: 429, .. }), "{error}");
    let (options, cancel) = (
        Options::new(serve(|_| Some(with_header(429, "Retry-After", "60")))),
        Cancel::default(),
    );
    let api = Api::new(&options, &cancel).unwrap();
    let asker = std::thread::spawn(move || cancel.cancel());
    let error = api.get(&api.at("/x").unwrap()).unwrap_err();
    assert!(matches!(error.why, Why::Interrupted), "{error}");
    asker.join().unwrap();
}

#[test]
fn no_other_host_gets_the_secret() {
    let other = serve(|request| panic!("asked for {}", request.target));
    let api = served(move |request| match request.target.as_str() {
        "/base/there" => Some(with_header(302, "Location", &format!("{other}/x?token=hush"))),
        "/base/moved" => Some(with_header(301, "Location", "/base/new")),
        "/base/loop" => Some(with_header(301, "Location", "/base/loop")),
        _ => Some(MockAnswer::json(200, "7")),
    });
    let error = api.get(&api.at("/there").unwrap()).unwrap_err().to_string();
    assert!(
        error.contains("redirects to `http://127.0.0.1:") && !error.contains("token"),
        "{error}"
    );
    assert_eq!(api.get_json::<u32>(&api.at("/moved").unwrap()).unwrap(), 7);
    assert!(api.get(&api.at("/loop").unwrap()).is_err());
    let sent = api.send(Method::POST, &api.at("/moved").unwrap(), Some(Vec::new()));
    assert!(matches!(sent.unwrap_err().why, Why::Redirected(_)));
}

#[test]
fn an_answer_that_breaks_off_or_is_too_large_is_an_error() {
    // The server says that there is more than it sends.
    let api = served(|_| {
        let mut answer = MockAnswer::json(200, "[1, 2");
        answer.headers.push(("Content-Length".to_owned(), "100".to_owned()));
        Some(answer)
    });
    let error = api.get(&api.at("/x").unwrap()).unwrap().bytes(1000).unwrap_err();
    assert!(matches!(error.why, Why::Cut(_)), "{error}");
    let mut answer = api.get(&api.at("/x").unwrap()).unwrap();
    assert!(answer.read_to_end(&mut Vec::new()).is_err());
    let api = served(|_| Some(MockAnswer::json(200, "x".repeat(1001))));
    let error = api.get(&api.at("/x").unwrap()).unwrap().bytes(1000).unwrap_err();
    assert!(matches!(error.why, Why::TooLarge(1000)), "{error}");
    let mut text = String::new();
    api.get(&api.at("/x").unwrap())
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text.len(), 1001);
}

#[test]
fn what_may_have_been_done_is_not_sent_again() {
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    // The connection is closed without an answer.
    let api = served(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        None
    });
    let url = api.at("/x").unwrap();
    assert!(api.send(Method::POST, &url, Some(b"{}".to_vec())).is_err());
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert!(api.get(&url).is_err());
    assert!(asked.load(Ordering::Relaxed) > 2);
}
