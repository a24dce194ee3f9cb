//! Connections to the control socket, and how many of them there may be.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::Sleep;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use crate::api::Caller;

use crate::socket::authority::Frames;

/// Connections at once. One more closes the oldest: our own clients are short-lived, so the oldest
/// ones belong to a flood.
const MOST_CONNECTIONS: usize = 256;
/// Connections at once of one process. One more closes the oldest of that process.
const MOST_OF_PROCESS: usize = 32;
/// The client preface of HTTP/2 in bytes, RFC 9113 section 3.4.
const PREFACE: usize = 24;
/// A connection is closed if the preface has not come by then.
const PREFACE_WITHIN: Duration = Duration::from_secs(10);
/// Pause after a failed accept. Most likely there is no file descriptor left for a moment.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the stream is dropped.
pub(crate) fn incoming(listener: UnixListener) -> impl Stream<Item = io::Result<Connection>> {
    let (accepted, stream) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            () = accepted.closed() => {}
            () = accept_all(&listener, &accepted) => {}
        }
    });
    ReceiverStream::new(stream)
}

async fn accept_all(listener: &UnixListener, accepted: &mpsc::Sender<io::Result<Connection>>) {
    let open = Arc::new(OpenConnections::default());
    loop {
        match accept(listener, &open).await {
            Ok(connection) => {
                if accepted.send(Ok(connection)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket cannot accept a connection");
                open.close_oldest();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn accept(listener: &UnixListener, open: &Arc<OpenConnections>) -> io::Result<Connection> {
    let socket = listener.accept().await?.0;
    let peer = socket.peer_cred().ok();
    let process = peer.and_then(|peer| peer.pid());
    let socket = socket.into_std()?;
    let number = open.add(process.unwrap_or(0), Handle(socket.try_clone()?));
    Ok(Connection {
        socket: UnixStream::from_std(socket)?,
        awaited: Some(Awaited {
            bytes: PREFACE,
            deadline: Box::pin(tokio::time::sleep(PREFACE_WITHIN)),
        }),
        frames: Frames::new(),
        caller: Caller {
            uid: peer.map(|peer| peer.uid()),
            pid: process,
        },
        open: Arc::clone(open),
        number,
    })
}

/// A second handle of a connection, by which it can be closed from outside.
#[derive(Debug)]
struct Handle(std::os::unix::net::UnixStream);

impl Handle {
    fn close(&self) {
        // Its reader sees the end of the stream. If the connection is gone already, nothing is to
        // be done.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

/// Every connection with its process, by age.
#[derive(Debug, Default)]
struct OpenConnections(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    by_number: BTreeMap<u64, (i32, Handle)>,
    next: u64,
}

impl OpenConnections {
    fn add(&self, process: i32, handle: Handle) -> u64 {
        let mut open = self.0.lock();
        let number = open.next;
        open.next += 1;
        open.by_number.insert(number, (process, handle));
        let of_process = open
            .by_number
            .iter()
            .filter(|(_, (other, _))| *other == process);
        let (count, oldest) = (
            of_process.clone().count(),
            of_process.map(|(at, _)| *at).next(),
        );
        if count > MOST_OF_PROCESS {
            open.close(oldest);
        } else if open.by_number.len() > MOST_CONNECTIONS {
            open.close_oldest();
        }
        number
    }

    fn close_oldest(&self) {
        self.0.lock().close_oldest();
    }

    fn remove(&self, number: u64) {
        self.0.lock().by_number.remove(&number);
    }
}

impl Open {
    fn close_oldest(&mut self) {
        let oldest = self.by_number.keys().next().copied();
        self.close(oldest);
    }

    fn close(&mut self, number: Option<u64>) {
        let closed = number.and_then(|number| self.by_number.remove(&number));
        if let Some((process, handle)) = closed {
            tracing::debug!(process, "too many connections: its oldest was closed");
            handle.close();
        }
    }
}

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: UnixStream,
    awaited: Option<Awaited>,
    frames: Frames,
    caller: Caller,
    open: Arc<OpenConnections>,
    number: u64,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.remove(self.number);
    }
}

/// What is left of the preface, and how long.
#[derive(Debug)]
struct Awaited {
    bytes: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Connected for Connection {
    type ConnectInfo = Caller;
    fn connect_info(&self) -> Caller {
        self.caller
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.socket).poll_read(cx, buf);
        self.frames.rewrite(&mut buf.filled_mut()[before..]);
        let Some(awaited) = &mut self.awaited else {
            return result;
        };
        let read = buf.filled().len() - before;
        awaited.bytes = awaited.bytes.saturating_sub(read);
        if awaited.bytes == 0 {
            self.awaited = None;
        } else if result.is_pending() && awaited.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        result
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream as Socket;

    use super::*;

    fn connect(open: &OpenConnections, process: i32) -> Socket {
        let (ours, theirs) = Socket::pair().unwrap();
        open.add(process, Handle(ours));
        theirs.set_nonblocking(true).unwrap();
        theirs
    }

    fn is_closed(mut socket: &Socket) -> bool {
        matches!(socket.read(&mut [0]), Ok(0))
    }

    #[test]
    fn a_process_with_too_many_connections_loses_its_own_oldest() {
        let open = OpenConnections::default();
        let others = connect(&open, 8);
        let mut flood: Vec<_> = (0..MOST_OF_PROCESS).map(|_| connect(&open, 7)).collect();
        assert!(!flood.iter().any(is_closed));
        flood.push(connect(&open, 7));
        let closed: Vec<_> = flood.iter().map(is_closed).collect();
        assert!(closed[0] && !closed[1..].contains(&true));
        assert!(!is_closed(&others));
    }

    #[test]
    fn one_connection_too_many_closes_the_oldest() {
        let open = OpenConnections::default();
        let all: Vec<_> = (0..=MOST_CONNECTIONS)
            .map(|process| connect(&open, process as i32))
            .collect();
        let closed: Vec<_> = all.iter().map(is_closed).collect();
        assert!(closed[0] && !closed[1..].contains(&true));
    }
}
