//! A server whose answers a test makes up, for services that nobody has an emulator of.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct MockRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// Everything that was sent.
    pub body: Vec<u8>,
}

impl MockRequest {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// An answer. Without one, the connection is closed.
pub struct MockAnswer {
    /// Status of HTTP.
    pub status: u16,
    /// More headers, each with its value. A `Content-Length` of its own is a lie: the connection is closed after the content.
    pub headers: Vec<(String, String)>,
    /// Content.
    pub body: Vec<u8>,
}

impl MockAnswer {
    /// JSON with a status.
    pub fn json(status: u16, text: impl Into<String>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: text.into().into_bytes(),
        }
    }
}

/// Answer requests at the address that is returned, as long as the process lasts.
///
/// # Panics
/// When it cannot listen.
pub fn serve(answer: impl Fn(&MockRequest) -> Option<MockAnswer> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    let address = listener.local_addr().expect("a listener has an address");
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            // A connection that breaks ends here.
            thread::spawn(move || while exchange(&client, &*answer).is_some() {});
        }
    });
    format!("http://{address}")
}

fn exchange(client: &TcpStream, answer: &dyn Fn(&MockRequest) -> Option<MockAnswer>) -> Option<()> {
    let request = receive(&mut BufReader::new(client))?;
    let MockAnswer { status, headers, body } = answer(&request)?;
    let lies = headers.iter().any(|(name, _)| name == "Content-Length");
    let mut head = format!("HTTP/1.1 {status} \r\n");
    if !lies {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut client = client;
    client.write_all(head.as_bytes()).ok()?;
    client.write_all(&body).ok()?;
    if lies {
        client.shutdown(Shutdown::Both).ok()?;
        return None;
    }
    Some(())
}

/// The next request; clients send the one after it when they have their answer.
fn receive(client: &mut impl BufRead) -> Option<MockRequest> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        client.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut first = lines.first()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers = lines[1..].iter().filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = headers
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(Some(0), |(_, length)| length.parse().ok())?];
    client.read_exact(&mut body).ok()?;
    Some(MockRequest {
        method,
        target,
        headers,
        body,
    })
}
