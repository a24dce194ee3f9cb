//! `-B` and `-W`: deny and allow lists.

use cli::CliError;
use proto::v1::{AccessEntry, AccessList, ListServicesRequest, ServiceKey};
use serde_json::Value;
use tokio_stream::StreamExt;

use crate::args::Line;
use crate::client::Client;
use crate::output::{self, json};
use crate::request;

/// `-B`, `-W`: prints one of the two lists of one service, or of all services.
///
/// # Errors
/// If the daemon refuses.
pub(crate) async fn show(
    client: &mut Client,
    line: &Line,
    list: AccessList,
) -> Result<(), CliError> {
    let mut entries = all(client, request::service(line)?).await?;
    entries.retain(|entry| entry.list() == list);
    if line.has("json") {
        return cli::print_json(&entries.iter().map(json::access).collect::<Value>());
    }
    cli::print(&output::access(&entries, list))
}

/// The entries of both lists of one service, or of all services.
///
/// # Errors
/// If the daemon refuses.
pub(crate) async fn all(
    client: &mut Client,
    key: Option<ServiceKey>,
) -> Result<Vec<AccessEntry>, CliError> {
    let request = ListServicesRequest {
        key,
        with_removed: false,
    };
    let mut stream = client.list_access(request).await?.into_inner();
    let mut entries = Vec::new();
    while let Some(entry) = stream.next().await {
        entries.push(entry?);
    }
    Ok(entries)
}
