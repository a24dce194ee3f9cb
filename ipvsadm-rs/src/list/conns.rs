//! `-L -c`: conns, all or the one of a sockpair.

use std::net::IpAddr;

use cli::{CliError, ip_message};
use proto::v1::{Conn, ListConnsRequest, Protocol, ServiceKey};
use serde_json::Value;
use tokio_stream::StreamExt;

use super::port_names::port_names;
use crate::args::Line;
use crate::client::Client;
use crate::output::{self, json};
use crate::request;

/// How many conns are printed at once. There may be millions, so they are printed as they come.
const CONNS_AT_ONCE: usize = 1024;

/// `-c`, `--sockpair`: prints conns, without a title above them.
pub(super) async fn conns(client: &mut Client, line: &Line) -> Result<(), CliError> {
    let mut request = match line.get("sockpair") {
        Some(text) => sockpair(text)?,
        None => ListConnsRequest {
            service: request::service(line)?,
            ..ListConnsRequest::default()
        },
    };
    let lcore = request::number(line, "cpu", u32::MAX)?;
    request.lcore = lcore;
    let names = port_names(line);
    let print = |conns: &[Conn]| {
        let rows = conns.iter().map(|conn| output::conn(conn, &names));
        cli::print(&rows.collect::<String>())
    };
    let mut stream = client.list_conns(request).await?.into_inner();
    let (mut held, mut any) = (Vec::new(), false);
    while let Some(conn) = stream.next().await {
        let conn = conn?;
        // A daemon that does not know this field sends the conns of all.
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

/// Splits a text at its colons, but not at those in brackets. Brackets are removed.
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

/// Parses `tcp:10.0.0.48:40000:10.0.0.100:80` or `tcp:[2001:db8::1]:40000:[2001:db8::2]:80`.
fn sockpair(text: &str) -> Result<ListConnsRequest, CliError> {
    let wrong = || {
        CliError::usage(format!(
            "invalid sockpair '{text}': expected PROTO:CIP:CPORT:VIP:VPORT, \
             e.g. tcp:10.0.0.48:40000:10.0.0.100:80"
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
        lcore: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tests::tutorial;

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
