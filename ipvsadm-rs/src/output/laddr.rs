//! The local addresses of services.

use cli::ip_or_zero;
use proto::v1::{Laddr, VirtualService};

use super::endpoint::endpoint;
use super::matcher;

/// The local addresses of services, as `-G` prints them.
pub(crate) fn laddrs(services: &[VirtualService]) -> String {
    let row = |cells: [&str; 5]| {
        let [service, total, addr, conflicts, conns] = cells;
        format!(
            "{}\n",
            format!("{service:<20} {total:<8} {addr:<20} {conflicts:<10} {conns:<10}").trim_end()
        )
    };
    let mut text = row(["VIP:VPORT", "TOTAL", "SNAT_IP", "CONFLICTS", "CONNS"]);
    for service in services {
        let key = service.key.clone().unwrap_or_default();
        let name = match &key.r#match {
            Some(matcher) => matcher::shown(key.protocol(), matcher),
            None => endpoint(ip_or_zero(key.address.as_ref()), key.port),
        };
        text.push_str(&row([&name, &service.laddrs.len().to_string(), "", "", ""]));
        let rows = |laddrs: &[Laddr], note: &str| {
            let rows = laddrs.iter().map(|laddr| {
                let addr = ip_or_zero(laddr.address.as_ref()).to_string();
                let conflicts = laddr.port_conflicts.to_string();
                row([
                    "",
                    "",
                    &addr,
                    &conflicts,
                    &format!("{:<10}{note}", laddr.conns),
                ])
            });
            rows.collect::<String>()
        };
        text.push_str(&rows(&service.laddrs, ""));
        text.push_str(&rows(
            &service.leaving_laddrs,
            " deleted, goes with its last conn",
        ));
    }
    text
}
