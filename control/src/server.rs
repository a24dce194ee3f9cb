//! The control socket.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use proto::v1::address_service_server::AddressServiceServer;
use proto::v1::ipvs_service_server::IpvsServiceServer;
use proto::v1::link_service_server::LinkServiceServer;
use proto::v1::neighbour_service_server::NeighbourServiceServer;
use proto::v1::route_service_server::RouteServiceServer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::Stream;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use crate::api::Api;
use crate::control::Control;

/// Connections at once. More wait in the listener's queue until one ends.
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

/// Accepts connections as long as there are places.
fn incoming(listener: UnixListener) -> impl Stream<Item = std::io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let (accepted, stream) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match listener.accept().await {
                Ok((socket, _)) => {
                    if accepted
                        .send(Ok(Connection {
                            socket,
                            _place: place,
                        }))
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
                // Out of file descriptors, most likely: others give theirs back in a moment.
                Err(error) => {
                    tracing::warn!(%error, "the control socket cannot accept a connection");
                    tokio::time::sleep(KEEPALIVE / 100).await;
                }
            }
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(stream)
}

/// A client's connection with its place among all.
struct Connection {
    socket: UnixStream,
    _place: OwnedSemaphorePermit,
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
