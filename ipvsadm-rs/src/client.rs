//! The daemon's gRPC service for services, dests, local addresses and conns.

use cli::CliError;
use proto::v1::ipvs_service_client::IpvsServiceClient;
use tonic::transport::Channel;

pub(crate) type Client = IpvsServiceClient<Channel>;

/// Connects to the daemon.
///
/// # Errors
/// If the daemon does not answer. The message says what to do.
pub(crate) async fn connect(socket: &str) -> Result<Client, CliError> {
    let client = IpvsServiceClient::new(cli::connect(socket).await?);
    Ok(client.max_decoding_message_size(cli::MAX_ANSWER_BYTES))
}
