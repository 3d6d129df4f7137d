//! A line to a server that can be cut, slowed, and answered on for the server.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A small TCP proxy on loopback.
pub struct Faulty {
    pub port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Bytes until every connection is cut, if not negative.
    cut_after: AtomicI64,
    /// How often that happens again with as many bytes.
    cuts: AtomicI64,
    each: AtomicI64,
    /// Milliseconds that every piece waits.
    slow: AtomicU64,
    /// Whole HTTP answers given instead of the server's.
    answers: Mutex<VecDeque<String>>,
    open: Mutex<Vec<TcpStream>>,
}

impl Faulty {
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new(State::default());
        state.cut_after.store(-1, Ordering::SeqCst);
        let faulty = Self {
            port: listener.local_addr().unwrap().port(),
            state: state.clone(),
        };
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let state = state.clone();
                thread::spawn(move || state.serve(client, port));
            }
        });
        faulty
    }

    /// Cuts everything each time so many bytes have gone either way, `times` times.
    pub fn cut(&self, bytes: i64, times: i64) {
        self.state.each.store(bytes, Ordering::SeqCst);
        self.state.cuts.store(times, Ordering::SeqCst);
        self.state.cut_after.store(bytes, Ordering::SeqCst);
    }

    pub fn whole(&self) {
        self.state.cut_after.store(-1, Ordering::SeqCst);
        self.state.answers.lock().unwrap().clear();
        self.slow(0);
    }

    pub fn slow(&self, millis: u64) {
        self.state.slow.store(millis, Ordering::SeqCst);
    }

    /// Gives the next `times` requests this answer; connections that are open are ended.
    pub fn answer(&self, times: usize, status: &str, code: &str, date: Option<&str>) {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
        let date = date.map_or(String::new(), |date| format!("Date: {date}\r\n"));
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\n{date}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let mut answers = self.state.answers.lock().unwrap();
        answers.extend(std::iter::repeat_n(answer, times));
        drop(answers);
        self.state.end_all();
    }
}

impl State {
    fn end_all(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn serve(self: Arc<Self>, client: TcpStream, port: u16) {
        let answer = self.answers.lock().unwrap().pop_front();
        if let Some(answer) = answer {
            take_request(&client);
            let _ = (&client).write_all(answer.as_bytes());
            let _ = client.shutdown(Shutdown::Write);
            // Until the other end has read it.
            let _ = (&client).read(&mut [0; 1]);
            return;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
            return;
        };
        let copies = [client.try_clone().unwrap(), server.try_clone().unwrap()];
        self.open.lock().unwrap().extend(copies);
        let (up, down) = (self.clone(), self);
        let (client2, server2) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || up.carry(client2, server2));
        down.carry(server, client);
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buf = vec![0; 64 << 10];
        while let Ok(n @ 1..) = from.read(&mut buf) {
            let slow = self.slow.load(Ordering::SeqCst);
            thread::sleep(Duration::from_millis(slow));
            if self.cut_after.load(Ordering::SeqCst) >= 0
                && self.cut_after.fetch_sub(n as i64, Ordering::SeqCst) < n as i64
            {
                let again = self.cuts.fetch_sub(1, Ordering::SeqCst) > 1;
                let next = if again {
                    self.each.load(Ordering::SeqCst)
                } else {
                    -1
                };
                self.cut_after.store(next, Ordering::SeqCst);
                self.end_all();
                break;
            }
            if to.write_all(&buf[..n]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// Reads one request with its body.
fn take_request(mut client: &TcpStream) {
    let (mut head, mut byte) = (Vec::new(), [0; 1]);
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|n| n.trim().parse::<u64>().ok())
        .unwrap_or(0);
    let _ = std::io::copy(&mut client.take(length), &mut std::io::sink());
}
