//! A way to a server that breaks when a test wants it to.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;
use socket2::{SockFilter, SockRef};

/// Passes connections on to a server, and cuts them.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

/// How many bytes a connection, counted from 1, may send before it is cut; `None` for any number.
type Limit = dyn Fn(usize) -> Option<u64> + Send + Sync;

struct State {
    target: SocketAddr,
    limit: Box<Limit>,
    connections: AtomicUsize,
    stopped: AtomicBool,
    is_cut: AtomicBool,
    is_silent: AtomicBool,
    /// Both sides of each connection, by its number.
    open: Mutex<HashMap<usize, [TcpStream; 2]>>,
}

impl Proxy {
    /// A proxy in front of `target`.
    ///
    /// # Panics
    /// When no port is free.
    pub fn start(target: SocketAddr, limit: impl Fn(usize) -> Option<u64> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let state = Arc::new(State {
            target,
            limit: Box::new(limit),
            connections: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let accepting = Arc::clone(&state);
        thread::spawn(move || accepting.accept(&listener));
        Self { address, state }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cut all connections, and those that are tried, until it is [mended](Self::mend).
    pub fn cut(&self) {
        self.state.is_cut.store(true, Ordering::SeqCst);
        for sockets in self.state.open.lock().values() {
            hang_up(sockets);
        }
    }

    /// From now on, packets vanish, and nobody is told: not even that somebody is there is confirmed.
    ///
    /// # Panics
    /// When the system does not allow that.
    pub fn fall_silent(&self) {
        self.state.is_silent.store(true, Ordering::SeqCst);
        self.state.open.lock().values().for_each(deafen);
    }

    /// Pass connections on again.
    pub fn mend(&self) {
        self.state.is_cut.store(false, Ordering::SeqCst);
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

impl State {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming().map_while(Result::ok) {
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            let number = self.connections.fetch_add(1, Ordering::SeqCst) + 1;
            let state = Arc::clone(self);
            // A server that is away looks like one that hangs up.
            thread::spawn(move || drop(state.pass(client, number)));
        }
    }

    fn pass(&self, client: TcpStream, number: usize) -> io::Result<()> {
        let server = TcpStream::connect(self.target)?;
        let sockets = [client.try_clone()?, server.try_clone()?];
        self.open.lock().insert(number, sockets);
        if self.is_cut.load(Ordering::SeqCst) {
            self.close(number);
            return Ok(());
        }
        if self.is_silent.load(Ordering::SeqCst) {
            self.open.lock().values().for_each(deafen);
        }
        for socket in [&client, &server] {
            socket.set_nodelay(true)?;
        }
        let (back_from, back_to) = (server.try_clone()?, client.try_clone()?);
        thread::spawn(move || copy(back_from, back_to, None));
        copy(client, server, (self.limit)(number));
        self.close(number);
        Ok(())
    }

    fn close(&self, number: usize) {
        if let Some(sockets) = self.open.lock().remove(&number) {
            hang_up(&sockets);
        }
    }
}

/// Pass bytes on until one side has no more, or `limit` bytes have passed; then cut both ways.
fn copy(mut from: TcpStream, mut to: TcpStream, limit: Option<u64>) {
    let mut rest = limit.unwrap_or(u64::MAX);
    let mut buffer = vec![0; 64 * 1024];
    while rest > 0 {
        let most = buffer.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
        match from.read(&mut buffer[..most]) {
            Ok(read @ 1..) if to.write_all(&buffer[..read]).is_ok() => rest -= read as u64,
            _ => break,
        }
    }
    hang_up(&[from, to]);
}

/// Have the system drop every packet that comes for these.
fn deafen(sockets: &[TcpStream; 2]) {
    // The one instruction of a filter that takes nothing: return 0.
    let nothing = || [SockFilter::new(0x06, 0, 0, 0)];
    for socket in sockets {
        SockRef::from(socket)
            .attach_filter(&nothing())
            .expect("the system has filters");
    }
}

fn hang_up(sockets: &[TcpStream; 2]) {
    for socket in sockets {
        let _ = socket.shutdown(Shutdown::Both);
    }
}
