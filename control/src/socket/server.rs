//! The control socket.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use proto::v1::FILE_DESCRIPTOR_SET;
use proto::v1::address_service_server::AddressServiceServer;
use proto::v1::ipvs_service_server::IpvsServiceServer;
use proto::v1::link_service_server::LinkServiceServer;
use proto::v1::memory_service_server::MemoryServiceServer;
use proto::v1::neighbour_service_server::NeighbourServiceServer;
use proto::v1::route_service_server::RouteServiceServer;
use tokio::net::UnixListener;
use tonic::transport::Server;

use crate::api::Api;
use crate::publish::Control;
use crate::socket::connection::incoming;
use crate::socket::explain::Explain;
use crate::socket::known_caller::KnownCaller;
use crate::socket::reject_truncated::RejectTruncated;

/// Requests at once on one connection.
const MOST_REQUESTS: usize = 16;
/// The longest message of a client in bytes. No request holds a list: many changes are a stream.
const LONGEST_MESSAGE: usize = 64 * 1024;
/// Interval of HTTP/2 pings on an idle connection, so that dead clients are noticed.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Why the API is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The transport failed as a whole
    #[error(transparent)]
    Transport(#[from] tonic::transport::Error),
    /// Server reflection cannot read what `proto` was compiled to
    #[error("the .proto files that were compiled in are broken: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Serves the API on a unix socket until `shutdown`, with server reflection and the standard health
/// service.
///
/// # Errors
/// If the transport fails as a whole; what one client does ends that client's connection only.
pub async fn serve(
    control: Arc<Control>,
    listener: UnixListener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let api = Api::new(control);
    let (health, health_server) = tonic_health::server::health_reporter();
    macro_rules! limited {
        ($server:ident) => {{
            health.set_serving::<$server<Api>>().await;
            Explain(KnownCaller(RejectTruncated(
                $server::new(api.clone()).max_decoding_message_size(LONGEST_MESSAGE),
            )))
        }};
    }
    // Clients of both versions are about: grpcurl and Python's still ask for v1alpha first.
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let limit = LONGEST_MESSAGE;
    Server::builder()
        .concurrency_limit_per_connection(MOST_REQUESTS)
        .max_concurrent_streams(u32::try_from(MOST_REQUESTS).ok())
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(limited!(AddressServiceServer))
        .add_service(limited!(RouteServiceServer))
        .add_service(limited!(NeighbourServiceServer))
        .add_service(limited!(LinkServiceServer))
        .add_service(limited!(MemoryServiceServer))
        .add_service(limited!(IpvsServiceServer))
        .add_service(health_server.max_decoding_message_size(limit))
        .add_service(reflection().build_v1()?.max_decoding_message_size(limit))
        .add_service(
            reflection()
                .build_v1alpha()?
                .max_decoding_message_size(limit),
        )
        .serve_with_incoming_shutdown(incoming(listener), shutdown)
        .await?;
    Ok(())
}
