//! What is there: services, conns, local addresses, timeouts.

use std::net::IpAddr;

use cli::{CliError, ip_message};
use proto::v1::{
    Conn, Empty, ListConnsRequest, ListServicesRequest, Protocol, ServiceKey, VirtualService,
};
use serde_json::Value;
use tokio_stream::StreamExt;

use crate::Client;
use crate::args::Line;
use crate::output::{self, Columns, Numbers};
use crate::request;

/// `-L`
pub async fn list(client: &mut Client, line: &Line) -> Result<(), CliError> {
    if line.has("timeout") {
        return timeouts(client, line).await;
    }
    if line.has("connection") || line.has("sockpair") {
        return conns(client, line).await;
    }
    let services = services(client, line).await?;
    if line.has("json") {
        return cli::print_json(&services.iter().map(output::service_json).collect());
    }
    let columns = if line.has("stats") {
        Columns::Stats
    } else if line.has("rate") {
        Columns::Rate
    } else if line.has("thresholds") {
        Columns::Thresholds
    } else if line.has("persistent-conn") {
        Columns::Persistent
    } else {
        Columns::Plain
    };
    let numbers = if line.has("exact") {
        Numbers::Exact
    } else {
        Numbers::Short
    };
    let version = client.get_version(Empty {}).await?.into_inner();
    let mut text = format!(
        "IP Virtual Server version {}.{}.{} (size=0)\n",
        version.major, version.minor, version.patch
    );
    text.push_str(&output::title(columns));
    text.extend(
        services
            .iter()
            .map(|service| output::service(service, columns, numbers)),
    );
    cli::print(&text)
}

/// `-v`
pub async fn version(client: &mut Client) -> Result<(), CliError> {
    let daemon = client.get_version(Empty {}).await?.into_inner();
    cli::print(&format!(
        "ipvsadm-rs v{} (dpvsd {}.{}.{})\n",
        env!("CARGO_PKG_VERSION"),
        daemon.major,
        daemon.minor,
        daemon.patch
    ))
}

/// `-S`
pub async fn save(client: &mut Client, line: &Line) -> Result<(), CliError> {
    let services = services(client, line).await?;
    cli::print(&services.iter().map(output::save).collect::<String>())
}

/// `-G`
pub async fn laddrs(client: &mut Client, line: &Line) -> Result<(), CliError> {
    let services = services(client, line).await?;
    if line.has("json") {
        cli::print_json(&services.iter().map(output::service_json).collect())
    } else {
        cli::print(&output::laddrs(&services))
    }
}

async fn services(client: &mut Client, line: &Line) -> Result<Vec<VirtualService>, CliError> {
    let request = ListServicesRequest {
        key: request::service(line)?,
    };
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
        let value = serde_json::json!({"tcp": timeouts.tcp_s, "tcpfin": timeouts.tcp_fin_s, "udp": timeouts.udp_s});
        return cli::print_json(&value);
    }
    cli::print(&format!(
        "Timeout (tcp tcpfin udp): {} {} {}\n",
        timeouts.tcp_s, timeouts.tcp_fin_s, timeouts.udp_s
    ))
}

async fn conns(client: &mut Client, line: &Line) -> Result<(), CliError> {
    let request = match line.get("sockpair") {
        Some(text) => sockpair(text)?,
        None => ListConnsRequest {
            service: request::service(line)?,
            ..ListConnsRequest::default()
        },
    };
    let lcore = request::number(line, "cpu", u32::MAX)?;
    let mut stream = client.list_conns(request).await?.into_inner();
    let mut found: Vec<Conn> = Vec::new();
    while let Some(conn) = stream.next().await {
        found.push(conn?);
        // Millions of conns are printed as they come, not gathered.
        if found.len() == 1024 && !line.has("json") {
            print_conns(&found, lcore)?;
            found.clear();
        }
    }
    if line.has("json") {
        return cli::print_json(&found.iter().map(output::conn_json).collect::<Value>());
    }
    if line.has("sockpair") && found.is_empty() {
        return Err(CliError::failed("connection specified not found"));
    }
    print_conns(&found, lcore)
}

fn print_conns(conns: &[Conn], lcore: Option<u32>) -> Result<(), CliError> {
    let shown = conns
        .iter()
        .filter(|conn| lcore.is_none_or(|lcore| conn.lcore == lcore));
    cli::print(&shown.map(output::conn).collect::<String>())
}

/// `tcp:10.0.0.48:40000:10.0.0.100:80`
fn sockpair(text: &str) -> Result<ListConnsRequest, CliError> {
    let wrong = || {
        CliError::usage(format!(
            "--sockpair {text}: write it as PROTO:CIP:CPORT:VIP:VPORT, as in tcp:10.0.0.48:40000:10.0.0.100:80"
        ))
    };
    let [protocol, client, client_port, vip, vport] = text.split(':').collect::<Vec<_>>()[..]
    else {
        return Err(wrong());
    };
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return Err(wrong()),
    };
    let addr = |word: &str| word.parse::<IpAddr>().map(ip_message).map_err(|_| wrong());
    let port = |word: &str| word.parse::<u16>().map(u32::from).map_err(|_| wrong());
    Ok(ListConnsRequest {
        service: Some(ServiceKey {
            protocol: protocol.into(),
            address: Some(addr(vip)?),
            port: port(vport)?,
        }),
        client: Some(addr(client)?),
        client_port: port(client_port)?,
    })
}
