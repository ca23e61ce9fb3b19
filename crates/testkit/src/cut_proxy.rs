//! A connection that breaks in the middle.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Listens for connections to `target`, and cuts each after `bytes` were sent there. It lasts as long as the process.
///
/// # Panics
/// When it cannot listen.
pub fn cut_after(target: SocketAddr, bytes: u64) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    let address = listener.local_addr().expect("a listener has an address");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(target).expect("the server listens");
            let (answers, back) = (server.try_clone(), client.try_clone());
            thread::spawn(move || pass_on(client, server, bytes));
            if let (Ok(answers), Ok(back)) = (answers, back) {
                thread::spawn(move || pass_on(answers, back, u64::MAX));
            }
        }
    });
    address
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, mut left: u64) {
    let mut buffer = vec![0; 64 << 10];
    while left > 0 {
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match from.read(&mut buffer[..room]) {
            Ok(read) if read > 0 && to.write_all(&buffer[..read]).is_ok() => left -= read as u64,
            _ => break,
        }
    }
    // Breaking is what it is for.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
