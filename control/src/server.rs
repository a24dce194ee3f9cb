//! The control socket.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use proto::v1::address_service_server::AddressServiceServer;
use proto::v1::ipvs_service_server::IpvsServiceServer;
use proto::v1::link_service_server::LinkServiceServer;
use proto::v1::neighbour_service_server::NeighbourServiceServer;
use proto::v1::route_service_server::RouteServiceServer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::Stream;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use crate::api::Api;
use crate::control::Control;

/// Connections at once. One more closes the oldest.
const MOST_CONNECTIONS: usize = 256;
/// Requests at once on one connection.
const MOST_REQUESTS: usize = 32;
/// An idle connection is asked for a sign of life, so that dead clients free their place.
const KEEPALIVE: std::time::Duration = std::time::Duration::from_secs(10);

/// Serves the API on a unix socket until `shutdown`.
///
/// # Errors
/// If the transport fails as a whole; what one client does ends that client's connection only.
pub async fn serve(
    control: Arc<Control>,
    listener: UnixListener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let api = Api::new(control);
    Server::builder()
        .concurrency_limit_per_connection(MOST_REQUESTS)
        .max_concurrent_streams(u32::try_from(MOST_REQUESTS).ok())
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(AddressServiceServer::new(api.clone()))
        .add_service(RouteServiceServer::new(api.clone()))
        .add_service(NeighbourServiceServer::new(api.clone()))
        .add_service(LinkServiceServer::new(api.clone()))
        .add_service(IpvsServiceServer::new(api))
        .serve_with_incoming_shutdown(incoming(listener), shutdown)
        .await
}

/// Accepts every connection. When there are too many the oldest is closed: clients of ours are
/// short-lived, so the oldest of many belongs to whoever floods.
fn incoming(listener: UnixListener) -> impl Stream<Item = std::io::Result<Connection>> {
    let open = Arc::new(OpenConnections::default());
    let (accepted, stream) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            match accept(&listener, &open).await {
                Ok(connection) => {
                    if accepted.send(Ok(connection)).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the control socket cannot accept a connection");
                    open.close_oldest();
                    tokio::time::sleep(KEEPALIVE / 100).await;
                }
            }
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(stream)
}

async fn accept(
    listener: &UnixListener,
    open: &Arc<OpenConnections>,
) -> std::io::Result<Connection> {
    let socket = listener.accept().await?.0.into_std()?;
    let number = open.add(socket.try_clone()?);
    Ok(Connection {
        socket: UnixStream::from_std(socket)?,
        open: Arc::clone(open),
        number,
    })
}

/// Every connection with a second handle, by which it can be closed from outside.
#[derive(Debug, Default)]
struct OpenConnections {
    by_number: Mutex<BTreeMap<u64, std::os::unix::net::UnixStream>>,
}

impl OpenConnections {
    fn add(&self, handle: std::os::unix::net::UnixStream) -> u64 {
        let mut by_number = self.by_number.lock();
        let number = by_number.last_key_value().map_or(0, |(last, _)| last + 1);
        by_number.insert(number, handle);
        let too_many = by_number.len() > MOST_CONNECTIONS;
        drop(by_number);
        if too_many {
            self.close_oldest();
        }
        number
    }

    fn close_oldest(&self) {
        if let Some((_, handle)) = self.by_number.lock().pop_first() {
            // Its reader sees the end; one that is gone already needs nothing.
            let _ = handle.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// A client's connection.
struct Connection {
    socket: UnixStream,
    open: Arc<OpenConnections>,
    number: u64,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.by_number.lock().remove(&self.number);
    }
}

impl Connected for Connection {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
