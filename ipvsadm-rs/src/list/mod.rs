//! The commands that ask the daemon and print its answer: services, conns, lists, local addresses,
//! timeouts.

pub(crate) mod access;
mod conns;
mod port_names;

use cli::{CliError, ip_or_zero};
use proto::v1::{Empty, ListServicesRequest, ServiceKey, VirtualService};
use tokio_stream::StreamExt;

use crate::args::Line;
use crate::client::{self, Client};
use crate::output::{self, Columns, Numbers, json, save};
use crate::request;
use port_names::port_names;

/// `-L`: prints services, conns or timeouts.
pub(crate) async fn list(client: &mut Client, line: &Line) -> Result<(), CliError> {
    if line.has("timeout") {
        return timeouts(client, line).await;
    }
    if line.has("connection") || line.has("sockpair") {
        return conns::conns(client, line).await;
    }
    let columns = columns(line);
    // A removed service has a row only where those have one that it drains.
    let with_removed = columns == Columns::Plain || line.has("json");
    let mut services = services(client, request::service(line)?, with_removed).await?;
    if !line.has("nosort") {
        sort(&mut services);
    }
    if line.has("json") {
        return cli::print_json(&services.iter().map(json::service).collect());
    }
    let version = client.get_version(Empty {}).await?.into_inner();
    let numbers = if line.has("exact") {
        Numbers::Exact
    } else {
        Numbers::Short
    };
    let names = port_names(line);
    let mut text = format!(
        "IP Virtual Server version {}.{}.{} (size=0)\n",
        version.major, version.minor, version.patch
    );
    text.push_str(&output::title(columns));
    let rows = services
        .iter()
        .map(|service| output::service(service, columns, numbers, &names));
    text.extend(rows);
    cli::print(&text)
}

fn columns(line: &Line) -> Columns {
    let named = [
        ("stats", Columns::Stats),
        ("rate", Columns::Rate),
        ("thresholds", Columns::Thresholds),
        ("persistent-conn", Columns::Persistent),
    ];
    let found = named.iter().find(|(name, _)| line.has(name));
    found.map_or(Columns::Plain, |(_, columns)| *columns)
}

/// Sorts services by protocol, address and port, and the dests of each by address and port, as
/// ipvsadm does without `--nosort`.
fn sort(services: &mut [VirtualService]) {
    services.sort_by_key(|service| {
        let key = service.key.clone().unwrap_or_default();
        (key.protocol, ip_or_zero(key.address.as_ref()), key.port)
    });
    for VirtualService {
        dests, draining, ..
    } in services
    {
        for dests in [dests, draining] {
            dests.sort_by_key(|dest| (ip_or_zero(dest.address.as_ref()), dest.port));
        }
    }
}

/// `-v`: prints the version of this program, and that of the daemon if it runs.
pub(crate) async fn version(socket: &str) -> Result<(), CliError> {
    let ours = env!("CARGO_PKG_VERSION");
    let Ok(mut client) = client::connect(socket).await else {
        return cli::print(&format!("ipvsadm-rs v{ours} (dpvsd is not running)\n"));
    };
    let daemon = client.get_version(Empty {}).await?.into_inner();
    cli::print(&format!(
        "ipvsadm-rs v{ours} (dpvsd {}.{}.{})\n",
        daemon.major, daemon.minor, daemon.patch
    ))
}

/// `-S`: prints the timeouts, and the services in the order in which they were added, so that `-R`
/// keeps the order.
pub(crate) async fn save(client: &mut Client) -> Result<(), CliError> {
    let services = services(client, None, false).await?;
    let access = access::all(client, None).await?;
    let of = |service: &VirtualService| -> Vec<_> {
        let entries = access.iter().filter(|entry| entry.service == service.key);
        entries.cloned().collect()
    };
    let lines = services
        .iter()
        .map(|service| save::save(service, &of(service)));
    let timeouts = client.get_timeouts(Empty {}).await?.into_inner();
    let timeouts = save::save_timeouts(&timeouts);
    cli::print(&std::iter::once(timeouts).chain(lines).collect::<String>())
}

/// `-G`: prints the local addresses of services.
pub(crate) async fn laddrs(client: &mut Client, line: &Line) -> Result<(), CliError> {
    let services = services(client, request::service(line)?, true).await?;
    if line.has("json") {
        cli::print_json(&services.iter().map(json::service).collect())
    } else {
        cli::print(&output::laddrs(&services))
    }
}

async fn services(
    client: &mut Client,
    key: Option<ServiceKey>,
    with_removed: bool,
) -> Result<Vec<VirtualService>, CliError> {
    let request = ListServicesRequest { key, with_removed };
    let mut stream = client.list_services(request).await?.into_inner();
    let mut services = Vec::new();
    while let Some(service) = stream.next().await {
        services.push(service?);
    }
    Ok(services)
}

async fn timeouts(client: &mut Client, line: &Line) -> Result<(), CliError> {
    let timeouts = client.get_timeouts(Empty {}).await?.into_inner();
    if line.has("json") {
        return cli::print_json(&json::timeouts(&timeouts));
    }
    cli::print(&format!(
        "Timeout (tcp tcpfin udp): {} {} {}\n",
        timeouts.tcp_s, timeouts.tcp_fin_s, timeouts.udp_s
    ))
}

#[cfg(test)]
mod tests {
    use proto::v1::Protocol;

    use super::*;
    use crate::output::tests::tutorial;

    #[test]
    fn services_and_dests_are_sorted() {
        let mut udp = tutorial();
        udp.key.as_mut().unwrap().protocol = Protocol::Udp.into();
        let mut high = tutorial();
        high.key.as_mut().unwrap().port = 8080;
        high.dests.reverse();
        let mut all = vec![udp.clone(), high.clone(), tutorial()];
        sort(&mut all);
        high.dests.reverse();
        assert_eq!(all, [tutorial(), high, udp]);
    }
}
