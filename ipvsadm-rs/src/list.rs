//! What is there: services, conns, local addresses, timeouts.

use std::net::IpAddr;

use cli::{CliError, ip_message, ip_or_zero};
use proto::v1::{
    Conn, Empty, ListConnsRequest, ListServicesRequest, Protocol, ServiceKey, VirtualService,
};
use serde_json::Value;
use tokio_stream::StreamExt;

use crate::Client;
use crate::access;
use crate::args::Line;
use crate::json;
use crate::names::PortNames;
use crate::output::{self, Columns, Numbers};
use crate::request;
use crate::save;

/// Conns that are printed at once: millions of them are printed as they come, not gathered.
const CONNS_AT_ONCE: usize = 1024;

/// `-L`
pub async fn list(client: &mut Client, line: &Line) -> Result<(), CliError> {
    if line.has("timeout") {
        return timeouts(client, line).await;
    }
    if line.has("connection") || line.has("sockpair") {
        return conns(client, line).await;
    }
    let mut services = services(client, request::service(line)?).await?;
    if !line.has("nosort") {
        sort(&mut services);
    }
    if line.has("json") {
        return cli::print_json(&services.iter().map(json::service).collect());
    }
    let version = client.get_version(Empty {}).await?.into_inner();
    let columns = columns(line);
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

/// Ports are shown by name unless `-n` says otherwise.
fn port_names(line: &Line) -> PortNames {
    if line.has("numeric") {
        PortNames::default()
    } else {
        PortNames::of_this_machine().clone()
    }
}

/// By protocol, address and port, the dests of each by address and port, as ipvsadm does unless told `--nosort`.
fn sort(services: &mut [VirtualService]) {
    services.sort_by_key(|service| {
        let key = service.key.clone().unwrap_or_default();
        (key.protocol, ip_or_zero(key.address.as_ref()), key.port)
    });
    for service in services {
        service
            .dests
            .sort_by_key(|dest| (ip_or_zero(dest.address.as_ref()), dest.port));
    }
}

/// `-v`: of this program, and of the daemon if it can be asked.
pub async fn version(socket: &str) -> Result<(), CliError> {
    let ours = env!("CARGO_PKG_VERSION");
    let Ok(mut client) = crate::connect(socket).await else {
        return cli::print(&format!("ipvsadm-rs v{ours} (dpvsd is not running)\n"));
    };
    let daemon = client.get_version(Empty {}).await?.into_inner();
    cli::print(&format!(
        "ipvsadm-rs v{ours} (dpvsd {}.{}.{})\n",
        daemon.major, daemon.minor, daemon.patch
    ))
}

/// `-S`: in the order in which they were made, which `-R` makes them in again.
pub async fn save(client: &mut Client) -> Result<(), CliError> {
    let services = services(client, None).await?;
    let access = access::all(client, None).await?;
    let of = |service: &VirtualService| -> Vec<_> {
        let entries = access.iter().filter(|entry| entry.service == service.key);
        entries.cloned().collect()
    };
    let lines = services
        .iter()
        .map(|service| save::save(service, &of(service)));
    cli::print(&lines.collect::<String>())
}

/// `-G`
pub async fn laddrs(client: &mut Client, line: &Line) -> Result<(), CliError> {
    let services = services(client, request::service(line)?).await?;
    if line.has("json") {
        cli::print_json(&services.iter().map(json::service).collect())
    } else {
        cli::print(&output::laddrs(&services))
    }
}

async fn services(
    client: &mut Client,
    key: Option<ServiceKey>,
) -> Result<Vec<VirtualService>, CliError> {
    let request = ListServicesRequest { key };
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

/// `-c`, `--sockpair`: conns, without a header.
async fn conns(client: &mut Client, line: &Line) -> Result<(), CliError> {
    let request = match line.get("sockpair") {
        Some(text) => sockpair(text)?,
        None => ListConnsRequest {
            service: request::service(line)?,
            ..ListConnsRequest::default()
        },
    };
    let lcore = request::number(line, "cpu", u32::MAX)?;
    let names = port_names(line);
    let print = |conns: &[Conn]| {
        let rows = conns.iter().map(|conn| output::conn(conn, &names));
        cli::print(&rows.collect::<String>())
    };
    let mut stream = client.list_conns(request).await?.into_inner();
    let (mut held, mut any) = (Vec::new(), false);
    while let Some(conn) = stream.next().await {
        let conn = conn?;
        if lcore.is_some_and(|lcore| conn.lcore != lcore) {
            continue;
        }
        any = true;
        held.push(conn);
        if held.len() == CONNS_AT_ONCE && !line.has("json") {
            print(&held)?;
            held.clear();
        }
    }
    if line.has("sockpair") && !any {
        return Err(CliError::failed("connection specified not found"));
    }
    if line.has("json") {
        return cli::print_json(&held.iter().map(json::conn).collect::<Value>());
    }
    print(&held)
}

/// What stands between colons, those in brackets excepted.
fn words(text: &str) -> Vec<&str> {
    let mut is_inside = false;
    let is_end = |c: char| {
        is_inside = (is_inside || c == '[') && c != ']';
        c == ':' && !is_inside
    };
    let words = text.split(is_end);
    words
        .map(|word| word.trim_start_matches('[').trim_end_matches(']'))
        .collect()
}

/// `tcp:10.0.0.48:40000:10.0.0.100:80`, `tcp:[2001:db8::1]:40000:[2001:db8::2]:80`
fn sockpair(text: &str) -> Result<ListConnsRequest, CliError> {
    let wrong = || {
        CliError::usage(format!(
            "--sockpair {text}: write it as PROTO:CIP:CPORT:VIP:VPORT, as in tcp:10.0.0.48:40000:10.0.0.100:80"
        ))
    };
    let [protocol, client, client_port, vip, vport] = words(text)[..] else {
        return Err(wrong());
    };
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return Err(wrong()),
    };
    let addr = |word: &str| word.parse::<IpAddr>().map(ip_message).map_err(|_| wrong());
    let port = |word: &str| word.parse::<u16>().map(u32::from).map_err(|_| wrong());
    Ok(ListConnsRequest {
        service: Some(ServiceKey {
            protocol: protocol.into(),
            address: Some(addr(vip)?),
            port: port(vport)?,
            r#match: None,
        }),
        client: Some(addr(client)?),
        client_port: port(client_port)?,
    })
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_sockpair_names_both_ends() {
        let request = sockpair("tcp:10.0.0.48:40000:10.0.0.100:80").unwrap();
        assert_eq!(request.client_port, 40_000);
        assert_eq!(request.service, tutorial().key);
        let six = sockpair("udp:[2001:db8::1]:53:[2001:db8::2]:80").unwrap();
        let client = "2001:db8::1".parse().unwrap();
        assert_eq!(
            (six.client, six.client_port),
            (Some(ip_message(client)), 53)
        );
        assert_eq!(six.service.unwrap().port, 80);
        for wrong in [
            "",
            "tcp",
            "icmp:10.0.0.48:40000:10.0.0.100:80",
            "tcp:10.0.0.48:40000:10.0.0.100:80:1",
            "tcp:10.0.0.48:70000:10.0.0.100:80",
            "tcp:host:1:10.0.0.100:80",
        ] {
            assert_eq!(sockpair(wrong).unwrap_err().status, 2, "{wrong}");
        }
    }
}
