//! `--api-socket`: requests and answers, a line of JSON each, from and to whoever connects. docs/api.md is the reference.
//!
//! Invariant: no client can hold anything up. A client is asked for more only when it has read its last answer; lines are
//! bounded, answers are bounded, and of clients beyond [`MOST_CLIENTS`] the one that was silent longest is left.
//!
//! Read in this order: [`request`] (what may be asked), [`answer`] (what is said), [`client`] (one connection), this file.

mod answer;
mod client;
mod request;

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SocketFlags, accept_with};

use crate::machine::control::Control;
pub(super) use answer::Desk;
use client::{Client, Wants};

/// Clients at one time.
const MOST_CLIENTS: usize = 8;
/// How long nobody is accepted after the host has refused a descriptor.
const REST: Duration = Duration::from_millis(100);

/// The socket and whoever is connected to it.
pub(super) struct Api {
    listener: OwnedFd,
    /// The one that was heard of last is the last.
    clients: Vec<Client>,
    desk: Desk,
    /// The host had no descriptor left.
    rests: bool,
}

impl Api {
    pub(super) fn new(listener: OwnedFd, desk: Desk) -> Self {
        Self { listener, clients: Vec::new(), desk, rests: false }
    }

    /// Answers until the machine has ended.
    pub(super) fn serve(mut self, control: &Control) {
        while !control.end().is_over() {
            let ready = self.wait(control);
            let comes = ready.first().is_some_and(|listener| !listener.is_empty());
            let clients = std::mem::take(&mut self.clients);
            let ready = ready.into_iter().skip(1).chain(std::iter::repeat(PollFlags::empty()));
            let (mut heard, mut silent) = (Vec::new(), Vec::new());
            for (mut client, ready) in clients.into_iter().zip(ready) {
                let goes_on =
                    ready.is_empty() || client.go_on(|said| self.desk.answer(said, control)).is_ok();
                match (goes_on, ready.is_empty()) {
                    (true, true) => silent.push(client),
                    (true, false) => heard.push(client),
                    (false, _) => {}
                }
            }
            silent.extend(heard);
            self.clients = silent;
            // Last, for it may move the others.
            if comes {
                self.accept();
            }
        }
    }

    /// Waits until there is something to do: for the listener, then for each client, what.
    fn wait(&mut self, control: &Control) -> Vec<PollFlags> {
        let listens = if self.rests { PollFlags::empty() } else { PollFlags::IN };
        let mut files =
            vec![PollFd::new(control.end().wake(), PollFlags::IN), PollFd::new(&self.listener, listens)];
        files.extend(self.clients.iter().map(|client| {
            let wanted = match client.wants() {
                Wants::ToHear => PollFlags::IN,
                Wants::ToSay => PollFlags::OUT,
            };
            PollFd::new(client.file(), wanted)
        }));
        let rest = Timespec { tv_sec: 0, tv_nsec: i64::from(REST.subsec_nanos()) };
        let limit = self.rests.then_some(&rest);
        let ready = match poll(&mut files, limit) {
            Ok(_) => files[1..].iter().map(PollFd::revents).collect(),
            // A signal, or a host without memory: it is tried again.
            Err(_) => Vec::new(),
        };
        self.rests = false;
        ready
    }

    fn accept(&mut self) {
        match accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(file) => {
                if self.clients.len() >= MOST_CLIENTS {
                    self.clients.remove(0);
                }
                self.clients.push(Client::new(file));
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => {}
            Err(error) => {
                log::debug!("nobody is accepted on the control socket for a while: {error}");
                self.rests = true;
            }
        }
    }
}
